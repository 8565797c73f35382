"""Lists of actions in time in untrimmed videos: THUMOS14 and ActivityNet 1.3.

An untrimmed video has no class of its own: its label stays empty, ``segments.json`` holds what
happens when. As in the thesis (section 5.4.3), ActivityNet's training and validation lists are our
training and test splits (its test list has no labels), THUMOS14's are its validation and test lists
(its training videos are trimmed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thesislib.data.manifest import Manifest
from thesislib.data.public.joining import Listed, PublicSet, Span, prepare_listed
from thesislib.data.public.lists import (
    find_lists,
    header,
    number,
    read_json,
    read_lines,
    read_table,
    unexpected,
    within,
)
from thesislib.data.scan import Candidate
from thesislib.errors import ThesisError

AMBIGUOUS = "Ambiguous"
# The classes in the order of the numbers of the ground-truth csv; -1 is Ambiguous.
THUMOS_CLASSES = (
    "BaseballPitch", "BasketballDunk", "Billiards", "CleanAndJerk", "CliffDiving", "CricketBowling",
    "CricketShot", "Diving", "FrisbeeCatch", "GolfSwing", "HammerThrow", "HighJump", "JavelinThrow",
    "LongJump", "PoleVault", "Shotput", "SoccerPenalty", "TennisSwing", "ThrowDiscus",
    "VolleyballSpiking",
)  # fmt: skip
# Test videos that others leave out: the first has ambiguous actions alone, the others wrong times.
THUMOS_OFTEN_DROPPED = ("video_test_0001292", "video_test_0000270", "video_test_0001496")
THUMOS_PART = {"validation": "train", "test": "test"}
THUMOS_NAME = re.compile(r"video_(?P<part>validation|test)_\d+$")
THUMOS_LINE = re.compile(r"(?P<video>video_\S+)\s+(?P<start>\S+)\s+(?P<end>\S+)$")
THUMOS_CSV = ("video", "type", "start", "end")
THUMOS_TRUTH = ("video-name", "t-init", "t-end", "frame-rate", "video-frames", "label-idx")

ANET_PART = {"training": "train", "validation": "test"}
ANET_INFO = ("video", "subset")


def prepare_thumos14(path: str | Path, **options: Any) -> Manifest:
    """THUMOS14: the 20 classes of the detection task, and Ambiguous set aside by a mark.

    The validation videos (200) train, the test videos (213) test.

    Args:
        path: Folder that holds ``video_validation_NNNNNNN`` and ``video_test_NNNNNNN``.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(THUMOS14, path, **options)


def prepare_activitynet(path: str | Path, **options: Any) -> Manifest:
    """ActivityNet 1.3: the official JSON, or the two files of BMN.

    The published validation list is our test split (its own test list has no labels).

    Args:
        path: Folder that holds ``v_<id>`` or ``<id>`` videos.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(ACTIVITYNET, path, **options)


def thumos14_lists(lists: Path, split: int = 1) -> Listed:
    """The first form that is there: csv with class names, text by class, ground-truth csv, JSON.

    The JSON is the last choice: it lacks three test videos and all ambiguous segments.
    """
    for read in (_thumos_csv, _thumos_text, _thumos_truth, _thumos_json):
        files, found, _ = read(lists)
        if found:
            break
    else:
        raise ThesisError(
            f"There is no list of THUMOS14 in {lists}: put test_Annotation.csv and "
            "val_Annotation.csv, or <class>_test.txt and <class>_val.txt, there."
        )
    for video in found:
        if not THUMOS_NAME.match(video):
            raise ThesisError(
                f"{files[0]}: {video[:60]!r} is no video of THUMOS14: is it the publisher's file?"
            )
    rows = [Candidate(Path(v), v, "", _thumos_part(v), v) for v in sorted(found)]
    segments = {video: sorted(found[video]) for video in sorted(found)}
    return Listed(
        rows,
        segments=segments,
        lengths=_thumos_truth(lists)[2],
        notes={
            "lists": [file.name for file in files],
            "only_ambiguous": [v for v, some in segments.items() if all(s.ambiguous for s in some)],
            "kept_though_others_drop_them": [v for v in THUMOS_OFTEN_DROPPED if v in found],
        },
    )


Found = tuple[list[Path], dict[str, list[Span]], dict[str, tuple[int, float]]]


def _thumos_csv(lists: Path) -> Found:
    """``video,type,type_idx,start,end,...``; the number is UCF101's and not used."""
    files = [f for f in find_lists(lists, "*.csv") if set(THUMOS_CSV) <= set(header(f))]
    found: dict[str, list[Span]] = {}
    for file in files:
        for row in read_table(file, THUMOS_CSV):
            times = (row["start"], row["end"])
            found.setdefault(row["video"], []).append(
                _segment(times, row["type"], file, row["video"])
            )
    return files, found, {}


def _thumos_text(lists: Path) -> Found:
    """The original: one ``<class>_<val or test>.txt`` a class, ``video  start end`` a line."""
    files = find_lists(lists, "*_val.txt", "*_test.txt")
    files = [f for f in files if f.stem.rsplit("_", 1)[0] in (*THUMOS_CLASSES, AMBIGUOUS)]
    found: dict[str, list[Span]] = {}
    for file in files:
        for line in read_lines(file):
            said = THUMOS_LINE.match(line)
            if not said:
                raise ThesisError(f"{file}: {line[:60]!r} is not <video> <start> <end>.")
            label = file.stem.rsplit("_", 1)[0]
            times = (said["start"], said["end"])
            found.setdefault(said["video"], []).append(_segment(times, label, file, said["video"]))
    return files, found, {}


