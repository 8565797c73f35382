"""The studio's files: deterministic, balanced, split by group, resumable, real H.264."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from thesislib.data.manifest import LOCK_FILE, read_manifest
from thesislib.errors import ThesisError
from thesislib.synthetic import (
    DEFAULT_ACTIONS,
    STUDIO,
    Recipe,
    World,
    joints_2d,
    prepare,
    render_clip,
)
from thesislib.synthetic.figure import J
from thesislib.synthetic.render import ClipSpec, actor_of, clip_spec
from thesislib.synthetic.studio import PARTIAL

SMALL = {"size": 32, "frames": 8}
QUIET = {"jobs": 1, "progress": False}


def contents(folder: Path) -> dict[str, str]:
    """Checksum of every file of a data set, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK_FILE
    }


# --- the plan ---


@pytest.mark.parametrize("clips", [1600, 333])
def test_classes_are_balanced_in_every_split(clips: int) -> None:
    specs = Recipe(clips=clips).specs()
    assert len(specs) == clips
    assert [s.index for s in specs] == list(range(clips))
    for split, share in zip(("train", "val", "test"), (0.6, 0.15, 0.25), strict=True):
        count = Counter(s.action for s in specs if s.split == split)
        assert set(count) == set(DEFAULT_ACTIONS)
        assert max(count.values()) - min(count.values()) <= 1
        assert sum(count.values()) == pytest.approx(clips * share, abs=1)


def test_groups_never_cross_a_split_and_perform_many_actions() -> None:
    splits, actions = defaultdict(set), defaultdict(set)
    for s in Recipe().specs():
        splits[s.group].add(s.split)
        actions[s.group].add(s.action)
    assert all(len(found) == 1 for found in splits.values())
    assert {len(found) for found in actions.values()} == {8}
    assert len({frozenset(found) for found in actions.values()}) > 50  # random subsets


def test_scene_and_clothes_belong_to_the_group_and_the_action_changes_neither() -> None:
    world = World(scenes=1, clothes=1, noise=0, light=0, place=0)
    kw = {"seed": 0, "world": world, "size": 48, "frames": 4}
    wave = render_clip(clip_spec(1, "wave", "train", 5, **kw))
    kick = render_clip(clip_spec(2, "kick", "train", 5, **kw))
    other = render_clip(clip_spec(1, "wave", "train", 6, **kw))

    def corners(v: np.ndarray) -> np.ndarray:
        return v[0, :20, [0, 1, -2, -1]].astype(int)

    assert np.abs(corners(wave) - corners(kick)).mean() < 4
    assert np.abs(corners(wave) - corners(other)).mean() > 8


def test_a_session_shares_everything_but_what_happens() -> None:
    """Viewpoint, mirror image, place in the frame, habits and light; not tempo and phase."""
    world = replace(STUDIO, noise=0, tremor=0, session=True)
    kw = {"seed": 0, "world": world, "size": 32, "frames": 12}
    one, two = (clip_spec(i, "wave", "train", 5, **kw) for i in (1, 2))
    other = clip_spec(1, "wave", "train", 6, **kw)
    assert (one.mirror, one.yaw, one.elevation) == (two.mirror, two.yaw, two.elevation)
    assert one.yaw != other.yaw and one.tempo != two.tempo and one.phase != two.phase

    def wall(spec: ClipSpec) -> np.ndarray:
        return render_clip(spec)[:, :4, :4].mean((0, 1, 2))

    def feet(spec: ClipSpec) -> np.ndarray:
        return joints_2d(spec)[:, J["l_ankle"], 1].mean()

    np.testing.assert_allclose(wall(one), wall(two), atol=0.01)  # room and light
    assert np.abs(wall(one) - wall(other)).max() > 3
    assert abs(feet(one) - feet(two)) < 0.1 < abs(feet(one) - feet(other))
    apart = clip_spec(2, "wave", "train", 5, **kw | {"world": replace(world, session=False)})
    assert apart.yaw != one.yaw


def test_a_world_without_sessions_keeps_its_name() -> None:
    """The knob is younger than data sets that are on people's disks."""
    assert "session" not in World().to_dict()
    assert Recipe(world=World()).hash == "9a904c"
    assert World.from_dict(World().to_dict()) == World()
    assert STUDIO.to_dict()["session"] is True


# --- pixels ---


def test_pixels_follow_from_seed_and_index_alone() -> None:
    spec = Recipe(seed=3, **SMALL).specs()[17]
    first = render_clip(spec)
    render_clip(Recipe(seed=4, **SMALL).specs()[2])  # what was rendered before does not matter
    assert first.shape == (8, 32, 32, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, render_clip(Recipe(seed=3, **SMALL).specs()[17]))
    assert (first != render_clip(Recipe(seed=4, **SMALL).specs()[17])).mean() > 0.5


