"""Class-agnostic action proposals on frozen features: the first stage of thesis 5.4.3.

The thesis finds where something happens with detectors off the shelf (5.4.1), then says by prompts
what it is. It does "not innovate on such candidate proposal procedures", and nor does this: an
anchor-free detector on a feature pyramid. It never sees which class a segment has.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.config import RunConfig
from thesislib.errors import ThesisError, choose
from thesislib.fields import (
    Channels,
    Count,
    Frames,
    Layers,
    MaybeLayers,
    Natural,
    Positive,
    Share,
    between,
    one_of,
)
from thesislib.nn.feature_pyramid import (
    AnchorFreeHead,
    FeaturePyramid,
    Predictions,
    pyramid_points,
)
from thesislib.segment_losses import focal_loss, segment_iou, segment_iou_loss

POSITIVE, NEGATIVE, IGNORED = 1, 0, -1
UNSEEN = ("ignore", "background")


@dataclass(frozen=True)
class ProposalConfig(RunConfig):
    """Settings of the detector and of its windows (presets: small, gpu, paper, as_released)."""

    optimiser: str = "adamw"
    dim: Channels = 512  # of the frozen features
    every: Count = 1  # look at every so manieth row
    window: Frames = 768  # rows that the detector sees at once
    whole: bool = False  # stretch each video to one window, whatever its length
    least_seen: Share = 0.5  # share of a segment that a window must hold to learn it; else ignored
    # Segments of classes that are not to be learnt: ignore, or background.
    unseen: Annotated[str, one_of("treatment of unseen classes", UNSEEN)] = "ignore"
    # Windows of an epoch at least: a small set is passed over several times.
    min_windows: Natural = 0
    width: Channels = 256  # channels of pyramid and head
    levels: Annotated[int, between(1, 16)] = 6  # of the pyramid, at strides 1, 2, 4, ...
    layers: MaybeLayers = 0  # Transformer layers before it
    depth: Layers = 2  # convolutions of each tower of the head
    dropout: Share = 0.1  # of input channels
    refine: bool = False  # move the boundaries a second time
    reach: Positive = 4.0  # farthest boundary that a point answers for, in strides of its level
    radius: Positive = 1.5  # farthest from a segment's centre that a point learns it, in strides
    # What it learns: the IoU reached, or "place": nearness to the centre.
    centreness: Annotated[str, one_of("centreness", ("iou", "place"))] = "iou"
    top: Count = 100  # proposals kept a window

    def __post_init__(self) -> None:
        super().__post_init__()
        coarsest = 4 * 2 ** (self.levels - 1)  # a window's margins are a quarter of it
        if self.window % coarsest:
            raise ThesisError(
                f"window={self.window} must be a multiple of {coarsest} with levels={self.levels}: "
                f"take {math.ceil(self.window / coarsest) * coarsest}, or fewer levels."
            )

    @classmethod
    def preset(cls, name: str) -> Self:
        """``small``, ``gpu``, ``paper`` or ``as_released``.

        ``paper`` is for ActivityNet: each video is stretched to 768 rows, as in the detector that
        the thesis names; its authors say no more (and released no detector: ``as_released`` is
        the same). For THUMOS14 take windows of its rows: ``whole=0``.
        """
        paper = cls(
            profile="paper", dataset="activitynet", epochs=20, batch_size=16, lr=1e-4,
            weight_decay=1e-3, clip_grad=1.0, schedule="cosine", warmup=500, whole=True,
            width=512, refine=True, layers=1, window=768, levels=6,
        )  # fmt: skip
        presets = {
            "small": cls(
                dataset="synthetic_untrimmed", epochs=20, batch_size=16, lr=2e-3, warmup=20,
                weight_decay=1e-2, clip_grad=1.0, schedule="cosine", num_workers=0, dim=128,
                window=128, levels=5, width=64, min_windows=320, top=50,
            ),
            "gpu": cls(
                profile="gpu", dataset="synthetic_untrimmed", epochs=30, batch_size=32, lr=1e-3,
                warmup=100, weight_decay=1e-2, clip_grad=1.0, schedule="cosine", precision="bf16",
                window=256, levels=6, min_windows=2000,
            ),
            "paper": paper,
            "as_released": replace(paper, profile="as_released"),
        }  # fmt: skip
        return presets[choose("preset", name, presets)]


class Targets(NamedTuple):
    """What the P points of one window learn.

    Its fields:

    - ``kind``: int8 ``(P,)``: :data:`POSITIVE`, :data:`NEGATIVE` or :data:`IGNORED`.
    - ``segments``: ``(P, 2)``, the segment that a positive point answers for; else zeros.
    """

    kind: Tensor
    segments: Tensor


def assign(
    points: Tensor,
    strides: Tensor,
    segments: Tensor,
    ignored: Tensor,
    reach: float,
    radius: float,
) -> Targets:
    """Which point learns which segment.

    A point learns a segment that it lies in, whose centre is at most ``radius`` strides away, and
    whose farther boundary is as far as its level answers for: the finest level up to ``reach``
    strides, each other one from half of that to ``reach`` strides, the coarsest without end. Of
    several it learns the shortest.

    Args:
        points: ``(P,)``, see :func:`~thesislib.nn.feature_pyramid.pyramid_points`.
        strides: ``(P,)``.
        segments: ``(G, 2)``, start and end in rows; G may be 0.
        ignored: ``(I, 2)``: points in these learn nothing, unless they learn a segment.
        reach: In strides.
        radius: In strides.
    """
    kind = torch.full((len(points),), NEGATIVE, dtype=torch.int8, device=points.device)
    kind[_inside(points, ignored).any(1)] = IGNORED
    chosen = torch.zeros(len(points), 2, device=points.device)
    if len(segments):
        start, end = segments.T
        near = (points[:, None] - (start + end) / 2).abs() <= radius * strides[:, None]
        farther = torch.maximum(points[:, None] - start, end - points[:, None])
        least = torch.where(strides == 1, 0.0, reach * strides / 2)
        most = torch.where(strides == strides.max(), torch.inf, reach * strides)
        fits = (farther >= least[:, None]) & (farther < most[:, None])
        fits &= near & _inside(points, segments)
        length, index = (end - start).expand(len(points), -1).masked_fill(~fits, torch.inf).min(1)
        learns = length.isfinite()
        kind[learns] = POSITIVE
        chosen[learns] = segments[index[learns]].to(chosen)
    return Targets(kind, chosen)


def _inside(points: Tensor, segments: Tensor) -> Tensor:
    """bool ``(P, G)``: the point lies strictly between start and end."""
    return (points[:, None] > segments[:, 0]) & (points[:, None] < segments[:, 1])


def nearness(points: Tensor, segments: Tensor) -> Tensor:
    """Centreness by place (Tian et al., FCOS): 1 at the centre of a segment, 0 at its boundaries.

    Args:
        points: ``(P,)``, each inside its segment.
        segments: ``(P, 2)``.
    """
    before, behind = points - segments[:, 0], segments[:, 1] - points
    return (torch.minimum(before, behind) / torch.maximum(before, behind)).sqrt()


class ProposalDetector(nn.Module, PyTorchModelHubMixin):
    """Pyramid and head on frozen features that are first brought to mean 0 and deviation 1.

    Shapes: features ``(B, T, D)`` with T a multiple of ``2**(levels - 1)``, valid bool ``(B, T)``.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: ProposalConfig):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("deviation", torch.ones(config.dim))
        self.pyramid = FeaturePyramid(
            config.dim, config.width, config.levels,
            layers=config.layers, rows=config.window, dropout=config.dropout,
        )  # fmt: skip
        self.head = AnchorFreeHead(config.width, config.levels, config.depth, config.refine)

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Says what the features are like, each ``(D,)``; those that never vary are left alone.

        Features of image-text models share one large mean, beside which their differences drown.
        """
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def predict(
        self,
        features: Tensor,
        valid: Tensor,
        span: tuple[int, int] | None = None,
        most: int | None = None,
    ) -> Predictions:
        """What the head says of a batch of windows, or of the best points of ``span`` in each.

        Shapes are the class's, ``span`` and ``most`` those of
        :class:`~thesislib.nn.feature_pyramid.AnchorFreeHead`.
        """
        if features.shape[-1] != self.config.dim:
            raise ThesisError(
                f"The detector was made for features of {self.config.dim} numbers, these have "
                f"{features.shape[-1]}: set dim={features.shape[-1]} and train it on them."
            )
        x = (features - self.mean) / self.deviation
        return self.head(self.pyramid(x, valid), span, most)

    def targets(self, batch: dict[str, Any]) -> Targets:
        """What all points of a batch learn: kind ``(B, P)``, segments ``(B, P, 2)``."""
        config, features = self.config, batch["features"]
        points, strides = (
            x.to(features.device) for x in pyramid_points(features.shape[1], config.levels)
        )
        pairs = zip(batch["segments"], batch["ignored"], strict=True)
        found = [assign(points, strides, s, i, config.reach, config.radius) for s, i in pairs]
        kinds, segments = zip(*found, strict=True)
        return Targets(torch.stack(kinds), torch.stack(segments))

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch of windows.

        Args:
            batch: ``features`` float32 ``(B, T, D)``, ``valid`` bool ``(B, T)``; ``segments`` and
                ``ignored``, B tensors ``(G, 2)`` of starts and ends in rows, G from 0.

        Returns:
            Actionness (focal) + boundaries (1 - IoU, and again after refinement) + centreness
            (cross-entropy), each a sum over points divided by the number of positive points.
        """
        found, targets = self.predict(batch["features"], batch["valid"]), self.targets(batch)
        learns = found.valid & (targets.kind != IGNORED)
        positive = learns & (targets.kind == POSITIVE)
        count = positive.sum().clamp(min=1)
        actionness = focal_loss(found.actionness[learns], positive[learns]).sum() / count
        truth, segments = targets.segments[positive], found.segments[positive]
        boundaries = segment_iou_loss(found.coarse[positive], truth).sum() / count
        if self.config.refine:
            boundaries = boundaries + segment_iou_loss(segments, truth).sum() / count
        iou = segment_iou(segments.detach(), truth)
        goal = iou
        if self.config.centreness == "place":
            points = pyramid_points(batch["features"].shape[1], self.config.levels)[0].to(truth)
            goal = nearness(points.expand_as(positive)[positive], truth)
        centreness = F.binary_cross_entropy_with_logits(
            found.centreness[positive], goal, reduction="sum"
        )
        loss = actionness + boundaries + centreness / count
        logs = {
            "loss": loss.detach(),
            "actionness": actionness.detach(),
            "positives": positive.sum(1).float().mean(),
        }
        if len(iou):  # a window of the batch has a segment
            logs["iou"] = iou.mean()
        return loss, logs


def moments(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each of the D numbers over the rows ``(N, D)`` of all videos."""
    count = sum(len(r) for r in rows)
    mean = sum((r.double().sum(0) for r in rows), torch.zeros(())) / count
    square = sum(((r.double() - mean).square().sum(0) for r in rows), torch.zeros(())) / count
    return mean.float(), square.sqrt().float()


CONFIG, MODEL = ProposalConfig, ProposalDetector
