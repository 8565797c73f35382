"""Segmentation of a video into actions: accuracy of frames, IoU, IoD, edit score, F1 (thesis 7.6).

Labels are one whole number a frame; a run of equal labels is a segment. Four measures are those of
Breakfast's weakly supervised literature (Ding and Xu, 2018), of which Table 7.2 has three; edit
score and F1 are those of action segmentation (Lea et al., 2017; Farha and Gall, 2019).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError
from thesislib.evaluation.scores import Lacking, Scores

OVERLAPS = (10, 25, 50)  # per cent, of F1


class Run(NamedTuple):
    """A segment: frames ``start`` to ``end``, which is behind the last."""

    label: int
    start: int
    end: int


def runs(labels: Any, background: int | None = None) -> list[Run]:
    """Runs of equal labels, ``(T,)``, in order; those of the background are left out."""
    labels = np.asarray(labels)
    cuts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    found = [Run(int(labels[a]), a, b) for a, b in itertools.pairwise(cuts) if b > a]
    return [run for run in found if run.label != background]


def edit_score(truth: Any, prediction: Any, background: int | None = 0) -> float:
    """1 - (fewest runs to change, add or drop) / (runs of the longer one), in ``[0, 1]``.

    Runs of the background are dropped before, and their neighbours are not joined. NaN if there is
    no run at all.
    """
    one, other = ([r.label for r in runs(x, background)] for x in (truth, prediction))
    if not one and not other:
        return float("nan")
    row = np.arange(len(other) + 1)
    for i, label in enumerate(one):
        kept = row
        row = np.empty_like(kept)
        row[0] = i + 1
        for j, guess in enumerate(other):
            row[j + 1] = min(row[j] + 1, kept[j + 1] + 1, kept[j] + (label != guess))
    return float(1 - row[-1] / max(len(one), len(other)))


def overlap(one: Run, other: Run) -> tuple[float, float]:
    """IoU (overlap over the span of both) and IoD (overlap over the other's length)."""
    shared = max(0, min(one.end, other.end) - max(one.start, other.start))
    span = max(one.end, other.end) - min(one.start, other.start)
    return shared / span, shared / (other.end - other.start)


def found(truth: Sequence[Run], predictions: Sequence[Run], least: float) -> tuple[int, int, int]:
    """Hits, false and missed segments: each true one is found once.

    A prediction looks at the true segment of its label with the largest IoU, of equals the first;
    if that is too little or was found before, the prediction is false.
    """
    taken: set[int] = set()
    for guess in predictions:
        ious = [overlap(one, guess)[0] if one.label == guess.label else 0.0 for one in truth]
        best = int(np.argmax(ious)) if ious else -1
        if best >= 0 and ious[best] >= least and best not in taken:
            taken.add(best)
    return len(taken), len(predictions) - len(taken), len(truth) - len(taken)


def best_overlaps(truth: Sequence[Run], predictions: Sequence[Run]) -> tuple[float, float]:
    """Mean over true segments of the largest IoU, and IoD, of any prediction of their label."""
    pairs = [[overlap(one, p) for p in predictions if p.label == one.label] for one in truth]
    best = [np.max(some, 0) if some else np.zeros(2) for some in pairs]
    iou, iod = np.mean(best, 0)
    return float(iou), float(iod)


def segmentation(
    truth: Mapping[str, Any], predictions: Mapping[str, Any], background: int | None = 0
) -> Scores:
    """All measures of a set of videos.

    Args:
        truth: Video -> ``(T,)``, a label a frame.
        predictions: The same videos and lengths.
        background: The label of no action; ``None``: each label is one.

    Returns:
        Shares in ``[0, 1]``: ``segment_frame_acc``, the mean over videos (Table 7.2), and
        ``segment_frame_acc_pooled`` over all frames; ``segment_frame_acc_foreground``, on frames
        that are no background; ``segment_iou``, ``segment_iod`` and ``segment_edit``, means over
        videos; ``segment_f1_10``, ``_25``, ``_50``, of counts over all videos. A video without a
        true action has no part in the middle four, and its predicted segments are false in F1.
        ``items`` hold the values of each video.

    Raises:
        Lacking: There is no video, or none has an action.
        ThesisError: Videos or lengths differ.
    """
    names = list(truth)
    if not names:
        raise Lacking("There is no video to judge: give the labels of one or more.")
    pairs = [_pair(name, truth, predictions) for name in names]
    right = [one == other for one, other in pairs]
    inside = [one != background for one, _ in pairs]
    segments = [(runs(a, background), runs(b, background)) for a, b in pairs]
    judged = [i for i, (one, _) in enumerate(segments) if one]
    if not judged:
        raise Lacking("No video has a true action: segmentation cannot be judged here.")
    overlaps = np.array([best_overlaps(*segments[i]) for i in judged])
    items = {
        "segment_frame_acc": [float(r.mean()) for r in right],
        "segment_frame_acc_foreground": [float(right[i][inside[i]].mean()) for i in judged],
        "segment_iou": overlaps[:, 0].tolist(),
        "segment_iod": overlaps[:, 1].tolist(),
        "segment_edit": [edit_score(*pairs[i], background) for i in judged],
    }
    metrics = {name: float(np.mean(values)) for name, values in items.items()}
    metrics["segment_frame_acc_pooled"] = float(np.concatenate(right).mean())
    for percent in OVERLAPS:
        hits, false, missed = np.sum([found(*s, percent / 100) for s in segments], 0)
        metrics[f"segment_f1_{percent}"] = float(2 * hits / max(1, 2 * hits + false + missed))
    counts = {"evaluated": len(names), "skipped": 0, "without_action": len(names) - len(judged)}
    return Scores(metrics, items=items, counts=counts)


def _pair(
    name: str, truth: Mapping[str, Any], predictions: Mapping[str, Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    if name not in predictions:
        raise ThesisError(f"Video {name!r} has no prediction: predict every video of the truth.")
    one, other = np.asarray(truth[name]), np.asarray(predictions[name])
    if one.ndim != 1 or one.shape != other.shape or not one.size:
        raise ThesisError(
            f"Video {name!r} has labels of shape {one.shape} and predictions of shape "
            f"{other.shape}: give one each for every frame."
        )
    return one, other
