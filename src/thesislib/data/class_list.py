"""A list of class names as people have them: a text file, one name a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thesislib.errors import ThesisError
from thesislib.files import read_text

TABLES = (".csv", ".tsv", ".json", ".html", ".htm", ".xlsx", ".ods", ".pdf", ".docx")
MARKUP = ("<!doctype", "<html", "<?xml", "<head", "<body")
WANTED = "give a text file with one name a line"


@dataclass(frozen=True)
class ClassList:
    """Names of classes, each once, in the order of the file, and what was done to the others."""

    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_class_list(path: str | Path) -> ClassList:
    """Reads a list. Empty lines are left out, names that say the same are merged.

    UTF-8 or UTF-16 with its mark, any line ends.

    Raises:
        ThesisError: No such file, not a list (a table, a web page, no text), or fewer than two
            names.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise ThesisError(f"{path} is a folder: {WANTED}.")
    if path.suffix.lower() in TABLES:
        raise ThesisError(f"{path} is no list of names but {path.suffix[1:].lower()}: {WANTED}.")
    if not path.exists():
        raise ThesisError(f"There is no list of classes {path}: {WANTED}.")
    text = read_text(path, f"{WANTED}.")
    if any(c < " " and not c.isspace() for c in text):
        raise ThesisError(f"{path} is not a text file: {WANTED}.")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if kind := _other(lines):
        raise ThesisError(f"{path} looks like {kind}: {WANTED}.")
    return merged([" ".join(line.split()) for line in lines], str(path))


def merged(names: Sequence[str], source: str) -> ClassList:
    """Names that differ in capitals and underscores alone, once.

    Raises:
        ThesisError: Fewer than two are left.
    """
    kept: dict[str, str] = {}
    twice: dict[str, str] = {}
    for name in names:
        key = as_words(name).casefold()
        if key in kept:
            twice[key] = kept[key]
        kept.setdefault(key, name)
    if not kept:
        raise ThesisError(f"{source} names no class: {WANTED}.")
    if len(kept) == 1:
        raise ThesisError(
            f"{source} names one class, {next(iter(kept.values()))!r}, which would always get all "
            "of the probability: name at least two, for example what else may be seen."
        )
    note = f"named more than once, and merged: {', '.join(twice.values())}"
    return ClassList(tuple(kept.values()), (note,) if twice else ())


def as_words(name: str) -> str:
    """A name as a sentence would hold it: ``brush_hair`` is "brush hair"."""
    return " ".join(name.replace("_", " ").split())


def shortened(name: str, most: int = 40) -> str:
    """A name that fits where it is only mentioned."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _other(lines: Sequence[str]) -> str:
    """What the lines are if they are no names; "" if they may be."""
    first = lines[0].lower() if lines else ""
    if first.startswith(MARKUP):
        return "a web page"
    if first.startswith(("{", "[")):
        return "JSON"
    for sign, word in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        counts = {line.count(sign) for line in lines}
        if len(lines) > 1 and len(counts) == 1 and counts != {0}:
            return f"a table with {word} between its columns"
    return ""
