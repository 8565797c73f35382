"""What the videos of a data set held when it was prepared: ``contents.csv`` beside the manifest.

The rows of a manifest name files and count their frames. Another film of that length under the same
name would pass for the first. So preparing notes size, time of change and a mark of each file's
bytes, and reading compares: a file of the same size and time counts as the same, of another its
bytes are looked at. Data sets without the file, made before there was one, are read as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from thesislib.errors import ThesisError
from thesislib.files import csv_text, read_table, write_text

CONTENTS_FILE = "contents.csv"
COLUMNS = ("path", "size", "changed_ns", "mark")
PIECES, PIECE = 8, 1 << 17  # what is read of a large file: so many, evenly apart, of these bytes


class Content(NamedTuple):
    """Size in bytes, time of change in nanoseconds, and 16 hex digits of the file's bytes."""

    size: int
    changed_ns: int
    mark: str


def mark_of(path: Path) -> str:
    """16 hex digits of a file's bytes: of all up to 1 MiB, else of the size and eight pieces.

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    sum_ = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= PIECES * PIECE:
            sum_.update(file.read())
        else:
            for k in range(PIECES):
                file.seek((size - PIECE) * k // (PIECES - 1))
                sum_.update(file.read(PIECE))
    return sum_.hexdigest()[:16]


def contents_of(files: Mapping[str, Path]) -> dict[str, Content]:
    """What the files hold now, by their path in the manifest; those that are gone are left out."""
    found = {}
    for name, path in files.items():
        try:
            status = path.stat()
            found[name] = Content(status.st_size, status.st_mtime_ns, mark_of(path))
        except OSError:
            continue
    return found


def write_contents(root: Path, contents: Mapping[str, Content]) -> None:
    """Writes ``contents.csv`` of the data set in ``root``."""
    rows = [(name, *contents[name]) for name in sorted(contents)]
    write_text(root / CONTENTS_FILE, csv_text(COLUMNS, rows))


def read_contents(root: Path) -> dict[str, Content]:
    """What ``contents.csv`` says; empty where there is none.

    Raises:
        ThesisError: It is damaged.
    """
    path = root / CONTENTS_FILE
    if not path.is_file():
        return {}
    again = "prepare the data set again with --force."
    found = {}
    for line, row in read_table(path, COLUMNS, again):
        try:
            content = Content(int(row["size"]), int(row["changed_ns"]), row["mark"])
        except ValueError:
            raise ThesisError(f"{path}, line {line}, cannot be read: {again}") from None
        found[row["path"]] = content
    return found


def edition(contents: Mapping[str, Content]) -> str:
    """16 hex digits of all marks: other contents are another edition of a data set."""
    text = csv_text(("path", "mark"), [(name, contents[name].mark) for name in sorted(contents)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def later_edition(root: Path, contents: Mapping[str, Content], before: str) -> str:
    """Which edition of the data set in ``root`` the contents are that take the place of its own.

    Args:
        root: The data set.
        contents: What its videos hold now.
        before: The edition that is there; "" for the first.
    """
    then = read_contents(root)
    other = any(name in then and then[name].mark != new.mark for name, new in contents.items())
    return edition(contents) if other else before


def changed_files(root: Path, files: Mapping[str, Path]) -> list[str]:
    """The files, by their path in the manifest, that hold something else than when prepared.

    Files that are gone are not among them: they are skipped, and the doctor names them.

    Raises:
        ThesisError: ``contents.csv`` is damaged.
    """
    changed = []
    for name, then in read_contents(root).items():
        if name not in files:
            continue
        try:
            status = files[name].stat()
            if status.st_size == then.size and status.st_mtime_ns == then.changed_ns:
                continue
            if status.st_size == then.size and mark_of(files[name]) == then.mark:
                continue
        except OSError:
            continue
        changed.append(name)
    return changed
