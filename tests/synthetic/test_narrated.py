"""Narrated videos: what is said is counted as asked for, and what is labelled is what happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from thesislib.data.manifest import read_manifest
from thesislib.data.narrations import ALIGNMENTS_FILE, read_alignments, read_narrations
from thesislib.data.reader import open_video
from thesislib.data.segments import SEGMENTS_FILE, read_segments
from thesislib.errors import ThesisError
from thesislib.recipes import prepare
from thesislib.synthetic import NARRATED, NarratedRecipe, World, prepare_narrated, vocabulary
from thesislib.synthetic.activities import NAMES, PAINTS, Step, activities, painted, steps
from thesislib.synthetic.facts import colour_name
from thesislib.synthetic.figure import J
from thesislib.synthetic.narrated import NarratedSpec, render_narrated, setting
from thesislib.synthetic.narrator import (
    CHATTER,
    MENTIONED,
    SAID,
    SHOWN,
    TALK,
    VAGUE,
    aside,
    sentence,
    title,
    words,
)
from thesislib.synthetic.render import actor_of
from thesislib.synthetic.script import OFF, RATE, Sentence
from thesislib.synthetic.wording import words_of

TINY = NarratedRecipe(clips=3, size=16)


@pytest.fixture(scope="module")
def specs() -> list[NarratedSpec]:
    return [spec for spec in NarratedRecipe().specs() if isinstance(spec, NarratedSpec)]


@pytest.fixture(scope="module")
def said(specs: list[NarratedSpec]) -> list[list[Sentence]]:
    return [spec.sentences() for spec in specs]


# --- activities ---


def test_steps_are_shared_by_ten_activities() -> None:
    found = activities()
    assert tuple(found) == NAMES and {len(some) for some in found.values()} == {18}
    used = Counter(step for some in found.values() for step in some)
    assert len(used) == len(steps()) == len({step.label for step in steps()}) == 76
    assert max(used.values()) <= 5 and 2 < np.mean(list(used.values())) < 3
    for some in found.values():
        assert len(set(some)) == 18
        for step in some:
            back = Step("put_down", step.detail)
            if step.action == "pick_up" and back in some:
                assert some.index(step) < some.index(back)


def test_colours_go_by_their_names() -> None:
    rng = np.random.default_rng(0)
    for name in PAINTS:
        assert {colour_name(painted(name, rng)) for _ in range(50)} == {name}


# --- what is said ---


def test_shares_are_those_asked_for(specs: list[NarratedSpec], said: list[list[Sentence]]) -> None:
    seconds = sum(spec.length for spec in specs) / RATE
    everything = [one for some in said for one in some]
    kinds = Counter(one.seen.kind for one in everything)
    seen = [one for one in everything if one.seen.alignable]
    middles = np.array([(one.heard.start + one.heard.end) / 2 for one in seen])
    starts, ends = (np.array([getattr(one.seen, at) for one in seen]) for at in ("start", "end"))
    gap = np.maximum(np.maximum(starts - middles, middles - ends), 0)
    assert len(seen) / len(everything) == pytest.approx(0.3, abs=0.005)
    assert (gap == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert gap[gap > 0].min() >= OFF[0] and gap.max() <= OFF[1] + 15
    assert np.median(gap[gap > 0]) == pytest.approx(sum(OFF) / 2, abs=3)
    assert (middles < starts)[gap > 0].mean() == pytest.approx(0.5, abs=0.08), "early as late"
    assert kinds[MENTIONED] / (kinds[MENTIONED] + kinds[CHATTER]) == pytest.approx(0.4, abs=0.01)
    assert kinds[SHOWN] == len(seen)
    assert len(everything) / seconds * 60 == pytest.approx(12, abs=0.5), "sentences a minute"
    assert 150 < seconds / len(specs) < 210
    order = [np.diff([one.seen.start for one in some if one.seen.alignable]) for some in said]
    assert np.concatenate(order).min() < 0 and (np.concatenate(order) < 0).mean() < 0.4


def test_sentences_are_true(specs: list[NarratedSpec], said: list[list[Sentence]]) -> None:
    """Each alignable one has the time of a step and is in its words, as far as they are heard."""
    verbs = {a: {w for text in some for w in words_of(text)} for a, some in SAID.items()}
    worded = []
    for spec, some in zip(specs, said, strict=True):
        spans = {(start, end): label for start, end, label in spec.segments()}
        for (a, _), (b, _) in pairwise(some):
            assert a.end < b.start, "none over another"
        assert some[0].heard.start >= 0 and some[-1].heard.end <= spec.length / RATE
        for heard, seen in some:
            assert heard.text and seen.alignable == (seen.kind == SHOWN)
            if seen.alignable:
                label = spans[seen.start, seen.end]
                worded.append(bool(set(words_of(heard.text)) & verbs[label.rsplit("_", 1)[0]]))
            else:
                assert np.isnan(seen.start) and np.isnan(seen.end)
    assert np.mean(worded) > 0.97


def test_a_mention_is_never_of_what_is_shown() -> None:
    """A step is told of by its detail where another of the same action is shown."""
    rng = np.random.default_rng(0)
    step = Step("sit_down", "red")
    told = {
        vague: np.mean(["red" in aside(step, "she", rng, vague).split() for _ in range(1000)])
        for vague in (False, True)
    }
    assert told[False] > 0.89, "but for lost words"
    assert told[True] < told[False] - VAGUE / 2


def test_it_needs_a_sentence_before() -> None:
    rng = np.random.default_rng(0)
    step, other = Step("put_down", "red"), Step("put_down", "blue")
    texts = {
        name: [f" {sentence(step, 'she', rng, before)} " for _ in range(300)]
        for name, before in (("same", Step("pick_up", "red")), ("none", None), ("other", other))
    }
    counts = {name: np.mean([" it " in text for text in some]) for name, some in texts.items()}
    assert counts["none"] == counts["other"] == 0 and 0.15 < counts["same"] < 0.4


def test_the_words(said: list[list[Sentence]]) -> None:
    spoken = {word for some in said for one in some for word in words_of(one.heard.text)}
    assert spoken <= set(words()) and 200 < len(spoken) < 300
    about_steps = {w for some in SAID.values() for text in some for w in words_of(text)}
    assert about_steps - set(vocabulary()) <= {"open", "leaves", "shuts", "both", "hands"}, (
        "a text encoder that was trained on captions can read them"
    )
    assert not any(set(words_of(text)) & set(PAINTS) for text in TALK)
    assert title(Step("pick_up", "orange")) == "picking up an orange box"
    assert title(Step("wave", "left")) == "waving on the left"


# --- what is seen ---


def test_labels_lie_where_things_move(specs: list[NarratedSpec]) -> None:
    """Who sits down is lower afterwards, and what leads somewhere moves in its act alone."""
    down = {"sit_down": -1, "stand_up": 1}
    seen = set()
    for spec in specs[:12]:
        actor = actor_of(spec.seed, spec.group, spec.world)
        for number, scene in enumerate(spec.scenes):
            stage = setting(spec, actor, number)
            assert stage.joints.shape == (scene.frames, 17, 3) and np.isfinite(stage.joints).all()
            if scene.step is None:
                continue
            a, b = scene.act
            pelvis = stage.joints[:, J["pelvis"], 1]
            if scene.step.action in down:
                assert (pelvis[b - 1] - pelvis[a]) * down[scene.step.action] > 0.1
                assert np.ptp(pelvis[:a]) < 0.02 and np.ptp(pelvis[b:]) < 0.02
                seen.add(scene.step.action)
            if scene.step.thing:
                assert stage.paint == scene.step.detail and stage.prop is not None
            if scene.step.thing == "box":
                assert stage.prop is not None and stage.prop.path is not None
                up = stage.prop.path[:, 1] > 0.01
                assert up[0] != up[-1] and up[-1] == (scene.step.action == "pick_up")
    assert seen == set(down)


def test_groups_and_splits(specs: list[NarratedSpec]) -> None:
    assert Counter(spec.split for spec in specs) == {"train": 130, "val": 30, "test": 40}
    groups: dict[int, list[NarratedSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.group, []).append(spec)
    assert all(len({spec.split for spec in some}) == 1 for some in groups.values())
    assert max(map(len, groups.values())) == 4
    for split in ("train", "val", "test"):
        counts = Counter(spec.label for spec in specs if spec.split == split)
        assert set(counts) == set(NAMES) and max(counts.values()) - min(counts.values()) <= 1
    again, other = NarratedRecipe().specs(), NarratedRecipe(seed=1).specs()
    assert again == specs != other


# --- the files ---


def test_files_and_a_second_call(tmp_path: Path) -> None:
    args = {"clips": 3, "size": 16, "jobs": 1, "progress": False}
    manifest = prepare_narrated("n", tmp_path, **args)  # type: ignore[arg-type]
    plan = [spec for spec in TINY.specs() if isinstance(spec, NarratedSpec)]
    assert [video.label for video in manifest.videos] == [spec.action for spec in plan]
    heard, seen = read_narrations(manifest), read_alignments(manifest)
    found = read_segments(manifest)
    for video, spec in zip(manifest.videos, plan, strict=True):
        assert len(open_video(manifest.file(video))) == video.n_frames == spec.length
        assert video.fps == RATE
        told = spec.sentences()
        assert [one.text for one in heard[video.path]] == [one.heard.text for one in told]
        assert [one.kind for one in seen[video.path]] == [one.seen.kind for one in told]
        assert [one.label for one in found[video.path]] == [x[2] for x in spec.segments()]
    frames = open_video(manifest.file(manifest.videos[0])).frames(np.arange(0, 80, 8)).astype(int)
    assert np.abs(frames - render_narrated(plan[0])[:80:8]).mean() < 10
    assert manifest.info["step_texts"]["bow_left"] == "bowing on the left"
    files = (SEGMENTS_FILE, "narrations.csv", ALIGNMENTS_FILE)
    texts = [(tmp_path / "n" / name).read_bytes() for name in files]
    (tmp_path / "n" / manifest.videos[1].path).unlink()  # killed on the way
    (tmp_path / "n" / "manifest.csv").unlink()
    other = prepare_narrated("n", tmp_path, **args)  # type: ignore[arg-type]
    assert other.fingerprint == manifest.fingerprint
    assert [(tmp_path / "n" / name).read_bytes() for name in files] == texts
    assert read_narrations(read_manifest("n", tmp_path)) == heard
    told = prepare("synthetic_narrated", name="n", root=tmp_path, clips=3, size=16, jobs=1)
    assert told["classes"] == len({spec.action for spec in plan})
    with pytest.raises(ThesisError, match="made with other options"):
        prepare_narrated("n", tmp_path, **{**args, "seed": 1})  # type: ignore[arg-type]


def test_a_world_of_few_actions() -> None:
    with pytest.raises(ThesisError, match=r"has \d steps in a world of the actions wave"):
        NarratedRecipe(world=World(actions=("wave",)))
    fewer = replace(NARRATED, actions=("pick_up", "put_down", "raise_arms", "lower_arms", "wave"))
    try:
        found = NarratedRecipe(10, world=fewer).specs()
    except ThesisError:
        return  # an activity without boxes: said so
    for spec in found:
        assert isinstance(spec, NarratedSpec)
        assert {label.rsplit("_", 1)[0] for _, _, label in spec.segments()} <= set(fewer.actions)
