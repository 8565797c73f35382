"""The losses of proposals: of actionness, and of segments of time (thesis chapter 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def focal_loss(logits: Tensor, truth: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Binary cross-entropy in which what is already right counts little (T.-Y. Lin et al. 2017).

    Args:
        logits: Any shape.
        truth: The same shape, 0 or 1.
        alpha: Weight of the ones; the zeros have ``1 - alpha``.
        gamma: How little: ``(1 - p)**gamma``, with p the probability of the truth.

    Returns:
        One loss an element.
    """
    truth = truth.to(logits.dtype)
    log_p = -F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    weight = alpha * truth + (1 - alpha) * (1 - truth)
    return -weight * (1 - log_p.exp()) ** gamma * log_p


def segment_iou(one: Tensor, other: Tensor) -> Tensor:
    """Temporal IoU of segments in pairs.

    Args:
        one: ``(..., 2)``, start and end, in any unit of time.
        other: The same shape.

    Returns:
        ``(...)`` in ``[0, 1]``; 0 where both are empty.
    """
    return _overlap(one, other)[0]


def segment_iou_loss(prediction: Tensor, truth: Tensor) -> Tensor:
    """1 - generalised IoU of segments in pairs (Rezatofighi et al. 2019, over time).

    Where both contain a common point this is 1 - IoU. Where they lie apart, IoU is 0 whatever one
    does; the share of their common span that neither covers still tells which way to go.

    Args:
        prediction: ``(..., 2)``, start and end.
        truth: The same shape.

    Returns:
        ``(...)`` in ``[0, 2)``.
    """
    iou, gap = _overlap(prediction, truth)
    return 1 - iou + gap


def _overlap(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """IoU, and the share of the span of both that neither covers."""
    apart = torch.maximum(one[..., 0], other[..., 0]) - torch.minimum(one[..., 1], other[..., 1])
    span = torch.maximum(one[..., 1], other[..., 1]) - torch.minimum(one[..., 0], other[..., 0])
    lengths = (one[..., 1] - one[..., 0]) + (other[..., 1] - other[..., 0])
    shared = (-apart).clamp(min=0)
    tiny = torch.finfo(one.dtype).tiny
    return shared / (lengths - shared).clamp(min=tiny), apart.clamp(min=0) / span.clamp(min=tiny)
