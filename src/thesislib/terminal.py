"""How a command speaks and ends: its result, a sentence for what stopped it, the exit code."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

from thesislib.errors import ThesisError, of_the_system

GOES_ON = "the same command goes on from here."


class Verdict(NamedTuple):
    """What a command that judges found, and whether that passed: else its exit code is 1."""

    result: Any
    passed: bool


class Terminated(KeyboardInterrupt):
    """SIGTERM; whatever cleans up after Ctrl-C does so after this as well."""


def run(work: Callable[[], str | None]) -> int:
    """Does the work, writes its result to standard output, and returns the exit code.

    0; 1 for a named problem or what the system refuses; 130 after Ctrl-C, 143 after SIGTERM.
    """
    try:
        with _terminable():
            if (text := work()) is not None:
                write(text)
    except ThesisError as error:
        return _stopped(1, str(error))
    except (OSError, MemoryError) as error:
        return _stopped(1, str(of_the_system(error)))
    except Terminated:
        return _stopped(143, f"ended by a signal; {GOES_ON}")
    except KeyboardInterrupt:
        return _stopped(130, f"stopped; {GOES_ON}")
    return 0


def write(text: str) -> None:
    """To standard output, in whatever encoding it has.

    Raises:
        ThesisError: It cannot be written; not where the reader has seen enough.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer has no taker, and Python would try again at its end.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        if not isinstance(error, BrokenPipeError):  # else head or less has seen enough
            raise of_the_system(error, "The result", "written") from None


def as_text(result: Any) -> str:
    """What a command found, for people: a line a key."""
    return result.rstrip("\n") if isinstance(result, str) else "\n".join(_lines(result))


def _lines(result: dict[str, Any], depth: int = 0) -> list[str]:
    """A result, what is nested set in by two more."""
    lines, left = [], "  " * depth
    for key, value in result.items():
        if isinstance(value, dict):
            lines += [f"{left}{key}:", *_lines(value, depth + 1)]
        elif isinstance(value, list) and value:
            lines += [f"{left}{key}:", *(f"{left}  {item}" for item in value)]
        elif isinstance(value, list):
            lines.append(f"{f'{left}{key}':<30} none")
        else:
            lines.append(f"{f'{left}{key}':<30} {_value(value)}")
    return lines


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _stopped(code: int, text: str) -> int:
    with contextlib.suppress(OSError):  # nobody may be left to read it
        print(f"thesislib: {text}", file=sys.stderr)
    return code


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Within the block SIGTERM raises :class:`Terminated`, in this process and no worker of it."""
    if threading.current_thread() is not threading.main_thread():  # where Python takes no signals
        yield
        return
    ours = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != ours:  # a forked worker dies of it, as it would have
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
