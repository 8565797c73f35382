"""The answers to the exercises of chapter 8: each states what a test here computes."""

from __future__ import annotations

import math

import pytest

from exercises import answer, answers, untested
from thesislib.chapters.autoad import show
from thesislib.data.film_clips import cut
from thesislib.evaluation.describing import identity_recall
from thesislib.methods.autoad_config import AutoADConfig

CHAPTER = "08_autoad"
PAPER = AutoADConfig.preset("paper")


def test_every_exercise_has_one_answer_and_a_test() -> None:
    assert not untested(CHAPTER)


@answers(CHAPTER, 1)
def test_vectors_before_the_first_word() -> None:
    parts = (PAPER.latents, PAPER.context_tokens + 2, PAPER.subtitle_tokens + 2, 1)
    assert f"${' + '.join(map(str, parts))} = {sum(parts)}$" in answer(CHAPTER, 1)


@answers(CHAPTER, 2)
def test_a_loss_that_knows_nothing() -> None:
    assert r"$\log 50257$" in answer(CHAPTER, 2)
    assert f"${math.log(50257):.2f}$" in answer(CHAPTER, 2)


@answers(CHAPTER, 3)
def test_two_beams_find_a_better_sentence() -> None:
    (greedy, low), (best, high) = show.searched(1), show.searched(2)
    assert greedy.startswith("he") and best.startswith("she waves") and high > low
    assert "takes *he*" in answer(CHAPTER, 3) and "*she waves*" in answer(CHAPTER, 3)


@answers(CHAPTER, 4)
def test_sequences_of_a_film() -> None:
    starts = cut(20, 16)
    shared = sum(all(start <= clip < start + 16 for start in starts) for clip in range(20))
    text = answer(CHAPTER, 4)
    assert len(starts) == 2 and f"clips {starts[0]} and {starts[1]} and share {shared}" in text


@answers(CHAPTER, 5)
def test_who_recites_the_cast() -> None:
    cast = ("Anna", "Ben", "Clara", "Tom")
    said = " ".join(cast)
    found = identity_recall([said] * 4, [[name] for name in cast], cast).metrics
    assert found["identity_recall"] == 1 and "recall is 1" in answer(CHAPTER, 5)
    assert found["identity_precision"] == pytest.approx(1 / 4)
    assert "a quarter" in answer(CHAPTER, 5)
