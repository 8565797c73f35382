"""Stretches of time in videos, true or predicted: their table, overlap and soft suppression."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thesislib.errors import ThesisError, choose
from thesislib.files import read_text, write_text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Segments:
    """A table of segments, column by column; the order of its rows breaks ties.

    :meth:`of` makes one of any lists or arrays and checks it.

    Attributes:
        video: Names of the videos, strings ``(N,)``.
        start: Seconds, float64 ``(N,)``, finite.
        end: Seconds, float64 ``(N,)``, not before ``start``; the two may be equal.
        label: Names of the classes, strings ``(N,)``; empty strings in proposals without a class.
        score: float64 ``(N,)``, finite, the larger the surer; 1 for true segments.
    """

    video: NDArray[Any]
    start: Floats
    end: Floats
    label: NDArray[Any]
    score: Floats

    @classmethod
    def of(
        cls,
        video: Sequence[str] | NDArray[Any],
        start: ArrayLike,
        end: ArrayLike,
        label: Sequence[str] | NDArray[Any] | None = None,
        score: ArrayLike | None = None,
    ) -> Segments:
        """A checked table of columns of one length; without labels ``""``, without scores 1.

        Raises:
            ThesisError: The columns differ in length, a score or a time is not a finite number, or
                a segment ends before it starts.
        """
        n = len(video)
        columns = {
            "video": np.asarray(video, dtype=str),
            "start": np.asarray(start, dtype=np.float64),
            "end": np.asarray(end, dtype=np.float64),
            "label": np.asarray([""] * n if label is None else label, dtype=str),
            "score": np.ones(n) if score is None else np.asarray(score, dtype=np.float64),
        }
        shapes = {name: column.shape for name, column in columns.items()}
        if set(shapes.values()) != {(n,)}:
            raise ThesisError(f"The columns of segments differ in length: {shapes}.")
        table = cls(**columns)
        table._refuse(~np.isfinite(table.score), "no finite score", "the model has diverged")
        times = np.isfinite(table.start) & np.isfinite(table.end)
        table._refuse(~times, "no finite times", "give start and end in seconds")
        late = table.end < table.start
        table._refuse(late, "an end before the start", "give start, then end")
        return table

    def _refuse(self, bad: NDArray[np.bool_], what: str, remedy: str) -> None:
        if bad.any():
            i = int(bad.argmax())
            raise ThesisError(
                f"{bad.sum()} of {len(self)} segments have {what}, the first in the video "
                f"{str(self.video[i])!r} ({self.start[i]:g} to {self.end[i]:g} s, score "
                f"{self.score[i]:g}): {remedy}."
            )

    def __len__(self) -> int:
        return len(self.video)

    def select(self, rows: NDArray[Any]) -> Segments:
        """Some rows, by positions (in that order) or by a mask."""
        return Segments(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def save(self, path: str | Path) -> None:
        """Writes JSON lines, one segment each: ``{"video": "a", "start": 1.5, "end": 4.0, ...}``.

        Numbers come back as they were, to the last bit.

        Raises:
            ThesisError: The file cannot be written.
        """
        names = [f.name for f in fields(self)]
        rows = zip(*(getattr(self, name).tolist() for name in names), strict=True)
        lines = (
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n"
            for row in rows
        )
        write_text(path, "".join(lines))

    @classmethod
    def load(cls, path: str | Path) -> Segments:
        """The inverse of :meth:`save`; ``label`` and ``score`` may be missing in all lines.

        Raises:
            ThesisError: There is no such file, or a line is no segment.
        """
        path, rows = Path(path), []
        for number, line in enumerate(read_text(path, "name a file of segments.").split("\n"), 1):
            try:
                if line.strip():
                    rows.append(_row(json.loads(line)))
            except Exception as error:  # a line of another kind has many
                raise ThesisError(
                    f"{path}, line {number}, is no segment ({type(error).__name__}: {error}): it "
                    "needs video, start and end."
                ) from None
        columns = zip(*rows, strict=True) if rows else ([] for _ in fields(cls))
        return cls.of(*columns)


def _row(entry: dict[str, Any]) -> tuple[str, float, float, str, float]:
    if not isinstance(entry["video"], str) or not isinstance(entry.get("label", ""), str):
        raise TypeError("video and label are strings")
    return (
        entry["video"],
        float(entry["start"]),
        float(entry["end"]),
        entry.get("label", ""),
        float(entry.get("score", 1.0)),
    )


def joined(tables: Iterable[Segments]) -> Segments:
    """The rows of several tables, one after the other."""
    empty = Segments.of([], [], [])
    whole = [*tables] or [empty]
    columns = ([getattr(table, f.name) for table in whole] for f in fields(Segments))
    return Segments(*(np.concatenate(column) for column in columns))


def temporal_iou(
    start: Floats, end: Floats, other_start: Floats, other_end: Floats, empty: float = 0.0
) -> Floats:
    """Overlap over union of segments in time, element by element; shapes broadcast.

    Args:
        start: Seconds, as ``end``.
        end: Not before ``start``.
        other_start: Of the others.
        other_end: Of the others.
        empty: What two segments of no length have, whose overlap over union is 0/0.

    Returns:
        In ``[0, 1]``.
    """
    overlap = np.clip(np.minimum(end, other_end) - np.maximum(start, other_start), 0, None)
    union = (other_end - other_start) + (end - start) - overlap
    some = union > 0
    shares: Floats = np.where(some, overlap / np.where(some, union, 1), empty)
    return shares


# -- soft suppression ----------------------------------------------------------------------


def _gaussian(iou: Floats, width: float) -> Floats:
    return np.exp(-(iou**2) / width)


def _linear(iou: Floats, width: float) -> Floats:
    return np.where(iou > width, 1 - iou, 1)


def _hard(iou: Floats, width: float) -> Floats:
    return np.where(iou > width, 0.0, 1.0)


DECAYS: dict[str, Callable[[Floats, float], Floats]] = {
    "gaussian": _gaussian,
    "linear": _linear,
    "hard": _hard,
}


def soft_nms(
    start: Floats,
    end: Floats,
    score: Floats,
    decay: str = "gaussian",
    width: float = 0.5,
    floor: float = 1e-3,
    keep: int = 200,
) -> tuple[Ints, Floats]:
    """Soft non-maximum suppression in time (Bodla et al. 2017), for one video and class.

    Again and again the best of the rest is taken, of equals the first, and the scores of the
    others fall by their overlap with it.

    Args:
        start: Seconds ``(N,)``.
        end: Seconds ``(N,)``.
        score: ``(N,)``, not negative.
        decay: What an IoU with the one taken multiplies a score by: ``gaussian``, ``exp(-IoU^2 /
            width)``; ``linear``, ``1 - IoU`` above an IoU of ``width``; ``hard``, 0 above it,
            which is plain suppression.
        width: See ``decay``; positive.
        floor: Segments whose score falls below, or to 0, are left out.
        keep: At most so many are taken.

    Returns:
        Positions int64 ``(K,)`` in the order taken, and their new scores ``(K,)``, which never
        rise.

    Raises:
        ThesisError: There is no such decay, ``width`` is not positive or a score is negative.
    """
    fall = DECAYS[choose("decay", decay, DECAYS)]
    if not width > 0:
        raise ThesisError(f"Soft suppression has width={width}: give a positive one.")
    if not (score >= 0).all():  # NaN as well
        raise ThesisError("Soft suppression multiplies scores: give them as 0 or more.")
    # In order of their starts those that can overlap with one segment lie side by side, and of an
    # hour they are few.
    order = np.argsort(start, kind="stable")
    begins, longest = start[order], np.max(end - start, initial=0.0)
    left = np.array(score, np.float64)
    taken: list[int] = []
    scores: list[float] = []
    while len(taken) < min(keep, len(left)):
        best = int(left.argmax())
        if left[best] < floor or left[best] <= 0:
            break
        taken.append(best)
        scores.append(float(left[best]))
        span = np.searchsorted(begins, [start[best] - longest, end[best]])
        near = order[span[0] : span[1]]
        left[near] *= fall(temporal_iou(start[best], end[best], start[near], end[near]), width)
        left[best] = -1
    return np.array(taken, np.int64), np.array(scores, np.float64)


def suppress(segments: Segments, by_label: bool = True, **how: Any) -> Segments:
    """:func:`soft_nms` video by video, and class by class unless told otherwise.

    Args:
        segments: Predictions.
        by_label: Segments of different labels leave one another alone.
        how: Arguments of :func:`soft_nms`.

    Returns:
        Those kept, with their new scores: by video, then by label, best first.
    """
    keys = [segments.label, segments.video] if by_label else [segments.video]
    order = np.lexsort(keys)  # stable
    new = np.zeros(len(order), bool)
    for key in keys:
        column = key[order]
        new[1:] |= column[1:] != column[:-1]
    groups = np.split(order, np.flatnonzero(new)) if len(order) else []
    rows, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    for group in groups:
        columns = (segments.start[group], segments.end[group], segments.score[group])
        kept, score = soft_nms(*columns, **how)
        rows.append(group[kept])
        scores.append(score)
    found = segments.select(np.concatenate(rows))
    return Segments(found.video, found.start, found.end, found.label, np.concatenate(scores))
