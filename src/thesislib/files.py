"""Files that are whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from thesislib.errors import ThesisError

SUFFIX = ".part"  # of a file that is not whole yet; its name begins with a dot


@contextlib.contextmanager
def replacing(path: str | Path, remedy: str = "free some space.") -> Iterator[Path]:
    """A path beside ``path`` to write to, which takes its place when the block ends well.

    A kill at any moment leaves the old file or the new one; an error leaves the old one. Each
    process has a name of its own, so two writers never mix their bytes.

    Raises:
        ThesisError: The file cannot be written; ends with ``remedy``. An error of another file,
            which the block has read, passes through.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    ours = {str(partial), str(path), *map(str, path.parents)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if partial.exists():  # a block that gave up has written nothing
            os.replace(partial, path)
    except (OSError, SafetensorError) as error:  # safetensors has its own for a full disk
        names = {getattr(error, name, None) for name in ("filename", "filename2")}
        if names != {None} and not names & ours:
            raise
        why = getattr(error, "strerror", None) or error
        raise ThesisError(f"{path} cannot be written ({why}): {remedy}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what killed processes have left half written in a folder and below."""
    if os.name == "nt":  # there to ask for a process by its number would end it
        return
    for partial in folder.rglob(f".*{SUFFIX}"):
        number = partial.name.split(".")[-2]
        if number.isdigit() and int(number) != os.getpid():
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                partial.unlink(missing_ok=True)
            except PermissionError:  # somebody else's, and alive
                continue


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file, on the disk when this returns."""
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: str | Path, value: Any, *, sort_keys: bool = False) -> None:
    """Writes JSON, one space a level."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=sort_keys)
    write_text(path, text + "\n")


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as csv, quoted where it has to be."""
    lines = []
    for row in [head, *rows]:
        text = io.StringIO()
        csv.writer(text).writerow(row)  # with its own end of a line it quotes a lone "\r" too
        lines.append(text.getvalue().removesuffix("\r\n"))
    return "\n".join([*lines, ""])


def sheet_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The same for a spreadsheet, where a text that begins like a formula would be one.

    An apostrophe before it, as spreadsheets write it themselves, makes it a text again. For tables
    that people look at; a file of ours that is read again is :func:`csv_text`.
    """
    return csv_text([_cell(name) for name in head], ([_cell(value) for value in r] for r in rows))


def _cell(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def sha256(path: Path) -> str:
    """Of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
