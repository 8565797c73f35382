"""The answers to the exercises of chapters 2 and 3: each states what a test here computes."""

from __future__ import annotations

import itertools
import math
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from conftest import REPO
from exercises import answer, answers, untested

sys.path.insert(0, str(REPO / "tests"))
from thesislib.chapters import blocks, run
from thesislib.chapters.dpc import show as dpc
from thesislib.chapters.memdpc import show as memdpc
from thesislib.chapters.row import Job
from thesislib.data.composition import Composition
from thesislib.ledger import Entry, Ledger
from thesislib.losses import count_pairs, dense_nce
from thesislib.methods.memdpc import memory_use

DPC, MEMDPC = "02_dpc", "03_memdpc"
WORDS = {6: "six", 16: "sixteen", 8: "eight"}


@pytest.mark.parametrize("chapter", [DPC, MEMDPC])
def test_every_exercise_has_one_answer_and_a_test(chapter: str) -> None:
    assert not untested(chapter)


# -- chapter 2 -----------------------------------------------------------------------------


@answers(DPC, 1)
@pytest.mark.parametrize(("pooled", "text"), [(0.2, "by 10.0 points"), (0.4, "None loses")])
def test_the_costliest_ablation_is_the_ledgers(
    pooled: float, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = {"5pred3": 0.3, "pooled": pooled, "parallel": 0.35}
    entries = [
        Entry(f"dpc/{row}", "dpc", "small", "synthetic", seed, {"finetune_top1": share + seed / 50})
        for row, share in shares.items()
        for seed in range(2)
    ]
    monkeypatch.setattr(Ledger, "load", classmethod(lambda cls, results=None: Ledger(entries)))
    said = dpc.costliest(Job("dpc/5pred3", log=None))
    assert text in said and "over 2 seeds" in said and "differ by up to 2.0" in said
    assert answer(DPC, 1).endswith("{glue:text}`costliest`")


@answers(DPC, 2)
def test_chance_with_five_predicted_blocks() -> None:
    three, five = (
        blocks.chance(Job("dpc/5pred3", changes={"pred_step": steps, "num_seq": steps + 3}))
        for steps in (3, 5)
    )
    assert 1 / three["temporal"] == pytest.approx(3) and 1 / five["temporal"] == pytest.approx(5)
    assert three["all"] / five["all"] == pytest.approx(5 / 3)
    temporal = count_pairs(2, 5, 2, 2)["temporal"]
    assert temporal == 4 and "four other times" in answer(DPC, 2)
    assert "a third to a fifth" in answer(DPC, 2) and "five thirds" in answer(DPC, 2)


@answers(DPC, 3)
@pytest.mark.parametrize(("groups", "other"), [(1, (1, 14, 0)), (2, (1, 6, 8))])
def test_who_is_in_a_batch(groups: int, other: tuple[int, int, int]) -> None:
    config = run.settings(Job("dpc/5pred3"))
    of = np.repeat(np.arange(4), 8)  # four sessions of eight videos
    drawn = Composition(of, config.batch_size, groups, config.batch_clips)
    order = drawn.order(np.random.default_rng(0)).reshape(-1, config.batch_size) % len(of)
    for batch in order:
        for place, video in enumerate(batch):
            rest = np.delete(batch, place)
            same, session = rest == video, of[rest] == of[video]
            assert (same.sum(), (session & ~same).sum(), (~session).sum()) == other
    assert answer(DPC, 3).startswith("Eight") and "six of the same session" in answer(DPC, 3)


@answers(DPC, 4)
def test_the_symmetric_loss_reads_the_scores_the_other_way() -> None:
    torch.manual_seed(0)
    guess, truth = torch.randn(2, 2, 3, 8, 2, 2)
    loss, scores = dense_nce(guess, truth)
    back, turned = dense_nce(truth, guess)
    torch.testing.assert_close(turned, scores.T)
    assert not torch.isclose(loss, back), "in general the two differ"
    diagonal = torch.arange(len(scores))
    torch.testing.assert_close(back, F.cross_entropy(scores.T, diagonal))
    alike, mirrored = dense_nce(truth, truth)
    torch.testing.assert_close(mirrored, mirrored.T)
    torch.testing.assert_close(alike, F.cross_entropy(mirrored.T, diagonal))


@answers(DPC, 5)
def test_a_video_that_is_a_group_of_its_own_fills_a_batch() -> None:
    config = run.settings(Job("dpc/5pred3"))
    drawn = Composition(np.arange(5), config.batch_size, config.batch_groups, config.batch_clips)
    order = drawn.order(np.random.default_rng(0)).reshape(-1, config.batch_size)
    assert all(len(set(batch % 5)) == 1 for batch in order)
    assert config.batch_size == 16 and f"{WORDS[16]} clips of one video" in answer(DPC, 5)


# -- chapter 3 -----------------------------------------------------------------------------


@answers(MEMDPC, 1)
def test_six_slots_are_enough_for_sixteen_even_mixtures() -> None:
    def addresses(slots: int) -> int:
        return slots + len(list(itertools.combinations(range(slots), 2)))

    least = next(slots for slots in itertools.count(1) if addresses(slots) >= 16)
    assert (least, addresses(least), addresses(least - 1)) == (6, 21, 15)
    assert f"two, {WORDS[least]} slots are enough" in answer(MEMDPC, 1)
    assert "twenty-one" in answer(MEMDPC, 1) and "fifteen" in answer(MEMDPC, 1)


@answers(MEMDPC, 2)
def test_perplexity_of_one_slot_and_of_all() -> None:
    one = F.one_hot(torch.tensor([[[[3]]]]), 8).movedim(-1, 2)  # (B, P, S, h, w)
    alike = torch.full((1, 1, 8, 1, 1), 1 / 8)
    assert float(memory_use(one)["address_perplexity"]) == pytest.approx(1)
    assert float(memory_use(alike)["address_perplexity"]) == pytest.approx(8)
    assert answer(MEMDPC, 2).startswith("One, and the number of slots.")


@answers(MEMDPC, 3)
def test_the_extremes_of_a_temperature() -> None:
    torch.manual_seed(0)
    scores, memory = torch.randn(4, 8), torch.randn(8, 5)
    cold, hot = (torch.softmax(scores / t, 1) for t in (1e-4, 1e4))
    torch.testing.assert_close(cold @ memory, memory[scores.argmax(1)])
    torch.testing.assert_close(hot @ memory, memory.mean(0).expand(4, 5), atol=1e-3, rtol=0)
    assert math.isclose(float(cold.max()), 1) and "the mean of the memory" in answer(MEMDPC, 3)


@answers(MEMDPC, 4)
def test_the_answer_on_mistakes_is_the_ledgers(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = {"rgb": "1100", "flow": "1010", "2stream": "1110"}
    entries = [
        Entry(f"memdpc/{row}", "memdpc", "small", "synthetic", 0, {}, hits={"finetune_top1": text})
        for row, text in hits.items()
    ]
    monkeypatch.setattr(Ledger, "load", classmethod(lambda cls, results=None: Ledger(entries)))
    said = memdpc.mistakes_reading(Job("memdpc/rgb", log=None))
    assert "both are wrong on 25.0 %" in said and "it is right on 75.0 %" in said
    assert answer(MEMDPC, 4) == "{glue:text}`mistakes_reading`"
