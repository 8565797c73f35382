"""Captions: true of the pixels, from a closed vocabulary, never always the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thesislib.data.captions import CAPTIONS_FILE, read_captions
from thesislib.data.manifest import read_manifest
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError
from thesislib.recipes import prepare
from thesislib.synthetic import (
    ACTIONS,
    CAPTIONED,
    PAIRS,
    TEMPLATES,
    CaptionedRecipe,
    Recipe,
    World,
    caption,
    clip_spec,
    describe,
    joints_2d,
    names,
    prepare_captions,
    render_clip,
    vocabulary,
)
from thesislib.synthetic.captioned import EVERY, caption_of
from thesislib.synthetic.facts import COLOURS, Facts, colour_name, facts_of
from thesislib.synthetic.figure import J
from thesislib.synthetic.render import actor_of, staged
from thesislib.synthetic.scenes import FURNITURE, backdrop
from thesislib.synthetic.wording import KINDS, PHRASES, STATES, words_of

BRIGHT = World(scenes=0.6, clothes=1, loudness=0.6, props=0.5, yaw=40, light=0, noise=0)


@pytest.fixture(scope="module")
def facts() -> list[Facts]:
    specs = Recipe(96, 3, BRIGHT, size=32, frames=32).specs()
    return [facts_of(staged(spec)) for spec in specs]


def of(action: str, **more: object) -> Facts:
    spec = clip_spec(0, action, "train", 0, seed=1, world=replace(BRIGHT, tremor=0), size=32,
                     frames=64)  # fmt: skip
    return facts_of(staged(replace(spec, **more)))  # type: ignore[arg-type]


# --- facts ---


def test_the_shirt_has_the_colour_that_is_told() -> None:
    right = []
    for group in range(40):
        spec = clip_spec(
            group, "wave", "train", group, seed=0, world=replace(BRIGHT, props=0, yaw=5), size=96,
            frames=2,
        )  # fmt: skip
        told = facts_of(staged(spec))
        if told.striped:
            continue
        corners = joints_2d(spec)[0, [J[f"{s}_{j}"] for s in "lr" for j in ("shoulder", "hip")]]
        x, y = corners.mean(axis=0).astype(int)
        seen = render_clip(spec)[0, y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))
        top = actor_of(0, group, spec.world).outfit.top
        assert np.abs(seen - top).max() < 14, f"group {group}"
        right.append(colour_name(seen) == told.top)
    assert len(right) > 15 and np.mean(right) > 0.9


def test_colours_have_the_names_that_people_use() -> None:
    for name, paint in {
        "black": (20, 20, 22), "white": (240, 240, 238), "grey": (140, 140, 140),
        "dark grey": (80, 80, 80), "red": (200, 30, 30), "orange": (240, 140, 20),
        "brown": (120, 70, 20), "yellow": (230, 220, 30), "green": (40, 170, 50),
        "dark green": (20, 80, 25), "teal": (20, 170, 160), "blue": (30, 60, 220),
        "light blue": (150, 170, 240), "purple": (130, 40, 190), "pink": (240, 150, 170),
    }.items():  # fmt: skip
        assert colour_name(paint) == name
    rng = np.random.default_rng(0)
    found = {colour_name(paint) for paint in rng.integers(0, 256, (20000, 3)).tolist()}
    assert found <= set(COLOURS) and len(found) > 20


def test_furniture_has_its_colour_where_it_is_told_to_be() -> None:
    errors, kinds = [], Counter[str]()
    for seed in range(60):
        room = backdrop(np.random.default_rng(seed), 166, 0.6, 0.7)
        for piece in room.pieces:
            x, y = int(piece.x * 166), int(piece.y * 166)
            errors.append(np.abs(room.picture[y, x].astype(int) - piece.paint).max())
            kinds[piece.kind] += 1
    assert set(kinds) == set(FURNITURE) and min(kinds.values()) > 10
    assert np.mean(np.array(errors) < 20) > 0.9, "the others are too small for the blur"


def test_states_say_what_a_frame_shows() -> None:
    assert "standing" in of("sit_down").states[0] and "sitting" in of("sit_down").states[-1]
    assert "sitting" in of("stand_up").states[0] and "standing" in of("stand_up").states[-1]
    assert "door shut" in of("open_door").states[0] and "door open" in of("open_door").states[-1]
    assert "box down" in of("pick_up").states[0] and "box in hand" in of("pick_up").states[-1]
    assert "arms down" in of("raise_arms").states[0] and "arms up" in of("raise_arms").states[-1]
    assert "crate forward" in of("pull").states[0] and "crate back" in of("pull").states[-1]
    assert all("one arm up" in state for state in of("wave", amplitude=1.0).states[10:20])
    assert any("one leg up" in state for state in of("kick").states)
    assert any("knees bent" in state for state in of("squat").states)


@pytest.mark.parametrize("pair", PAIRS)
def test_counterparts_share_their_states_and_run_them_backwards(pair: tuple[str, str]) -> None:
    there, back = (of(action) for action in pair)
    assert Counter(there.states) == Counter(back.states), "no state alone tells which it is"
    assert there.states == back.states[::-1]
    assert there.done[0] == back.done[0] == 0 and there.done[-1] == back.done[-1] == 1


def test_facts_are_of_the_closed_tables(facts: list[Facts]) -> None:
    assert {state for one in facts for found in one.states for state in found} <= set(STATES)
    for one in facts:
        things = [*one.furniture, *([one.prop] if one.prop else [])]
        assert {thing.kind for thing in things} <= set(KINDS)
        assert {one.top, one.legs, one.wall, one.floor, *(t.colour for t in things)} <= set(COLOURS)
    assert {one.view for one in facts} == {"left", "front", "right"}
    assert set(PHRASES) == set(ACTIONS) == set(names())


# --- captions ---


def drawn(facts: list[Facts], seed: int = 0, **more: bool) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        caption(one, rng, frame, **more)
        for one in facts
        for frame in range(0, 32, 4)
    ]  # fmt: skip


def test_the_vocabulary_is_closed_small_and_used(facts: list[Facts]) -> None:
    known = vocabulary()
    assert list(known) == sorted(set(known)) and 150 < len(known) < 220
    texts = [*drawn(facts), *drawn(facts, 1, twice=True)]
    texts += [describe(one, np.random.default_rng(i)) for i, one in enumerate(facts)]
    texts += [template.format(name) for template in TEMPLATES for name in names().values()]
    said = {word for text in texts for word in words_of(text)}
    assert said <= set(known)
    assert len(said) > 0.8 * len(known)
    assert not any("{" in text or "  " in text or ",," in text for text in texts)
    assert not any(f" a {vowel}" in f" {text}" for text in texts for vowel in "aeiou")


def test_captions_are_of_the_length_that_worked_and_vary(facts: list[Facts]) -> None:
    texts = drawn(facts)
    lengths = [len(words_of(text)) for text in texts]
    assert 11 < np.mean(lengths) < 15 and min(lengths) >= 1
    assert len(set(texts)) > 0.9 * len(texts)
    both = [len(words_of(text)) for text in drawn(facts, twice=True)]
    assert np.mean(both) > 1.8 * np.mean(lengths)
    assert drawn(facts) == drawn(facts) != drawn(facts, 1)


def test_any_part_may_be_missing_and_the_class_name_is_rare(facts: list[Facts]) -> None:
    rng = np.random.default_rng(0)
    one = next(f for f in facts if f.action == "punch")
    texts = [caption(one, rng) for _ in range(3000)]
    told = np.mean([any(p in t for p in (*PHRASES["punch"], "punching")) for t in texts])
    assert told == pytest.approx(0.75, abs=0.03)
    named = np.mean(["punching" in t for t in texts])
    assert named == pytest.approx(0.75 * 0.05, abs=0.015)
    for phrase in PHRASES["punch"]:
        assert sum(phrase in text for text in texts) > 300
    assert np.mean([any(f" {n} {c}" in t or f" {c}" in t for n in "a" for c in (one.top,))
                    for t in texts]) < 0.75  # fmt: skip


def test_what_has_happened_is_told_more_often_than_what_will() -> None:
    one, rng = of("sit_down"), np.random.default_rng(0)
    words = (*PHRASES["sit_down"], names()["sit_down"])

    def share(frame: int) -> float:
        texts = [caption(one, rng, frame) for _ in range(1500)]
        return float(np.mean([any(word in text for word in words) for text in texts]))

    assert share(0) == pytest.approx(0.55, abs=0.05)
    assert share(63) == pytest.approx(0.95, abs=0.03)


def test_a_description_says_all(facts: list[Facts]) -> None:
    for i, one in enumerate(facts):
        text = describe(one, np.random.default_rng(i))
        assert one.top in text and one.legs in text
        assert any(phrase in text for phrase in PHRASES[one.action])
        assert len(words_of(text)) <= 28


# --- the data set ---


def test_the_plan_and_its_captions() -> None:
    recipe = CaptionedRecipe()
    specs = recipe.specs()
    counts = Counter(spec.split for spec in specs)
    assert counts == {"train": 2000, "val": 400, "test": 800}
    splits: dict[int, set[str]] = {}
    for spec in specs:
        splits.setdefault(spec.group, set()).add(spec.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {(s.frames, s.every, s.length, float(s.fps)) for s in specs} == {(64, EVERY, 16, 7.5)}
    tests = [spec for spec in specs if spec.split == "test"][:160]
    texts = [caption_of(spec) for spec in tests]
    assert len(set(texts)) == len(texts), "a caption names one video"
    assert texts[:8] == [caption_of(spec) for spec in tests[:8]]
    assert not CAPTIONED.session, "a camera for each video"


def test_files_captions_and_a_second_call(tmp_path: Path) -> None:
    args = {"clips": 24, "size": 32, "jobs": 1, "progress": False}
    manifest = prepare_captions("c", tmp_path, **args)  # type: ignore[arg-type]
    specs = CaptionedRecipe(24, size=32).specs()
    video = manifest.videos[5]
    assert (video.n_frames, video.fps, video.label) == (16, 7.5, specs[5].action)
    reader = open_video(manifest.file(video))
    assert len(reader) == 16
    shown = reader.frames(np.arange(16)).astype(int)
    longer = render_clip(replace(specs[5], every=1))[::EVERY]
    assert np.abs(shown - longer).mean() < 8, "every fourth frame of the same clip"
    captions = read_captions(manifest)
    assert [captions[v.path] for v in manifest.videos] == [(caption_of(s),) for s in specs]
    again = read_manifest("c", tmp_path)
    assert read_captions(again.select("test")).keys() == {
        v.path for v in again.videos if v.split == "test"
    }
    assert again.info["class_texts"]["wave"] == "waving"
    text = (tmp_path / "c" / CAPTIONS_FILE).read_bytes()
    other = prepare_captions("d", tmp_path, **args)  # type: ignore[arg-type]
    assert other.fingerprint == manifest.fingerprint
    assert (tmp_path / "d" / CAPTIONS_FILE).read_bytes() == text
    with pytest.raises(ThesisError, match="made with other options"):
        prepare_captions("c", tmp_path, **{**args, "frames": 20})  # type: ignore[arg-type]
    with pytest.raises(ThesisError, match="made with other options"):
        prepare("synthetic", name="c", root=tmp_path, clips=24, size=32, jobs=1)
    (tmp_path / "d" / CAPTIONS_FILE).write_bytes(text + b"x.mp4,something else\n")
    with pytest.raises(ThesisError, match="checksum differs"):
        read_captions(other)


def test_bad_input_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="at least 1 clip"):
        prepare("synthetic_captions", root=tmp_path, clips=0)
    with pytest.raises(ThesisError, match="takes no path"):
        prepare("synthetic_captions", path=tmp_path)
    with pytest.raises(KeyError):
        names(["fly"])
