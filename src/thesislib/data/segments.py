"""What happens when in untrimmed videos: the side file of data sets for localisation.

``segments.json`` lies beside ``manifest.csv``::

    {"format": 1, "videos": {"test/v1.mp4": [[12.4, 15.0, "kick"], [20.1, 21.3, "", "ambiguous"]]}}

Times are seconds from the start of the video, ends are not before starts, segments may overlap and
a video may have none. What is marked ambiguous is neither right nor wrong to find (THUMOS14).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from thesislib.data.manifest import Manifest
from thesislib.data.side_files import AGAIN, check_side_file, write_side_file
from thesislib.errors import ThesisError
from thesislib.files import read_json

SEGMENTS_FILE = "segments.json"
FORMAT = 1
AMBIGUOUS = "ambiguous"
LONGEST = 1e9  # seconds


class Segment(NamedTuple):
    """Something that happens."""

    start: float  # seconds
    end: float  # seconds
    label: str


def write_segments(
    manifest: Manifest,
    segments: Mapping[str, Sequence[tuple[float, float, str]]],
    ambiguous: Mapping[str, Sequence[tuple[float, float, str]]] | None = None,
) -> None:
    """Writes what happens in the videos, a video a line, and its checksum into ``manifest.info``.

    Args:
        manifest: The data set; write it afterwards.
        segments: Path of a video to what happens in it; a video that is left out has no segment.
        ambiguous: The same of what is marked so.

    Raises:
        ThesisError: A segment has no length in time, no label or no video.
    """
    ambiguous = ambiguous or {}
    known = {video.path for video in manifest.videos}
    for name in [*segments, *ambiguous]:
        if name not in known:
            raise ThesisError(f"There is no video {name!r} in the data set {manifest.name!r}.")
    lines = []
    for video in manifest.videos:
        rows: list[list[Any]] = [
            [round(float(start), 4), round(float(end), 4), label]
            for start, end, label in segments.get(video.path, ())
        ]
        rows += [
            [round(float(start), 4), round(float(end), 4), label, AMBIGUOUS]
            for start, end, label in ambiguous.get(video.path, ())
        ]
        rows.sort(key=lambda row: row[:3])
        for row in rows:
            _checked(row, video.path)
        lines.append(f"{_json(video.path)}: {_json(rows)}")
    body = ",\n".join(lines)
    text = f'{{"format": {FORMAT}, "videos": {{\n{body}\n}}}}\n'
    write_side_file(manifest, SEGMENTS_FILE, text)


def read_segments(manifest: Manifest, ambiguous: bool = False) -> dict[str, tuple[Segment, ...]]:
    """What happens in each video of ``manifest``, by start; ``()`` where nothing does.

    Args:
        manifest: The data set.
        ambiguous: Give those that are marked ambiguous in place of the others.

    Raises:
        ThesisError: No such file, of another format, a segment that is none, or no segment at all
            in these videos (ambiguous ones may be missing).
    """
    path = manifest.root / SEGMENTS_FILE
    if not path.is_file():
        raise ThesisError(
            f"{manifest.name!r} does not say what happens when: there is no {path}. Prepare it "
            "again, or take the data set of `thesislib prepare synthetic_untrimmed`."
        )
    check_side_file(manifest, SEGMENTS_FILE)
    found = read_json(path, AGAIN)
    if found.get("format") != FORMAT:
        raise ThesisError(
            f"{path} is not of format {FORMAT}: prepare the data set again with this version."
        )
    videos = found.get("videos")
    if not isinstance(videos, dict):
        raise ThesisError(f'{path} has no table "videos": {AGAIN}')
    out: dict[str, tuple[Segment, ...]] = {}
    for video in manifest.videos:
        rows = videos.get(video.path, [])
        if not isinstance(rows, list):
            raise ThesisError(f"{path}: the segments of {video.path} are no list: {AGAIN}")
        marked = [(_checked(row, video.path), len(row) == 4) for row in rows]
        out[video.path] = tuple(sorted(one for one, mark in marked if mark == ambiguous))
    if not ambiguous and not any(out.values()):
        raise ThesisError(f"{path} knows not one segment in the videos of this selection.")
    return out


def labels_of(segments: Mapping[str, Sequence[Segment]]) -> tuple[str, ...]:
    """Sorted names of what happens anywhere; the place in this tuple is the class number."""
    return tuple(sorted({one.label for rows in segments.values() for one in rows}))


def _checked(row: Any, video: str) -> Segment:
    good = isinstance(row, list) and (len(row) == 3 or (len(row) == 4 and row[3] == AMBIGUOUS))
    if good:
        start, end, label = row[:3]
        good = all(
            isinstance(x, (int, float)) and not isinstance(x, bool) and abs(x) < math.inf
            for x in (start, end)
        )
        good = good and 0 <= start <= end <= LONGEST and isinstance(label, str)
        good = good and bool(label or len(row) == 4)
    if not good:
        raise ThesisError(
            f"{video}: {row!r} is no segment: give [start, end, label] in seconds, the end not "
            f'before the start, and "{AMBIGUOUS}" behind it where that is so.'
        )
    return Segment(float(start), float(end), label)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
