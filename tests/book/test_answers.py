"""The answers to the exercises: each states what a test here computes, on tiny tensors and videos.

``@answers(chapter, number)`` says which exercise a test belongs to.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from conftest import REPO
from exercises import answer, answers, untested

sys.path.insert(0, str(REPO / "tests"))
import studio
from thesislib.chapters import blocks, pictures
from thesislib.chapters.coclr import show
from thesislib.chapters.row import Job
from thesislib.chapters.world.rows import ROWS
from thesislib.data.manifest import Manifest, Video
from thesislib.ledger import Entry, Ledger
from thesislib.losses import (
    count_pairs,
    dense_nce,
    multi_instance_nce,
    pair_kinds,
    queue_logits,
    uber_nce,
)
from thesislib.methods.coclr import CoCLR
from thesislib.methods.coclr_config import CoCLRConfig
from thesislib.methods.dpc import DPCConfig
from thesislib.nn.momentum import FeatureQueue, shuffled_encode, split_encode
from thesislib.synthetic.actions import PAIRS, perform
from thesislib.synthetic.figure import Body
from thesislib.synthetic.motion import Take, joints_of
from thesislib.train import seed_everything

PRIMER, COCLR = "01_primer", "04_coclr"


@pytest.mark.parametrize("chapter", [PRIMER, COCLR])
def test_every_exercise_has_one_answer_and_a_test(chapter: str) -> None:
    assert not untested(chapter)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return studio.tiny(tmp_path_factory.mktemp("answers"))


# -- chapter 1 -----------------------------------------------------------------------------


@answers(PRIMER, 1)
def test_what_the_seed_draws(films: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = SimpleNamespace(contact_sheet=lambda rows, *rest, **more: np.stack(rows))
    for module in (pictures, blocks):
        monkeypatch.setattr(module, "viz", keep)
    configs = [replace(DPCConfig().override(studio.SMALL), seed=seed) for seed in (0, 1)]
    colours = [pictures.augmentation_picture(films, c, seed=c.seed) for c in configs]
    decoded, once, each = (np.array_equal(a, b) for a, b in zip(*colours, strict=True))
    assert decoded and not once and not each
    assert np.array_equal(*(blocks.clip_picture(films, c) for c in configs))
    drawn = []
    for config in configs:
        seed_everything(config.seed)
        drawn.append(torch.randn(2, 3, 8, 2, 2))
    assert not torch.equal(*drawn), "the scores; their kinds are counted, without a draw"


@answers(PRIMER, 2)
def test_temporal_pairs_of_four_predicted_blocks() -> None:
    counted = count_pairs(2, 4, 2, 2)["temporal"]
    row = pair_kinds(2, 4, 2, 2)[0]
    assert counted == int((row == -1).sum())
    assert answer(PRIMER, 2).startswith({2: "Two", 3: "Three", 4: "Four"}[counted])


@answers(PRIMER, 3)
@pytest.mark.parametrize("seed", range(3))
def test_perfect_guesses_cost_something(seed: int) -> None:
    seed_everything(seed)
    target = torch.randn(2, 3, 8, 2, 2)
    guess = target.clone().requires_grad_()
    loss, scores = dense_nce(guess, target)
    loss.backward()
    loss, scores = loss.detach(), scores.detach()
    assert float(loss) > 0.1
    strangers = scores.argmax(1) != torch.arange(len(scores))
    assert strangers.any(), "a long stranger scores higher than the truth"
    past, fewer = guess.detach() - 3 * guess.grad, target[:1]
    assert float(dense_nce(past, target)[0]) < float(loss)
    assert float(dense_nce(fewer, fewer)[0]) < float(loss)
    # Past the truth and away from the rest: the step lowers the scores of strangers.
    mine = torch.eye(len(scores), dtype=torch.bool)
    before, after = scores.softmax(1), dense_nce(past, target)[1].softmax(1)
    assert after[mine].sum() > before[mine].sum()


@answers(PRIMER, 4)
@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_counterparts_have_the_same_poses(pair: tuple[str, str]) -> None:
    paths = []
    for name in pair:
        take = Take(64, 1.0, 1.0, 0.3, Body(), np.random.default_rng(0))
        paths.append(joints_of(perform(name, take), take.body))
    np.testing.assert_allclose(paths[0], paths[1][::-1], atol=1e-9)
    (named,) = re.findall(r"\*(supervised[^*]+)\*", answer(PRIMER, 4))
    assert any(row.name.startswith(named) for row in ROWS.values())


# -- chapter 4 -----------------------------------------------------------------------------

TINY = CoCLRConfig(
    objective="coclr", width=0.02, mixed=("3b", "4b", "5b"), size=33, num_seq=1, seq_len=8,
    batch_size=4, queue=12, dim=8, topk=3,
)  # fmt: skip


def unit(*shape: int, seed: int) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return F.normalize(x, dim=1)


@answers(COCLR, 1)
def test_the_answer_on_fifty_is_the_ledgers(
    films: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entries(row: str, right: float, probe: float) -> list[Entry]:
        metrics = {"precision_rgb_cycle2": right, "probe_top1": probe}
        return [
            Entry(f"coclr/{row}", "coclr", "small", "synthetic_rooms", seed, metrics)
            for seed in range(3)
        ]

    job = Job("coclr/coclr-rgb", log=None)
    monkeypatch.setattr(show, "read_manifest", lambda name: films)  # of four actions
    empty = classmethod(lambda cls, results=None: Ledger())
    monkeypatch.setattr(Ledger, "load", empty)
    assert "does not hold" in show.topk_answer(job)
    both = Ledger(entries("coclr-rgb", 0.8, 0.85) + entries("coclr-rgb-k50", 0.2, 0.7))
    monkeypatch.setattr(Ledger, "load", classmethod(lambda cls, results=None: both))
    text = show.topk_answer(job)
    assert "80 % of five" in text and "20 % of fifty, over 3 seeds" in text
    assert "85.0 against 70.0" in text
    # A queue of 128 holds 32 keys of each of four actions: of fifty no more than 32 can be right.
    assert "128 keys holds about 32 of each of 4" in text and "than 64 % could be" in text
    assert answer(COCLR, 1) == "{glue:text}`topk_answer`"


def miner() -> CoCLR:
    """In training, with a full queue whose features are the same in both streams."""
    torch.manual_seed(0)
    model = CoCLR(TINY).train()
    model.queue.source.copy_(100 + torch.arange(TINY.queue))
    model.queue.features[1] = model.queue.features[0]
    return model


@answers(COCLR, 2)
def test_who_mines_for_oneself_finds_the_largest_logits() -> None:
    model, query, view = miner(), unit(4, 8, seed=1), unit(4, 8, seed=2)
    batch = {"index": torch.arange(4), "label": torch.arange(4)}
    found, _ = model.positives(batch, query)
    logits = queue_logits(query, view, model.queue.features[0], 0.07)
    largest = logits[:, 1:].topk(TINY.topk, dim=1).indices.sort().values
    assert torch.equal(found.nonzero()[:, 1].reshape(4, -1), largest)
    other, _ = model.positives(batch, view)
    assert not torch.equal(found, other), "a second view brings something new"
    model.queue.label.copy_(torch.arange(TINY.queue))
    again, _ = model.positives(batch, query)
    assert torch.equal(found, again), "right or wrong, it does not look at labels"


@answers(COCLR, 3)
def test_one_part_on_one_device_is_not_shuffled() -> None:
    def normalised(clips: Tensor) -> Tensor:
        return clips - clips.mean(0)

    clips, state = unit(8, 3, seed=3), torch.random.get_rng_state()
    one = shuffled_encode(normalised, clips, splits=1)
    assert torch.equal(one, normalised(clips)), "as it stands, among the queries' companions"
    assert torch.equal(state, torch.random.get_rng_state()), "nothing was drawn"
    torch.manual_seed(0)
    draws = [shuffled_encode(normalised, clips, splits=2) for _ in range(2)]
    assert not torch.allclose(*draws), "other companions in each step"
    assert not torch.allclose(draws[0], split_encode(normalised, clips, 2))


@answers(COCLR, 4)
def test_confusions_are_counted_and_the_studio_is_silent(films: Manifest) -> None:
    names = ("wave", "wave", "sit_down", "squat")
    videos = [Video(f"{i}.mp4", name, "train", "", 9, 9.0, 8, 8) for i, name in enumerate(names)]
    order = {"flow": np.array([[1, 2], [0, 2], [0, 3], [2, 0]])}
    text = show.confused_reading(show.Mined(videos, np.array([0, 0, 1, 2]), order))
    assert "Of the 8 neighbours" in text and "6 show another action" in text
    assert "sit down and wave (3 times), sit down and squat (2 times)" in text
    alone = show.Mined(videos[:2], np.array([0, 0]), {"flow": np.array([[1], [0]])})
    assert "no labels" in show.confused_reading(alone)
    with av.open(str(films.file(films.videos[0]))) as film:
        assert film.streams.video and not film.streams.audio
    assert "silent" in answer(COCLR, 4)


@answers(COCLR, 5)
def test_two_positives_of_equal_and_of_unequal_score() -> None:
    logits, mask = torch.full((1, 41), -60.0), torch.zeros(1, 41, dtype=torch.bool)
    mask[0, :2], logits[0, :2] = True, 0
    assert float(uber_nce(logits, mask)) == pytest.approx(math.log(2), abs=1e-5)
    assert float(multi_instance_nce(logits, mask)) == pytest.approx(0, abs=1e-5)
    for gap in (30.0, 60.0):
        logits[0, 1] = -gap
        assert float(uber_nce(logits, mask)) == pytest.approx(gap / 2, abs=1e-3)
        assert float(multi_instance_nce(logits, mask)) == pytest.approx(0, abs=1e-5)
    assert r"$\log 2$" in answer(COCLR, 5) and "half of the gap" in answer(COCLR, 5)


def test_a_positive_is_pulled_by_its_share_among_the_positives() -> None:
    """What the page says of the sum inside the logarithm."""
    logits = torch.tensor([[2.0, -3.0, 1.0, 0.5]], requires_grad=True)
    mask = torch.tensor([[True, True, False, False]])
    (slope,) = torch.autograd.grad(multi_instance_nce(logits, mask), logits)
    share = logits.detach()[:, :2].softmax(1)
    torch.testing.assert_close(-slope[:, :2], share - logits.detach().softmax(1)[:, :2])
    assert -slope[0, 1] < 0.01 < -slope[0, 0]


@answers(COCLR, 6)
@pytest.mark.parametrize(("size", "batch"), [(12, 4), (128, 32), (10, 4)])
def test_when_a_queue_is_full_and_how_old_its_keys_are(size: int, batch: int) -> None:
    queue, steps, unlabelled = FeatureQueue(size, 3), 0, torch.full((batch,), -1)
    while not queue.full:
        steps += 1
        queue.enqueue(torch.zeros(1, batch, 3), torch.full((batch,), steps), unlabelled)
    assert steps == math.ceil(size / batch)
    assert 1 in queue.source, "the oldest key comes from the first step"
    if size % batch == 0:
        queue.enqueue(torch.zeros(1, batch, 3), torch.full((batch,), 0), unlabelled)
        assert 1 not in queue.source and 2 in queue.source, "it lived for as many steps"
