"""Untrimmed videos as rows of frozen features with labelled segments, and windows of them.

Thesis 5.4.3. A detector sees windows of a fixed number of rows. Training windows lie at random and
may show nothing at all; windows of test time cover a video of any length, and each point of time
is answered for by the one window that shows most around it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from thesislib.data.loader import Key
from thesislib.errors import ThesisError

FloatArray = NDArray[np.floating[Any]]


Span = tuple[float, float, str]  # start and end in seconds, label


@dataclass(frozen=True)
class Untrimmed:
    """The features of one video, and what happens in it.

    A row stands for the time from its own until the next row's; the last is as long as the mean of
    the others (a single row: one second).

    Attributes:
        name: Of the video.
        features: Real ``(N, D)``, N from 0; may be mapped from disk.
        times: Seconds ``(N,)``, rising.
        segments: What happens: start and end in seconds, label; in any order, and they may overlap.
        ambiguous: What may or may not happen: neither to be learnt nor background.

    Raises:
        ThesisError: Features or times are not finite or do not fit, or a segment ends before it
            begins.
    """

    name: str
    features: FloatArray
    times: FloatArray
    segments: tuple[Span, ...] = ()
    ambiguous: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.times.shape != self.features.shape[:1]:
            raise ThesisError(
                f"{self.name}: features {self.features.shape} and times {self.times.shape} do not "
                "fit: give (N, D) and (N,)."
            )
        bad = np.logical_not(np.isfinite(self.features).all(1))
        if bad.any():
            raise ThesisError(
                f"{self.name}: {int(bad.sum())} of {len(self)} rows of features are not finite, "
                f"the first is row {int(bad.argmax())}: extract the features again."
            )
        if not np.isfinite(self.times).all() or (np.diff(self.times) <= 0).any():
            raise ThesisError(f"{self.name}: its times do not rise: extract the features again.")
        for start, end, label in (*self.segments, *self.ambiguous):
            if not (math.isfinite(start) and math.isfinite(end) and start <= end):
                raise ThesisError(
                    f"{self.name}: {label!r} lasts from {start} to {end} s: correct this segment."
                )

    def __len__(self) -> int:
        return len(self.times)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where rows begin, and the last one ends, in seconds ``(N + 1,)``."""
        times = np.asarray(self.times, np.float64)
        step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
        return np.append(times, times[-1] + step) if len(times) else np.zeros(1)

    def to_rows(self, seconds: Any) -> NDArray[np.float64]:
        """Times in seconds as places in rows, in ``[0, N]``; any shape."""
        return np.interp(seconds, self.edges, np.arange(len(self) + 1))

    def to_seconds(self, rows: Any) -> NDArray[np.float64]:
        """The inverse of :meth:`to_rows`; places beyond the video become its ends."""
        return np.interp(rows, np.arange(len(self) + 1), self.edges)

    def every(self, step: int) -> Untrimmed:
        """Each ``step``-th row alone."""
        return replace(self, features=self.features[::step], times=self.times[::step])

    def stretched(self, rows: int) -> Untrimmed:
        """The whole video as exactly ``rows`` rows, interpolated; an empty one stays empty."""
        if not len(self):
            return self
        places = np.linspace(0, len(self), rows, endpoint=False)  # where the new rows begin
        middle = (places + len(self) / rows / 2 - 0.5).clip(0, len(self) - 1)
        low = np.floor(middle).astype(int)
        high = np.minimum(low + 1, len(self) - 1)
        share = (middle - low).astype(np.float32)[:, None]
        features = self.features[low] * (1 - share) + self.features[high] * share
        return replace(self, features=features, times=self.to_seconds(places))


class Place(NamedTuple):
    """A window of test time, in rows."""

    start: int
    first: int  # it answers for the points from here ...
    last: int  # ... to before here

    @property
    def span(self) -> tuple[int, int]:
        """The same, in rows of the window."""
        return self.first - self.start, self.last - self.start


