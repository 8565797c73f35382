"""UCF101, HMDB51 and Kinetics-400 from the videos and the official split files that you have.

Nothing is downloaded: each set has its own terms. The split files may lie anywhere in the folder,
or in a folder named by ``annotations``. The official train and test lists are kept; a validation
share is taken from the training list by whole groups.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from thesislib.data.containers import VIDEO_SUFFIXES
from thesislib.data.folder import Candidate, write_checked
from thesislib.data.manifest import Manifest
from thesislib.data.splits import draw_splits, group_of
from thesislib.errors import ThesisError

HMDB_UNUSED = "0"
HMDB_SPLIT = {"1": "train", "2": "test"}


def prepare_ucf101(path: str | Path, **options: Any) -> Manifest:
    """UCF101: ``trainlist0K.txt`` and ``testlist0K.txt``, groups ``_gNN_``.

    Args:
        path: Folder that holds the videos, by class or flat, at any depth.
        **options: As for :func:`prepare_listed`.

    Raises:
        ThesisError: The split files or all videos are missing.
    """
    return prepare_listed("ucf101", path, **options)


def prepare_hmdb51(path: str | Path, **options: Any) -> Manifest:
    """HMDB51: ``<class>_test_splitK.txt``; a group is a class in one film (part of the name).

    Args:
        path: Folder that holds the videos, by class or flat, at any depth.
        **options: As for :func:`prepare_listed`.

    Raises:
        ThesisError: The split files or all videos are missing.
    """
    return prepare_listed("hmdb51", path, **options)


def prepare_kinetics400(path: str | Path, **options: Any) -> Manifest:
    """Kinetics-400: csv files with label, youtube_id, time_start, time_end, split.

    The published validation list is our test split (its own test list has no labels).

    Args:
        path: Folder that holds ``<id>_<start>_<end>`` videos, by class or flat, at any depth.
        **options: As for :func:`prepare_listed`.

    Raises:
        ThesisError: The csv files or all videos are missing.
    """
    return prepare_listed("kinetics400", path, **options)


def prepare_listed(
    recipe: str,
    path: str | Path,
    *,
    annotations: str | Path | None = None,
    split: int = 1,
    name: str | None = None,
    root: str | Path | None = None,
    full_check: bool = False,
    val: float = 0.1,
    seed: int = 0,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Joins official lists with the videos on disk.

    Args:
        recipe: ``ucf101``, ``hmdb51`` or ``kinetics400``.
        path: Folder of videos.
        annotations: Folder of the split files; default somewhere in ``path``.
        split: Number of the official split, 1 to 3 (UCF101, HMDB51).
        name: Name of the data set; default the recipe's, with the number of a split beyond 1.
        root: Folder of the data sets; default :func:`thesislib.places.data_root`.
        full_check: Decode every frame (an hour for UCF101), instead of reading the containers.
        val: Share of the training groups set aside for validation; 0 keeps the list whole.
        seed: Of that draw.
        jobs: Threads; default one a core.
        progress: Show a bar on stderr.
        force: Replace a data set of this name that came from elsewhere.

    Raises:
        ThesisError: The split files or all videos are missing, or the name is another split's.
    """
    source = Path(path).expanduser().resolve()
    if not source.is_dir():
        raise ThesisError(f"{source} is not a folder of videos.")
    said = re.search(r"split(\d+)$", name or "")
    if said and int(said[1]) != split and recipe != "kinetics400":
        raise ThesisError(
            f"{name!r} would hold split {split}: ask for split {said[1]} (--split {said[1]}), or "
            "choose another name."
        )
    lists = Path(annotations).expanduser().resolve() if annotations else source
    read = {"ucf101": ucf101_rows, "hmdb51": hmdb51_rows, "kinetics400": kinetics400_rows}[recipe]
    rows = read(lists, split)
    on_disk = {file.stem: file for file in _videos(source)}
    found = [row for row in rows if row.path.stem in on_disk]
    if not found:
        raise ThesisError(
            f"None of the {len(rows)} videos that the lists in {lists} name is in {source}."
        )
    train = [(c.group, c.label) for c in found if c.split == "train"]
    drawn = draw_splits(train, val=val, test=0, seed=seed) if val and train else {}
    candidates = [
        replace(
            c,
            path=on_disk[c.path.stem],
            split=drawn.get(c.group, c.split) if c.split == "train" else c.split,
        )
        for c in found
    ]
    return write_checked(
        candidates,
        name or (recipe if split == 1 else f"{recipe}_split{split}"),
        root=root,
        info={
            "recipe": recipe,
            "source": str(source),
            "licence": "see the terms of the data set",
            **({"official_split": split} if recipe != "kinetics400" else {}),
            "listed": len(rows),
            "not_on_disk": len(rows) - len(found),
        },
        full_check=full_check,
        val=val,
        test=0,
        seed=seed,
        jobs=jobs,
        progress=progress,
        force=force,
    )


