"""The recipe of MAD: films of which there are words and features, no video (thesis 8.4)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from thesislib.data.film_features import RATE, H5Films
from thesislib.data.film_files import read_films, write_films
from thesislib.data.manifest import SPLITS, Manifest, write_manifest
from thesislib.data.public.joining import Listed, PublicSet, prepare_listed
from thesislib.data.public.lists import find_lists
from thesislib.data.scan import Candidate
from thesislib.errors import ThesisError

FRAMES = "*frames_features_5fps.h5"


def prepare_mad(path: str | Path, **options: Any) -> Manifest:
    """MAD: descriptions and dialogue of films of which there are features alone.

    Films that no part of ``mad_split.json`` names, and those of MAD's own test list that AutoAD
    does not evaluate on, are left out and counted.

    Args:
        path: Folder of the publisher's files, at any depth (:mod:`thesislib.data.film_files`); a
            file of features among them says how long the films are.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: There are no descriptions, or no film is of a part.
    """
    manifest = prepare_listed(MAD, path, **{**options, "lists_only": True, "val": 0.0})
    listed = {video.group for video in manifest.videos}
    films = read_films(options.get("annotations") or path).films
    write_films(manifest, [film for movie, film in films.items() if movie in listed])
    write_manifest(manifest)
    return manifest


def mad_lists(lists: Path, split: int = 1) -> Listed:
    """Films of ``TRAIN``, ``V1-VAL`` without AutoAD's own, and ``EVAL``."""
    found = read_films(lists)
    kept = [film for film in found.films.values() if film.split in SPLITS]
    if not kept:
        raise ThesisError(
            f"No film in {lists} is of a part to train or to test on: put mad_split.json there."
        )
    lengths: dict[str, tuple[int, float]] = {}
    for file in find_lists(lists, FRAMES)[:1]:
        shapes = H5Films(file).shapes
        lengths = {
            film.movie: (shapes[film.movie][0], RATE) for film in kept if film.movie in shapes
        }
    rows = [
        Candidate(Path(f"{film.movie}.mp4"), film.movie, "", film.split, film.movie)
        for film in sorted(kept, key=lambda film: film.movie)
    ]
    out = Counter(film.split or "of no part" for film in found.films.values())
    notes = {
        "lines": dict(sorted(found.found.items())),
        "left_out": {part: count for part, count in sorted(out.items()) if part not in SPLITS},
    }
    return Listed(rows, lengths=lengths, notes=notes)


MAD = PublicSet("mad", "under an agreement with the publisher; the films are not given", mad_lists)
