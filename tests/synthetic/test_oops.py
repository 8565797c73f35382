"""Videos of actions that go wrong at a known frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thesislib.data.failures import read_failures
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError
from thesislib.recipes import prepare
from thesislib.synthetic import ACTIONS, OopsRecipe, Recipe, clip_spec, prepare_oops, render_clip
from thesislib.synthetic.failing import GRAVITY, let_go, rod
from thesislib.synthetic.figure import J
from thesislib.synthetic.motion import FPS
from thesislib.synthetic.props import Prop
from thesislib.synthetic.render import actor_of, performance
from thesislib.synthetic.world import World

RECIPE = OopsRecipe(clips=64, size=32, frames=90)


def joints(spec, **changes) -> np.ndarray:  # type: ignore[no-untyped-def]
    spec = replace(spec, **changes)
    show = performance(spec, actor_of(spec.seed, spec.group, spec.world))
    return show.joints + show.way[:, None]


def test_nothing_differs_before_the_moment_and_something_soon_after() -> None:
    for spec in RECIPE.specs()[:24]:
        meant, done = joints(spec, failure=None), joints(spec)
        assert spec.failure is not None
        assert np.array_equal(meant[: spec.failure], done[: spec.failure])
        apart = np.abs(meant - done).max(axis=(1, 2))
        assert apart[spec.failure + 6] > 0.05, "visible within a fifth of a second"


def test_every_action_fails_in_more_than_one_way_and_stays_above_the_floor() -> None:
    heads = []
    for i, action in enumerate(sorted(ACTIONS) * 2):
        spec = clip_spec(i, action, "train", i, seed=3, world=World(), size=32, frames=90)
        end = joints(spec, failure=40)
        assert np.isfinite(end).all()
        assert end[41:, :, 1].min() > -0.02
        assert np.abs(np.diff(end, axis=0)).max() < 0.25, "no limb jumps between two frames"
        heads.append(float(end[-1, J["head"], 1]))
    assert min(heads) < 0.3, "some lie on the floor"
    assert max(heads) > 0.75, "some stay on their feet"
    assert sum(0.3 < h < 0.6 for h in heads) >= 3, "some sit there"


def test_the_rod_obeys_its_equation() -> None:
    seconds = np.maximum(np.arange(60) - 10, 0) / FPS
    angle = rod(seconds, np.random.default_rng(0))
    assert (angle[:11] == 0).all()
    upright = slice(13, 22)
    bend = np.diff(angle, 2)[12:21] * FPS**2  # second differences are centred one frame later
    assert angle[upright].max() < 1.3
    assert np.allclose(bend, 1.5 * GRAVITY * np.sin(angle[upright]), rtol=0.1, atol=0.2)
    assert np.radians(75) < angle[-1] <= np.radians(90)


def test_what_is_let_go_falls_freely() -> None:
    path = np.tile([0.1, 0.8, 0.2], (60, 1))
    path[:, 0] += np.linspace(0, 1, 60)  # was being carried to the side
    box = let_go(Prop("box", path=path), 10)
    assert box is not None and box.path is not None
    assert np.array_equal(box.path[:11], path[:11])
    assert box.path[16, 1] == pytest.approx(0.8 - 0.5 * GRAVITY * (6 / FPS) ** 2)
    assert box.path[-1].tolist() == [pytest.approx(path[10, 0]), 0.0, 0.2]
    door = let_go(Prop("cabinet", angle=np.linspace(0, 1, 60)), 10)
    assert door is not None and door.angle is not None
    assert (door.angle[10:] == door.angle[10]).all()
    assert let_go(None, 3) is None


def test_the_plan_is_balanced_grouped_and_drawn_by_the_seed() -> None:
    specs = RECIPE.specs()
    split_of: dict[int, set[str]] = {}
    for spec in specs:
        split_of.setdefault(spec.group, set()).add(spec.split)
        assert spec.failure is not None and 0.4 * 90 - 1 < spec.failure < 0.6 * 90 + 1
    assert all(len(splits) == 1 for splits in split_of.values())
    assert len({s.failure for s in specs}) > 8
    assert specs == RECIPE.specs() != replace(RECIPE, seed=1).specs()
    assert RECIPE.hash != Recipe(64, size=32, frames=90).hash, "other data than the plain recipe"


def test_files_moments_and_a_second_call(tmp_path: Path) -> None:
    args = {"clips": 8, "size": 32, "frames": 60, "jobs": 1, "progress": False}
    manifest = prepare_oops("o", tmp_path, **args)  # type: ignore[arg-type]
    moments = read_failures(manifest)
    specs = OopsRecipe(8, size=32, frames=60).specs()
    assert [moments[v.path] for v in manifest.videos] == [s.failure for s in specs]
    assert {v.label for v in manifest.videos} == {s.action for s in specs}
    video = manifest.videos[0]
    shown = open_video(manifest.file(video)).frames(np.arange(60)).astype(int)
    assert np.abs(shown - render_clip(specs[0]).astype(int)).mean() < 6, "H.264, but this clip"
    files = {p: p.read_bytes() for p in (tmp_path / "o").rglob("*.mp4")}
    text = (tmp_path / "o" / "failures.csv").read_bytes()
    other = prepare_oops("p", tmp_path, **args)  # type: ignore[arg-type]
    assert other.fingerprint == manifest.fingerprint, "the same seed, the same data"
    for path, content in files.items():
        twin = tmp_path / "p" / path.relative_to(tmp_path / "o")
        assert twin.read_bytes() == content
    assert (tmp_path / "p" / "failures.csv").read_bytes() == text
    with pytest.raises(ThesisError, match="made with other options"):
        prepare_oops("o", tmp_path, **{**args, "frames": 61})  # type: ignore[arg-type]


def test_the_recipe_has_a_name(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="at least 1 clip"):
        prepare("synthetic_oops", root=tmp_path, clips=0)
    with pytest.raises(ThesisError, match="30 frames or more"):
        OopsRecipe(frames=20)
    with pytest.raises(ThesisError, match="takes no path"):
        prepare("synthetic_oops", path=tmp_path)
