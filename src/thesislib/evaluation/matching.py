"""What the measures of localisation share: definitions, cleaned truth, who meets whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError
from thesislib.evaluation.segments import Floats, Ints, Segments, temporal_iou

AMBIGUOUS = "Ambiguous"  # THUMOS's label of segments that count neither for nor against
TIES = ("later", "earlier")  # which of equal scores counts first, by its place in the table
SMALLEST = 5e-324  # the first number above 0
_SAME = 1e-3  # seconds between the ends of duplicates
_BITS = 62  # overlaps that fit an integer


class Definition(NamedTuple):
    """How detections are matched and precision is averaged.

    Its fields:

    - ``ties``: Its own rule for equal scores. ``later`` is what a stable sort of the official code
      does, which sorts upwards and turns round; ``hits`` puts those that hit first.
    - ``shortest``: True segments shorter than this many seconds are dropped, and of two with one
      label and both ends within a millisecond the later one; ``None`` leaves all.
    - ``by_score``: Predictions choose, the surest first; each takes the free true segment which
      it overlaps most. Else the true segments choose, in the order of the table, and scores
      play no part.
    - ``area``: The average: ``interpolated``, over precision made monotone; ``plain``; or
      ``eleven`` points of recall.
    - ``both_empty``: The overlap of two segments of no length, whatever their place.
    """

    ties: str = "later"
    shortest: float | None = None
    by_score: bool = True
    area: str = "interpolated"
    both_empty: float = 0.0


DEFINITIONS = {
    # The official code: duplicates stay, and 0/0 is not below any threshold: a hit.
    "activitynet": Definition(both_empty=np.inf),
    # ActionFormer's: the truth is cleaned before. OpenTAD's differs in what is too short.
    "deduplicated": Definition(shortest=1e-3),
    "deduplicated_opentad": Definition(shortest=SMALLEST),
    # The THUMOS kits of 2015 and 2014. They ask for more than the threshold, not for as much.
    "not_interpolated": Definition("earlier", by_score=False, area="plain"),
    "eleven_points": Definition("hits", by_score=False, area="eleven"),
}


def check_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    """The overlaps as they are.

    Raises:
        ThesisError: There is none, one is not in (0, 1], or they are more than 62.
    """
    found = tuple(float(t) for t in thresholds)
    if not found or len(found) > _BITS or not all(0 < t <= 1 for t in found):
        raise ThesisError(f"The overlaps are {found}: give 1 to {_BITS}, above 0, at most 1.")
    return found


def falling(score: Floats, ties: str) -> Ints:
    """Positions by falling score; of equal ones the ``later`` or the ``earlier`` first."""
    if ties == "later":
        return np.argsort(score, kind="stable")[::-1]
    return np.argsort(-score, kind="stable")


def cleaned(truth: Segments, shortest: float | None) -> Segments:
    """Without segments shorter than ``shortest`` and without duplicates; all of it for ``None``.

    A duplicate has the video, the label and, within a millisecond, both ends of one before it.
    """
    if shortest is None:
        return truth
    kept: dict[tuple[str, str], list[tuple[float, float]]] = {}
    rows = []
    columns = (truth.video, truth.label, truth.start, truth.end)
    table = zip(*(column.tolist() for column in columns), strict=True)
    for i, (video, label, start, end) in enumerate(table):
        others = kept.setdefault((video, label), [])
        double = any(abs(start - a) <= _SAME and abs(end - b) <= _SAME for a, b in others)
        if end - start >= shortest and not double:
            others.append((start, end))
            rows.append(i)
    return truth.select(np.array(rows, np.int64))


def codes(*columns: NDArray[np.str_]) -> list[Ints]:
    """Numbers in place of names, the same in all columns."""
    number: dict[str, int] = {}
    return [
        np.array([number.setdefault(name, len(number)) for name in column.tolist()], np.int64)
        for column in columns
    ]


def places_within(group: Ints) -> Ints:
    """How many before each have its group: 0, 1, 2, ... in each group."""
    order = np.argsort(group, kind="stable")
    begin = np.searchsorted(group[order], group[order])
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - begin
    return place


class Stretches(NamedTuple):
    """Times of segments and the group that each may meet those of: ``(N,)`` each."""

    group: Ints
    start: Floats
    end: Floats


class Pairs(NamedTuple):
    """A prediction, a true segment of its group, and their overlap: three arrays ``(P,)``."""

    prediction: Ints
    truth: Ints
    iou: Floats


def overlaps(
    predictions: Stretches, truth: Stretches, least: float, both_empty: float = 0.0
) -> Pairs:
    """All pairs within a group that overlap by at least ``least``, by prediction."""
    order = np.argsort(truth.group, kind="stable")
    ordered = truth.group[order]
    first = np.searchsorted(ordered, predictions.group)
    many = np.searchsorted(ordered, predictions.group, side="right") - first
    one = np.repeat(np.arange(len(first)), many)
    within = np.arange(len(one)) - np.repeat(np.cumsum(many) - many, many)
    two = order[np.repeat(first, many) + within]
    iou = temporal_iou(
        predictions.start[one], predictions.end[one], truth.start[two], truth.end[two], both_empty
    )
    near = iou >= least
    return Pairs(one[near], two[near], iou[near])


def first_free(
    pairs: Pairs, enough: NDArray[np.bool_], predictions: int, truth: int
) -> NDArray[np.bool_]:
    """Goes through pairs in their order and joins two while both are free.

    Args:
        pairs: ``(P,)``.
        enough: At which overlaps the two may be joined ``(P, T)``; each overlap is a walk of its
            own.
        predictions: How many there are.
        truth: How many true segments there are.

    Returns:
        bool ``(predictions, T)``: those that were joined.
    """
    steps = np.arange(enough.shape[1])
    # Each overlap is one bit of an integer, so that one walk over the pairs serves all of them.
    reach = (enough.astype(np.int64) << steps).sum(1)
    hit, taken = [0] * predictions, [0] * truth
    columns = (pairs.prediction, pairs.truth, reach)
    for p, t, r in zip(*(column.tolist() for column in columns), strict=True):
        free = r & ~hit[p] & ~taken[t]
        hit[p] |= free
        taken[t] |= free
    return np.asarray(np.array(hit, np.int64)[:, None] >> steps & 1, bool)
