"""Named problems: one sentence each, that names the thing and the remedy."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

_NO_RIGHT = "get the right to it, or name another place."
_DESCRIPTORS = "close what else is open, or allow more of them with `ulimit -n 4096`."
_SPACE = "free some space."
# What to do about what the operating system says.
REMEDIES = {
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EBUSY: "wait until nothing else uses it.",
    errno.EDQUOT: _SPACE,
    errno.EEXIST: "name another place.",
    errno.EIO: "look to the disk, or copy the file anew.",
    errno.EISDIR: "name a file, this is a folder.",
    errno.ELOOP: "its links lead in a circle, so name what they should lead to.",
    errno.EMFILE: _DESCRIPTORS,
    errno.ENAMETOOLONG: "shorten the name.",
    errno.ENFILE: _DESCRIPTORS,
    errno.ENOENT: "look to the name.",
    errno.ENOMEM: "end what else runs, or do less at a time.",
    errno.ENOSPC: _SPACE,
    errno.ENOTDIR: "a part of the path is a file, so name another place.",
    errno.EROFS: "name a place that can be written.",
}


class ThesisError(Exception):
    """A problem the user can mend. The command line prints the sentence and exits with 1."""


class VideoError(ThesisError):
    """A video file that cannot be used.

    Attributes:
        path: The file.
        reason: A short phrase, e.g. ``"audio only"``.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[VideoError], tuple[Path, str]]:
        # Exceptions cross process borders in DataLoader workers and pools.
        return type(self), (self.path, self.reason)


def of_the_system(
    error: Exception, path: str | Path | None = None, cannot: str = "used", otherwise: str = ""
) -> ThesisError:
    """What the operating system refused, as one sentence with its remedy.

    Args:
        error: An :class:`OSError`, what a library raises in its place, or a :class:`MemoryError`.
        path: What it was about; default: the file that the error names.
        cannot: What cannot be done: ``"read"``, ``"written"``.
        otherwise: The remedy where there is none of its own for this error, or where it is to free
            some space and the caller can say more.
    """
    if cannot == "read" and path is not None and getattr(error, "errno", None) is None:
        error = _refused(path) or error
    number = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    if number is None and (told := re.search(r"\(os error (\d+)\)", str(error))):  # of Rust
        number = int(told.group(1))
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    named = path if path is not None else getattr(error, "filename", None)
    what = "Something" if named is None else os.fsdecode(named) if _is_path(named) else str(named)
    remedy = REMEDIES.get(number or 0, _SPACE if cannot == "written" else "try it again.")
    if otherwise and remedy in (_SPACE, "try it again."):
        remedy = otherwise
    return ThesisError(f"{what} cannot be {cannot} ({why}): {remedy}")


def _refused(path: str | Path) -> OSError | None:
    """What keeps a file from being opened: to safetensors all of it is "No such file"."""
    try:
        with open(path, "rb"):
            return None
    except OSError as error:
        return error


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes | os.PathLike)


def choose(kind: str, name: str, options: Iterable[str]) -> str:
    """Returns ``name`` if it is one of ``options``; else one sentence with the nearest name.

    Raises:
        ThesisError: ``name`` is unknown.
    """
    options = list(options)
    if name in options:
        return name
    near = difflib.get_close_matches(str(name), options, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(options)}."
    raise ThesisError(f"There is no {kind} {name!r}: {hint}")
