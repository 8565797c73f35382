"""Lists of sentences that say what a video shows: MSRVTT, LSMDC, SMIT and DiDeMo.

The sentences go to ``captions.csv``; the label of a video stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from thesislib.data.folder import Candidate
from thesislib.data.manifest import Manifest
from thesislib.data.public.joining import Listed, PublicSet, prepare_listed
from thesislib.data.public.lists import (
    find_lists,
    header,
    read_json,
    read_lines,
    read_table,
    unexpected,
    within,
)
from thesislib.errors import ThesisError

MOMENT = ("video", "description")
MSRVTT_TEST = ("video_id", "sentence")
MSRVTT_PART = {"train": "train", "validate": "val", "test": "test"}
LSMDC_CLIP = re.compile(
    r"(?P<movie>.+)_(?P<start>\d\d\.\d\d\.\d\d\.\d{3})-(?P<end>\d\d\.\d\d\.\d\d\.\d{3})$"
)
LSMDC_COLUMNS = 6
# The retrieval list of 1,000 clips under the name that its publisher gave it.
LSMDC_THOUSAND = "1000"
PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
# What a column or a key may be called in the lists of SMIT.
VIDEO_KEYS = ("video", "video_path", "video_name", "filename", "file", "path", "key")
CAPTION_KEYS = ("caption", "captions", "text", "transcript", "transcription", "sentence")


def prepare_msrvtt(path: str | Path, **options: Any) -> Manifest:
    """MSRVTT: the csv of the 1k-A test, the captions JSON, the csv of the 9k training videos.

    Args:
        path: Folder that holds ``video0`` to ``video9999``.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(MSRVTT, path, **options)


def prepare_lsmdc(path: str | Path, **options: Any) -> Manifest:
    """LSMDC: ``LSMDC16_annos_{training,val,test}.csv`` and the list of 1,000 clips.

    The thesis trains on the validation clips (section 5.4.4), which are our ``val``.

    Args:
        path: Folder that holds ``<movie>_<start>-<end>`` clips, by movie or flat.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(LSMDC, path, **options)


def prepare_smit(path: str | Path, **options: Any) -> Manifest:
    """SMIT (Spoken Moments): one list a part, csv or JSON, with a video and its transcript.

    Args:
        path: Folder that holds the videos, by class or flat.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(SMIT, path, **options)


