"""Pictures with captions from many worlds."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.synthetic import DEFAULT_ACTIONS
from thesislib.synthetic.facts import facts_of
from thesislib.synthetic.pairs import (
    LENGTH,
    MOST,
    QUALITY,
    SEED,
    Pairs,
    film_group,
    pairs,
    world_of,
)
from thesislib.synthetic.render import clip_spec, paint_clip, staged
from thesislib.synthetic.untrimmed import SEED as UNTRIMMED_SEED


@pytest.fixture(scope="module")
def few() -> Pairs:
    return pairs(groups=3, videos=4, frames=5, size=32, jobs=1)


def test_numbers_and_facts_belong_together(few: Pairs) -> None:
    assert (len(few), len(few.facts), few.frames, few.videos) == (60, 12, 5, 4)
    assert all(len(facts.states) == 5 for facts in few.facts)
    assert [few.group(i) for i in (0, 19, 20, 59)] == [0, 0, 1, 2]
    assert few.action(7) == few.facts[1].action in DEFAULT_ACTIONS
    for group in range(3):
        same = few.facts[group * 4 : group * 4 + 4]
        assert len({facts.action for facts in same}) == 4
        assert len({(facts.top, facts.legs, facts.wall) for facts in same}) == 1
    rng = np.random.default_rng(0)
    assert few.caption(7, rng) and few.caption(np.int64(59), rng, twice=True)


def test_a_picture_is_what_was_painted(few: Pairs) -> None:
    shown = few.images([0, 13, 0])
    assert shown.shape == (3, 32, 32, 3) and shown.dtype == np.uint8
    assert np.array_equal(shown[0], shown[2])
    rng = np.random.default_rng([SEED, 0, 11, 0])
    world = world_of(rng)
    spec = clip_spec(0, few.action(0), "train", 0, seed=SEED, world=world, size=32, frames=LENGTH)
    stage = staged(spec, np.arange(8))
    assert facts_of(stage).top == few.facts[0].top
    near = [np.abs(frame.astype(int) - shown[0]).mean() for frame in paint_clip(stage)]
    assert min(near) < 8, f"lossy at quality {QUALITY}, but this picture (red stays red)"


def test_the_same_seed_gives_the_same_pictures_and_others_share_none(few: Pairs) -> None:
    again = film_group(1, videos=4, frames=5, seed=SEED, size=32)
    assert tuple(again.jpegs) == few.jpegs[20:40]
    assert [asdict(facts) for facts in again.facts] == [asdict(f) for f in few.facts[4:8]]
    held_out = pairs(groups=3, videos=4, frames=5, seed=1, size=32, jobs=1)
    assert not set(held_out.jpegs) & set(few.jpegs)
    assert held_out.facts != few.facts


def test_seeds_lie_apart_from_those_of_data_sets() -> None:
    assert UNTRIMMED_SEED + MOST < SEED and SEED + MOST < 2**32, "one word: no two streams meet"
    with pytest.raises(ThesisError, match="from 0 to"):
        pairs(1, seed=MOST)


def test_worlds_differ_within_their_ranges() -> None:
    worlds = [world_of(np.random.default_rng(i)) for i in range(200)]
    for name, low, high in (("scenes", 0.2, 0.8), ("clothes", 0.3, 1), ("loudness", 0.2, 0.7)):
        values = [getattr(world, name) for world in worlds]
        assert low <= min(values) < low + 0.05 and high - 0.05 < max(values) <= high
    assert {world.props for world in worlds} == {0.3}


def test_frames_are_spread_over_the_video_alike_for_counterparts() -> None:
    """Else one picture would tell a pair apart."""
    done = {name: [] for name in ("sit_down", "stand_up", "push", "pull")}  # type: ignore[var-annotated]
    for facts in pairs(groups=8, videos=16, frames=4, size=16, jobs=1).facts:
        if facts.action in done:
            done[facts.action] += facts.done
    for there, back in (("sit_down", "stand_up"), ("push", "pull")):
        assert abs(np.mean(done[there]) + np.mean(done[back]) - 1) < 0.1
        assert np.mean(done[there]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    "wrong",
    [{"groups": 0}, {"videos": 0}, {"frames": 0}, {"frames": LENGTH + 1}, {"seed": -1},
     {"size": 33}, {"jobs": 0}],
)  # fmt: skip
def test_bad_numbers_are_a_sentence(wrong: dict[str, int]) -> None:
    with pytest.raises(ThesisError):
        pairs(**{"groups": 1, "videos": 1, "frames": 1, "jobs": 1, **wrong})
