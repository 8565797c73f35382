"""Lists of sentences that are seen at some time of a long video: HTM-Align, HTM-AA, YouCook2.

They say when a sentence is *seen*. When it is heard they say of some alone (HTM-Align), or of none:
``narrations.csv`` leaves those times empty, and ``alignments.csv`` holds what is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from thesislib.data.folder import Candidate
from thesislib.data.manifest import Manifest
from thesislib.data.narrations import UNKNOWN, UNSEEN, Alignment, Narration
from thesislib.data.public.joining import Listed, PublicSet, Said, prepare_listed
from thesislib.data.public.lists import (
    find_lists,
    header,
    number,
    read_json,
    read_table,
    unexpected,
    within,
)
from thesislib.errors import ThesisError

HTM_AA_COLUMNS = ("vid", "timestamp", "text")
YOUCOOK_COLUMNS = ("end", "start", "task", "text", "video_id")
YOUCOOK_PART = {"training": "train", "validation": "test"}


def prepare_htm_align(path: str | Path, **options: Any) -> Manifest:
    """HTM-Align: 80 videos of HowTo100M whose sentences were aligned by hand; all of them test.

    Args:
        path: Folder that holds the videos by their YouTube ids.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The list or all videos are missing.
    """
    return prepare_listed(HTM_ALIGN, path, **options)


def prepare_htm_aa(path: str | Path, **options: Any) -> Manifest:
    """HTM-AA: sentences of HowTo100M and the second at which each is seen, found by a network.

    Args:
        path: Folder that holds the videos by their YouTube ids.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The list or all videos are missing.
    """
    return prepare_listed(HTM_AA, path, **options)


def prepare_youcook2(path: str | Path, **options: Any) -> Manifest:
    """YouCook2: the steps of recipes; its validation list is our test split.

    Args:
        path: Folder that holds the videos by their YouTube ids, at any depth.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The list or all videos are missing.
    """
    return prepare_listed(YOUCOOK2, path, **options)


def htm_align_lists(lists: Path, split: int = 1) -> Listed:
    """``{id: [[1 or 0, start, end, text], ...]}``.

    The times are those at which an alignable sentence is seen, and another is heard. When an
    alignable one is heard the file does not say.
    """
    for file in find_lists(lists, "*.json"):
        content = read_json(file)
        if _htm_align(content):
            with within(file):
                said = {
                    video: [_htm_sentence(file, video, one) for one in some]
                    for video, some in sorted(content.items())
                }
            rows = [Candidate(Path(f"{v}.mp4"), v, "", "test", v) for v in said]
            return Listed(rows, said=said, notes={"lists": [file.name]})
    raise ThesisError(f"There is no list of HTM-Align in {lists}: put htm_align.json there.")


def _htm_align(content: Any) -> bool:
    some = next(iter(content.values()), None) if isinstance(content, dict) else None
    return isinstance(some, list) and bool(some) and isinstance(some[0], list)


def _htm_sentence(file: Path, video: str, one: Any) -> Said:
    if not isinstance(one, list) or len(one) != 4 or one[0] not in (0, 1):
        raise unexpected(file, f"[1 or 0, start, end, text] of {video}")
    start, end, text = *_times(one[1:3], file, video), str(one[3])
    if one[0]:
        return Said(Narration(UNKNOWN, UNKNOWN, text), Alignment(True, start, end))
    return Said(Narration(start, end, text), UNSEEN)


def htm_aa_lists(lists: Path, split: int = 1) -> Listed:
    """``vid,timestamp,text``: the second is the middle of what is seen, not a time of speech."""
    files = [f for f in find_lists(lists, "*.csv") if set(HTM_AA_COLUMNS) <= set(header(f))]
    if not files:
        raise ThesisError(
            f"There is no list of HTM-AA in {lists}: put its csv ({','.join(HTM_AA_COLUMNS)}) "
            "there."
        )
    said: dict[str, list[Said]] = {}
    for row in read_table(files[0], HTM_AA_COLUMNS):
        time, _ = _times((row["timestamp"],) * 2, files[0], row["vid"])
        said.setdefault(row["vid"], []).append(_seen(time, time, row["text"]))
    rows = [Candidate(Path(f"{v}.mp4"), v, "", "train", v) for v in sorted(said)]
    return Listed(rows, said=said, notes={"lists": [files[0].name]})


def youcook2_lists(lists: Path, split: int = 1) -> Listed:
    """The publisher's JSON of training and validation, else the csv of the validation clips.

    The label of a video is the number of its recipe.
    """
    for file in find_lists(lists, "*.json"):
        content = read_json(file)
        database = content.get("database") if isinstance(content, dict) else None
        if isinstance(database, dict) and any(_is_youcook(one) for one in database.values()):
            with within(file):
                return _youcook_json(file, database)
    for file in find_lists(lists, "*.csv"):
        if set(YOUCOOK_COLUMNS) <= set(header(file)):
            return _youcook_csv(file)
    raise ThesisError(
        f"There is no list of YouCook2 in {lists}: put youcookii_annotations_trainval.json, or the "
        f"csv of the validation clips ({','.join(YOUCOOK_COLUMNS)}), there."
    )


def _is_youcook(said: Any) -> bool:
    return isinstance(said, dict) and {"recipe_type", "subset", "annotations"} <= said.keys()


def _youcook_json(file: Path, database: Mapping[str, Any]) -> Listed:
    rows, said, unlabelled = [], {}, 0
    for video, one in sorted(database.items()):
        if isinstance(one, dict) and "annotations" not in one:
            unlabelled += 1
            continue
        if not _is_youcook(one) or one["subset"] not in YOUCOOK_PART:
            raise unexpected(file, f'"recipe_type", "subset" and "annotations" of {video}')
        place = YOUCOOK_PART[one["subset"]]
        rows.append(Candidate(Path(f"{video}.mp4"), video, str(one["recipe_type"]), place, video))
        said[video] = [_youcook_step(file, video, step) for step in one["annotations"]]
    return Listed(rows, said=said, notes={"lists": [file.name], "without_labels": unlabelled})


def _youcook_step(file: Path, video: str, step: Any) -> Said:
    times = step.get("segment") if isinstance(step, dict) else None
    if not isinstance(times, list) or len(times) != 2 or not step.get("sentence"):
        raise unexpected(file, f'"segment" and "sentence" of {video}')
    return _seen(*_times(times, file, video), str(step["sentence"]))


def _youcook_csv(file: Path) -> Listed:
    rows: dict[str, Candidate] = {}
    said: dict[str, list[Said]] = {}
    for row in read_table(file, YOUCOOK_COLUMNS):
        video = row["video_id"]
        rows[video] = Candidate(Path(f"{video}.mp4"), video, row["task"], "test", video)
        step = _seen(*_times((row["start"], row["end"]), file, video), row["text"])
        said.setdefault(video, []).append(step)
    return Listed([rows[video] for video in sorted(rows)], said=said, notes={"lists": [file.name]})


def _seen(start: float, end: float, text: str) -> Said:
    """A sentence that is seen, and nobody knows when it is heard."""
    return Said(Narration(UNKNOWN, UNKNOWN, text), Alignment(True, start, end))


def _times(times: Iterable[object], file: Path, video: str) -> tuple[float, float]:
    start, end = (number(time, file, video) for time in times)
    if end < start or start < 0:
        raise ThesisError(f"{file}, {video}: {start:g} to {end:g} s is no span of time.")
    return start, end


_TERMS = "see the terms of the data set; the videos belong to their uploaders"
HTM_ALIGN = PublicSet("htm_align", _TERMS, htm_align_lists)
HTM_AA = PublicSet("htm_aa", _TERMS, htm_aa_lists)
YOUCOOK2 = PublicSet("youcook2", _TERMS, youcook2_lists)