def prepare_didemo(path: str | Path, **options: Any) -> Manifest:
    """DiDeMo: ``train_data.json``, ``val_data.json``, ``test_data.json``.

    Each caption describes a moment. Video retrieval joins those of a video to one paragraph.

    Args:
        path: Folder that holds the videos under the names in the lists.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(DIDEMO, path, **options)


def msrvtt_lists(lists: Path, split: int = 1) -> Listed:
    """1k-A where its csv is there, else the parts that the JSON names.

    A training csv of other videos than the test's says what trains; of two the longer (9k). Without
    one, all videos of the JSON that the test leaves.
    """
    data = next((f for f in find_lists(lists, "*.json") if _sentences(read_json(f))), None)
    content = read_json(data) if data else {}
    captions: dict[str, list[str]] = {}
    for one in content.get("sentences", ()):
        words = (
            [one.get(name) for name in ("video_id", "caption")] if isinstance(one, dict) else [0]
        )
        if not all(isinstance(word, str) for word in words):
            raise unexpected(data or lists, '"sentences" with "video_id" and "caption"')
        captions.setdefault(one["video_id"], []).append(one["caption"])
    tables = {file: header(file) for file in find_lists(lists, "*.csv")}
    tests = [file for file, names in tables.items() if set(MSRVTT_TEST) <= set(names)]
    trains = [file for file, names in tables.items() if names == ["video_id"]]
    if not tests and not captions:
        raise ThesisError(
            f"There is no list of MSRVTT in {lists}: put the 1k-A test csv (key,vid_key,video_id,"
            "sentence) and the JSON of all captions there."
        )
    part: dict[str, str] = {}
    if tests:
        tested = {row["video_id"]: [row["sentence"]] for row in read_table(tests[0], MSRVTT_TEST)}
        pools = [[row["video_id"] for row in read_table(file, ("video_id",))] for file in trains]
        training = max(pools, key=len) if pools else list(captions)
        part = dict.fromkeys(training, "train") | dict.fromkeys(tested, "test")
        captions |= tested
    else:
        with within(data or lists):
            videos = content.get("videos", ())
            part = {one["video_id"]: _msrvtt_part(one, data) for one in videos}
    rows = [Candidate(Path(f"{v}.mp4"), v, "", part[v], v) for v in sorted(part, key=_in_order)]
    return Listed(
        rows,
        captions={row.name: captions.get(row.name, []) for row in rows},
        notes={
            "lists": [file.name for file in (*tests[:1], *trains, *([data] if data else []))],
            "test": "1k-A" if tests else "the publisher's",
            "training_without_captions": sum(
                row.split == "train" and row.name not in captions for row in rows
            ),
        },
    )


def _sentences(content: Any) -> bool:
    return isinstance(content, dict) and isinstance(content.get("sentences"), list)


def _msrvtt_part(video: Mapping[str, Any], file: Path | None) -> str:
    if video.get("split") not in MSRVTT_PART or not isinstance(video.get("video_id"), str):
        raise unexpected(file or Path(), '"videos" with "video_id" and "split"')
    return MSRVTT_PART[video["split"]]


def _in_order(name: str) -> tuple[str, int]:
    """``video9`` before ``video10``."""
    digits = re.search(r"\d{1,18}$", name)
    return (name[: digits.start()], int(digits[0])) if digits else (name, -1)


def lsmdc_lists(lists: Path, split: int = 1) -> Listed:
    """Tab-separated lines without a header; quotes are part of a sentence.

    The clips of the list of 1,000 test where it is there; else those of the test list.
    """
    files = {file: _lsmdc_part(file) for file in find_lists(lists, "*LSMDC*.csv", "*LSMDC*.tsv")}
    thousand = [file for file in files if LSMDC_THOUSAND in file.stem]
    chosen = {
        file: part
        for file, part in files.items()
        if part and (file in thousand[:1] or part != "test" or not thousand)
    }
    if not chosen:
        raise ThesisError(
            f"There is no LSMDC16_annos_<training, val or test>.csv in {lists}: put the lists of "
            "LSMDC there."
        )
    rows: dict[str, Candidate] = {}
    captions: dict[str, list[str]] = {}
    for file, part in chosen.items():
        for line in read_lines(file):
            cells = line.split("\t")
            clip = LSMDC_CLIP.match(cells[0])
            if len(cells) != LSMDC_COLUMNS or not clip:
                raise ThesisError(
                    f"{file}: {line[:60]!r} is not a clip, four times and a sentence, separated by "
                    "tabs."
                )
            movie = clip["movie"]
            # The name has dots: ".avi" keeps its stem whole.
            rows[cells[0]] = Candidate(
                Path(f"{cells[0]}.avi"), f"{movie}/{cells[0]}", "", part, movie
            )
            captions.setdefault(f"{movie}/{cells[0]}", []).append(cells[-1].strip())
    return Listed(
        [rows[clip] for clip in sorted(rows)],
        captions=captions,
        notes={"lists": [file.name for file in chosen], "retrieval_list": bool(thousand)},
    )


def _lsmdc_part(file: Path) -> str:
    """Of a list by its name; "" for lists of other tasks."""
    if LSMDC_THOUSAND in file.stem:
        return "test"
    words = re.split(r"[^a-z]+", file.stem.lower())
    return next((PARTS[word] for word in words if word in PARTS), "")


def smit_lists(lists: Path, split: int = 1) -> Listed:
    """One csv or JSON a part, its name says which (train, val, test).

    JSON: a list of ``{"video": ..., "caption": ...}`` or ``{video: caption or captions}``. Columns
    and keys may have any of the names in :data:`VIDEO_KEYS` and :data:`CAPTION_KEYS`.
    """
    rows: dict[str, Candidate] = {}
    captions: dict[str, list[str]] = {}
    read = []
    for file in find_lists(lists, "*.csv", "*.json"):
        words = re.split(r"[^a-z]+", file.stem.lower())
        part = next((PARTS[word] for word in words if word in PARTS), "")
        if not part:
            continue
        read.append(file.name)
        for video, said in _pairs(file):
            with within(file):
                name = PurePosixPath(video.replace("\\", "/")).with_suffix("").as_posix()
            rows.setdefault(name, Candidate(Path(video), name, "", part, name))
            if rows[name].split != part:
                raise ThesisError(f"{file}: {video} is in the list of {rows[name].split} as well.")
            captions.setdefault(name, []).extend(said)
    if not rows:
        raise ThesisError(
            f"There is no list of SMIT in {lists}: put one csv or JSON of video and caption a part "
            "there, with train, val or test in its name."
        )
    ordered = [rows[name] for name in sorted(rows)]
    return Listed(ordered, captions=captions, notes={"lists": read})


def _pairs(file: Path) -> Iterable[tuple[str, list[str]]]:
    """Videos and their sentences."""
    if file.suffix == ".csv":
        names = header(file)
        video = next((key for key in VIDEO_KEYS if key in names), VIDEO_KEYS[0])
        caption = next((key for key in CAPTION_KEYS if key in names), CAPTION_KEYS[0])
        for row in read_table(file, (video, caption)):
            yield row[video], [row[caption]]
        return
    content = read_json(file)
    if isinstance(content, dict) and all(isinstance(v, str | list) for v in content.values()):
        content = [{"video": key, "caption": value} for key, value in content.items()]
    if not isinstance(content, list):
        raise unexpected(file, "videos with captions")
    for one in content:
        values = one if isinstance(one, dict) else {}
        name = next((values[key] for key in VIDEO_KEYS if key in values), None)
        said = next((values[key] for key in CAPTION_KEYS if key in values), None)
        if not isinstance(name, str) or not isinstance(said, str | list):
            raise unexpected(file, "videos with captions")
        yield name, [said] if isinstance(said, str) else [str(text) for text in said]


def didemo_lists(lists: Path, split: int = 1) -> Listed:
    """One JSON a part: a list of moments, each with ``video`` and ``description``."""
    rows: dict[str, Candidate] = {}
    captions: dict[str, list[str]] = {}
    read = []
    for part in ("train", "val", "test"):
        for file in find_lists(lists, f"{part}_data.json")[:1]:
            read.append(file.name)
            for one in _moments(file):
                name = one["video"]
                rows[name] = Candidate(Path(name), name, "", part, name)
                captions.setdefault(name, []).append(one["description"])
    if not rows:
        raise ThesisError(f"There is no train_data.json, val_data.json, test_data.json in {lists}.")
    ordered = [rows[name] for name in sorted(rows)]
    return Listed(ordered, captions=captions, notes={"lists": read})


def _moments(file: Path) -> list[dict[str, Any]]:
    content = read_json(file)
    right = isinstance(content, list) and all(
        isinstance(one, dict) and all(isinstance(one.get(key), str) for key in MOMENT)
        for one in content
    )
    if not right:
        raise unexpected(file, 'moments with "video" and "description"')
    return list(content)


MSRVTT = PublicSet("msrvtt", "see the terms of the data set", msrvtt_lists)
LSMDC = PublicSet("lsmdc", "under an agreement with the publisher", lsmdc_lists)
SMIT = PublicSet("smit", "under an agreement with the publisher", smit_lists)
DIDEMO = PublicSet(
    "didemo", "see the terms of the data set; videos Creative Commons (YFCC100M)", didemo_lists
)
