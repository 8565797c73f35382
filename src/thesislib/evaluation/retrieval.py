"""Nearest-neighbour retrieval: test videos query training videos (thesis 2.5.1, 3.5.6)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PerVideo, Scores, as_hits, unit

RANKS = (1, 5, 10, 20, 50)


def nearest(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k: int,
    *,
    centre: bool = True,
    chunk: int = 1024,
) -> NDArray[np.int64]:
    """Indices of the ``k`` gallery rows with the largest cosine to each query.

    Args:
        queries: ``(Q, D)``.
        gallery: ``(G, D)``.
        k: Neighbours a query; at most ``G``.
        centre: Subtract each set's own mean first, as one released evaluation does.
        chunk: Queries compared at a time, which bounds the memory: ``chunk * G`` float32.

    Returns:
        int64 ``(Q, k)``, best first; of equal cosines the first in the gallery.

    Raises:
        ThesisError: ``k`` is out of range, or the features do not fit or are not finite.
    """
    if k > len(gallery):
        raise ThesisError(f"{k} neighbours asked for, the gallery has {len(gallery)} videos.")
    if k < 1:
        raise ThesisError(f"{k} neighbours asked for: ask for at least one.")
    if queries.ndim != 2 or gallery.shape[1:] != queries.shape[1:]:
        raise ThesisError(
            f"The queries have the shape {queries.shape} and the gallery {gallery.shape}: extract "
            "both with the same model."
        )

    def prepared(x: NDArray[np.float32]) -> Tensor:
        t = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        if not torch.isfinite(t).all():
            raise ThesisError("The features are not all finite: the encoder has diverged.")
        if centre:
            t = t - t.mean(0)
        return unit(t)

    q, g = prepared(queries), prepared(gallery)
    found = np.empty((len(q), k), np.int64)
    scores = torch.empty(min(chunk, len(q)), len(g))  # (chunk, G), the same memory for all chunks
    for start in range(0, len(q), chunk):
        part = q[start : start + chunk]
        cosine = torch.mm(part, g.T, out=scores[: len(part)])
        found[start : start + chunk] = _largest(cosine, k).numpy()
    return found


def _largest(scores: Tensor, k: int) -> Tensor:
    """Places of the ``k`` largest of each row ``(Q, G)``, in order; of equals the first.

    ``topk`` alone leaves open which of equal scores it takes.
    """
    values, index = scores.topk(min(k + 1, scores.shape[1]))
    crowded = (values[:, k - 1 :] == values[:, k - 1 : k]).sum(1) > 1
    index = index[:, :k].sort().values
    if crowded.any():  # equals on both sides of the border
        rows, border = scores[crowded], values[crowded, k - 1 : k]
        above, equal = rows > border, rows == border
        room = k - above.sum(1, keepdim=True)
        index[crowded] = (above | (equal & (equal.cumsum(1) <= room))).nonzero()[:, 1].view(-1, k)
    order = scores.gather(1, index).sort(descending=True, stable=True).indices
    return index.gather(1, order)


def retrieval(
    queries: PerVideo,
    gallery: PerVideo,
    ranks: tuple[int, ...] = RANKS,
    *,
    centre: bool = True,
) -> Scores:
    """R@k: the share of queries with a video of their class among the k nearest.

    Returns:
        ``retrieval_r1``, ``retrieval_r5``, ... and the hits of R@1. Ranks beyond the gallery are
        left out.

    Raises:
        ThesisError: The gallery is empty, or the features do not fit one another.
    """
    ranks = tuple(k for k in ranks if k <= len(gallery.values))
    if not ranks:
        raise ThesisError("The gallery is empty: no training video could be used.")
    index = nearest(queries.values, gallery.values, max(ranks), centre=centre)
    same = gallery.labels[index] == queries.labels[:, None]  # (Q, k)
    return Scores(
        metrics={f"retrieval_r{k}": float(same[:, :k].any(1).mean()) for k in ranks},
        hits={"retrieval_r1": as_hits(same[:, 0])},
        counts={"evaluated": len(index), "skipped": queries.skipped},
    )


def others(features: PerVideo, k: int) -> NDArray[np.int64]:
    """int64 ``(V, k)``: the rows nearest to each row, without itself."""
    index = nearest(features.values, features.values, k + 1)
    return np.stack([row[row != i][:k] for i, row in enumerate(index)])


def within(features: PerVideo, k: int = 5) -> dict[str, float]:
    """Each labelled video looks up all the others of the same set (thesis figure 4.2).

    Args:
        features: Of two videos or more, one of them labelled; the others are looked up all the
            same.
        k: Neighbours for ``precision``, at most all the others.

    Returns:
        ``r1``, the share whose nearest neighbour has their label, and ``precision``, the share of
        the ``k`` nearest that has, both in ``[0, 1]``.
    """
    near = others(features, min(k, len(features.values) - 1))
    known = features.labels >= 0
    same = (features.labels[near] == features.labels[:, None])[known]
    return {"r1": float(same[:, 0].mean()), "precision": float(same.mean())}
