"""Losses of segments and of actionness against loops and numbers."""

from __future__ import annotations

import math

import pytest
import torch

from thesislib.segment_losses import focal_loss, segment_iou, segment_iou_loss


def test_focal_loss_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, generator=generator) * 3
    truth = torch.rand(50, generator=generator) > 0.7
    found = focal_loss(logits, truth, alpha=0.3, gamma=1.5)
    for x, y, value in zip(logits.tolist(), truth.tolist(), found.tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        right, weight = (p, 0.3) if y else (1 - p, 0.7)
        assert value == pytest.approx(-weight * (1 - right) ** 1.5 * math.log(right), rel=1e-4)


def overlap(a: list[float], b: list[float]) -> tuple[float, float]:
    """IoU and gap over span, counted on a grid of thousandths."""
    inside = lambda s, k: round(1000 * s[0]) <= k < round(1000 * s[1])  # noqa: E731
    ticks = range(round(1000 * min(a[0], b[0])), round(1000 * max(a[1], b[1])))
    both = sum(inside(a, k) and inside(b, k) for k in ticks)
    some = sum(inside(a, k) or inside(b, k) for k in ticks)
    return both / some, (len(ticks) - some) / len(ticks)


def test_iou_and_its_loss_are_counted() -> None:
    generator = torch.Generator().manual_seed(1)
    one, other = (
        (torch.rand(40, 2, generator=generator) * 3).round(decimals=3).sort(1).values
        for _ in range(2)
    )
    iou, loss = segment_iou(one, other), segment_iou_loss(one, other)
    for k in range(40):
        shared, gap = overlap(one[k].tolist(), other[k].tolist())
        assert float(iou[k]) == pytest.approx(shared, abs=1e-4)
        assert float(loss[k]) == pytest.approx(1 - shared + gap, abs=1e-4)


@pytest.mark.parametrize(
    ("one", "other", "iou", "loss"),
    [
        ((0, 4), (0, 4), 1, 0),
        ((0, 4), (2, 6), 2 / 6, 4 / 6),
        ((0, 1), (3, 4), 0, 1.5),
        ((0, 1), (1, 2), 0, 1),
        ((2, 2), (2, 2), 0, 1),  # of no length: no division by zero
    ],
)
def test_iou_of_known_segments(one: tuple, other: tuple, iou: float, loss: float) -> None:
    a, b = (torch.tensor(s, dtype=torch.float32) for s in (one, other))
    assert float(segment_iou(a, b)) == pytest.approx(iou)
    assert float(segment_iou_loss(a, b)) == pytest.approx(loss)


def test_segments_that_lie_apart_still_pull() -> None:
    segment = torch.tensor([0.0, 1.0], requires_grad=True)
    segment_iou_loss(segment, torch.tensor([5.0, 6.0])).backward()
    assert segment.grad is not None and segment.grad[1] < 0  # a later end is better
