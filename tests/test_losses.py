"""Losses against naive loops written from the thesis's equations."""

from __future__ import annotations

import math

import pytest
import torch

from thesislib.losses import (
    contrastive_accuracy,
    count_pairs,
    dense_nce,
    dense_scores,
    pair_kinds,
)

B, P, D, H, W = 3, 2, 5, 2, 3


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(B, P, D, H, W, generator=generator) for _ in range(2))


def places() -> list[tuple[int, int, int, int]]:
    return [(b, p, i, j) for b in range(B) for p in range(P) for i in range(H) for j in range(W)]


def test_loss_is_equation_2_5(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, target = pair
    total = 0.0
    for b, p, i, j in places():
        scores = {
            q: sum(float(prediction[b, p, d, i, j] * target[q[0], q[1], d, q[2], q[3]])
                   for d in range(D))
            for q in places()
        }  # fmt: skip
        normaliser = sum(math.exp(s) for s in scores.values())
        total -= math.log(math.exp(scores[(b, p, i, j)]) / normaliser)
    loss, matrix = dense_nce(prediction, target)
    assert float(loss) == pytest.approx(total / len(places()), abs=1e-5)
    assert matrix.shape == (B * P * H * W, B * P * H * W)


def test_gradient_reaches_both_sides(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction, target = (x.requires_grad_() for x in pair)
    dense_nce(prediction, target)[0].backward()
    assert prediction.grad is not None and target.grad is not None
    assert float(target.grad.abs().sum()) > 0


def test_kinds_by_definition() -> None:
    kinds = pair_kinds(B, P, H, W)
    for row, (b, p, i, j) in enumerate(places()):
        for column, (b2, p2, i2, j2) in enumerate(places()):
            if b != b2:
                expected = 0
            elif (i, j) != (i2, j2):
                expected = -3
            else:
                expected = 1 if p == p2 else -1
            assert kinds[row, column] == expected


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (64, 3, 4, 4), (5, 4, 7, 7), (3, 1, 1, 1)])
def test_ratio_of_negatives(shape: tuple[int, int, int, int]) -> None:
    """1 : (q-1) : (H'W'-1)q : (B-1)H'W'q, thesis 2.3.2."""
    batch, steps, height, width = shape
    expected = count_pairs(*shape)
    assert list(expected.values()) == [
        1,
        steps - 1,
        (height * width - 1) * steps,
        (batch - 1) * height * width * steps,
    ]
    if batch * steps * height * width > 1000:
        return
    kinds = pair_kinds(*shape)
    for name, code in {"positive": 1, "temporal": -1, "spatial": -3, "easy": 0}.items():
        assert set((kinds == code).sum(1).tolist()) == {expected[name]}


def test_accuracy_by_counting(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    scores, kinds = dense_scores(*pair), pair_kinds(B, P, H, W)
    names = {"top1": None, "top1_temporal": -1, "top1_spatial": -3, "top1_easy": 0}
    found = contrastive_accuracy(scores, kinds)
    for name, code in names.items():
        wins = 0
        for row in range(len(scores)):
            rivals = [
                float(scores[row, c])
                for c in range(len(scores))
                if c != row and (code is None or kinds[row, c] == code)
            ]
            wins += all(float(scores[row, row]) > r for r in rivals)
        assert float(found[name]) == pytest.approx(wins / len(scores))
    for k in (3, 5):
        wins = 0
        for row in range(len(scores)):
            order = sorted(range(len(scores)), key=lambda c: -float(scores[row, c]))
            wins += row in order[:k]
        assert float(found[f"top{k}"]) == pytest.approx(wins / len(scores))


def test_a_constant_network_scores_nothing() -> None:
    """Equal scores are ties, and a tie is no success."""
    same = torch.ones(B, P, D, H, W)
    found = contrastive_accuracy(dense_scores(same, same), pair_kinds(B, P, H, W))
    assert float(found["top1"]) == 0.0 and float(found["top1_temporal"]) == 0.0


def test_kinds_that_do_not_occur_are_nan() -> None:
    found = contrastive_accuracy(torch.eye(3), pair_kinds(3, 1, 1, 1))
    assert math.isnan(float(found["top1_temporal"])) and math.isnan(float(found["top1_spatial"]))
    assert float(found["top1_easy"]) == 1.0
