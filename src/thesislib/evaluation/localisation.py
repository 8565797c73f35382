"""Mean average precision of temporal action localisation, by named definitions (thesis 5.4.3).

One set of detections has several mAPs, because the public evaluators differ. :data:`DEFINITIONS`
holds five of them::

    found = average_precision(truth, predictions, THUMOS14)
    found.mean          # mAP at each overlap
    found.average       # their mean
    localisation(truth, predictions, THUMOS14).metrics["map_0.5"]

The default is ``activitynet``. The thesis says only that it follows "the conventional choices";
the detector that it takes (Lin et al. 2021) is measured by ActivityNet's official code on both of
its data sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError, choose
from thesislib.evaluation.scores import Scores
from thesislib.evaluation.segments import Floats, Ints, Segments, temporal_iou

THUMOS14 = (0.3, 0.4, 0.5, 0.6, 0.7)  # the overlaps of Tables 5.5 and 5.6
ACTIVITYNET = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
AMBIGUOUS = "Ambiguous"  # THUMOS's label of segments that count neither for nor against
TIES = ("later", "earlier")  # which of equal scores counts first, by its place in the table
_BITS = 62  # overlaps that fit an integer


class Definition(NamedTuple):
    """How detections are matched and precision is averaged.

    Attributes:
        ties: Its own rule for equal scores. ``later`` is what a stable sort of the official code
            does, which sorts upwards and turns round; ``hits`` puts those that hit first.
        shortest: True segments shorter than this many seconds are dropped, and of two with one
            label and both ends within a millisecond the later one; ``None`` leaves all.
        by_score: Predictions choose, the surest first; each takes the free true segment with which
            it overlaps most. Else the true segments choose, in the order of the table, and scores
            play no part.
        area: The average: ``interpolated``, over precision made monotone; ``plain``; or
            ``eleven`` points of recall.
        both_empty: The overlap of two segments of no length, whatever their place.
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
    "deduplicated_opentad": Definition(shortest=5e-324),  # the smallest number above 0
    # The THUMOS kits of 2015 and 2014. They ask for more than the threshold, not for as much.
    "not_interpolated": Definition("earlier", by_score=False, area="plain"),
    "eleven_points": Definition("hits", by_score=False, area="eleven"),
}
_SAME = 1e-3  # seconds between the ends of duplicates


@dataclass(frozen=True)
class PerClass:
    """A share of each class at each overlap.

    Attributes:
        classes: Names, sorted: those with true segments.
        thresholds: Overlaps ``(T,)``.
        values: float64 ``(classes, T)`` in ``[0, 1]``.
        segments: How many true segments were looked for.
        unknown: Predictions left out because no true segment has their label.
    """

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    values: Floats
    segments: int
    unknown: int

    @property
    def mean(self) -> Floats:
        """Mean over classes ``(T,)``; a class without predictions counts as 0."""
        return np.asarray(self.values.mean(0), np.float64)

    @property
    def average(self) -> float:
        """Mean over classes and overlaps."""
        return float(self.values.mean())


def localisation(
    truth: Segments,
    predictions: Segments,
    thresholds: Sequence[float],
    definition: str = "activitynet",
    ties: str | None = None,
) -> Scores:
    """mAP under the names of Tables 5.5 and 5.6.

    Args:
        truth: True segments.
        predictions: With scores.
        thresholds: Overlaps, e.g. :data:`THUMOS14` or :data:`ACTIVITYNET`.
        definition: One of :data:`DEFINITIONS`.
        ties: See :func:`average_precision`.

    Returns:
        ``map_0.3``, ... and ``map_mean``, each with the average precision of every class as its
        items: mAP is their mean, so that two methods can be paired class by class.

    Raises:
        ThesisError: As :func:`average_precision`.
    """
    found = average_precision(truth, predictions, thresholds, definition, ties)
    by_name = {f"map_{t:g}": found.values[:, i] for i, t in enumerate(found.thresholds)}
    by_name["map_mean"] = found.values.mean(1)
    return Scores(
        metrics={name: float(values.mean()) for name, values in by_name.items()},
        items={name: values.tolist() for name, values in by_name.items()},
        counts={
            "evaluated": len(np.unique(truth.video)),
            "skipped": 0,
            "segments": found.segments,
            "classes": len(found.classes),
            "predictions": len(predictions),
            "unknown_labels": found.unknown,
        },
    )


