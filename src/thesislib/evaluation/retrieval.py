"""Nearest-neighbour retrieval: test videos query training videos (thesis 2.5.1, 3.5.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thesislib.errors import ThesisError
from thesislib.evaluation.features import Features

RANKS = (1, 5, 10, 20, 50)


def nearest(
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    k: int,
    *,
    centre: bool = True,
    chunk: int = 4096,
) -> NDArray[np.int64]:
    """Indices of the ``k`` gallery rows with the largest cosine to each query.

    Args:
        queries: ``(Q, D)``.
        gallery: ``(G, D)``.
        k: Neighbours a query; at most ``G``.
        centre: Subtract each set's own mean first, as the released evaluation of CoCLR does.
        chunk: Queries compared at a time, which bounds the memory.

    Returns:
        int64 ``(Q, k)``, best first.
    """
    if k > len(gallery):
        raise ThesisError(f"{k} neighbours asked for, the gallery has {len(gallery)} videos.")

    def unit(x: NDArray[np.float32]) -> torch.Tensor:
        t = torch.from_numpy(np.ascontiguousarray(x, np.float32))
        if centre:
            t = t - t.mean(0)
        return torch.nn.functional.normalize(t, dim=1)

    q, g = unit(queries), unit(gallery)
    rows = [(q[i : i + chunk] @ g.T).topk(k).indices for i in range(0, len(q), chunk)]
    return torch.cat(rows).numpy()


def retrieval(
    queries: Features, gallery: Features, ranks: tuple[int, ...] = RANKS
) -> dict[str, Any]:
    """R@k: the share of queries with a video of their class among the k nearest.

    Returns:
        ``retrieval_r1``, ``retrieval_r5``, ... in ``[0, 1]``, ``hits`` for R@1, ``neighbours``
        int64 ``(Q, max k)``, ``evaluated`` and ``skipped``. Ranks beyond the gallery are left out.
    """
    ranks = tuple(k for k in ranks if k <= len(gallery.values))
    if not ranks:
        raise ThesisError("The gallery is empty: no training video could be used.")
    index = nearest(queries.values, gallery.values, max(ranks))
    same = gallery.labels[index] == queries.labels[:, None]  # (Q, k)
    scores: dict[str, Any] = {f"retrieval_r{k}": float(same[:, :k].any(1).mean()) for k in ranks}
    return scores | {
        "hits": "".join("01"[int(h)] for h in same[:, 0]),
        "neighbours": index,
        "evaluated": len(index),
        "skipped": queries.skipped,
    }
