"""Named problems: one sentence each, that names the thing and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


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
