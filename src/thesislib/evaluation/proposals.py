"""Average recall of proposals: how many of them it takes to find the actions, whatever their class.

By ActivityNet's definition, AR@AN (thesis 5.3.2 takes a class-agnostic detector, and what it misses
no classifier can find).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thesislib.errors import ThesisError, choose
from thesislib.evaluation.localisation import ACTIVITYNET
from thesislib.evaluation.matching import (
    AMBIGUOUS,
    DEFINITIONS,
    TIES,
    Stretches,
    check_thresholds,
    cleaned,
    codes,
    falling,
    overlaps,
    places_within,
)
from thesislib.evaluation.scores import Scores
from thesislib.evaluation.segments import Floats, Ints, Segments


@dataclass(frozen=True)
class AverageRecall:
    """Recall over the number of proposals.

    Attributes:
        number: Mean proposals a video ``(J,)``.
        thresholds: Overlaps ``(T,)``.
        recall: Share of the true segments found, float64 ``(J, T)``.
    """

    number: Floats
    thresholds: tuple[float, ...]
    recall: Floats

    @property
    def average(self) -> Floats:
        """Mean over the overlaps ``(J,)``."""
        return np.asarray(self.recall.mean(1), np.float64)

    @property
    def area(self) -> float:
        """Area under the average, from the first number to the last, over the last."""
        return float(np.trapezoid(self.average, self.number) / self.number[-1])


def average_recall(
    truth: Segments,
    proposals: Segments,
    limit: float | None = None,
    points: int = 100,
    thresholds: Sequence[float] = ACTIVITYNET,
    definition: str = "activitynet",
    ties: str = "later",
) -> AverageRecall:
    """Recall as the number of proposals a video grows from 0 to ``limit``.

    Proposals are shared out over the videos in proportion to what each has: "100 a video" takes
    the same share of every video's own, not the first 100 of each. Past the supply the curve is
    flat.

    Args:
        truth: True segments; labels play no part but in cleaning.
        proposals: With scores; labels play no part.
        limit: Mean proposals a video at the end; default: all there are.
        points: Numbers of proposals at which recall is measured, equally far apart.
        thresholds: Overlaps in ``(0, 1]``.
        definition: Says how the truth is cleaned: one of :data:`DEFINITIONS`.
        ties: Which of equal scores counts first: ``later`` or ``earlier`` in the table.

    Raises:
        ThesisError: There is no true segment, no proposal, or an argument is out of range.
    """
    asked = check_thresholds(thresholds)
    choose("rule for ties", ties, TIES)
    rule = DEFINITIONS[choose("definition of mAP", definition, DEFINITIONS)]
    truth = cleaned(truth.select(truth.label != AMBIGUOUS), rule.shortest)
    if not len(truth) or not len(proposals):
        what = "proposal" if len(truth) else "true segment"
        raise ThesisError(f"There is no {what}, so there is no recall: is this the right split?")
    if points < 1 or not (limit is None or limit > 0):
        raise ThesisError(f"limit={limit} and points={points}: give positive numbers.")
    best = falling(proposals.score, ties)
    of_truth, of_all = codes(truth.video, proposals.video)
    videos = int(of_truth.max()) + 1
    mine = best[of_all[best] < videos]  # of videos with truth; the others count for the share only
    end = len(proposals) / videos if limit is None else float(limit)
    share = end * videos / len(proposals)
    supply = np.bincount(of_all[mine], minlength=videos)
    kept = np.minimum((supply * share).astype(np.int64), supply)
    if not kept.any():
        raise ThesisError(f"limit={limit} leaves no proposal in any video: raise it.")
    steps = np.arange(1, points + 1) / points * (end * videos / kept.sum())
    looked = np.minimum((kept[:, None] * steps).astype(np.int64), kept[:, None])  # (videos, J)
    needed = _needed(
        Stretches(of_truth, truth.start, truth.end),
        Stretches(of_all[mine], proposals.start[mine], proposals.end[mine]),
        asked,
    )
    recall = np.stack([(needed <= some[of_truth, None]).mean(0) for some in looked.T])
    return AverageRecall(steps * (kept.sum() / videos), asked, recall)


def _needed(truth: Stretches, proposals: Stretches, thresholds: tuple[float, ...]) -> Ints:
    """How many of its video's proposals it takes until one finds a true segment, ``(N, T)``."""
    rank = places_within(proposals.group) + 1
    pairs = overlaps(proposals, truth, min(thresholds))
    needed = np.full((len(truth.group), len(thresholds)), len(rank) + 1, np.int64)
    for t, threshold in enumerate(thresholds):
        enough = pairs.iou >= threshold
        np.minimum.at(needed[:, t], pairs.truth[enough], rank[pairs.prediction[enough]])
    return needed


def proposal_recall(
    truth: Segments,
    proposals: Segments,
    at: Sequence[int] = (10, 50, 100),
    definition: str = "activitynet",
    ties: str = "later",
) -> Scores:
    """Average recall over overlaps of 0.5 to 0.95.

    Returns:
        ``ar_10``, ... at so many proposals a video, and ``ar_area`` up to the last of them.

    Raises:
        ThesisError: As :func:`average_recall`.
    """
    last = max(at)
    curve = average_recall(truth, proposals, last, last, definition=definition, ties=ties)
    metrics = {f"ar_{n}": float(curve.average[n - 1]) for n in at}
    return Scores(
        metrics={**metrics, "ar_area": curve.area},
        counts={"evaluated": len(np.unique(truth.video)), "proposals": len(proposals)},
    )
