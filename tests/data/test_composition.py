"""Batches of one session: who shares a batch, over epochs, processes and restarts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from studio import SMALL, tiny
from thesislib.data.composition import Composition
from thesislib.data.dataset import ClipDataset, training_clips
from thesislib.data.loader import EpochSampler, make_loader
from thesislib.methods.dpc import DPCConfig

GROUPS = np.repeat(np.arange(6), 8)  # six sessions of eight videos


def batches(composition: Composition, epoch: int = 0) -> np.ndarray:
    order = composition.order(np.random.default_rng([0, epoch]))
    assert len(order) == len(composition)
    return order.reshape(-1, composition.batch_size)


def test_a_batch_is_one_session_and_two_clips_of_each_video() -> None:
    found = batches(Composition(GROUPS, 16, 1, 2))
    assert len(found) == 6, "every session once an epoch"
    assert sorted(GROUPS[b[0] % 48] for b in found) == list(range(6))
    for batch in found:
        assert len(set(GROUPS[batch % 48])) == 1
        assert set(Counter(batch % 48).values()) == {2}
        assert len(set(batch)) == 16, "two clips of a video are two items"


@pytest.mark.parametrize("per_batch", [1, 2, 4])
@pytest.mark.parametrize("clips", [1, 2])
def test_every_group_gives_as_many_clips(per_batch: int, clips: int) -> None:
    for batch in batches(Composition(GROUPS, 16, per_batch, clips)):
        counts = Counter(GROUPS[batch % 48])
        assert set(counts.values()) <= {16 // per_batch * k for k in range(1, per_batch + 1)}


def test_an_epoch_goes_over_all_videos() -> None:
    for per_batch, clips, passes in ((1, 2, 1), (2, 2, 1), (2, 1, 3), (4, 4, 2)):
        order = batches(Composition(GROUPS, 16, per_batch, clips, passes)).reshape(-1)
        assert set(Counter(order % 48).values()) == {clips * passes}
        assert len(set(order)) == len(order), "no item twice"


def test_a_group_that_is_too_small_gives_more_clips_of_its_videos() -> None:
    groups = np.array([0, 0, 0, 1])
    found = batches(Composition(groups, 8, 1, 1))
    assert sorted(map(len, map(set, found % 4))) == [1, 3]
    assert all(len(set(batch)) == 8 for batch in found)


def test_fewer_groups_than_asked_for_and_what_does_not_divide() -> None:
    assert Composition(np.zeros(4, int), 8, 4).part == 8, "there is one group only"
    assert Composition(GROUPS, 16, 3).part == 8, "three parts do not fill sixteen: two do"


def test_epochs_differ_and_repeat() -> None:
    composition = Composition(GROUPS, 16, 1, 2)
    assert not np.array_equal(batches(composition, 0), batches(composition, 1))
    assert np.array_equal(batches(composition, 1), batches(composition, 1))


def test_processes_get_whole_batches_and_a_restart_goes_on() -> None:
    alone = EpochSampler(48, True, 0, composition=Composition(GROUPS, 16, 1, 2))
    alone.set_epoch(3)
    whole = list(alone)
    ranks = []
    for rank in range(2):
        shared = Composition(GROUPS, 16, 1, 2, processes=2)
        sampler = EpochSampler(48, True, 0, (rank, 2), shared)
        sampler.set_epoch(3)
        ranks.append(list(sampler))
        sampler.set_epoch(3, skip=32)  # a step of both was done
        assert list(sampler) == ranks[-1][16:]
    parts = [ranks[i % 2][i // 2 * 16 : i // 2 * 16 + 16] for i in range(6)]
    assert [key for part in parts for key in part] == whole, "the same batches in the same order"


def test_the_loader_asks_the_clips(tmp_path: Path) -> None:
    manifest = tiny(tmp_path)
    config = DPCConfig().override({**SMALL, "batch_groups": 1, "batch_clips": 2, "batch_size": 8})
    clips = training_clips(manifest, config)
    loader = make_loader(clips, 8, shuffle=True, seed=0)
    videos = clips.manifest.videos
    for batch in loader:
        assert len({videos[int(i)].group for i in batch["index"]}) == 1
        assert set(Counter(batch["index"].tolist()).values()) == {2}
    held = ClipDataset(manifest.select("val"), config, train=False)
    assert held.composition(8) is None, "validation is the same question for every setting"


def test_without_groups_a_batch_is_drawn_at_large(tmp_path: Path) -> None:
    from dataclasses import replace

    manifest = tiny(tmp_path)
    bare = replace(manifest, videos=tuple(replace(v, group="") for v in manifest.videos))
    config = DPCConfig().override({**SMALL, "batch_groups": 1})
    assert training_clips(bare, config).composition(4) is None