def test_windows(rows: int, window: int) -> list[Place]:
    """Windows that cover a video, each half a window after the one before.

    A window answers for its middle half; the first also for the beginning, the last for the end.
    So every point is answered for once, and seen with a quarter of a window on either side: an
    action of up to half a window is whole in the window that finds it.

    Args:
        rows: Of the video; none for an empty one.
        window: Rows of a window, a multiple of 4. The last may hang over the end.
    """
    if rows <= window:
        return [Place(0, 0, window)] if rows else []
    starts = range(0, rows - window // 2, window // 2)
    quarter, end = window // 4, starts[-1]
    return [
        Place(s, s + quarter if s else 0, s + window - (0 if s == end else quarter))
        for s in starts
    ]  # fmt: skip


test_windows.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def cut(video: Untrimmed, start: int, window: int) -> tuple[Tensor, Tensor]:
    """Rows ``start`` to ``start + window``: float32 ``(window, D)``, and bool: no padding."""
    shown = np.asarray(video.features[start : start + window], np.float32)
    features = torch.zeros(window, video.features.shape[1])
    features[: len(shown)] = torch.from_numpy(shown)
    return features, torch.arange(window) < len(shown)


class Truth(NamedTuple):
    """What happens in a window, each ``(G, 2)`` float32: starts and ends in rows of the window."""

    segments: Tensor  # to be learnt
    ignored: Tensor  # neither action nor background


def window_truth(
    video: Untrimmed,
    start: int,
    window: int,
    *,
    classes: Collection[str] | None = None,
    unseen: str = "ignore",
    least_seen: float = 0.5,
) -> Truth:
    """The segments of a window, cut at its ends.

    Args:
        video: Whose segments.
        start: First row of the window.
        window: Rows of it.
        classes: Those to learn; ``None``: all.
        unseen: What segments of other classes are: ``ignore`` or ``background``.
        least_seen: A segment of which the window holds less than this share is ignored.
    """
    learnt: list[tuple[float, float]] = []
    ignored: list[tuple[float, float]] = []
    for number, (first, last, label) in enumerate((*video.segments, *video.ambiguous)):
        sure = number < len(video.segments)
        known = sure and (classes is None or label in classes)
        if sure and not known and unseen == "background":
            continue
        a, b = (float(x) - start for x in video.to_rows([first, last]))
        shown = max(a, 0.0), min(b, float(window))
        if shown[1] > shown[0]:  # neither elsewhere nor of no length
            whole = shown[1] - shown[0] >= least_seen * (b - a)
            (learnt if known and whole else ignored).append(shown)
    return Truth(*(torch.tensor(k, dtype=torch.float32).reshape(-1, 2) for k in (learnt, ignored)))


class FeatureWindows(Dataset[dict[str, Tensor]]):
    """Windows of untrimmed videos.

    Args:
        videos: Empty ones are left out.
        window: Rows of a window; shorter videos are padded.
        train: Windows at random places, as many a video as would cover it; ``False``: those of
            :func:`test_windows`.
        classes: See :func:`window_truth`, as the two that follow.
        unseen: What other classes are.
        least_seen: Of a segment.
        least: Windows of a training epoch at least: a small set is passed over several times.
        seed: Of the places.

    Items:
        ``features`` float32 ``(window, D)``; ``valid`` bool ``(window,)``; ``segments`` and
        ``ignored`` float32 ``(G, 2)``, in rows. A key ``(epoch, index)`` always gives the same.

    Raises:
        ThesisError: No video has a row, or they differ in the number of features.
    """

    def __init__(
        self,
        videos: Sequence[Untrimmed],
        window: int,
        *,
        train: bool,
        classes: Collection[str] | None = None,
        unseen: str = "ignore",
        least_seen: float = 0.5,
        least: int = 0,
        seed: int = 0,
    ) -> None:
        self.videos = [video for video in videos if len(video)]
        if not self.videos:
            raise ThesisError("No video has a row of features: extract features first.")
        dims = {video.features.shape[1] for video in self.videos}
        if len(dims) > 1:
            raise ThesisError(
                f"The videos have features of {sorted(dims)} numbers: extract all by one model."
            )
        self.window, self.train, self.seed = window, train, seed
        self.classes, self.unseen, self.least_seen = classes, unseen, least_seen
        self.places: list[tuple[int, int]] = []  # video, first row (of test time)
        for number, video in enumerate(self.videos):
            if train:
                self.places += [(number, -1)] * math.ceil(len(video) / window)
            else:
                self.places += [(number, p.start) for p in test_windows(len(video), window)]
        if train:
            self.places *= max(1, math.ceil(least / len(self.places)))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, start = self.places[index]
        video = self.videos[number]
        if self.train:
            rng = np.random.default_rng([self.seed, epoch, index])
            start = int(rng.integers(max(len(video) - self.window, 0) + 1))
        features, valid = cut(video, start, self.window)
        truth = window_truth(
            video, start, self.window,
            classes=self.classes, unseen=self.unseen, least_seen=self.least_seen,
        )  # fmt: skip
        return {"features": features, "valid": valid, **truth._asdict()}
