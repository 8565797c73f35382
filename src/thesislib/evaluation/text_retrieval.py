"""Texts look up videos and videos look up texts: R@k, median and mean rank (thesis 5.4.4).

From one matrix of similarities, both ways. ``t2v`` is text to video: a text asks, the videos are
ranked. ``v2t`` is video to text. Tables 5.7, 6.3 and 7.3 show text to video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thesislib.errors import ThesisError, choose
from thesislib.evaluation.scores import Scores, as_hits
from thesislib.evaluation.segments import Floats, Ints

RANKS = (1, 5, 10)
TIES = ("worst", "mean", "best")
_ROWS = 1024  # queries at a time, which bounds the memory


@dataclass(frozen=True)
class Ranks:
    """Rank of the right answer of each query, from 1, twice.

    Attributes:
        best: int64 ``(Q,)``: 1 + how many wrong answers are strictly more similar.
        worst: int64 ``(Q,)``: the same with those that are just as similar.
    """

    best: Ints
    worst: Ints

    def by(self, ties: str) -> Floats:
        """float64 ``(Q,)``: ``worst``, ``best``, or ``mean``, which lies half-way."""
        choose("rule for ties", ties, TIES)
        if ties == "mean":
            return (self.best + self.worst) / 2
        return np.asarray(getattr(self, ties), np.float64)

    @property
    def tied(self) -> int:
        """Queries for which the rule for ties matters."""
        return int((self.best < self.worst).sum())


def text_retrieval(
    similarity: Any,
    video_of_text: Sequence[int] | Ints | None = None,
    ties: str = "worst",
    ranks: tuple[int, ...] = RANKS,
) -> Scores:
    """R@k, median and mean rank in both directions.

    Args:
        similarity: Array or tensor ``(texts, videos)``, the larger the nearer.
        video_of_text: int ``(texts,)``: the column of each text's own video; several texts may
            share one. Default: text ``i`` belongs to video ``i``.
        ties: Rank among equals: ``worst`` counts the right answer behind all wrong ones that are
            just as similar, so that a model which cannot tell them apart gains nothing; ``mean``
            half-way, the fair one for the median, though R@1 by it counts every tie at the top as a
            miss; ``best`` before them.
        ranks: For R@k; those beyond the number of answers are left out.

    Returns:
        ``t2v_r1``, ``t2v_r5``, ``t2v_r10``, ``t2v_median``, ``t2v_mean`` and the same with
        ``v2t``. R@k are shares in ``[0, 1]`` with hits, ranks count from 1, with the ranks as
        items of the mean. ``counts`` says for how many queries the rule for ties matters. A video
        has the rank of the best of its texts; one without texts asks nothing, but is found.

    Raises:
        ThesisError: Shapes do not fit, or a similarity is not a finite number.
    """
    choose("rule for ties", ties, TIES)
    matrix, own = _checked(similarity, video_of_text)
    found = {"t2v": text_to_video(matrix, own), "v2t": video_to_text(matrix, own)}
    answers = {"t2v": matrix.shape[1], "v2t": matrix.shape[0]}
    asking = len(found["v2t"].best)
    scores = Scores(counts={"evaluated": len(matrix), "skipped": 0, "videos_asking": asking})
    for way, of_way in found.items():
        rank = of_way.by(ties)
        right = {f"{way}_r{k}": rank <= k for k in ranks if k <= answers[way]}
        middle = {f"{way}_median": float(np.median(rank)), f"{way}_mean": float(rank.mean())}
        scores |= Scores(
            metrics={**{name: float(hit.mean()) for name, hit in right.items()}, **middle},
            hits={name: as_hits(hit) for name, hit in right.items()},
            items={f"{way}_mean": rank.tolist()},
            counts={f"{way}_tied": of_way.tied},
        )
    return scores


def text_to_video(similarity: Any, video_of_text: Sequence[int] | Ints | None = None) -> Ranks:
    """Rank of each text's own video among all videos, ``(texts,)``.

    Raises:
        ThesisError: As :func:`text_retrieval`.
    """
    matrix, own = _checked(similarity, video_of_text)
    reached = matrix[np.arange(len(own)), own]
    return _ranks(matrix, reached, own, np.arange(matrix.shape[1]))


def video_to_text(similarity: Any, video_of_text: Sequence[int] | Ints | None = None) -> Ranks:
    """Rank of the best of each video's own texts among all texts, ``(videos with texts,)``.

    Its other texts are right as well: they neither lie before the best nor tie with it.

    Raises:
        ThesisError: As :func:`text_retrieval`.
    """
    matrix, own = _checked(similarity, video_of_text)
    asking = np.unique(own)
    reached = np.full(matrix.shape[1], -np.inf, matrix.dtype)
    np.maximum.at(reached, own, matrix[np.arange(len(own)), own])
    return _ranks(matrix.T[asking], reached[asking], asking, own)


def _ranks(matrix: NDArray[Any], reached: NDArray[Any], query: Ints, answer: Ints) -> Ranks:
    """Counts the wrong answers that are as similar as the best right one, or more.

    Args:
        matrix: ``(Q, A)``.
        reached: Similarity of the best right answer ``(Q,)``.
        query: Which video each query is or belongs to ``(Q,)``.
        answer: The same of the answers ``(A,)``; those of the query's own video are right.
    """
    above, equal = np.empty(len(matrix), np.int64), np.empty(len(matrix), np.int64)
    for start in range(0, len(matrix), _ROWS):
        rows = slice(start, start + _ROWS)
        wrong = answer != query[rows, None]
        above[rows] = (wrong & (matrix[rows] > reached[rows, None])).sum(1)
        equal[rows] = (wrong & (matrix[rows] == reached[rows, None])).sum(1)
    return Ranks(1 + above, 1 + above + equal)


def _checked(
    similarity: Any, video_of_text: Sequence[int] | Ints | None
) -> tuple[NDArray[Any], Ints]:
    if isinstance(similarity, Tensor):
        half = similarity.dtype in (torch.bfloat16, torch.float16)  # numpy has no bfloat16
        similarity = similarity.detach().cpu().to(torch.float32 if half else similarity.dtype)
    matrix = np.asarray(similarity)
    if not np.issubdtype(matrix.dtype, np.floating):  # whole numbers have no infinity to start from
        matrix = matrix.astype(np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise ThesisError(f"Similarities have the shape {matrix.shape}: give (texts, videos).")
    texts, videos = matrix.shape
    if video_of_text is None and texts != videos:
        raise ThesisError(
            f"There are {texts} texts and {videos} videos: say by video_of_text whose each text is."
        )
    own = np.arange(texts) if video_of_text is None else np.asarray(video_of_text, np.int64)
    if own.shape != (texts,) or own.min() < 0 or own.max() >= videos:
        raise ThesisError(
            f"video_of_text gives {own.size} texts videos from {own.min(initial=0)} to "
            f"{own.max(initial=0)}: give one of 0 to {videos - 1} for each of {texts} texts."
        )
    if not np.isfinite(matrix).all():
        raise ThesisError("The similarities are not all finite: the model has diverged.")
    return matrix, own
