"""Features of the frames of films: the house's own, or MAD's h5 file (thesis 8.6.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from thesislib.data.features import FeatureStore, Rows, Times
from thesislib.data.manifest import Manifest
from thesislib.data.segment_clips import spread
from thesislib.errors import ThesisError
from thesislib.files import reading

RATE = 5.0  # rows a second of MAD's files
FETCH = "fetch the file of features again."


class FilmFeatures(Protocol):
    """Rows of features by the id of a film."""

    width: int

    def has(self, movie: str) -> bool:
        """Whether there are features of a film."""

    def read(self, movie: str) -> tuple[Rows, Times]:
        """All rows of a film ``(N, D)`` and their times ``(N,)``, seconds, rising."""


class KeptFilms:
    """Features that the house has extracted, of the videos of a manifest; a film is a video's stem.

    Args:
        manifest: The videos of the films.
        store: Their features.

    Raises:
        ThesisError: Two videos have the same stem.
    """

    def __init__(self, manifest: Manifest, store: FeatureStore) -> None:
        self.store, self.width = store, store.width
        self.paths: dict[str, str] = {}
        for video in manifest.videos:
            other = self.paths.setdefault(PurePosixPath(video.path).stem, video.path)
            if other != video.path:
                raise ThesisError(
                    f"{other} and {video.path} are both named {PurePosixPath(video.path).stem!r}, "
                    "by which a film is known: rename one, and prepare the data set again."
                )

    def has(self, movie: str) -> bool:
        """Whether there are features of a film."""
        return movie in self.paths and self.store.has(self.paths[movie])

    def read(self, movie: str) -> tuple[Rows, Times]:
        """See :class:`FilmFeatures`."""
        return self.store.read(self.paths[movie])


class H5Films:
    """One h5 file with a data set ``(N, D)`` a film, as MAD has them.

    Args:
        path: The file, e.g. ``CLIP_B32_frames_features_5fps.h5``.
        rate: Rows a second.

    Raises:
        ThesisError: The file cannot be read, holds no film, or h5py is not installed.
    """

    def __init__(self, path: str | Path, rate: float = RATE) -> None:
        self.path, self.rate = Path(path).expanduser(), rate
        if not 0 < rate < float("inf"):
            raise ThesisError(f"rate={rate} rows a second: give a number above 0.")
        with self._open() as file:
            self.shapes: Mapping[str, tuple[int, ...]] = {
                str(movie): one.shape for movie, one in file.items() if hasattr(one, "shape")
            }
        widths = {shape[1] for shape in self.shapes.values() if len(shape) == 2 and shape[0]}
        if len(widths) != 1:
            raise ThesisError(
                f"{self.path} does not hold rows of one width for each film: is it the publisher's "
                "file of features?"
            )
        self.width = int(next(iter(widths)))

    def has(self, movie: str) -> bool:
        """Whether there are features of a film."""
        return self.shapes.get(movie, (0,))[0] > 0

    def read(self, movie: str) -> tuple[Rows, Times]:
        """See :class:`FilmFeatures`.

        Raises:
            ThesisError: There is no such film, or the file is damaged.
        """
        if not self.has(movie):
            raise ThesisError(f"{self.path} has no features of the film {movie!r}.")
        with self._open() as file:
            rows = np.asarray(file[movie])
        return rows, np.arange(len(rows)) / self.rate

    @contextmanager
    def _open(self) -> Iterator[Any]:
        # Opened for each film: a handle must not be shared between processes.
        try:
            import h5py
        except ImportError:
            raise ThesisError(
                "Features in an h5 file are read by h5py, which is not installed: "
                "pip install thesislib[mad]"
            ) from None
        with reading(self.path, FETCH):
            if not self.path.is_file():
                raise FileNotFoundError(2, "No such file", str(self.path))
            if not h5py.is_hdf5(self.path):
                raise ThesisError(f"{self.path} is no h5 file: {FETCH}")
            with h5py.File(self.path, "r") as file:
                yield file


def clip_of(rows: Rows, times: Times, start: float, end: float, frames: int) -> Tensor:
    """The rows of a clip, spread evenly over it.

    Args:
        rows: ``(N, D)`` of the whole film.
        times: ``(N,)`` seconds, rising.
        start: Seconds.
        end: Seconds; a clip behind the last row is that, and one between two rows the later.
        frames: T; of a clip with fewer rows some are repeated.

    Returns:
        float32 ``(T, D)``.
    """
    first = int(np.searchsorted(times, start - 1e-6))
    last = int(np.searchsorted(times, end + 1e-6, side="right"))
    first = min(first, len(times) - 1)
    picked = spread(np.array([first]), np.array([max(last, first + 1)]), frames)[0]
    return torch.from_numpy(np.asarray(rows[picked], np.float32))
