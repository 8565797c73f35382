"""Films on disk, in the form in which MAD is given out (thesis 8.4).

=====================  ======================================================================
``*ad-named.csv``      descriptions of MAD-v2: ``movie,start,end,text``, seconds
``*ad-unnamed.csv``    the same with "someone" for names
``*subs.csv``          the dialogue, likewise
``MAD_*.json``         descriptions of MAD-v1 in the place of the first two, a file a part: number
                       to ``movie``, ``sentence``, ``timestamps`` [start, end], ``movie_duration``
``*split.json``        part (``TRAIN``, ``VAL``, ``EVAL``, ``V1-VAL``, ``V1-TEST``) to films
``*cast.json``         film to a list of characters with a ``name`` (AutoAD's ``charbank`` has
                       ``role``, too, which goes before it)
=====================  ======================================================================

They lie in one folder, or below it; beside the manifest where films have one. The studio's films
are kept like this, and :func:`read_films` reads both. A line whose time is no span of its film is
not dropped in silence: :attr:`FilmSet.found` counts what was there, in the words of
:data:`REPAIRS`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thesislib.data.films import Cue, Film, Truth
from thesislib.data.manifest import Manifest
from thesislib.data.public.lists import (
    find_lists,
    number,
    read_json,
    read_table,
    unexpected,
    within,
)
from thesislib.data.side_files import check_side_file, checksum_key, write_side_file
from thesislib.errors import ThesisError
from thesislib.files import csv_text
from thesislib.places import user_path

NAMED, UNNAMED, SUBTITLES = "ad-named.csv", "ad-unnamed.csv", "subs.csv"
SPLIT, CAST = "split.json", "cast.json"
FILES = (NAMED, UNNAMED, SUBTITLES, SPLIT, CAST)
COLUMNS = ("movie", "start", "end", "text")
Cues = dict[str, dict[str, list[Cue]]]  # film to kind of line to lines
TRUTH = "truth.json"
# Part of a list to split. AutoAD evaluates on EVAL, which are films of MAD's own two parts, V1-*: a
# film is of the first part that names it.
PARTS = {
    "EVAL": "test", "TEST": "test", "TRAIN": "train", "VAL": "val", "V1-VAL": "val",
    "V1-TEST": "v1-test",
}  # fmt: skip
REPAIRS = {
    "negative": "began before the film: cut to its beginning",
    "before": "ended before the film begins: left out",
    "reversed": "ends before it begins: left out",
    "beyond": "ended after the film: cut to its end",
    "after": "begins after the film ends: left out",
    "padded": "has padded times as well (ext_timestamps): the others are taken",
    "silent": "has no text: left out",
}


@dataclass(frozen=True)
class FilmSet:
    """Films by their id, and what was wrong with their lines.

    Attributes:
        films: In the order of the files.
        found: A word of :data:`REPAIRS` to how many lines.
    """

    films: Mapping[str, Film]
    found: Mapping[str, int]

    def select(self, split: str) -> list[Film]:
        """The films of a split.

        Raises:
            ThesisError: There is none.
        """
        some = [film for film in self.films.values() if film.split == split]
        if not some:
            raise ThesisError(
                f"No film is of the split {split!r}: see {SPLIT}, which names the films of each."
            )
        return some

    def report(self) -> list[str]:
        """What was found, a sentence each."""
        return [f"{count} lines: {REPAIRS[kind]}" for kind, count in sorted(self.found.items())]


def write_films(manifest: Manifest, films: Iterable[Film]) -> None:
    """Writes films beside the manifest of their videos, and the checksums into its info.

    Args:
        manifest: The data set; write it afterwards.
        films: Times are written in milliseconds.
    """
    films = list(films)
    for name, field in ((NAMED, "named"), (UNNAMED, "unnamed"), (SUBTITLES, "subtitles")):
        rows = list(rows_of(films, field))
        if rows:
            write_side_file(manifest, name, csv_text(COLUMNS, rows))
        else:  # nobody speaks, or nobody has hidden the names
            (manifest.root / name).unlink(missing_ok=True)
            manifest.info.pop(checksum_key(name), None)
    parts: dict[str, list[str]] = {"TRAIN": [], "VAL": [], "EVAL": []}
    for film in films:
        parts[next(part for part in parts if PARTS[part] == film.split)].append(film.movie)
    cast = {film.movie: [{"name": name} for name in film.cast] for film in films}
    for name, content in ((SPLIT, parts), (CAST, cast)):
        write_side_file(manifest, name, json.dumps(content, indent=1) + "\n")


def rows_of(films: Iterable[Film], field: str) -> Iterable[tuple[str, str, str, str]]:
    """The lines of a list: film, start, end, text."""
    for film in films:
        for cue in getattr(film, field):
            yield film.movie, f"{round(cue.start, 3):.12g}", f"{round(cue.end, 3):.12g}", cue.text


def read_films(place: Manifest | str | Path) -> FilmSet:
    """The films of a data set, or of a folder of the publisher's files.

    Raises:
        ThesisError: No description is there, a file is damaged or is not the one that was prepared.
    """
    root = folder_of(place, FILES)
    found: Counter[str] = Counter()
    parts, cast = _parts(root), _cast(root)
    cues: Cues = {}
    lengths: dict[str, float] = {}
    for field, name in (("named", NAMED), ("unnamed", UNNAMED), ("subtitles", SUBTITLES)):
        for file in find_lists(root, f"*{name}"):
            for row in read_table(file, COLUMNS):
                times = _seconds(row["start"], row["end"], file, row["movie"])
                add(cues, row["movie"], field, times, row["text"], found)
    if not any("named" in one or "unnamed" in one for one in cues.values()):
        for file in find_lists(root, "MAD_*.json"):
            _read_first(file, cues, lengths, parts, found)
    if not any("named" in one or "unnamed" in one for one in cues.values()):
        raise ThesisError(
            f"There are no descriptions of films in {root}: put {NAMED} (or MAD's "
            f"mad-v2-ad-named.csv) or MAD_train.json there."
        )
    films = {
        movie: Film(
            movie,
            parts.get(movie, ""),
            lengths.get(movie, 0.0),
            **{field: tuple(sorted(some)) for field, some in one.items()},
            cast=cast.get(movie, ()),
        )
        for movie, one in cues.items()
    }
    return FilmSet(films, dict(found))


def folder_of(place: Manifest | str | Path, files: Sequence[str]) -> Path:
    """The folder of a data set, whose own files are those that were written, or of a publisher."""
    if not isinstance(place, Manifest):
        return user_path(place, "the folder of films")
    for name in files:
        if checksum_key(name) in place.info:
            check_side_file(place, name)
    return place.root


def _read_first(
    file: Path,
    cues: Cues,
    lengths: dict[str, float],
    parts: dict[str, str],
    found: Counter[str],
) -> None:
    """A list of MAD-v1."""
    content = read_json(file)
    for key, one in content.items() if isinstance(content, dict) else [("the file", content)]:
        span = one.get("timestamps") if isinstance(one, dict) else None
        if not isinstance(span, list) or len(span) != 2 or not {"movie", "sentence"} <= one.keys():
            raise unexpected(file, f'"movie", "sentence" and "timestamps" [start, end] ({key})')
        padded = one.get("ext_timestamps")
        if padded is not None and padded != span:
            found["padded"] += 1
        movie = str(one["movie"])
        lengths[movie] = number(one.get("movie_duration", 0.0), file, key)
        parts.setdefault(movie, file.stem.removeprefix("MAD_").lower())
        times = _seconds(span[0], span[1], file, key)
        add(cues, movie, "named", times, str(one["sentence"]), found, lengths[movie])


def add(
    cues: Cues,
    movie: str,
    field: str,
    times: tuple[float, float],
    text: str,
    found: Counter[str],
    length: float = 0.0,
) -> None:
    """One line, as it is, mended or left out; ``found`` counts the latter two."""
    start, end = times
    text = " ".join(text.split())
    wrong = (
        "silent" if not text else "reversed" if end < start else "before" if end <= 0 > start
        else "after" if 0 < length <= start else ""
    )  # fmt: skip
    if wrong:
        found[wrong] += 1
        return
    for kind, off in (("negative", start < 0), ("beyond", 0 < length < end)):
        found.update({kind: 1} if off else {})
    end = min(end, length) if length > 0 else end
    cues.setdefault(movie, {}).setdefault(field, []).append(Cue(max(start, 0.0), end, text))


def _parts(root: Path) -> dict[str, str]:
    """Film to split; of several parts that name it, to the first in the order of PARTS."""
    out: dict[str, str] = {}
    for file in find_lists(root, f"*{SPLIT}"):
        content = read_json(file)
        if not isinstance(content, dict) or not all(
            part in PARTS and isinstance(movies, list) for part, movies in content.items()
        ):
            raise unexpected(file, f"lists of films under some of {', '.join(PARTS)}")
        for part in sorted(content, key=list(PARTS).index):
            for movie in content[part]:
                out.setdefault(str(movie), PARTS[part])
    return out


def _cast(root: Path) -> dict[str, tuple[str, ...]]:
    """Film to the names of its characters, as they are called in it."""
    out: dict[str, tuple[str, ...]] = {}
    for file in find_lists(root, f"*{CAST}", "*charbank*.json"):
        content = read_json(file)
        for movie, some in content.items() if isinstance(content, dict) else [("it", content)]:
            if not isinstance(some, list) or not all(isinstance(one, dict) for one in some):
                raise unexpected(file, f"a list of characters ({movie})")
            names = [str(one.get("role") or one.get("name") or "") for one in some]
            out[str(movie)] = tuple(dict.fromkeys(filter(None, names)))
    return out


def _seconds(start: object, end: object, file: Path, where: object) -> tuple[float, float]:
    return number(start, file, where), number(end, file, where)


def write_truth(manifest: Manifest, truth: Mapping[str, Truth]) -> None:
    """Writes what the studio knows of its films, for judging."""
    content = {movie: one._asdict() for movie, one in truth.items()}
    write_side_file(manifest, TRUTH, json.dumps(content) + "\n")


def read_truth(manifest: Manifest) -> dict[str, Truth]:
    """What is to be seen in each film of the studio.

    Raises:
        ThesisError: Nobody knows, or the file is not the one that was written.
    """
    path = manifest.root / TRUTH
    if not path.is_file():
        raise ThesisError(
            f"Nobody knows who is on the screen in {manifest.name!r}: judge names on the data set "
            "of `thesislib prepare synthetic_films`."
        )
    check_side_file(manifest, TRUTH)
    with within(path):
        return {movie: _truth(one) for movie, one in read_json(path).items()}


def _truth(one: Mapping[str, Any]) -> Truth:
    name, pronoun, top = (list(some) for some in zip(*one["cast"], strict=True))
    return Truth(
        tuple(zip(name, pronoun, top, strict=True)),
        tuple(tuple(some) for some in one["on_screen"]),
        tuple(one["steps"]), tuple(one["speakers"]), dict(one["introduced"]),
    )  # fmt: skip
