"""Which files of a user's may be videos, and what their folders, or a csv, say of them."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from thesislib.data.containers import VIDEO_SUFFIXES
from thesislib.data.manifest import SPLITS
from thesislib.errors import ThesisError
from thesislib.files import read_table
from thesislib.places import user_path

# What people call the three splits.
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
COLUMNS = ("label", "split", "group")  # of a csv, beside its path
CLASS = "class"  # another name for a label


@dataclass(frozen=True)
class Candidate:
    """A file that may be a video.

    Attributes:
        path: Absolute.
        name: As the user knows it: relative to the folder or to the csv.
        label: Class name or "".
        split: ``train``, ``val``, ``test``, or "" to be drawn.
        group: Or "" to be found from the name.
    """

    path: Path
    name: str
    label: str = ""
    split: str = ""
    group: str = ""


def find_candidates(source: Path) -> tuple[list[Candidate], dict[str, int]]:
    """Files that may be videos, sorted by name, and how many others there are of each suffix.

    The first folder of a video is its class; a video that lies flat has none. Two or more folders
    on top that are called as splits are (``train``, ``val``, ``test`` and their like), with
    nothing else beside them, are the splits, and classes come below. A folder that holds nothing
    but one folder of folders, as an unpacked archive does, is passed through.

    A csv has a header with ``path`` and may have ``label`` (or ``class``), ``split`` and ``group``,
    whatever their capitals; its paths start at the csv's folder.

    Links are followed, and every folder is looked into once, so that a link to a parent adds
    nothing. A folder that cannot be read comes as a candidate, which its check then names.

    Raises:
        ThesisError: There is no such folder or csv, no video in it, or a line that cannot be read.
    """
    if source.is_file() and source.suffix.lower() == ".csv":
        return _from_csv(source), {}
    if not source.is_dir():
        raise ThesisError(f"{source} is neither a folder nor a csv of path,label.")
    found: list[Candidate] = []
    others: Counter[str] = Counter()
    for file in walk(source):
        name = file.relative_to(source).as_posix()
        if file.suffix.lower() in VIDEO_SUFFIXES or file.is_dir():
            found.append(Candidate(file, name))
        else:
            others[file.suffix.lower() or "without suffix"] += 1
    if not any(one.path.is_file() for one in found):
        seen = f" (but {', '.join(f'{n} {kind}' for kind, n in others.items())})" if others else ""
        raise ThesisError(
            f"There is no video file in {source}{seen}: it looks for names that end in "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}."
        )
    return _labelled(sorted(found, key=lambda one: one.name)), dict(sorted(others.items()))


def named(sources: Iterable[str]) -> Iterator[Candidate]:
    """What files and folders of a user name; a video that is named twice comes twice.

    Paths are as in a manifest, so that a video of one is known again: links to files stay.
    """
    for source in sources:
        path = user_path(source, "the name of a video")
        if path.is_dir():
            yield from find_candidates(path.resolve())[0]
        else:
            yield Candidate(path.parent.resolve() / path.name, source)


def walk(source: Path) -> Iterator[Path]:
    """Every file below a folder, and every folder that cannot be read, sorted; hidden ones are not.

    Real folders come before links to others, so that a file has the name under which it lies; a
    folder that two links lead to, or that a link of its own contains, is looked into once.
    """
    seen: set[str] = set()
    links: list[Path] = [source]
    while links:
        links.sort(reverse=True)
        folders = [links.pop()]
        while folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real in seen:
                continue
            seen.add(real)
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                yield folder
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not os.path.isdir(entry.path):  # DirEntry's own raises at a circle of links
                    yield Path(entry.path)
                elif entry.is_symlink():
                    links.append(Path(entry.path))
                else:
                    folders.append(Path(entry.path))


def _labelled(found: list[Candidate]) -> list[Candidate]:
    """Candidates with the class, and the split if there are any, that their folders name."""
    videos = [one for one in found if not one.path.is_dir()]
    folders = [PurePosixPath(one.name).parts[:-1] for one in videos]
    through = 0
    # As long as all have the same folder, and none lies in it without one of its own.
    while (
        all(len(parts) > through + 1 for parts in folders)
        and len({parts[through] for parts in folders}) == 1
    ):
        through += 1
    tops = {parts[through] if len(parts) > through else "" for parts in folders}
    splits = len(tops) > 1 and all(top.lower() in SPLIT_NAMES for top in tops)
    place = through + splits
    told = {
        one.path: replace(
            one,
            label=parts[place] if len(parts) > place else "",
            split=SPLIT_NAMES[parts[through].lower()] if splits else "",
        )
        for one, parts in zip(videos, folders, strict=True)
    }
    return [told.get(one.path, one) for one in found]


def _from_csv(source: Path) -> list[Candidate]:
    remedy = "its first line must be path,label[,split][,group], and a comma in a label be quoted."
    table = read_table(source, ("path",), remedy, known=(*COLUMNS, CLASS), strip=True)
    if table and (unknown := sorted(table[0][1].keys() - {"path", CLASS, *COLUMNS})):
        raise ThesisError(
            f"{source} has the unknown column {', '.join(map(repr, unknown))}: it may have path, "
            "label, split and group, so rename it or take it out."
        )
    found: dict[str, Candidate] = {}
    for line, row in table:
        if not any(row.values()):  # spreadsheets leave commas behind
            continue
        word = row.get("split", "").lower()
        if word and word not in SPLIT_NAMES:
            raise ThesisError(
                f"{source}, line {line}: the split {row['split']!r} is none of {', '.join(SPLITS)}."
            )
        typed = user_path(row["path"], f"the path in line {line} of {source}")
        path = _on_disk(source.parent, typed)
        if str(path) in found:
            raise ThesisError(f"{source}, line {line}: {row['path']} is listed twice.")
        label = row.get("label", "") or row.get(CLASS, "")
        split = SPLIT_NAMES.get(word, "")
        found[str(path)] = Candidate(path, row["path"], label, split, row.get("group", ""))
    if not found:
        raise ThesisError(f"{source} lists no video.")
    return sorted(found.values(), key=lambda one: one.name)


def _on_disk(folder: Path, typed: Path) -> Path:
    """Where a listed file lies; disks differ in whether a letter holds its accent.

    Not resolved: a link to a video keeps the name it has in the list.
    """
    text = str(typed)
    spellings = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]
    paths = [Path(os.path.abspath(folder / one)) for one in spellings]
    return next((path for path in paths if os.path.lexists(path)), paths[0])
