"""What lies beside a manifest: actions in time (``segments.json``), sentences (``captions.json``).

Both are keyed by the path in the manifest::

    {"format": 1, "videos": {path: [[start, end, label, ambiguous], ...]}}    seconds, true or false
    {"format": 1, "videos": {path: ["a sentence", ...]}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from thesislib.files import write_json

SEGMENTS_FILE = "segments.json"
CAPTIONS_FILE = "captions.json"
FORMAT = 1


class Segment(NamedTuple):
    """One action in time.

    Attributes:
        start: Seconds from the start of the video.
        end: Seconds; the truth of ActivityNet has some that end where they start.
        label: Class name.
        ambiguous: Not scored: neither a hit nor a miss.
    """

    start: float
    end: float
    label: str
    ambiguous: bool = False


def write_segments(root: Path, segments: Mapping[str, Sequence[Segment]]) -> Path:
    """Writes ``segments.json``.

    Args:
        root: Folder of the data set.
        segments: By the path in the manifest; a video without any has an empty list.

    Returns:
        The path of the file.
    """
    path = root / SEGMENTS_FILE
    write_json(path, {"format": FORMAT, "videos": {k: list(v) for k, v in segments.items()}})
    return path


def write_captions(root: Path, captions: Mapping[str, Sequence[str]]) -> Path:
    """Writes ``captions.json``.

    Args:
        root: Folder of the data set.
        captions: By the path in the manifest; a video without any has an empty list.

    Returns:
        The path of the file.
    """
    path = root / CAPTIONS_FILE
    write_json(path, {"format": FORMAT, "videos": {k: list(v) for k, v in captions.items()}})
    return path
