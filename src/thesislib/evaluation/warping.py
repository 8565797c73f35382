"""Dynamic time warping, and a list of actions laid over a video in order (thesis 7.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError


def dtw(cost: Any) -> tuple[float, list[tuple[int, int]]]:
    """The cheapest monotone path through a matrix of costs.

    Args:
        cost: ``(n, m)``. Steps go right, down or diagonally, and each cell on the path counts.

    Returns:
        The sum, and the cells from the first to the last.

    Raises:
        ThesisError: The matrix is empty, or a cost is not finite.
    """
    cost = _checked(cost)
    rows, columns = cost.shape
    best = np.full((rows + 1, columns + 1), np.inf)
    best[0, 0] = 0
    for i in range(rows):
        for j in range(columns):
            best[i + 1, j + 1] = cost[i, j] + min(best[i, j], best[i, j + 1], best[i + 1, j])
    path = [(rows, columns)]
    while path[-1] != (1, 1):
        i, j = path[-1]
        path.append(min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda cell: best[cell]))
    return float(best[rows, columns]), [(i - 1, j - 1) for i, j in reversed(path)]


def in_order(score: Any) -> NDArray[np.int64]:
    """Lays K actions over T frames, one after another, so that the sum of scores is largest.

    Zero-shot alignment of Table 7.2: the list of a video's actions is known, not their times.

    Args:
        score: ``(K, T)``, the larger the better.

    Returns:
        ``(T,)``, the row of each frame: it begins with 0, ends with K - 1, and each row has a frame
        at least.

    Raises:
        ThesisError: There are fewer frames than actions, none, or a score is not finite.
    """
    score = _checked(score)
    rows, frames = score.shape
    if frames < rows:
        raise ThesisError(
            f"{rows} actions have only {frames} frames: give features at a higher rate, or leave "
            "out the video."
        )
    best = np.full(rows, -np.inf)
    best[0] = score[0, 0]
    entered = np.zeros((rows, frames), bool)  # whether a row begins at this frame
    for t in range(1, frames):
        from_above = np.concatenate([[-np.inf], best[:-1]])
        entered[:, t] = from_above > best
        best = score[:, t] + np.maximum(best, from_above)
    found = np.empty(frames, np.int64)
    row = rows - 1
    for t in range(frames - 1, -1, -1):
        found[t] = row
        row -= int(entered[row, t])
    return found


def _checked(matrix: Any) -> NDArray[np.float64]:
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or not matrix.size:
        raise ThesisError(
            f"A matrix of shape {matrix.shape} has no path: give (rows, columns), one at least."
        )
    if not np.isfinite(matrix).all():
        raise ThesisError("The matrix is not all finite: the model has diverged.")
    return matrix