@pytest.mark.parametrize("action", ["wave", "squat", "pull"])
def test_true_joints_lie_on_the_figure(action: str) -> None:
    world = World(loudness=0, noise=0, light=0, props=0)
    spec = clip_spec(9, action, "train", 2, seed=1, world=world, size=128, frames=16)
    outfit = actor_of(1, 2, world).outfit
    frames, joints = render_clip(spec), joints_2d(spec)
    for t in range(0, 16, 5):
        x, y = np.rint(joints[t, J["head"]]).astype(int)
        seen = frames[t, y, x].astype(int)
        distance = min(np.abs(seen - c).max() for c in (outfit.skin, outfit.hair))
        assert distance < 25


@pytest.mark.parametrize("size", [64, 128])
def test_figure_fills_the_share_of_the_frame_that_the_world_says(size: int) -> None:
    world = World(height=(0.7, 0.7), zoom=0, elevation=(0, 0), body=0, style=0, tremor=0)
    spec = clip_spec(0, "wave", "train", 0, seed=0, world=world, size=size, frames=4)
    p = joints_2d(spec)[0]
    feet, head = p[[J["l_ankle"], J["r_ankle"]], 1].max(), p[J["head"], 1]
    assert (feet - head) / size == pytest.approx(0.7 * 0.9, abs=0.05)


def test_props_stand_about_in_actions_that_do_not_need_them() -> None:
    bare, furnished = (
        [
            render_clip(s)
            for s in Recipe(seed=1, world=World(props=p, actions=("wave",)), **SMALL).specs()[:6]
        ]
        for p in (0.0, 1.0)
    )
    assert sum((a != b).mean() > 0.02 for a, b in zip(bare, furnished, strict=True)) >= 4


# --- files ---


