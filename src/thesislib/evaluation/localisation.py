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

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError, choose
from thesislib.evaluation.matching import (
    AMBIGUOUS,
    DEFINITIONS,
    SMALLEST,
    TIES,
    Definition,
    Pairs,
    Stretches,
    check_thresholds,
    cleaned,
    codes,
    falling,
    first_free,
    overlaps,
    places_within,
)
from thesislib.evaluation.scores import Scores
from thesislib.evaluation.segments import Floats, Ints, Segments

THUMOS14 = (0.3, 0.4, 0.5, 0.6, 0.7)  # the overlaps of Tables 5.5 and 5.6
ACTIVITYNET = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


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
        dropped = ~hits & _touched(task, predictions, truth)[:, None]
    n = len(task.classes)
    positives = np.bincount(task.of_truth)
    by_class = np.argsort(task.of_prediction, kind="stable")
    ends = np.bincount(task.of_prediction, minlength=n).cumsum()
    values = np.zeros((n, len(task.thresholds)))
    for c, rows in enumerate(np.split(by_class, ends[:-1])):
        if rule.area == "eleven":
            values[c] = _eleven_points(hits[rows], dropped[rows], positives[c], task.score[rows])
        else:
            monotone = rule.area == "interpolated"
            values[c] = _area(hits[rows], dropped[rows], positives[c], monotone)
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
    group = task.predictions.group
    many = np.bincount(task.truth.group, minlength=int(group.max(initial=0)) + 1)
    pairs = overlaps(task.predictions, task.truth, min(task.thresholds))
    near = (places_within(group) < k * many[group])[pairs.prediction]
    positives = np.bincount(task.of_truth)
    values = np.zeros((len(task.classes), len(task.thresholds)))
    for t, threshold in enumerate(task.thresholds):
        found = np.zeros(len(task.of_truth), bool)
        found[pairs.truth[near & (pairs.iou >= threshold)]] = True
        values[:, t] = np.bincount(task.of_truth, found) / positives
    return task.result(values)


# -- tables made ready ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    """Cleaned truth and the predictions of its classes, the surest first."""

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    truth: Stretches  # a group is a video and class
    predictions: Stretches
    of_truth: Ints  # the class of each, a position in ``classes``
    of_prediction: Ints
    score: Floats  # of the predictions
    place: Ints  # of the predictions in the caller's table
    unknown: int

    def result(self, values: Floats) -> PerClass:
        return PerClass(self.classes, self.thresholds, values, len(self.of_truth), self.unknown)


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
    classes = sorted(set(truth.label.tolist()))
    number = {name: i for i, name in enumerate(classes)}
    label = np.array([number.get(name, -1) for name in predictions.label.tolist()], np.int64)
    known = np.flatnonzero(label >= 0)
    place = known[falling(predictions.score[known], ties)]
    of_truth = np.array([number[name] for name in truth.label.tolist()], np.int64)
    in_truth, in_predictions = codes(truth.video, predictions.video)
    n = len(classes)
    return _Task(
        classes=tuple(classes),
        thresholds=asked,
        truth=Stretches(in_truth * n + of_truth, truth.start, truth.end),
        predictions=Stretches(
            in_predictions[place] * n + label[place],
            predictions.start[place],
            predictions.end[place],
        ),
        of_truth=of_truth,
        of_prediction=label[place],
        score=predictions.score[place],
        place=place,
        unknown=len(predictions) - len(known),
    )


# -- matching ------------------------------------------------------------------------------


def _hits(task: _Task, rule: Definition) -> NDArray[np.bool_]:
    """Whether a prediction is the one that finds a true segment, ``(N, T)``."""
    pairs = overlaps(task.predictions, task.truth, min(task.thresholds), rule.both_empty)
    # Who chooses goes through its pairs in falling overlap and takes the first that is free.
    if rule.by_score:
        order = np.lexsort((-pairs.truth, -pairs.iou, pairs.prediction))
    else:
        order = np.lexsort((task.place[pairs.prediction], -pairs.iou, pairs.truth))
    iou = pairs.iou[order][:, None]
    enough = iou >= task.thresholds if rule.by_score else iou > task.thresholds
    ordered = Pairs(pairs.prediction[order], pairs.truth[order], pairs.iou[order])
    return first_free(ordered, enough, len(task.score), len(task.of_truth))


def _touched(task: _Task, predictions: Segments, truth: Segments) -> NDArray[np.bool_]:
    """Which predictions overlap an ambiguous segment of their video at all."""
    ambiguous = truth.select(truth.label == AMBIGUOUS)
    first, second = codes(ambiguous.video, predictions.video)
    pairs = overlaps(
        task.predictions._replace(group=second[task.place]),
        Stretches(first, ambiguous.start, ambiguous.end),
        SMALLEST,
    )
    touched = np.zeros(len(task.score), bool)
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