def _thumos_truth(lists: Path) -> Found:
    """The csv that scores with numbers for classes; it also says frames and rate."""
    files = [f for f in find_lists(lists, "*.csv") if set(THUMOS_TRUTH) <= set(header(f))]
    found: dict[str, list[Span]] = {}
    lengths = {}
    for file in files:
        for row in read_table(file, THUMOS_TRUTH):
            video = row["video-name"]
            index = int(number(row["label-idx"], file, video))
            if not -1 <= index < len(THUMOS_CLASSES):
                raise ThesisError(f"{file}, {video}: there is no class {index} in THUMOS14.")
            label = AMBIGUOUS if index < 0 else THUMOS_CLASSES[index]
            times = (row["t-init"], row["t-end"])
            found.setdefault(video, []).append(_segment(times, label, file, video))
            lengths[video] = (
                int(number(row["video-frames"], file, video)),
                number(row["frame-rate"], file, video),
            )
    return files, found, lengths


def _thumos_json(lists: Path) -> Found:
    """``{"database": {video: {"subset", "annotations"}}}``; times are text."""
    for file in find_lists(lists, "*.json"):
        database = _database(file, read_json(file))
        if database and all(THUMOS_NAME.match(video) for video in database):
            with within(file):
                return [file], {v: _segments(file, v, said) for v, said in database.items()}, {}
    return [], {}, {}


def _thumos_part(video: str) -> str:
    found = THUMOS_NAME.match(video)
    return THUMOS_PART[found["part"]] if found else "test"


def activitynet_lists(lists: Path, split: int = 1) -> Listed:
    """The official JSON, or BMN's JSON with the csv that says each video's part.

    Names get the ``v_`` that the official files leave out. Videos without a label (the official
    test list) are counted and left out.
    """
    for file in find_lists(lists, "*.json"):
        content = read_json(file)
        database = _database(file, content)
        if database and all("subset" in said for said in database.values()):
            return _activitynet(file, database, {v: s["subset"] for v, s in database.items()})
        if _bmn(content):
            return _activitynet(file, content, _bmn_subsets(lists, file))
    raise ThesisError(
        f"There is no list of ActivityNet 1.3 in {lists}: put activity_net.v1-3.min.json there, or "
        "anet_anno_action.json with video_info_new.csv."
    )


def _activitynet(file: Path, database: Mapping[str, Any], subset: Mapping[str, str]) -> Listed:
    with within(file):
        return _activitynet_of(file, database, subset)


def _activitynet_of(file: Path, database: Mapping[str, Any], subset: Mapping[str, str]) -> Listed:
    rows = []
    segments = {}
    lengths = {}
    unlabelled = 0
    for video, said in sorted(database.items()):
        if video not in subset:
            raise ThesisError(f"{file}: no list says which part {video} belongs to.")
        if subset[video] not in ANET_PART:
            unlabelled += 1
            continue
        name = video if video.startswith("v_") else f"v_{video}"
        # ".mp4" only so that a name keeps its stem.
        rows.append(Candidate(Path(f"{name}.mp4"), name, "", ANET_PART[subset[video]], name))
        segments[name] = _segments(file, video, said)
        if "duration_frame" in said:
            frames = int(number(said["duration_frame"], file, video))
            seconds = number(said.get("duration_second"), file, video)
            lengths[name] = (frames, frames / seconds if seconds else 0.0)
    return Listed(
        rows,
        segments=segments,
        lengths=lengths,
        notes={"lists": [file.name], "without_labels": unlabelled},
    )


def _bmn(content: Any) -> bool:
    some = next(iter(content.values()), None) if isinstance(content, dict) else None
    return isinstance(some, dict) and {"duration_second", "annotations"} <= some.keys()


def _bmn_subsets(lists: Path, file: Path) -> dict[str, str]:
    for table in find_lists(lists, "*.csv"):
        if set(ANET_INFO) <= set(header(table)):
            return {row["video"]: row["subset"] for row in read_table(table, ANET_INFO)}
    raise ThesisError(
        f"{file.name} does not say which videos train and which test: put video_info_new.csv "
        f"(video,...,subset,...) into {lists}."
    )


def activitynet_aliases(stem: str) -> Iterable[str]:
    """The video as YouTube names it, without ``v_``."""
    return (stem.removeprefix("v_"),)


def _database(file: Path, content: Any) -> dict[str, Any]:
    """The videos of a JSON in ActivityNet's form; empty if it is another."""
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        return {}
    if not all(isinstance(said, dict) for said in database.values()):
        raise unexpected(file, 'a "database" of videos')
    return database


def _segments(file: Path, video: str, said: Mapping[str, Any]) -> list[Span]:
    annotations = said.get("annotations")
    if not isinstance(annotations, list):
        raise unexpected(file, f'"annotations" of {video}')
    segments = []
    for one in annotations:
        times = one.get("segment") if isinstance(one, dict) else None
        if not isinstance(times, list) or len(times) != 2 or "label" not in one:
            raise unexpected(file, f'"segment" and "label" of {video}')
        segments.append(_segment(times, one["label"], file, video))
    return segments


def _segment(times: Iterable[object], label: str, file: Path, video: str) -> Span:
    start, end = (number(time, file, video) for time in times)
    if end < start or start < 0:
        raise ThesisError(f"{file}, {video}: {start:g} to {end:g} s is no span of time.")
    if not isinstance(label, str) or not label:
        raise unexpected(file, f"a label, in words, of every action of {video}")
    return Span(start, end, label, label == AMBIGUOUS)


THUMOS14 = PublicSet("thumos14", "for research, see the terms of the data set", thumos14_lists)
ACTIVITYNET = PublicSet(
    "activitynet",
    "see the terms of the data set; the videos belong to their uploaders",
    activitynet_lists,
    aliases=activitynet_aliases,
)
