"""Reads the publishers' lists: text, csv and JSON that people have saved in many ways.

Byte-order marks, CR LF, UTF-16 and latin-1 are read; a web page, an archive or a pointer saved
under a list's name, a cut file and a wrong header are each one sentence.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from thesislib import files
from thesislib.errors import ThesisError

# First bytes of what people save in place of a list, and what it is.
NOT_LISTS = {
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "the pointer of a large file, not the file",
    b"pk\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x89hdf": "an HDF5 file",
}
AGAIN = "fetch it again."
THEIRS = "is it the publisher's file?"


def find_lists(folder: Path, *patterns: str) -> list[Path]:
    """The files at any depth that match a pattern, by name; hidden ones are left out."""
    found = {file for pattern in patterns for file in folder.rglob(pattern)}
    return sorted(file for file in found if file.is_file() and not file.name.startswith("."))


def find_list(folder: Path, *patterns: str, of: str) -> Path:
    """The first file that matches.

    Args:
        folder: Where to look, at any depth.
        patterns: In the order of preference.
        of: Whose list it is, for the message.

    Raises:
        ThesisError: There is none.
    """
    for pattern in patterns:
        if found := find_lists(folder, pattern):
            return found[0]
    names = " or ".join(patterns)
    raise ThesisError(f"There is no {names} in {folder}: put the lists of {of} there.")


def read_text(file: Path) -> str:
    """The text of a list.

    Raises:
        ThesisError: It cannot be read, is empty, or is no text.
    """
    with files.reading(file, AGAIN), file.open("rb") as opened:
        start = opened.read(400).removeprefix(codecs.BOM_UTF8).lstrip().lower()
    for mark, what in NOT_LISTS.items():
        if start.startswith(mark):
            raise ThesisError(f"{file} is {what}, not a list: fetch the list itself again.")
    text = files.read_text(file, AGAIN, otherwise="latin-1")
    if not text.strip():
        raise ThesisError(f"{file} is empty: {AGAIN}")
    return text


def within(file: Path) -> AbstractContextManager[None]:
    """Around what takes a list apart: whatever a list of another shape does to it is a sentence."""
    return files.reading(file, THEIRS)


def read_lines(file: Path) -> list[str]:
    """Lines without blanks at the ends, empty ones left out.

    Raises:
        ThesisError: As for :func:`read_text`.
    """
    lines = [line.strip() for line in read_text(file).splitlines()]
    return [line for line in lines if line]


def header(file: Path) -> list[str]:
    """The names in the first line of a csv, or its cells if it has no header; [] if it is none."""
    first, *_ = read_text(file).lstrip().split("\n", 1)
    reader = csv.reader([first.strip()], skipinitialspace=True)
    with contextlib.suppress(csv.Error):
        return [name.strip() for name in next(reader, [])]
    return []


def read_table(file: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of a csv with a header; cells without blanks at the ends.

    Args:
        file: The csv.
        columns: Those that it must have.

    Raises:
        ThesisError: A column is missing, a line is cut off, or as for :func:`read_text`.
    """
    text = read_text(file).lstrip()
    table = files.read_table(file, tuple(columns), AGAIN, text=text, strip=True)
    if not table:
        raise ThesisError(f"{file} holds a header and no row: {AGAIN}")
    return [row for _, row in table]


def read_json(file: Path) -> Any:
    """The content of a JSON file.

    Raises:
        ThesisError: It is not JSON, often because it is cut off; or as for :func:`read_text`.
    """
    read_text(file)  # what is no list says so
    return files.read_json(file, "it may be cut off, fetch it again.", object)


def number(text: object, file: Path, where: object) -> float:
    """A number that a list gives as a number or as text.

    Args:
        text: E.g. ``"18.6"``.
        file: The list.
        where: The video or the line, for the message.

    Raises:
        ThesisError: It is no finite number.
    """
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    if value != value or abs(value) == float("inf"):
        raise ThesisError(f"{file}, {where}: {text!r} is not a number of seconds or frames.")
    return value


def unexpected(file: Path, what: str) -> ThesisError:
    """The sentence for a JSON file of another shape."""
    return ThesisError(f"{file} does not hold {what}: is it the publisher's file?")
