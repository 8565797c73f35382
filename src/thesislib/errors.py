"""Named problems: one sentence each, that names the thing and the remedy."""

from __future__ import annotations

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