def average_precision(
    truth: Segments,
    predictions: Segments,
    thresholds: Sequence[float],
    definition: str = "activitynet",
    ties: str | None = None,
) -> PerClass:
    """Average precision of every class at every overlap.

    A prediction whose label no true segment has is left out; one in a video without truth of its
    class is a false positive. Of true segments with which a prediction overlaps alike the later
    one is tried first; of predictions alike for a true segment (THUMOS) the earlier.

    Args:
        truth: True segments. Those labelled ``Ambiguous`` are dropped, but for the THUMOS kits,
            where predictions that touch one and find nothing do not count.
        predictions: With scores.
        thresholds: Overlaps in ``(0, 1]``.
        definition: One of :data:`DEFINITIONS`.
        ties: Which of equal scores counts first, by its place in the table: ``later`` or
            ``earlier``; default: the definition's own. State it beside a number whose
            predictions share scores.

    Raises:
        ThesisError: There is no true segment, no such definition or rule, or a threshold is out of
            range.
    """
    rule = DEFINITIONS[choose("definition of mAP", definition, DEFINITIONS)]
    if rule.ties == "hits":
        if ties is not None:
            raise ThesisError(f"{definition!r} has its own rule for equal scores: leave ties out.")
    else:
        ties = choose("rule for ties", ties or rule.ties, TIES)
    task = _prepare(truth, predictions, thresholds, rule, ties or "earlier")
    hits = _hits(task, rule)
    dropped = np.zeros_like(hits)
    if not rule.by_score:
        dropped = ~hits & _touched(task.predictions, task.truth, truth)[:, None]
    values = np.zeros((len(task.classes), len(task.thresholds)))
    for c in range(len(task.classes)):
        rows, positives = task.of_prediction == c, int((task.of_truth == c).sum())
        args = (hits[rows], dropped[rows], positives)
        if rule.area == "eleven":
            values[c] = _eleven_points(*args, task.predictions.score[rows])
        else:
            values[c] = _area(*args, interpolated=rule.area == "interpolated")
    return task.result(values)


def top_recall(
    truth: Segments,
    predictions: Segments,
    thresholds: Sequence[float],
    k: int = 1,
    definition: str = "deduplicated",
    ties: str | None = None,
) -> PerClass:
    """recall@kx: what the ``k * n`` best predictions find, n true segments a video and class.

    A true segment is found if any of them overlaps it enough; one prediction may find several.

    Args:
        truth: True segments.
        predictions: With scores.
        thresholds: Overlaps in ``(0, 1]``.
        k: Predictions for each true segment.
        definition: Says how the truth is cleaned.
        ties: As in :func:`average_precision`.

    Raises:
        ThesisError: As :func:`average_precision`.
    """
    rule = DEFINITIONS[choose("definition of mAP", definition, DEFINITIONS)]
    ties = choose("rule for ties", ties or "later", TIES)
    task = _prepare(truth, predictions, thresholds, rule, ties)
    in_truth, in_predictions = task.groups()
    rank = places_within(in_predictions)
    many = np.bincount(in_truth, minlength=int(in_predictions.max(initial=0)) + 1)
    pairs = overlaps(task.predictions, in_predictions, task.truth, in_truth, task.thresholds[0])
    near = rank[pairs.prediction] < k * many[in_predictions[pairs.prediction]]
    values = np.zeros((len(task.classes), len(task.thresholds)))
    for t, threshold in enumerate(task.thresholds):
        found = np.zeros(len(task.truth), bool)
        found[pairs.truth[near & (pairs.iou >= threshold)]] = True
        total = np.bincount(task.of_truth)
        values[:, t] = np.bincount(task.of_truth, found, len(total)) / total
    return task.result(values)


# -- tables made ready ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    """Cleaned truth and the predictions of its classes, the surest first."""

    classes: NDArray[np.str_]
    thresholds: tuple[float, ...]  # rising
    asked: tuple[float, ...]  # as the caller has them
    truth: Segments
    predictions: Segments
    place: Ints  # of a prediction in the caller's table
    of_truth: Ints  # the class of each, a position in ``classes``
    of_prediction: Ints
    unknown: int

    def groups(self) -> tuple[Ints, Ints]:
        """One number a video and class, of true segments and of predictions."""
        first, second = codes(self.truth.video, self.predictions.video)
        n = len(self.classes)
        return first * n + self.of_truth, second * n + self.of_prediction

    def result(self, values: Floats) -> PerClass:
        order = [self.thresholds.index(t) for t in self.asked]
        names = tuple(self.classes.tolist())
        return PerClass(names, self.asked, values[:, order], len(self.truth), self.unknown)


def _prepare(
    truth: Segments,
    predictions: Segments,
    thresholds: Sequence[float],
    rule: Definition,
    ties: str,
) -> _Task:
    asked = check_thresholds(thresholds)
    truth = cleaned(truth.select(truth.label != AMBIGUOUS), rule.shortest)
    if not len(truth):
        raise ThesisError("There is no true segment to find: is this the right split?")
    classes = np.unique(truth.label)
    known = np.flatnonzero(np.isin(predictions.label, classes))
    place = known[falling(predictions.score[known], ties)]
    surest = predictions.select(place)
    return _Task(
        classes=classes,
        thresholds=tuple(sorted(set(asked))),
        asked=asked,
        truth=truth,
        predictions=surest,
        place=place,
        of_truth=np.searchsorted(classes, truth.label),
        of_prediction=np.searchsorted(classes, surest.label),
        unknown=len(predictions) - len(known),
    )


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