def test_files_are_h264_and_hold_what_was_rendered(tmp_path: Path) -> None:
    manifest = prepare(root=tmp_path, clips=4, size=64, frames=20, **QUIET)
    assert manifest.root == tmp_path / "synthetic"
    for video, spec in zip(
        manifest.videos, Recipe(clips=4, size=64, frames=20).specs(), strict=True
    ):
        with av.open(str(manifest.root / video.path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert stream.average_rate == 30
            frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
        assert frames.shape == (20, 64, 64, 3) == (video.n_frames, video.height, video.width, 3)
        rendered = render_clip(spec)
        assert np.abs(frames.astype(int) - rendered).mean() < 10
        assert (video.label, video.split) == (spec.action, spec.split)


def test_a_bar_is_for_a_screen_not_for_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(root=tmp_path, clips=1, frames=4, jobs=1)  # with progress, into what is no screen
    assert not capsys.readouterr().err


def test_manifest_is_read_back_and_names_the_recipe(tmp_path: Path) -> None:
    made = prepare(root=tmp_path, clips=3, seed=7, **SMALL, **QUIET)
    read = read_manifest("synthetic", tmp_path)
    assert read.videos == made.videos
    assert read.info["recipe"]["seed"] == 7
    assert World.from_dict(read.info["recipe"]["world"]) == STUDIO
    assert not (tmp_path / "synthetic" / PARTIAL).exists()


def test_number_of_processes_does_not_change_a_byte(tmp_path: Path) -> None:
    for jobs in (1, 2):
        prepare(root=tmp_path / str(jobs), clips=10, jobs=jobs, progress=False, **SMALL)
    one, two = contents(tmp_path / "1" / "synthetic"), contents(tmp_path / "2" / "synthetic")
    assert len(one) == 10 + 3  # the videos, the manifest and its two notes
    assert one == two


def test_any_other_option_gives_another_fingerprint(tmp_path: Path) -> None:
    options = [{}, {"seed": 1}, {"world": World(noise=5.0)}, {"world": World(drift=0.1)}]
    prints = [
        prepare(root=tmp_path / str(i), clips=2, **SMALL, **QUIET, **o).fingerprint
        for i, o in enumerate(options)
    ]
    assert len(set(prints)) == len(options)


def test_second_call_films_nothing_and_a_lost_file_comes_back(tmp_path: Path) -> None:
    made = prepare(root=tmp_path, clips=4, **SMALL, **QUIET)
    before = contents(made.root)
    stamps = {p: p.stat().st_mtime_ns for p in made.root.rglob("*.mp4")}
    lost = made.root / made.videos[2].path
    again = prepare(root=tmp_path, clips=4, **SMALL, **QUIET)
    assert again.videos == made.videos
    assert {p: p.stat().st_mtime_ns for p in made.root.rglob("*.mp4")} == stamps
    lost.unlink()
    prepare(root=tmp_path, clips=4, **SMALL, **QUIET)
    assert contents(made.root) == before


CALL = """
from thesislib.synthetic import prepare
if __name__ == "__main__":
    prepare(root={root!r}, clips=60, size=32, frames=8, jobs=2, progress=False)
"""


def running(pid: int) -> bool:
    """Whether the process lives; one that ended and was not fetched yet does not count."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for workers in /proc")
def test_killed_and_called_again_ends_as_if_undisturbed(tmp_path: Path) -> None:
    script = tmp_path / "film.py"
    script.write_text(CALL.format(root=str(tmp_path / "killed")))
    folder = tmp_path / "killed" / "synthetic"
    process = subprocess.Popen([sys.executable, str(script)])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while len(list(folder.rglob("*_v*.mp4"))) < 6 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    workers = [int(pid) for pid in children.read_text().split()]
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "manifest.csv").exists()  # it was in the middle
    assert len(list(folder.rglob("*_v*.mp4"))) < 60

    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*_v*.mp4")}
    stale = folder / PARTIAL / "1-0.mp4"
    stale.parent.mkdir(exist_ok=True)
    stale.write_bytes(b"half a video")
    deadline = time.monotonic() + 10
    while any(running(pid) for pid in workers):  # nobody goes on filming for a dead caller
        assert time.monotonic() < deadline
        time.sleep(0.05)

    options = {"clips": 60, **SMALL, **QUIET}
    prepare(root=tmp_path / "killed", **options)
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in kept}.items()  # nothing done twice
    whole = prepare(root=tmp_path / "whole", **options)
    assert contents(folder) == contents(whole.root)


# --- refusals ---


def test_folder_of_another_recipe_is_refused_in_one_sentence(tmp_path: Path) -> None:
    made = prepare(root=tmp_path, clips=2, **SMALL, **QUIET)
    before = contents(made.root)
    with pytest.raises(ThesisError) as caught:
        prepare(root=tmp_path, clips=2, seed=1, **SMALL, **QUIET)
    sentence = str(caught.value)
    assert str(made.root) in sentence
    assert "seed is 0 there and 1 here" in sentence
    assert "--force" in sentence
    assert "\n" not in sentence
    with pytest.raises(ThesisError, match=r"world: noise is 2\.0 there and 0"):
        prepare(root=tmp_path, clips=2, world=replace(STUDIO, noise=0), **SMALL, **QUIET)
    assert contents(made.root) == before  # nothing was lost


def test_force_replaces_what_another_recipe_left(tmp_path: Path) -> None:
    prepare(root=tmp_path / "a", clips=5, **SMALL, **QUIET)
    forced = prepare(root=tmp_path / "a", clips=3, seed=1, **SMALL, **QUIET, force=True)
    fresh = prepare(root=tmp_path / "b", clips=3, seed=1, **SMALL, **QUIET)
    assert contents(forced.root) == contents(fresh.root)


def test_a_users_own_data_set_is_not_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "manifest.csv").write_text("path\n")
    with pytest.raises(ThesisError, match="another kind of data set"):
        prepare("mine", root=tmp_path, clips=2, **SMALL, **QUIET)
    assert (folder / "manifest.csv").read_text() == "path\n"


def test_two_writers_at_once_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "synthetic"
    folder.mkdir()
    script = (
        "import fcntl, os, sys; lock = open(sys.argv[1], 'w'); fcntl.lockf(lock, fcntl.LOCK_EX);"
        "print(os.getpid(), end='', file=lock, flush=True); print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(folder / LOCK_FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(ThesisError, match=f"is being written by process {other.pid}: wait"):
            prepare(root=tmp_path, clips=2, **SMALL, **QUIET)
        other.communicate("\n")
    assert len(prepare(root=tmp_path, clips=2, **SMALL, **QUIET)) == 2


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ThesisError, match=r"file.*cannot be written"):
        prepare(root=tmp_path / "file", clips=2, **SMALL, **QUIET)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"size": 33}, "even"),
        ({"clips": 0}, "clips=0"),
        ({"frames": 1}, "frames=1"),
        ({"seed": -1}, "seed=-1"),
        ({"jobs": 0}, "jobs=0"),
    ],
)
def test_impossible_options_are_named(tmp_path: Path, wrong: dict[str, int], word: str) -> None:
    with pytest.raises(ThesisError, match=word):
        prepare(root=tmp_path, progress=False, **wrong)
    assert not list(tmp_path.rglob("*.mp4"))


def test_impossible_worlds_are_named() -> None:
    with pytest.raises(ThesisError, match=r"World\.height"):
        World(height=(0.9, 0.5))
    with pytest.raises(ThesisError, match=r"World\.split"):
        World(split=(0.6, 0.6, 0.6))
    with pytest.raises(ThesisError, match="did you mean 'wave'"):
        Recipe(world=World(actions=("wav",)))
    with pytest.raises(ThesisError, match="loudnes"):
        World.from_dict({"loudnes": 1})


def test_world_survives_json() -> None:
    world = World(height=(0.4, 0.5), actions=("wave", "bow"), noise=0.0)
    assert World.from_dict(json.loads(json.dumps(world.to_dict()))) == world
