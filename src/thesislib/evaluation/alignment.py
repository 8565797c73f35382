"""Which second of a video does a sentence tell of: R@1 of temporal alignment (thesis 6.5.2, 7.4.2).

A "pointing game": of all seconds of the video the most similar one is pointed at, and that is right
if the sentence is seen then. Only sentences that are seen at all take part.

Second t is the time from t to t + 1. Two rules say when it lies in a segment of ``[start, end]``
seconds, both ends included:

* ``released`` (TAN's evaluation, and so Tables 6.3 and 7.1): floor(start) <= t <= ceil(end). It is
  kind: a segment of 9 to 17 s takes nine seconds, and one of 9.5 to 17.5 s takes ten.
* ``strict``: start <= t + 1/2 <= end, the middle of the second.

Whether a sentence is seen at all is judged by ROC-AUC, and how far off a time is by shares within
some seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError, choose
from thesislib.evaluation.scores import Lacking, Scores, as_hits

RULES = ("released", "strict")


@dataclass(frozen=True)
class Pointing:
    """The sentences of one video that are to be found in it.

    Attributes:
        similarity: ``(S, T)``, sentences and seconds, the larger the nearer.
        start: ``(S,)`` seconds from the start of the video.
        end: ``(S,)`` likewise, not before ``start``.
    """

    similarity: NDArray[Any]
    start: NDArray[Any]
    end: NDArray[Any]


def inside(start: Any, end: Any, seconds: int, rule: str = "released") -> NDArray[np.bool_]:
    """Which seconds of a video lie in which segment.

    Args:
        start: ``(S,)`` seconds.
        end: ``(S,)`` seconds, not before ``start``.
        seconds: T of the video.
        rule: One of :data:`RULES`.

    Returns:
        ``(S, T)``.
    """
    choose("rule of a segment's ends", rule, RULES)
    first, last = (np.asarray(x, np.float64)[:, None] for x in (start, end))
    at = np.arange(seconds)[None]
    if rule == "strict":
        return np.asarray((at + 0.5 >= first) & (at + 0.5 <= last))
    return np.asarray((at >= np.floor(first)) & (at <= np.ceil(last)))


def pointed(similarity: Any) -> NDArray[np.int64]:
    """The second of the largest similarity, ``(S,)``; of equal ones the first."""
    return np.asarray(np.asarray(similarity).argmax(1), np.int64)


def alignment(videos: Sequence[Pointing], rule: str = "released", name: str = "align_r1") -> Scores:
    """R@1 over the sentences of all videos, and what guessing would give.

    Args:
        videos: Of a test set; those without a sentence or a second are left out.
        rule: One of :data:`RULES`.
        name: Of the metric.

    Returns:
        ``align_r1``, a share in ``[0, 1]`` with hits, sentences in the order given;
        ``chance_align_r1``: the mean share of a video's seconds that are right, what a second at
        random finds. Each sentence counts once, so a video of many sentences counts more.

    Raises:
        Lacking: There is no sentence.
        ThesisError: Shapes do not fit, a similarity is not finite, or an end lies before its start.
    """
    hits: list[NDArray[np.bool_]] = []
    shares: list[NDArray[np.float64]] = []
    for video in videos:
        similarity = _checked(video)
        if not similarity.size:
            continue
        right = inside(video.start, video.end, similarity.shape[1], rule)
        hits.append(right[np.arange(len(right)), pointed(similarity)])
        shares.append(right.mean(1))
    if not hits:
        raise Lacking("No sentence is seen in any video: alignment cannot be judged here.")
    found = np.concatenate(hits)
    metrics = {name: float(found.mean()), f"chance_{name}": float(np.concatenate(shares).mean())}
    left_out = sum(not np.asarray(video.similarity).size for video in videos)
    counts = {"evaluated": len(found), "skipped": 0, "videos_without_sentences": left_out}
    return Scores(metrics, {name: as_hits(found)}, counts=counts)


def away(at: Any, start: Any, end: Any) -> NDArray[np.float64]:
    """Seconds from moments to the nearest points of segments, 0 inside; the three are broadcast."""
    at, start, end = (np.asarray(x, np.float64) for x in (at, start, end))
    return np.asarray(np.maximum(0, np.maximum(start - at, at - end)), np.float64)


def near(videos: Sequence[Pointing], within: Sequence[float] = (0.5, 1, 2, 5)) -> Scores:
    """How often the second that is pointed at lies near the time at which a sentence is seen.

    Args:
        videos: As of :func:`alignment`.
        within: Seconds from the middle of the pointed second to the nearest point of the segment,
            which is 0 inside.

    Returns:
        ``align_within_0.5``, ``align_within_1``, ...: shares in ``[0, 1]`` with hits.

    Raises:
        Lacking: There is no sentence.
        ThesisError: As of :func:`alignment`.
    """
    apart: list[NDArray[np.float64]] = []
    for video in videos:
        similarity = _checked(video)
        if similarity.size:
            apart.append(away(pointed(similarity) + 0.5, video.start, video.end))
    if not apart:
        raise Lacking("No sentence is seen in any video: alignment cannot be judged here.")
    seconds = np.concatenate(apart)
    hits = {f"align_within_{limit:g}": seconds <= limit for limit in within}
    return Scores(
        {name: float(right.mean()) for name, right in hits.items()},
        {name: as_hits(right) for name, right in hits.items()},
        counts={"evaluated": len(seconds), "skipped": 0},
    )


def auc(score: Any, alignable: Any) -> float:
    """Area under the ROC curve: how often a positive lies above a negative, a tie counting half.

    Args:
        score: ``(S,)``, finite.
        alignable: bool ``(S,)``.

    Raises:
        Lacking: Both kinds are needed.
        ThesisError: Lengths differ, or a score is not finite.
    """
    score, alignable = np.asarray(score, np.float64), np.asarray(alignable, bool)
    if score.shape != alignable.shape or score.ndim != 1:
        raise ThesisError(
            f"{score.size} scores do not fit {alignable.size} labels: give one each for a sentence."
        )
    if not np.isfinite(score).all():
        raise ThesisError("The scores are not all finite: the model has diverged.")
    positives = int(alignable.sum())
    if not 0 < positives < len(alignable):
        raise Lacking(
            f"Of {len(alignable)} sentences {positives} can be aligned: ROC-AUC needs both kinds."
        )
    from sklearn.metrics import roc_auc_score  # loads as long as torch does

    return float(roc_auc_score(alignable, score))


def alignability(
    scores: Mapping[str, Any], alignable: Any, kinds: Mapping[str, Any] | None = None
) -> Scores:
    """ROC-AUC over the sentences of all videos pooled, by several scores.

    Args:
        scores: Name -> ``(S,)``: ``head``, ``max``. Where there are two or more, ``both`` is added:
            the sum of their standard scores.
        alignable: bool ``(S,)``.
        kinds: Name -> bool ``(S,)``, a kind of sentences that cannot be aligned (chatter, mentions
            of what is not shown): the positives against these alone, too.

    Returns:
        ``align_auc_head``, ``align_auc_head_chatter``, ... in ``[0, 1]``; chance is 0.5.

    Raises:
        Lacking: One of the two kinds is missing.
        ThesisError: As of :func:`auc`.
    """
    alignable = np.asarray(alignable, bool)
    columns = {name: np.asarray(score, np.float64) for name, score in scores.items()}
    if len(columns) > 1:
        spread = [max(float(x.std()), 1e-12) for x in columns.values()]
        standard = [(x - x.mean()) / s for x, s in zip(columns.values(), spread, strict=True)]
        columns["both"] = np.sum(standard, 0)
    metrics = {}
    for name, score in columns.items():
        metrics[f"align_auc_{name}"] = auc(score, alignable)
        for kind, these in (kinds or {}).items():
            part = alignable | np.asarray(these, bool)
            metrics[f"align_auc_{name}_{kind}"] = auc(score[part], alignable[part])
    return Scores(metrics, counts={"evaluated": len(alignable), "skipped": 0})


def _checked(video: Pointing) -> NDArray[np.float64]:
    matrix = np.asarray(video.similarity, np.float64)
    start, end = np.asarray(video.start, np.float64), np.asarray(video.end, np.float64)
    if matrix.ndim != 2 or start.shape != matrix.shape[:1] or end.shape != start.shape:
        raise ThesisError(
            f"Similarities of shape {matrix.shape} do not fit {start.size} starts and {end.size} "
            "ends: give (sentences, seconds), and a start and an end for each sentence."
        )
    if not np.isfinite(matrix).all():
        raise ThesisError("The similarities are not all finite: the model has diverged.")
    if not (start <= end).all():  # NaN too: a sentence that is not seen
        raise ThesisError(
            "A sentence has no time, or ends before it starts: give the sentences that are seen."
        )
    return matrix
