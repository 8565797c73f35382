"""The answers to the exercises of chapter 6: each states what a test here computes."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F

from exercises import answer, answers, untested
from thesislib.chapters.turbo.cost import at
from thesislib.methods.turbo_config import TurboConfig, gflops
from thesislib.nn.tokens import count_tokens
from thesislib.nn.video_vit import operations, pixel_target

TURBO = "06_turbo"
PAPER = TurboConfig.preset("paper")


def test_every_exercise_has_one_answer_and_a_test() -> None:
    assert not untested(TURBO)


@answers(TURBO, 1)
def test_pairs_of_tokens() -> None:
    whole = math.prod(PAPER.grid)
    seen, _ = count_tokens(PAPER.grid, 0.75)
    text = answer(TURBO, 1)
    assert f"${whole}^2$" in text and f"${seen}^2$" in text
    assert round(whole**2 / 1e5) == 25 and "two and a half million" in text
    assert whole**2 == 16 * seen**2 and "a sixteenth" in text


@answers(TURBO, 2)
def test_why_a_quarter() -> None:
    full, turbo = gflops(at(PAPER, 0.0, 0.0)), gflops(at(PAPER, 0.75, 0.25))
    assert 3.5 < full / turbo < 4.5
    whole = math.prod(PAPER.grid)
    attention = 12 * 2 * whole**2 * PAPER.width / 1e9
    assert attention < 0.3 * full  # a small part
    assert gflops(at(PAPER, 0.75, 0.25)) > gflops(at(PAPER, 0.75, 0.0))
    assert "the decoder has to be paid" in answer(TURBO, 2)


@answers(TURBO, 3)
def test_length_at_which_attention_costs_as_much() -> None:
    width, tokens = PAPER.width, 6 * PAPER.width
    linear = 12 * width * width
    assert operations(tokens, width, 1) / tokens - 2 * 5 * width == 2 * linear
    text = answer(TURBO, 3)
    assert f"{tokens:,} tokens" in text
    frames = tokens / (PAPER.grid[1] * PAPER.grid[2]) * PAPER.tubelet[0]
    assert f"{frames:.0f} frames" in text


@answers(TURBO, 4)
def test_both_losses_begin_near_one() -> None:
    torch.manual_seed(0)
    logits, label = torch.zeros(64, 101), torch.arange(64)
    assert abs(float(F.cross_entropy(logits, label)) / math.log(101) - 1) < 1e-6
    target = pixel_target(torch.rand(4, 8, 3, 2, 16, 16))
    assert abs(float(target.square().mean()) - 1) < 0.01
    assert "the term is 1" in answer(TURBO, 4)


@answers(TURBO, 5)
def test_clips_of_a_memory() -> None:
    seen = [
        count_tokens(replace(PAPER, seq_len=frames).grid, m)[0]
        for frames, m in ((16, 0.0), (64, 0.875))
    ]
    assert seen[0] == 2 * seen[1]
    assert f"about {8 * seen[0] // seen[1]}" in answer(TURBO, 5)
