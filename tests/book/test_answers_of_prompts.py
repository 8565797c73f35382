"""The answers to the exercises of chapter 5: each states what a test here computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from exercises import answer, answers, untested
from thesislib.evaluation.recognition import harmonic_mean
from thesislib.evaluation.segments import temporal_iou
from thesislib.losses import cosine_logits
from thesislib.methods.blocks import count
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig

PROMPTS = "05_clip_prompt"
START, END = 998, 999


class Tower(nn.Module):
    """A text transformer that does nothing, of CLIP's sizes in open_clip's names."""

    pool_type = text_pool_type = "argmax"

    def __init__(self, width: int = 512, window: int = 77) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(1000, width)
        self.positional_embedding = nn.Parameter(torch.zeros(window, width))
        self.transformer = nn.Identity()
        self.ln_final = nn.Identity()
        self.text_projection = nn.Parameter(torch.eye(width))


def model(**settings: object) -> ClipPrompt:
    torch.manual_seed(0)
    return ClipPrompt(ClipPromptConfig.preset("paper").override(settings), Tower())


def name(length: int) -> torch.Tensor:
    """Ids of a text of so many tokens, numbered from 1, with its marks: ``(1, length + 2)``."""
    return torch.tensor([[START, *range(1, length + 1), END]])


def test_every_exercise_has_one_answer_and_a_test() -> None:
    assert not untested(PROMPTS)


@answers(PROMPTS, 1)
def test_how_many_numbers_learn() -> None:
    thesis = model()
    layer = count(thesis.temporal.blocks[0])
    assert layer == 12 * 512**2 + 13 * 512
    released = model(layout="as_released", code_gap=False)
    text = answer(PROMPTS, 1).replace("{,}", ",")
    for number in (layer, count(thesis), count(released)):
        assert f"{number:,}" in text
    assert "32 vectors, 16 positions and 8 gaps" in text
    assert count(thesis) == 2 * layer + 512 * (32 + 16 + 8)
    assert count(released) == 2 * layer + 512 * (77 + 16)


@answers(PROMPTS, 2)
def test_who_notices_an_order() -> None:
    features, gap = torch.randn(2, 16, 512), torch.ones(2)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    changed = []
    for layers, coded in ((0, True), (2, True), (2, False)):
        one = model(layers=layers, code_gap=False).eval()
        if layers:
            one.temporal.positions.data.mul_(100.0 if coded else 0.0)
        with torch.no_grad():
            plain, shuffled = (one.encode_video(x, gap) for x in (features, features[:, order]))
        changed.append(not torch.allclose(plain, shuffled, atol=1e-5))
    assert changed == [False, True, False]
    assert "Only with layers *and* positions" in answer(PROMPTS, 2)


@answers(PROMPTS, 3)
def test_which_rows_follow_a_name() -> None:
    text = model(layout="as_released").text
    text.vectors.data = torch.arange(77.0)[:, None].expand(77, 512) + 1000
    behind = {}
    for length in (1, 3):
        slots, end = text.lay_out(name(length))
        values = slots[0, :, 0].detach()[: int(end)]
        rows = values[values >= 1000].long() - 1000
        behind[length] = rows[rows > 16].tolist()
    assert behind[1] == list(range(18, 34)) and behind[3] == list(range(20, 36))
    assert "Rows 18 to 33 and rows 20 to 35" in answer(PROMPTS, 3)
    assert len(set(behind[1]) - set(behind[3])) == 2 and "two of sixteen" in answer(PROMPTS, 3)


@answers(PROMPTS, 4)
def test_how_low_a_loss_of_cosines_can_fall() -> None:
    video = torch.tensor([[1.0, 0.0]])
    names = torch.tensor([[1.0, 0.0]] + 15 * [[-1.0, 0.0]])
    losses = {
        tau: float(-cosine_logits(video, names, tau).log_softmax(1)[0, 0]) for tau in (1.0, 0.07)
    }
    assert losses[1.0] == pytest.approx(math.log(1 + 15 * math.exp(-2)), abs=1e-6)
    assert losses[1.0] > math.log(16) / 3 and losses[0.07] < 1e-6
    assert r"$\log(1 + 15 e^{-2})$, more than a third" in answer(PROMPTS, 4)


@answers(PROMPTS, 5)
def test_which_harmonic_mean_is_higher() -> None:
    assert harmonic_mean(0.9, 0.6) == pytest.approx(0.72)
    assert harmonic_mean(0.75, 0.75) == pytest.approx(0.75) == (0.9 + 0.6) / 2
    assert "of the first is 72, that of the second 75" in answer(PROMPTS, 5)


@answers(PROMPTS, 6)
def test_how_much_a_late_report_overlaps() -> None:
    shared = temporal_iou(np.array([10.0]), np.array([14.0]), np.array([12.0]), np.array([16.0]))
    assert float(shared.squeeze()) == pytest.approx(1 / 3)
    columns = [0.3, 0.4, 0.5, 0.6, 0.7]
    assert [float(shared.squeeze()) >= at for at in columns] == [True, False, False, False, False]
    assert "counts in the first column alone" in answer(PROMPTS, 6)