def ucf101_rows(lists: Path, split: int) -> list[Candidate]:
    """Rows of the two list files; lines end in CR LF, the test list has no class number."""
    rows = []
    for part in ("train", "test"):
        for line in _lines(lists, f"{part}list{split:02d}.txt"):
            name = line.split(" ")[0]
            label = PurePosixPath(name).parent.name
            rows.append(Candidate(Path(name), name, label, part, group_of(name)))
    return sorted(rows, key=lambda c: c.name)


def hmdb51_rows(lists: Path, split: int) -> list[Candidate]:
    """Rows of the 51 files of a split; code 0 = unused, 1 = train, 2 = test."""
    files = sorted(lists.rglob(f"*_test_split{split}.txt"))
    if not files:
        raise ThesisError(
            f"There is no <class>_test_split{split}.txt in {lists}: put HMDB51's split files there."
        )
    rows = []
    for file in files:
        label = file.name.removesuffix(f"_test_split{split}.txt")
        for line in _text_lines(file):
            name, code = line.rsplit(maxsplit=1)
            if code == HMDB_UNUSED:
                continue
            film = name.split(f"_{label}_")[0]
            group = f"{label}/{film}"
            rows.append(Candidate(Path(name), f"{label}/{name}", label, HMDB_SPLIT[code], group))
    return sorted(rows, key=lambda c: c.name)


def kinetics400_rows(lists: Path, split: int = 1) -> list[Candidate]:
    """Rows of every csv that has the columns of Kinetics; ``split`` has no meaning here."""
    rows: dict[str, Candidate] = {}
    for file in sorted(lists.rglob("*.csv")):
        with file.open(encoding="utf-8", newline="") as text:
            reader = csv.DictReader(text)
            columns = {"label", "youtube_id", "time_start", "time_end", "split"}
            if not columns <= set(reader.fieldnames or ()):
                continue
            for row in reader:
                start, end = int(float(row["time_start"])), int(float(row["time_end"]))
                name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
                part = "train" if row["split"].strip().startswith("train") else "test"
                # ".mp4" only so that ids with a dot in them keep their stem.
                rows[name] = Candidate(
                    Path(f"{name}.mp4"), name, row["label"].strip(), part, row["youtube_id"]
                )
    if not rows:
        raise ThesisError(
            f"There is no csv with label, youtube_id, time_start, time_end, split in {lists}: "
            "put the Kinetics-400 lists there."
        )
    return [rows[name] for name in sorted(rows)]


def _lines(folder: Path, name: str) -> list[str]:
    files = sorted(folder.rglob(name))
    if not files:
        raise ThesisError(f"There is no {name} in {folder}: put the official split files there.")
    return _text_lines(files[0])


def _text_lines(file: Path) -> list[str]:
    """Lines without blanks at the ends, empty ones left out."""
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _videos(source: Path) -> Iterable[Path]:
    for directory, folders, names in os.walk(source, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                yield Path(directory) / name
