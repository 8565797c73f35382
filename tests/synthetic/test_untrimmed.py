"""Untrimmed videos: what is labelled is what happens, and nothing jumps."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from thesislib.data.doctor import doctor
from thesislib.data.manifest import read_manifest
from thesislib.data.reader import open_video
from thesislib.data.segments import SEGMENTS_FILE, labels_of, read_segments
from thesislib.errors import ThesisError
from thesislib.recipes import prepare
from thesislib.synthetic import DEFAULT_ACTIONS, PAIRS, UNTRIMMED, UntrimmedRecipe, World
from thesislib.synthetic.figure import J
from thesislib.synthetic.plot import deal
from thesislib.synthetic.render import actor_of
from thesislib.synthetic.untrimmed import (
    EVERY,
    LongSpec,
    prepare_untrimmed,
    render_untrimmed,
    staged_untrimmed,
)

RECIPE = UntrimmedRecipe(clips=8, size=32)


@pytest.fixture(scope="module")
def specs() -> list[LongSpec]:
    return [spec for spec in RECIPE.specs() if isinstance(spec, LongSpec)]


# --- the plan ---


def test_every_action_once_a_group_and_no_group_in_two_splits() -> None:
    found = UntrimmedRecipe().specs()
    groups: dict[int, list[LongSpec]] = {}
    for spec in found:
        assert isinstance(spec, LongSpec)
        groups.setdefault(spec.group, []).append(spec)
    for videos in groups.values():
        assert len(videos) == 2 and len({v.split for v in videos}) == 1
        labels = Counter(label for v in videos for _, _, label in v.segments())
        assert labels == dict.fromkeys(DEFAULT_ACTIONS, 1)
    assert Counter(s.split for s in found) == {"train": 60, "val": 24, "test": 36}
    assert found == UntrimmedRecipe().specs() != UntrimmedRecipe(seed=1).specs()


def test_beats_follow_one_another_and_about_a_third_is_labelled() -> None:
    found = [s for s in UntrimmedRecipe().specs() if isinstance(s, LongSpec)]
    share = []
    for spec in found:
        ends = [beat.start + beat.frames for beat in spec.beats]
        assert [beat.start for beat in spec.beats] == [0, *ends[:-1]] and ends[-1] == spec.frames
        segments = spec.segments()
        for (_, end, _), (start, _, _) in pairwise(segments):
            assert end < start
        assert segments[0][0] > 0 and segments[-1][1] < spec.frames / 30
        lasts = [end - start for start, end, _ in segments]
        assert min(lasts) > 1.2 and max(lasts) < 5.1
        share.append(sum(lasts) / (spec.frames / 30))
        assert {beat.kind for beat in spec.beats} == {"act", "walk", "idle"}
    assert 0.25 < np.mean(share) < 0.45
    assert 50 < np.mean([spec.frames / 30 for spec in found]) < 75


def test_a_single_action_leaves_videos_without_one() -> None:
    rng = np.random.default_rng(0)
    assert sorted(map(len, deal(rng, ["wave"], 2))) == [0, 1]
    world = replace(UNTRIMMED, actions=("wave",))
    counts = [len(s.segments()) for s in UntrimmedRecipe(8, world=world).specs()]  # type: ignore[attr-defined]
    assert len(counts) == 8 and set(counts) == {0, 1}
    half = replace(UNTRIMMED, actions=("sit_down",))
    labels = {x[2] for s in UntrimmedRecipe(4, world=half).specs() for x in s.segments()}  # type: ignore[attr-defined]
    assert labels == {"sit_down"}, "its counterpart happens but is not among the actions"


# --- the stage ---


def test_nothing_jumps(specs: list[LongSpec]) -> None:
    for spec in specs:
        joints, things = staged_untrimmed(spec, actor_of(spec.seed, spec.group, spec.world))
        assert joints.shape == (spec.frames, 17, 3) and np.isfinite(joints).all()
        assert np.abs(np.diff(joints, axis=0)).max() < 0.16, "statures between two frames"
        assert joints[:, :, 1].min() > -0.02
        for prop, way in things:
            assert len(way) == spec.frames
            assert np.abs(np.diff(way, axis=0)).max() < 0.05
            assert prop.path is None or len(prop.path) == spec.frames


def test_labels_lie_where_things_move(specs: list[LongSpec]) -> None:
    heights = {"sit_down": -1, "stand_up": 1}
    seen = set()
    for spec in specs:
        joints, _ = staged_untrimmed(spec, actor_of(spec.seed, spec.group, spec.world))
        pelvis, wrists = joints[:, J["pelvis"], 1], joints[:, [J["l_wrist"], J["r_wrist"]], 1]
        for start, end, label in spec.segments():
            a, b = round(start * 30), round(end * 30)
            if label in heights:
                assert (pelvis[b] - pelvis[a]) * heights[label] > 0.1
                still = pelvis[b : b + 8] if label == "sit_down" else pelvis[a - 8 : a]
                assert np.ptp(still) < 0.03, "seated before and after"
            if label in ("raise_arms", "lower_arms"):
                change = (wrists[b] - wrists[a]).mean()
                assert change > 0.5 if label == "raise_arms" else change < -0.5
            seen.add(label)
    assert seen == set(DEFAULT_ACTIONS)


def test_things_stand_still_outside_of_their_act(specs: list[LongSpec]) -> None:
    for spec in specs:
        _, things = staged_untrimmed(spec, actor_of(spec.seed, spec.group, spec.world))
        acts = [b for b in spec.beats if b.kind == "act"]
        for prop, way in things:
            place = way + (0 if prop.path is None else prop.path)
            moved = np.flatnonzero(np.abs(np.diff(place, axis=0)).max(1) > 1e-9)
            if prop.angle is not None:
                moved = np.flatnonzero(np.diff(prop.angle))
            if len(moved):
                owner = next(b for b in acts if b.start <= moved[0] < b.start + b.frames)
                assert moved[-1] < owner.start + owner.frames
    assert {len(staged_untrimmed(s, actor_of(s.seed, s.group, s.world))[1]) for s in specs} == {2}


def test_pairs_walk_one_path_both_ways() -> None:
    back = dict(PAIRS)
    for spec in UntrimmedRecipe(8, size=32).specs():
        assert isinstance(spec, LongSpec)
        for beat in spec.beats:
            if beat.action in back:
                u = beat.progress(np.random.default_rng(0))
                assert u[0] == u[-1] == beat.first and np.ptp(u) == 1
                a, b, c, d = beat.turns
                assert np.ptp(u[:a]) == np.ptp(u[b:c]) == np.ptp(u[d:]) == 0


# --- the files ---


def test_files_segments_and_a_second_call(tmp_path: Path) -> None:
    args = {"clips": 3, "size": 16, "jobs": 1, "progress": False}
    manifest = prepare_untrimmed("u", tmp_path, **args)  # type: ignore[arg-type]
    assert manifest.classes == () and [v.label for v in manifest.videos] == [""] * 3
    assert [v.path.split("/")[0] for v in manifest.videos] == ["train", "val", "test"]
    plan = [s for s in UntrimmedRecipe(3, size=16).specs() if isinstance(s, LongSpec)]
    found = read_segments(manifest)
    for video, spec in zip(manifest.videos, plan, strict=True):
        assert len(open_video(manifest.file(video))) == video.n_frames == spec.length
        assert video.fps == 30 / EVERY
        for one, (start, end, label) in zip(found[video.path], spec.segments(), strict=True):
            assert one.label == label and one[:2] == pytest.approx((start, end), abs=1e-3)
            assert end < video.n_frames / video.fps
    assert set(labels_of(found)) <= set(DEFAULT_ACTIONS)
    frames = open_video(manifest.file(manifest.videos[0])).frames(np.arange(0, 80, 8)).astype(int)
    assert np.abs(frames - render_untrimmed(plan[0])[:80:8]).mean() < 10
    text = (tmp_path / "u" / SEGMENTS_FILE).read_text()
    other = prepare_untrimmed("w", tmp_path, **args)  # type: ignore[arg-type]
    assert other.fingerprint == manifest.fingerprint
    assert (tmp_path / "w" / SEGMENTS_FILE).read_text() == text
    with pytest.raises(ThesisError, match="made with other options"):
        prepare_untrimmed("u", tmp_path, **{**args, "seed": 1})  # type: ignore[arg-type]
    assert doctor(read_manifest("u", tmp_path))
    assert prepare("synthetic_untrimmed", name="u", root=tmp_path, clips=3, size=16, jobs=1)[
        "classes"
    ] == 0  # fmt: skip


def test_bad_input_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="at least 1 clip"):
        prepare("synthetic_untrimmed", root=tmp_path, clips=0)
    with pytest.raises(ThesisError, match="no action"):
        UntrimmedRecipe(world=World(actions=("fly",)))
