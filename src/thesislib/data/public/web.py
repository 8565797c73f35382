"""Captions that the web had beside videos and stills: WebVid and CC3M (thesis 8.6.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thesislib.data.manifest import Manifest
from thesislib.data.public.joining import Listed, PublicSet, prepare_listed
from thesislib.data.public.lists import find_lists, header, read_lines, read_table
from thesislib.data.scan import Candidate
from thesislib.errors import ThesisError

WEBVID_COLUMNS = ("videoid", "name")
DIGITS = 9  # of the number that a still has as its name


def prepare_webvid(path: str | Path, **options: Any) -> Manifest:
    """WebVid: short videos, each with the caption that its seller gave it.

    Args:
        path: Folder that holds ``<videoid>.mp4``, at any depth.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all videos are missing.
    """
    return prepare_listed(WEBVID, path, **options)


def prepare_cc3m(path: str | Path, **options: Any) -> Manifest:
    """CC3M (Conceptual Captions): stills, each with the text that the web had beside it.

    Args:
        path: Folder that holds each still as a video of equal frames, ``000000000.mp4`` for the
            first line of the list, ``val/000000000.mp4`` for that of the validation list.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The lists or all stills are missing.
    """
    return prepare_listed(CC3M, path, **options)


def webvid_lists(lists: Path, split: int = 1) -> Listed:
    """``results_2M_train.csv`` and ``results_2M_val.csv``: ``videoid,...,name``, a caption each."""
    rows: dict[str, Candidate] = {}
    captions: dict[str, list[str]] = {}
    read = []
    for file in find_lists(lists, "*.csv"):
        if not set(WEBVID_COLUMNS) <= set(header(file)):
            continue
        part = "val" if "val" in file.stem.lower() else "train"
        read.append(file.name)
        for row in read_table(file, WEBVID_COLUMNS):
            video = row["videoid"]
            rows.setdefault(video, Candidate(Path(f"{video}.mp4"), video, "", part, video))
            captions[video] = [row["name"]]
    if not rows:
        raise ThesisError(
            f"There is no list of WebVid in {lists}: put results_2M_train.csv (and _val) there."
        )
    return Listed([rows[v] for v in sorted(rows)], captions=captions, notes={"lists": read})


def cc3m_lists(lists: Path, split: int = 1) -> Listed:
    """``Train_GCC-training.tsv``, ``Validation_GCC-...tsv``: caption, tab, address of the still."""
    rows, captions, read = [], {}, []
    for file in find_lists(lists, "*GCC*.tsv"):
        part = "val" if "valid" in file.stem.lower() else "train"
        read.append(file.name)
        for number, line in enumerate(read_lines(file)):
            caption, tab, _ = line.rpartition("\t")
            if not tab or not caption.strip():
                raise ThesisError(f"{file}, line {number + 1}, is no caption, tab and address.")
            still = f"{number:0{DIGITS}d}"
            name = f"val/{still}" if part == "val" else still
            rows.append(Candidate(Path(f"{name}.mp4"), name, "", part, name))
            captions[name] = [caption.strip()]
    if not rows:
        raise ThesisError(
            f"There is no list of CC3M in {lists}: put Train_GCC-training.tsv (and "
            "Validation_GCC-1.1.0-Validation.tsv) there."
        )
    return Listed(rows, captions=captions, notes={"lists": read})


WEBVID = PublicSet("webvid", "see the terms of the data set", webvid_lists)
CC3M = PublicSet("cc3m", "free with attribution; stills belong to their owners", cc3m_lists)
