"""A feature pyramid over time with an anchor-free head: where in a row of features something is.

Thesis 5.4.1 takes such a detector off the shelf (C. Lin et al. 2021; L. Yang et al. 2020): it
builds a pyramid and predicts, at all its points at once, actionness, centreness and boundaries.
This is a plain one of that family.

**Geometry.** Row i of the features covers ``[i, i + 1)``. A point of a level with stride s stands
in the middle of the s rows it sums up: point j at ``(j + 0.5) s``. All times are in rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.nn.transformer import Block

PRIOR = 0.01  # actionness that an untrained head starts from: nearly all points are background
SAMPLES = 3  # rows that the refinement looks at, around each boundary
MARGIN = 0.2  # ... from this share of the length before it to as much behind


class Predictions(NamedTuple):
    """What the head says at the P points of all levels, fine to coarse.

    Its fields:

    - ``actionness``: Logits ``(B, P)``: something happens here.
    - ``centreness``: Logits ``(B, P)``: how well this point knows its segment.
    - ``coarse``: ``(B, P, 2)``, start and end in rows; the point lies between them.
    - ``segments``: The same after refinement; ``coarse`` itself without one.
    - ``valid``: bool ``(B, P)``: the point stands for a row that is no padding.
    """

    actionness: Tensor
    centreness: Tensor
    coarse: Tensor
    segments: Tensor
    valid: Tensor

    @property
    def score(self) -> Tensor:
        """``(B, P)`` in ``[0, 1]``: geometric mean of actionness and centreness, 0 at padding."""
        logs = F.logsigmoid(self.actionness) + F.logsigmoid(self.centreness)
        return (logs / 2).exp() * self.valid


def pyramid_points(rows: int, levels: int) -> tuple[Tensor, Tensor]:
    """Places and strides of all points over ``rows`` rows, both float32 ``(P,)``."""
    strides = [2**level for level in range(levels)]
    points = [(torch.arange(rows // s) + 0.5) * s for s in strides]
    return torch.cat(points), torch.cat([torch.full((len(p),), float(s)) for p, s in
                                         zip(points, strides, strict=True)])  # fmt: skip


def convolved(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """``conv(x)``, ``(B, C, T)`` to ``(B, C', T')``, T a multiple of the stride.

    Without gradients on a processor it is one matrix product a place of the kernel: here channels
    lie last in memory, and turning them round costs :class:`torch.nn.Conv1d` half of its time.
    """
    plain = x.is_cpu and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if torch.is_grad_enabled() or not plain or conv.bias is None:
        found: Tensor = conv(x)
        return found
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    padded = F.pad(x.transpose(1, 2), (0, 0, 1, 1))  # (B, T + 2, C)
    rows = padded.flatten(0, 1)
    y = x.new_empty(len(rows) // stride, len(conv.bias))  # a few rows mix two windows: cut away
    count = (len(rows) - kernel) // stride + 1
    for k, weight in enumerate(conv.weight.permute(2, 0, 1).contiguous()):
        seen = rows[k : k + stride * (count - 1) + 1 : stride]
        torch.addmm(y[:count] if k else conv.bias, seen, weight.T, out=y[:count])
    return y.unflatten(0, (len(x), -1))[:, : x.shape[2] // stride].transpose(1, 2)


class ConvBlock(nn.Module):
    """Convolution over time, layer norm over the channels of each row, ReLU; padding stays zero.

    The norm sees one row at a time, so what a row gives depends neither on the length of the
    window nor on how much of it is padding.

    Args:
        dim: Channels of the input.
        width: Channels of the output.
        kernel: 3 keeps the length, 4 halves it.
    """

    def __init__(self, dim: int, width: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, width, kernel, stride=1 if kernel == 3 else 2, padding=1)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """``(B, dim, T)`` and bool ``(B, T')`` to ``(B, width, T')``."""
        x = self.norm(convolved(self.conv, x).transpose(1, 2)).transpose(1, 2)
        return torch.relu(x) * valid[:, None]


class FeaturePyramid(nn.Module):
    """Features at strides 1, 2, 4, ... rows.

    Args:
        dim: Of the features.
        width: Channels inside.
        levels: L; the number of rows must be a multiple of ``2**(L - 1)``.
        layers: Transformer layers before the pyramid (thesis 5.4.1 has one).
        rows: Most rows of a window, for the position code of those layers.
        dropout: On the input, whole channels at a time.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        levels: int,
        *,
        layers: int = 0,
        rows: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout1d(dropout)
        self.project = ConvBlock(dim, width)
        heads = max(1, width // 64)
        self.layers = nn.ModuleList(Block(width, heads) for _ in range(layers))
        if layers:
            self.position = nn.Parameter(torch.randn(rows, width) * 0.01)
        self.stem = ConvBlock(width, width)
        self.down = nn.ModuleList(ConvBlock(width, width, kernel=4) for _ in range(levels - 1))

    def forward(self, features: Tensor, valid: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each level's map and which of its points are no padding.

        Args:
            features: ``(B, T, D)``.
            valid: bool ``(B, T)``; at least one row of each window.

        Returns:
            Of level l: ``(B, width, T / 2**l)`` and bool ``(B, T / 2**l)``.
        """
        x = features.transpose(1, 2) * valid[:, None]  # (B, D, T)
        x = self.project(self.dropout(x), valid)
        if self.layers:
            x = x.transpose(1, 2) + self.position[: x.shape[2]]
            # A mask that hides nothing costs a tenth of the layer.
            whole = not self.training and bool(valid.all())
            for layer in self.layers:
                x = layer(x, padding=None if whole else ~valid)
            x = x.transpose(1, 2) * valid[:, None]
        x = self.stem(x, valid)
        levels = [(x, valid)]
        for block in self.down:
            valid = valid.unflatten(1, (-1, 2)).any(2)
            x = block(x, valid)
            levels.append((x, valid))
        return levels


class AnchorFreeHead(nn.Module):
    """One head for all levels: actionness, centreness, and the distances to start and end.

    Distances are positive: ``stride * softplus(scale_l * x)`` with a learnt scale a level.

    Args:
        width: Channels of the pyramid.
        levels: Of the pyramid.
        depth: Convolutions of each of the two towers.
        refine: Move both boundaries once more, by what the finest level shows around them.
    """

    def __init__(self, width: int, levels: int, depth: int = 2, refine: bool = False) -> None:
        super().__init__()
        self.what = nn.ModuleList(ConvBlock(width, width) for _ in range(depth))
        self.where = nn.ModuleList(ConvBlock(width, width) for _ in range(depth))
        self.actionness = nn.Conv1d(width, 1, 3, padding=1)
        self.centreness = nn.Conv1d(width, 1, 3, padding=1)
        self.distances = nn.Conv1d(width, 2, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(levels))
        self.refine = BoundaryRefinement(width) if refine else None
        assert self.actionness.bias is not None and self.distances.bias is not None
        nn.init.constant_(self.actionness.bias, -math.log((1 - PRIOR) / PRIOR))
        nn.init.constant_(self.distances.bias, 2.0)  # the middle of what a level answers for

    def forward(
        self,
        pyramid: list[tuple[Tensor, Tensor]],
        span: tuple[int, int] | None = None,
        most: int | None = None,
    ) -> Predictions:
        """The levels of :class:`FeaturePyramid` to what is predicted at their points.

        Args:
            pyramid: All of it.
            span: Rows whose points are asked for, multiples of the coarsest stride; ``None``: all.
                What is said of a point does not depend on it.
            most: Of these points the so many best by score, best first; ``None``: all.
        """
        first, last = span or (0, pyramid[0][0].shape[2])
        reach = len(self.what) + 1  # points to either side that the convolutions see
        lows = [max(0, (first >> level) - reach) for level in range(len(pyramid))]
        seen = [
            (x[..., low : (last >> level) + reach], valid[:, low : (last >> level) + reach])
            for level, ((x, valid), low) in enumerate(zip(pyramid, lows, strict=True))
        ]
        found: list[tuple[Tensor, ...]] = []
        for level, (said, low) in enumerate(zip(self._said(seen), lows, strict=True)):
            acts, centre, distances, where = said
            distances = F.softplus(self.scales[level] * distances) * 2**level
            parts = (acts[:, 0], centre[:, 0], distances.transpose(1, 2), seen[level][1],
                     where.transpose(1, 2))  # fmt: skip
            asked = slice((first >> level) - low, (last >> level) - low)
            found.append(tuple(part[:, asked] for part in parts))
        actionness, centreness, distances, valid, where = (
            torch.cat(parts, 1) for parts in zip(*found, strict=True)
        )
        points = (first + pyramid_points(last - first, len(pyramid))[0]).to(distances.device)
        coarse = torch.stack([points - distances[..., 0], points + distances[..., 1]], 2)
        said = Predictions(actionness, centreness, coarse, coarse, valid)
        if most is not None:  # before the refinement, which moves no score
            best = said.score.sort(dim=1, descending=True, stable=True).indices[:, :most]
            which = torch.arange(len(best), device=best.device)[:, None], best
            said, where = Predictions(*(part[which] for part in said)), where[which]
        if self.refine is None:
            return said
        return said._replace(segments=self.refine(pyramid[0][0], where, said.coarse.detach()))

    def _said(self, levels: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, ...]]:
        """Actionness, centreness, distances and what they come from, ``(B, _, T)``, a level each.

        Without gradients all levels stand in one row, which takes a sixth of the products, and
        larger ones.
        """
        if torch.is_grad_enabled():
            return [self._towers(*level) for level in levels]
        said = self._towers(*_in_one_row(levels))
        lengths = [valid.shape[1] for _, valid in levels]
        ends = [sum(lengths[: i + 1]) + i for i in range(len(lengths))]
        return [
            tuple(x[..., end - length : end] for x in said)
            for end, length in zip(ends, lengths, strict=True)
        ]

    def _towers(self, x: Tensor, valid: Tensor) -> tuple[Tensor, ...]:
        what = where = x
        for block in self.what:
            what = block(what, valid)
        for block in self.where:
            where = block(where, valid)
        actionness, centreness = convolved(self.actionness, what), convolved(self.centreness, where)
        return actionness, centreness, convolved(self.distances, where), where


def _in_one_row(levels: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Levels one behind the other, each with a row of padding after it, which keeps them apart."""
    x = torch.cat([F.pad(x.transpose(1, 2), (0, 0, 0, 1)) for x, _ in levels], 1)
    return x.transpose(1, 2), torch.cat([F.pad(valid, (0, 1)) for _, valid in levels], 1)


class BoundaryRefinement(nn.Module):
    """Moves boundaries by what the features around them show (after C. Lin et al. 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(3 * width, width)
        self.shift = nn.Linear(width, 2)
        nn.init.zeros_(self.shift.weight)  # at first nothing moves
        nn.init.zeros_(self.shift.bias)

    def forward(self, features: Tensor, where: Tensor, coarse: Tensor) -> Tensor:
        """The moved segments; each boundary by less than half the length.

        Args:
            features: ``(B, C, T)``, the finest level.
            where: ``(B, P, C)``, what the head knows at each point.
            coarse: ``(B, P, 2)``, start and end in rows.
        """
        length = (coarse[..., 1] - coarse[..., 0])[..., None]  # (B, P, 1)
        around = torch.linspace(-MARGIN, MARGIN, SAMPLES, device=coarse.device) * length
        ends = [_strongest(features, coarse[..., k, None] + around) for k in (0, 1)]
        shift = self.shift(torch.relu(self.mix(torch.cat([where, *ends], 2))))
        return coarse + torch.tanh(shift) * length / 2


def _strongest(features: Tensor, places: Tensor) -> Tensor:
    """Largest value of each channel at some places, interpolated.

    Args:
        features: ``(B, C, T)``.
        places: ``(B, P, K)`` in rows; beyond the ends the outermost row stands.

    Returns:
        ``(B, P, C)``.
    """
    x = 2 * places / features.shape[2] - 1  # grid_sample's -1 and 1 are the outer edges
    grid = torch.stack([x, torch.zeros_like(x)], -1)  # (B, P, K, 2)
    seen = F.grid_sample(features[:, :, None], grid, padding_mode="border", align_corners=False)
    return seen.amax(3).transpose(1, 2)
