"""Lists of long videos of one activity each, and its steps in time: Breakfast and COIN.

The label of a video is its activity (thesis 6.4.3), ``segments.json`` holds its steps (7.4.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from thesislib.data.folder import Candidate
from thesislib.data.manifest import Manifest
from thesislib.data.public.joining import Listed, PublicSet, Span, prepare_listed
from thesislib.data.public.lists import (
    find_lists,
    number,
    read_json,
    read_lines,
    unexpected,
    within,
)
from thesislib.errors import ThesisError

BREAKFAST_NAME = re.compile(r"(?P<person>P\d\d)_[a-z]+\d\d_(?P=person)_(?P<activity>[a-z]+)$")
BREAKFAST_LINE = re.compile(r"(?P<start>\d+)-(?P<end>\d+)\s+(?P<label>\S+)$")
BREAKFAST_FPS = 15
SILENCE = "SIL"  # nothing happens
BREAKFAST_TEXTS = {
    "cereals": "cereals", "coffee": "coffee", "friedegg": "fried egg", "juice": "juice",
    "milk": "milk", "pancake": "pancake", "salat": "salad", "sandwich": "sandwich",
    "scrambledegg": "scrambled egg", "tea": "tea",
}  # fmt: skip
# The persons P03 to P54 in four parts of thirteen: of split K the K-th part tests.
BREAKFAST_SPLITS, FIRST_PERSON, PERSONS = 4, 3, 13
COIN_PART = {"training": "train", "testing": "test", "validation": "test"}


def prepare_breakfast(path: str | Path, **options: Any) -> Manifest:
    """Breakfast: ten activities, their coarse segmentation, four official splits by person.

    Args:
        path: Folder that holds the videos as published (``P03/cam01/P03_tea.avi``) or under the
            names of the lists (``P03_cam01_P03_tea``).
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(BREAKFAST, path, **options)


def prepare_coin(path: str | Path, **options: Any) -> Manifest:
    """COIN: ``COIN.json``, 180 activities with their steps.

    Args:
        path: Folder that holds the videos by their YouTube ids, at any depth.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The list or all videos are missing.
    """
    return prepare_listed(COIN, path, **options)


def breakfast_lists(lists: Path, split: int = 1) -> Listed:
    """A text file a video, as published (``31-150 take_bowl``) or with a label a frame (MS-TCN).

    Of several files of one name that in a folder of coarse segments counts. What tests is said by
    ``test.splitK.bundle`` where that is there, else by the person's number.
    """
    if not 1 <= split <= BREAKFAST_SPLITS:
        raise ThesisError(f"Breakfast has no split {split}: give 1 to {BREAKFAST_SPLITS}.")
    files = [f for f in find_lists(lists, "*.txt") if BREAKFAST_NAME.match(f.stem)]
    files.sort(key=lambda file: ("coarse" in file.as_posix(), file.as_posix()))
    chosen = {file.stem: file for file in files}
    if not chosen:
        raise ThesisError(
            f"There is no list of Breakfast in {lists}: put its coarse segmentation "
            "(P03_cam01_P03_cereals.txt, ...) there."
        )
    bundles = find_lists(lists, f"test.split{split}.bundle")
    tested = {Path(line).stem for line in read_lines(bundles[0])} if bundles else None
    rows, segments, lengths = [], {}, {}
    for name, file in sorted(chosen.items()):
        said = BREAKFAST_NAME.match(name)
        assert said is not None
        with within(file):
            spans = _breakfast_spans(file)
        part = int(said["person"][1:]) - FIRST_PERSON
        tests = name in tested if tested is not None else part // PERSONS == split - 1
        # ".avi" only so that a name keeps its stem.
        path = Path(f"{name}.avi")
        place = "test" if tests else "train"
        rows.append(Candidate(path, name, said["activity"], place, said["person"]))
        segments[name] = [one for one in spans if one.label != SILENCE]
        lengths[name] = (round(spans[-1].end * BREAKFAST_FPS), float(BREAKFAST_FPS))
    return Listed(
        rows,
        segments=segments,
        lengths=lengths,
        notes={
            "splits_by": bundles[0].name if bundles else "the number of the person",
            "class_texts": {row.label: BREAKFAST_TEXTS.get(row.label, row.label) for row in rows},
        },
    )


