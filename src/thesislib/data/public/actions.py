"""Lists that give a whole video one class: UCF101, HMDB51, Kinetics-400 and -700."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from thesislib.data.manifest import Manifest
from thesislib.data.public.joining import Listed, PublicSet, prepare_listed
from thesislib.data.public.lists import find_list, find_lists, header, number, read_lines
from thesislib.data.public.lists import read_table as read_csv
from thesislib.data.scan import Candidate
from thesislib.data.splits import group_of
from thesislib.errors import ThesisError

HMDB_UNUSED = "0"
HMDB_SPLIT = {"1": "train", "2": "test"}
HMDB_COLUMNS = ("video_id", "label", "split1", "split2", "split3")
KINETICS_COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
# <class>/<id>_<start>_<end>/,<frames>: the lists of the authors of chapters 2 to 4.
KINETICS_FRAMES = re.compile(r"(?:.*/)?(?P<label>[^/]+)/(?P<stem>.+_\d{6}_\d{6})/?$")
KINETICS_STEM = re.compile(r"(?P<id>.+)_(?P<start>\d{6,})_(?P<end>\d{6,})$")


def prepare_ucf101(path: str | Path, **options: Any) -> Manifest:
    """UCF101: ``trainlist0K.txt`` and ``testlist0K.txt``, groups ``_gNN_``.

    Args:
        path: Folder that holds the videos, by class or flat, at any depth.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The split files or all videos are missing.
    """
    return prepare_listed(UCF101, path, **options)


def prepare_hmdb51(path: str | Path, **options: Any) -> Manifest:
    """HMDB51: ``<class>_test_splitK.txt``; a group is a class in one film (part of the name).

    Args:
        path: Folder that holds the videos, by class or flat, at any depth.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The split files or all videos are missing.
    """
    return prepare_listed(HMDB51, path, **options)


def prepare_kinetics400(path: str | Path, **options: Any) -> Manifest:
    """Kinetics-400: csv files with label, youtube_id, time_start, time_end, split.

    The published validation list is our test split (its own test list has no labels).

    Args:
        path: Folder that holds ``<id>_<start>_<end>`` videos, by class or flat, at any depth.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The csv files or all videos are missing.
    """
    return prepare_listed(KINETICS400, path, **options)


def prepare_kinetics700(path: str | Path, **options: Any) -> Manifest:
    """Kinetics-700, either edition: as :func:`prepare_kinetics400`, with 700 classes.

    Args:
        path: Folder that holds ``<id>_<start>_<end>`` videos, by class or flat, at any depth.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The csv files or all videos are missing.
    """
    return prepare_listed(KINETICS700, path, **options)


def ucf101_lists(lists: Path, split: int = 1) -> Listed:
    """The two list files; lines end in CR LF, the test list has no class number."""
    rows = []
    for part in ("train", "test"):
        file = find_list(lists, f"{part}list{split:02d}.txt", of="UCF101")
        for line in read_lines(file):
            name = line.split(" ")[0]
            label = PurePosixPath(name).parent.name
            if not label:
                raise ThesisError(f"{file}: {line[:60]!r} is not <class>/<video>: fetch it again.")
            rows.append(Candidate(Path(name), name, label, part, group_of(name)))
    return Listed(sorted(rows, key=lambda row: row.name))


def hmdb51_lists(lists: Path, split: int = 1) -> Listed:
    """The 51 files of a split, or the csv of MIL-NCE; code 0 = unused, 1 = train, 2 = test."""
    rows = []
    for file, name, label, code in _hmdb51_codes(lists, split):
        if code == HMDB_UNUSED:
            continue
        if code not in HMDB_SPLIT:
            raise ThesisError(f"{file}: {name} has the code {code!r}, which is none of 0, 1, 2.")
        group = f"{label}/{name.split(f'_{label}_')[0]}"
        rows.append(Candidate(Path(name), f"{label}/{name}", label, HMDB_SPLIT[code], group))
    return Listed(sorted(rows, key=lambda row: row.name))


def _hmdb51_codes(lists: Path, split: int) -> Iterable[tuple[Path, str, str, str]]:
    """File, video, class and code of every line."""
    files = find_lists(lists, f"*_test_split{split}.txt")
    if not files:
        for file in find_lists(lists, "*.csv"):
            if set(HMDB_COLUMNS) <= set(header(file)):
                for row in read_csv(file, HMDB_COLUMNS):
                    label = row["label"].removesuffix("_test")
                    yield file, row["video_id"], label, row.get(f"split{split}", "")
                return
        raise ThesisError(
            f"There is no <class>_test_split{split}.txt in {lists}: put HMDB51's split files there."
        )
    for file in files:
        label = file.name.removesuffix(f"_test_split{split}.txt")
        for line in read_lines(file):
            name, *code = line.rsplit(maxsplit=1)
            if not code:
                raise ThesisError(f"{file}: {line[:60]!r} has no code 0, 1 or 2: fetch it again.")
            yield file, name, label, code[0]


def kinetics_reader(name: str, classes: int) -> Callable[[Path, int], Listed]:
    """The reader of one of the Kinetics sets.

    Args:
        name: For people, e.g. ``"Kinetics-400"``.
        classes: How many it has. Lists of more are another set's and are refused.
    """

    def read(lists: Path, split: int = 1) -> Listed:
        """Every csv of a known form; ``split`` has no meaning here."""
        rows: dict[str, Candidate] = {}
        for file in find_lists(lists, "*.csv"):
            columns = header(file)
            if set(KINETICS_COLUMNS) <= set(columns):
                found = _kinetics_rows(file)
            elif len(columns) == 2 and KINETICS_FRAMES.match(columns[0]):
                found = _kinetics_frames(file)
            else:
                continue
            rows |= {row.name: row for row in found}
        labels = {row.label for row in rows.values()}
        if not rows:
            raise ThesisError(
                f"There is no csv with {', '.join(KINETICS_COLUMNS)} in {lists}: put the {name} "
                "lists there."
            )
        if len(labels) > classes:
            raise ThesisError(
                f"The lists in {lists} name {len(labels)} classes, {name} has {classes}: name the "
                "folder of its own lists (--annotations DIR)."
            )
        return Listed([rows[key] for key in sorted(rows)], notes={"classes_listed": len(labels)})

    return read


def _kinetics_rows(file: Path) -> Iterable[Candidate]:
    """The published form. A name with a dot in it keeps its stem by the ".mp4" put after it."""
    for line, row in enumerate(read_csv(file, KINETICS_COLUMNS), 2):
        if not row["label"]:  # a test list with an empty column
            continue
        if row["label"] == "label" and row["youtube_id"] == "youtube_id":
            continue  # the header again: lists that were put together
        where = f"line {line}"
        start, end = (int(number(row[key], file, where)) for key in ("time_start", "time_end"))
        name = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        yield Candidate(
            Path(f"{name}.mp4"), name, row["label"], _kinetics_part(row["split"]), row["youtube_id"]
        )


def _kinetics_frames(file: Path) -> Iterable[Candidate]:
    """``<class>/<id>_<start>_<end>/,<frames>`` without a header; the file's name says the part."""
    for line in read_lines(file):
        found = KINETICS_FRAMES.match(line.strip('"').rsplit(",", 1)[0])
        if not found:
            raise ThesisError(f"{file}: {line[:60]!r} is not <class>/<id>_<start>_<end>,<frames>.")
        name = found["stem"]
        label = found["label"].replace("_", " ")
        yield Candidate(
            Path(f"{name}.mp4"), name, label, _kinetics_part(file.stem), name.rsplit("_", 2)[0]
        )


def _kinetics_part(text: str) -> str:
    return "train" if text.strip().lower().startswith("train") else "test"


def kinetics_aliases(stem: str) -> Iterable[str]:
    """Other names of ``<id>_<start>_<end>`` on disk: seconds without zeros, or the id alone."""
    found = KINETICS_STEM.match(stem)
    if not found:
        return ()
    start, end = int(found["start"]), int(found["end"])
    return f"{found['id']}_{start}_{end}", f"{found['id']}_{start}", found["id"]


UCF101 = PublicSet("ucf101", "see the terms of the data set", ucf101_lists, numbered=True)
HMDB51 = PublicSet("hmdb51", "see the terms of the data set", hmdb51_lists, numbered=True)
KINETICS400 = PublicSet(
    "kinetics400",
    "lists CC BY 4.0; the videos belong to their uploaders",
    kinetics_reader("Kinetics-400", 400),
    aliases=kinetics_aliases,
)
KINETICS700 = PublicSet(
    "kinetics700",
    "lists CC BY 4.0; the videos belong to their uploaders",
    kinetics_reader("Kinetics-700", 700),
    aliases=kinetics_aliases,
)
