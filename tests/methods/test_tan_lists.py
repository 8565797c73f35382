"""Stage 3 of TAN: lists of steps without a time."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from thesislib.methods.tan import TAN
from thesislib.methods.tan_config import TanConfig
from thesislib.methods.tan_lists import order_loss, whole_matrix

SMALL = replace(
    TanConfig.preset("small"), stage=3, seconds=16, dim=8, text_dim=8, width=16, depth=0,
    joint_depth=0, heads=2, places=32, one_space=False,
)  # fmt: skip


def paths(rows: int, columns: int) -> list[list[tuple[int, int]]]:
    """All monotone paths, by trying every step."""
    if rows == columns == 1:
        return [[(0, 0)]]
    ways = [(rows - 1, columns), (rows, columns - 1), (rows - 1, columns - 1)]
    found = itertools.chain(*(paths(*way) for way in ways if min(way)))
    return [[*path, (rows - 1, columns - 1)] for path in found]


def test_the_loss_by_trying_all_paths() -> None:
    cosines = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cost = -torch.log_softmax(cosines / 0.5, 0)
    sums = [sum(float(cost[cell]) for cell in path) for path in paths(3, 5)]
    naive = -0.3 * math.log(sum(math.exp(-one / 0.3) for one in sums)) / 5
    assert float(order_loss(cosines, 0.5, 0.3)) == pytest.approx(naive, abs=1e-9)


def test_windows_lie_side_by_side_and_the_last_ends_with_the_video() -> None:
    seen: list[int] = []

    def encoders(batch: dict[str, Tensor]) -> tuple[Any, None]:
        seen.extend(batch["video"][:, 0, 0].int().tolist())
        one = batch["video"][:, None], batch["text"][:, None]
        return SimpleNamespace(video=one[0], text=one[1]), None

    for length, starts in ((40, [0, 16, 24]), (32, [0, 16]), (9, [0])):
        seen.clear()
        video = torch.stack([torch.arange(length), torch.ones(length)], 1).float()
        found = whole_matrix(encoders, video, torch.eye(2), 16)
        assert seen == starts
        assert torch.equal(found, video.T), "each second is there once, in its place"


def test_lists_teach_when_their_steps_are_seen() -> None:
    """By what is seen, as this network has no positions; with them it learns any times by heart."""
    torch.manual_seed(0)
    steps, videos, truth = torch.randn(6, 8), [], []
    lists = [torch.randperm(6)[:3] for _ in range(16)]
    for some in lists:
        right = torch.arange(3).repeat_interleave(10)
        videos.append(steps[some][right] @ torch.roll(torch.eye(8), 1, 0) + torch.randn(30, 8) / 4)
        truth.append(right)
    batch: dict[str, Any] = {"video": videos, "text": [steps[some] for some in lists]}
    model = TAN(SMALL)

    def accuracy() -> float:
        pairs = zip(videos, batch["text"], strict=True)
        found = [whole_matrix(model.online, *pair, SMALL.seconds).argmax(0) for pair in pairs]
        return float((torch.cat(found) == torch.cat(truth)).float().mean())

    before, optimiser = accuracy(), torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(25):
        loss, logs = model(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert logs["loss"] == loss.detach()
    assert accuracy() > 0.9 > before + 0.2