def _breakfast_spans(file: Path) -> list[Span]:
    """All spans of a video, silence too. Frames count from 1, both ends are within."""
    lines = read_lines(file)
    if not BREAKFAST_LINE.match(lines[0]) and len(lines[0].split()) == 1:
        return _runs(lines)
    spans = []
    for line in lines:
        said = BREAKFAST_LINE.match(line)
        if not said or int(said["end"]) < int(said["start"]) or int(said["start"]) < 1:
            raise ThesisError(f"{file}: {line[:60]!r} is not <first>-<last frame> <label>.")
        start, end = (int(said["start"]) - 1) / BREAKFAST_FPS, int(said["end"]) / BREAKFAST_FPS
        spans.append(Span(start, end, said["label"]))
    return spans


def _runs(labels: Iterable[str]) -> list[Span]:
    """Spans from a label a frame."""
    spans, frame = [], 0
    for label, run in groupby(labels):
        last = frame + len(list(run))
        spans.append(Span(frame / BREAKFAST_FPS, last / BREAKFAST_FPS, label))
        frame = last
    return spans


def breakfast_stem(file: Path) -> str:
    """The listed name of a video: as published it lies in folders of its person and camera.

    The stereo camera has two files; ``_ch1`` keeps its ending and is taken if there is no other.
    """
    if BREAKFAST_NAME.match(file.stem) or len(file.parts) < 3:
        return file.stem
    person, camera = file.parts[-3:-1]
    camera = "stereo01" if camera == "stereo" else camera
    name = f"{person}_{camera}_{file.stem.removesuffix('_ch0')}"
    return name if BREAKFAST_NAME.match(name.removesuffix("_ch1")) else file.stem


def breakfast_aliases(stem: str) -> Iterable[str]:
    """The second file of a stereo camera."""
    return (f"{stem}_ch1",)


def coin_lists(lists: Path, split: int = 1) -> Listed:
    """``{"database": {id: {"class", "subset", "annotation": [{"segment", "label"}]}}}``."""
    for file in find_lists(lists, "*.json"):
        content = read_json(file)
        database = content.get("database") if isinstance(content, dict) else None
        if isinstance(database, dict) and any(_is_coin(one) for one in database.values()):
            with within(file):
                return _coin(file, database)
    raise ThesisError(f"There is no list of COIN in {lists}: put COIN.json there.")


def _is_coin(said: Any) -> bool:
    return isinstance(said, dict) and {"class", "subset", "annotation"} <= said.keys()


def _coin(file: Path, database: Mapping[str, Any]) -> Listed:
    rows, segments = [], {}
    for video, said in sorted(database.items()):
        if not _is_coin(said) or said["subset"] not in COIN_PART:
            raise unexpected(file, f'"class", "subset" and "annotation" of {video}')
        part = COIN_PART[said["subset"]]
        rows.append(Candidate(Path(f"{video}.mp4"), video, str(said["class"]), part, video))
        segments[video] = [_coin_span(file, video, one) for one in said["annotation"]]
    texts = {row.label: _words(row.label) for row in rows}
    return Listed(rows, segments=segments, notes={"lists": [file.name], "class_texts": texts})


def _coin_span(file: Path, video: str, one: Any) -> Span:
    times = one.get("segment") if isinstance(one, dict) else None
    if not isinstance(times, list) or len(times) != 2 or not one.get("label"):
        raise unexpected(file, f'"segment" and "label" of {video}')
    start, end = (number(time, file, video) for time in times)
    if end < start or start < 0:
        raise ThesisError(f"{file}, {video}: {start:g} to {end:g} s is no span of time.")
    return Span(start, end, str(one["label"]))


def _words(name: str) -> str:
    """``ReplaceCDDriveWithSSD`` as ``replace CD drive with SSD``."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    return " ".join(part if part.isupper() else part.lower() for part in parts)


BREAKFAST = PublicSet(
    "breakfast",
    "for research, see the terms of the data set",
    breakfast_lists,
    numbered=True,
    aliases=breakfast_aliases,
    stem=breakfast_stem,
)
COIN = PublicSet(
    "coin", "for research, see the terms of the data set; videos of their uploaders", coin_lists
)
