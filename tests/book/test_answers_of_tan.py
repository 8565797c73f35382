"""The answers to the exercises of chapter 7: each states what a test here computes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from exercises import answer, answers, untested
from thesislib.alignment_losses import alignment_nce
from thesislib.methods.tan_config import TanConfig
from thesislib.methods.tan_labels import agreement
from thesislib.nn.momentum import momentum_update

CHAPTER = "07_tan"
SMALL = TanConfig.preset("small")


def test_every_exercise_has_one_answer_and_a_test() -> None:
    assert not untested(CHAPTER)


@answers(CHAPTER, 1)
def test_pairs_of_seconds_and_sentences() -> None:
    seconds, sentences = SMALL.batch_size * SMALL.seconds, SMALL.batch_size * 12
    assert f"${seconds} \\cdot {sentences} = {seconds * sentences}$" in answer(CHAPTER, 1)


@answers(CHAPTER, 2)
def test_a_loss_that_knows_nothing() -> None:
    right = torch.zeros(1, 1, 64, dtype=torch.bool)
    right[..., 10:14] = True
    found = float(alignment_nce(torch.zeros(1, 1, 64, 1, 1), right, negatives="own", sides="text"))
    assert found == pytest.approx(math.log(16))
    assert r"$\log 16$" in answer(CHAPTER, 2) and f"${found:.2f}$" in answer(CHAPTER, 2)


@answers(CHAPTER, 3)
def test_who_agrees() -> None:
    spoken = torch.zeros(1, 1, 64, dtype=torch.bool)
    spoken[..., 40:44] = True
    windows = torch.tensor([[[20]], [[22]]])
    released = agreement(windows, spoken, SMALL.agreement, True)
    text = agreement(windows, spoken, TanConfig.preset("paper").agreement, False)
    assert not released.agree.any() and torch.equal(released.target, spoken)
    assert text.target[0, 0].nonzero().flatten().tolist() == list(range(20, 26))
    assert "keep the time of speech" in answer(CHAPTER, 3)
    assert "seconds 20 to 25" in answer(CHAPTER, 3)


@answers(CHAPTER, 4)
def test_copies_at_both_ends() -> None:
    own, copy = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    before = [p.detach().clone() for p in copy.parameters()]
    momentum_update(copy, own, 1.0)
    assert all(torch.equal(p, q) for p, q in zip(copy.parameters(), before, strict=True))
    momentum_update(copy, own, 0.0)
    assert all(torch.equal(p, q) for p, q in zip(copy.parameters(), own.parameters(), strict=True))
    assert "is the network itself" in answer(CHAPTER, 4)
    assert replace(SMALL, momentum=0.0).momentum == 0


@answers(CHAPTER, 5)
def test_the_largest_of_many() -> None:
    """Two lengths of video, and seen sentences that are a little more similar somewhere."""
    rng = np.random.default_rng(0)

    def score(length: int, seen: bool) -> float:
        return float((rng.standard_normal(length) + 2.5 * seen * (np.arange(length) < 1)).max())

    truth = [i % 2 == 0 for i in range(2000)]
    one = [score(100, seen) for seen in truth]
    mixed = [score(20 if i % 4 < 2 else 1000, seen) for i, seen in enumerate(truth)]
    short = [s for i, s in enumerate(mixed) if i % 4 < 2]
    assert np.mean(short) < np.mean(mixed)
    assert roc_auc_score(truth, mixed) < roc_auc_score(truth, one)
    assert "score higher than those of short ones" in answer(CHAPTER, 5)
