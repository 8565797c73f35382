"""Spans of time in videos: which of them overlap, and the best that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.data.manifest import Video


@dataclass(frozen=True)
class Spans:
    """Where rows of an index lie.

    Attributes:
        numbers: Path of a video -> its number.
        video: int64 ``(V,)``, the number of each row's video.
        seconds: float64 ``(V, 2)``, where it begins and ends there.
    """

    numbers: dict[str, int]
    video: NDArray[np.int64]
    seconds: NDArray[np.float64]

    @classmethod
    def of(cls, videos: Sequence[Video], seconds: Any) -> Spans:
        """Of rows that are moments ``seconds`` of ``videos``, one a row."""
        numbers: dict[str, int] = {}
        video = [numbers.setdefault(v.path, len(numbers)) for v in videos]
        return cls(numbers, np.array(video, np.int64), seconds)

    def overlapping(self, rows: NDArray[np.int64], number: int, span: Any) -> NDArray[np.bool_]:
        """Which of some rows overlap ``span`` of a video; ``None``: the whole of it."""
        same: NDArray[np.bool_] = self.video[rows] == number
        if span is not None:
            start, end = self.seconds[rows].T
            same &= (start < span[1]) & (end > span[0])
        return same

    def apart(
        self, order: NDArray[np.int64], path: str, own: tuple[float, float] | None, k: int
    ) -> list[int]:
        """The first ``k`` rows of an order that overlap neither a query nor one another.

        Args:
            order: All rows, best first.
            path: The video of the query, which need not be among them.
            own: The query's span in it; ``None``: the whole of it.
            k: At most so many.
        """
        found: list[int] = []
        if path in self.numbers:
            order = order[~self.overlapping(order, self.numbers[path], own)]
        while len(order) and len(found) < k:
            best = int(order[0])
            found.append(best)
            order = order[~self.overlapping(order, int(self.video[best]), self.seconds[best])]
        return found