def codes(first: NDArray[np.str_], second: NDArray[np.str_]) -> tuple[Ints, Ints]:
    """Numbers in place of names, the same in both."""
    _, number = np.unique(np.concatenate([first, second]), return_inverse=True)
    return number[: len(first)], number[len(first) :]


def places_within(group: Ints) -> Ints:
    """How many before each have its group: 0, 1, 2, ... in each group."""
    order = np.argsort(group, kind="stable")
    begin = np.searchsorted(group[order], group[order])
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - begin
    return place


# -- matching ------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """A prediction, a true segment of its group, and their overlap: three arrays ``(P,)``."""

    prediction: Ints
    truth: Ints
    iou: Floats


def overlaps(
    predictions: Segments,
    in_predictions: Ints,
    truth: Segments,
    in_truth: Ints,
    least: float,
    both_empty: float = 0.0,
) -> Pairs:
    """All pairs within a group that overlap by at least ``least``, by prediction."""
    order = np.argsort(in_truth, kind="stable")
    first = np.searchsorted(in_truth[order], in_predictions)
    many = np.searchsorted(in_truth[order], in_predictions, side="right") - first
    one = np.repeat(np.arange(len(predictions)), many)
    within = np.arange(len(one)) - np.repeat(np.cumsum(many) - many, many)
    two = order[np.repeat(first, many) + within]
    a, b = predictions, truth
    iou = temporal_iou(a.start[one], a.end[one], b.start[two], b.end[two], both_empty)
    near = iou >= least
    return Pairs(one[near], two[near], iou[near])


def _hits(task: _Task, rule: Definition) -> NDArray[np.bool_]:
    """Whether a prediction is the one that finds a true segment, ``(N, T)``."""
    in_truth, in_predictions = task.groups()
    pairs = overlaps(
        task.predictions, in_predictions, task.truth, in_truth, task.thresholds[0], rule.both_empty
    )
    # Who chooses goes through its pairs in falling overlap and takes the first that is free.
    if rule.by_score:
        order = np.lexsort((-pairs.truth, -pairs.iou, pairs.prediction))
    else:
        order = np.lexsort((task.place[pairs.prediction], -pairs.iou, pairs.truth))
    iou = pairs.iou[order][:, None]
    enough = iou >= task.thresholds if rule.by_score else iou > task.thresholds
    steps = np.arange(len(task.thresholds))
    # Each overlap is one bit of an integer, so that one walk over the pairs serves all of them.
    reach = (enough.astype(np.int64) << steps).sum(1)
    hit = [0] * len(task.predictions)
    taken = [0] * len(task.truth)
    columns = (pairs.prediction[order], pairs.truth[order], reach)
    for p, t, r in zip(*(column.tolist() for column in columns), strict=True):
        free = r & ~hit[p] & ~taken[t]
        hit[p] |= free
        taken[t] |= free
    found: NDArray[np.bool_] = (np.array(hit, np.int64)[:, None] >> steps & 1).astype(bool)
    return found


def _touched(predictions: Segments, scored: Segments, truth: Segments) -> NDArray[np.bool_]:
    """Which predictions overlap an ambiguous segment of their video at all."""
    ambiguous = truth.select(truth.label == AMBIGUOUS)
    in_ambiguous, in_predictions = codes(ambiguous.video, predictions.video)
    pairs = overlaps(predictions, in_predictions, ambiguous, in_ambiguous, 5e-324)
    touched = np.zeros(len(predictions), bool)
    touched[pairs.prediction] = True
    return touched


# -- averaging -----------------------------------------------------------------------------


def _area(
    hits: NDArray[np.bool_], dropped: NDArray[np.bool_], positives: int, interpolated: bool
) -> Floats:
    """Sum of precision over the steps of recall, ``(N, T)`` to ``(T,)``; the surest come first."""
    precision = hits.cumsum(0) / np.maximum((~dropped).cumsum(0), 1)
    if interpolated:
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    return np.asarray((precision * hits).sum(0) / positives, np.float64)


def _eleven_points(
    hits: NDArray[np.bool_], dropped: NDArray[np.bool_], positives: int, score: Floats
) -> Floats:
    """Mean of the best precision at a recall of 0, 0.1, ... 1 or more; ``(N, T)`` to ``(T,)``."""
    points = 0.1 * np.arange(11)  # in floating point, as the kit has them: 0.3 is a little more
    found = np.zeros(hits.shape[1])
    for t in range(hits.shape[1]):
        order = np.lexsort((~hits[:, t], -score))
        right = hits[order, t].cumsum()
        precision = right / np.maximum((~dropped[order, t]).cumsum(), 1)
        recall = right / positives
        found[t] = np.mean([precision[recall >= p].max(initial=0.0) for p in points])
    return found
