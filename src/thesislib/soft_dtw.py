"""Soft dynamic time warping (Cuturi and Blondel, 2017), with which thesis 7.6 fine-tunes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.errors import ThesisError


def soft_dtw(cost: Tensor, gamma: float) -> Tensor:
    """The soft minimum, over all monotone paths, of what lies on them.

    Paths go from the first cell to the last by steps right, down and diagonal, and each cell on one
    counts. It may be negative, and is below hard DTW, which it becomes as gamma goes to 0. Its
    gradient by the costs says how much of all paths goes through each cell.

    Args:
        cost: ``(..., n, m)``, any real numbers; float64 for differences below 1e-4.
        gamma: Softness, above 0, in units of the costs.

    Returns:
        ``(...)``.

    Raises:
        ThesisError: An empty matrix, a cost that is not finite, or gamma not above 0.
    """
    if not gamma > 0:
        raise ThesisError(f"gamma={gamma} must be above 0: give a softness such as 0.1.")
    if cost.ndim < 2 or not min(cost.shape[-2:]):
        raise ThesisError(
            f"Costs of shape {tuple(cost.shape)} have no path: give (rows, columns), one each at "
            "least."
        )
    if not cost.isfinite().all():
        raise ThesisError("The costs are not all finite: the model has diverged.")
    rows, columns = cost.shape[-2:]
    # By anti-diagonals, on which no cell waits for another: place i + 1 is row i.
    before = last = cost.new_full((*cost.shape[:-2], rows + 1), torch.inf)
    for diagonal in range(rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(rows, diagonal + 1)
        row = torch.arange(low, high, device=cost.device)
        here = cost[..., row, diagonal - row]
        if diagonal:
            above, beside = slice(low, high), slice(low + 1, high + 1)
            ways = torch.stack([last[..., beside], last[..., above], before[..., above]])
            here = here - gamma * torch.logsumexp(-ways / gamma, 0)
        before, last = last, F.pad(here, (low + 1, rows - high), value=torch.inf)
    return last[..., rows]
