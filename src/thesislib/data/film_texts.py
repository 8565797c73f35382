"""The words of films without pictures: AudioVault, or the studio's (thesis 8.5).

``*audiovault*ad*.csv`` holds descriptions and ``*audiovault*sub*.csv`` dialogue, with the columns
``movie,start,end,text`` (seconds). AudioVault's own files may call the film ``imdbid`` or ``vid``:
see :data:`MOVIE`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from thesislib.data.film_files import COLUMNS, Cues, FilmSet, add, folder_of, rows_of
from thesislib.data.films import Film
from thesislib.data.manifest import Manifest
from thesislib.data.public.lists import find_lists, header, number, read_table
from thesislib.data.side_files import write_side_file
from thesislib.errors import ThesisError
from thesislib.files import csv_text

TEXTS = {"named": "audiovault_ad.csv", "subtitles": "audiovault_sub.csv"}
PATTERNS = {"named": "*audiovault*ad*.csv", "subtitles": "*audiovault*sub*.csv"}
MOVIE = ("movie", "imdbid", "vid", "video_id")  # what the column of the film may be called


def write_texts(manifest: Manifest, films: Sequence[Film]) -> None:
    """Writes the words of films beside a manifest, none of whose videos they are."""
    for field, name in TEXTS.items():
        write_side_file(manifest, name, csv_text(COLUMNS, rows_of(films, field)))


def read_texts(place: Manifest | str | Path) -> FilmSet:
    """Films without pictures, all to train on; they have names and no list of their cast.

    Raises:
        ThesisError: There is no list of descriptions, or it is damaged.
    """
    root = folder_of(place, tuple(TEXTS.values()))
    found: Counter[str] = Counter()
    cues: Cues = {}
    for field, pattern in PATTERNS.items():
        files = find_lists(root, pattern)
        if field == "named" and not files:
            raise ThesisError(
                f"There is no text of films without pictures in {root}: put AudioVault's "
                f"descriptions there as {TEXTS['named']}, with {','.join(COLUMNS)}."
            )
        for file in files:
            movie = next((name for name in MOVIE if name in header(file)), MOVIE[0])
            for row in read_table(file, (movie, *COLUMNS[1:])):
                times = (number(row[at], file, row[movie]) for at in ("start", "end"))
                add(cues, row[movie], field, tuple(times), row["text"], found)  # type: ignore[arg-type]
    films = {
        movie: Film(movie, "train", 0.0, named=tuple(sorted(one.get("named", ()))),
                    subtitles=tuple(sorted(one.get("subtitles", ()))))
        for movie, one in cues.items()
    }  # fmt: skip
    return FilmSet(films, dict(found))
