"""Which tokens of a video a Transformer sees, and which it is to reconstruct (thesis 6.3.2).

Tokens are numbered in the order time, row, column of their grid ``(t, h, w)``. Of N tokens,
floor(N (1 - m)) stay visible, N r of the others are to be reconstructed, and the rest is ignored.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from thesislib.errors import ThesisError, choose

Grid = tuple[int, int, int]

MASKINGS = ("random", "tube", "runs")
TARGETS = ("random", "cells")
TINY = 1e-6  # 10 (1 - 0.9) is 0.99999999 in binary, and means one token


class Drawn(NamedTuple):
    """Tokens of a batch, each row in ascending order.

    Its fields:

    - ``visible``: int64 ``(B, V)``.
    - ``wanted``: int64 ``(B, R)``, to be reconstructed; none of them is visible.
    """

    visible: Tensor
    wanted: Tensor


def from_mask(masked: Tensor) -> Drawn:
    """A mask as others give it: what it hides is to be reconstructed.

    Args:
        masked: bool ``(B, N)``, True where hidden; as many in each row.
    """
    hidden = masked.sum(1)
    if (hidden != hidden[0]).any():
        raise ThesisError(
            f"The rows of the mask hide {int(hidden.min())} to {int(hidden.max())} tokens: hide as "
            "many in each."
        )
    seen, wanted = (
        part.nonzero()[:, 1].unflatten(0, (len(masked), -1)) for part in (~masked, masked)
    )
    return Drawn(seen, wanted)


def check_ratios(mask_ratio: float, recon_ratio: float) -> None:
    """Refuses m outside ``[0, 1)`` and r outside ``[0, m]``."""
    if not 0 <= mask_ratio < 1:
        raise ThesisError(
            f"mask_ratio={mask_ratio} is no share of dropped tokens: give 0 to less than 1."
        )
    if not 0 <= recon_ratio <= mask_ratio:
        raise ThesisError(
            f"recon_ratio={recon_ratio} of the tokens cannot be reconstructed when "
            f"mask_ratio={mask_ratio} of them are dropped: give 0 to mask_ratio."
        )


def count_tokens(
    grid: Grid, mask_ratio: float, recon_ratio: float = 0.0, masking: str = "random"
) -> tuple[int, int]:
    """How many tokens are visible, and how many are to be reconstructed (6.3.2).

    The thesis's N (1 - m) is rounded down (its operation counts want 156 of 1568 at m = 0.9), so
    N r is rounded up: with r = m all that is masked is reconstructed. Tubes hide
    floor(h w m) places at all times, as VideoMAE does: 160 tokens stay at m = 0.9.

    Args:
        grid: Tokens over time, rows and columns.
        mask_ratio: m in ``[0, 1)``.
        recon_ratio: r in ``[0, m]``.
        masking: random, tube or runs.

    Raises:
        ThesisError: Ratios out of range, or no token is left.
    """
    check_ratios(mask_ratio, recon_ratio)
    choose("masking", masking, MASKINGS)
    time, *area = grid
    places, whole = math.prod(area), math.prod(grid)
    if masking == "tube":
        visible = time * (places - math.floor(places * mask_ratio + TINY))
    else:
        visible = math.floor(whole * (1 - mask_ratio) + TINY)
    if visible < 1:
        raise ThesisError(f"mask_ratio={mask_ratio} leaves none of {whole} tokens: lower it.")
    return visible, min(whole - visible, math.ceil(whole * recon_ratio - TINY))


def draw(scores: Tensor, grid: Grid, visible: int, wanted: int, targets: str = "random") -> Drawn:
    """The tokens with the smallest scores are visible; targets are drawn among the others.

    Args:
        scores: ``(B, N)``, as :func:`random_scores` and :func:`run_scores` make them.
        grid: Tokens over time, rows and columns.
        visible: V.
        wanted: R, at most N - V.
        targets: ``random``; ``cells``: of every 2 x 2 places one after the other, moving on with
            time, so that targets lie evenly (the decoder's mask of VideoMAE v2's dual masking,
            whose masked and not decoded tokens are r < m else).
    """
    order = scores.argsort(1)
    seen, hidden = order[:, :visible], order[:, visible:]
    if wanted == 0:
        return Drawn(seen.sort(1).values, hidden[:, :0])
    if wanted < hidden.shape[1]:
        turn = torch.rand(scores.shape, device=scores.device)
        if choose("choice of targets", targets, TARGETS) == "cells":
            turn = turn + _cells(len(scores), grid, scores.device)
        first = turn.gather(1, hidden).argsort(1)[:, :wanted]
        hidden = hidden.gather(1, first)
    return Drawn(seen.sort(1).values, hidden.sort(1).values)


def _cells(batch: int, grid: Grid, device: torch.device) -> Tensor:
    """Whose turn it is in its 2 x 2 cell, 0 to 3, from a start drawn for each item: ``(B, N)``."""
    t, h, w = (torch.arange(n, device=device) for n in grid)
    place = t[:, None, None] + 2 * (h[:, None] % 2) + w % 2
    start = torch.randint(4, (batch, 1), device=device)
    return (place.flatten() + start) % 4


def random_scores(batch: int, grid: Grid, tubes: bool, device: torch.device) -> Tensor:
    """Uniform draws ``(B, N)``, one a token, or one a place for all times."""
    time, h, w = grid
    if tubes:
        return torch.rand(batch, 1, h * w, device=device).expand(-1, time, -1).flatten(1)
    return torch.rand(batch, time * h * w, device=device)


def run_scores(patches: Tensor) -> Tensor:
    """How much a token repeats the one before it, for run-length tokenisation (Choudhury, 2024).

    A token changes by the mean absolute difference between its last frame and the first frame of
    the token before it at the same place; the score is minus that. Tokens of the first time have no
    predecessor and come before all others, in a random order. The published method also tells the
    network how long a run is; here a token has its place in time, which says where a run begins.

    Args:
        patches: ``(B, t, h, w, C, pt, ph, pw)``, pixels by token.

    Returns:
        ``(B, N)``; small where much changes.
    """
    with torch.no_grad():
        change = (patches[:, 1:, ..., -1, :, :] - patches[:, :-1, ..., 0, :, :]).abs()
        later = -change.mean((4, 5, 6))  # (B, t - 1, h, w)
        first = torch.rand_like(patches[:, :1, :, :, 0, 0, 0, 0]) - 1000  # no pixels differ so much
        return torch.cat([first, later], 1).flatten(1)


def runs_kept(scores: Tensor, threshold: float) -> int:
    """Tokens to keep so that no item of a batch loses one that changes by ``threshold`` or more.

    Items with fewer such tokens are filled up with their next ones: a batch stays rectangular.
    """
    return max(1, int((scores <= -threshold).sum(1).max()))
