"""The motions: bodies stay whole, counterparts in time share their poses, windows show the way."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from thesislib.synthetic.actions import ACTIONS, PAIRS, perform
from thesislib.synthetic.figure import Body, J, forward_kinematics, reach
from thesislib.synthetic.motion import Motion, Take, joints_of, pose, progress, wander
from thesislib.synthetic.props import carried

FRAMES = 64


def take(seed: int, **changes: float) -> Take:
    rng = np.random.default_rng(seed)
    tempo, amplitude, phase = rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.15), rng.uniform()
    made = Take(FRAMES, tempo, amplitude, phase, Body(), rng)
    return dataclasses.replace(made, **changes)


def joints(name: str, seed: int) -> np.ndarray:
    t = take(seed)
    return joints_of(perform(name, t), t.body, wander(t, 7.0, 2.5, t.rng))


def test_sixteen_actions_and_four_pairs() -> None:
    assert len(ACTIONS) >= 16
    assert len(PAIRS) >= 4
    assert {name for pair in PAIRS for name in pair} == {
        name for name, action in ACTIONS.items() if action.direction
    }


def test_standing_figure_is_one_stature_high_and_faces_the_camera() -> None:
    body = Body()
    p = forward_kinematics(np.radians(pose())[None], body)[0]
    top = p[J["head"], 1] + body.head
    assert top == pytest.approx(1.0, abs=0.03)
    assert p[J["l_wrist"], 0] > 0 > p[J["r_wrist"], 0]  # its left is at the right of the picture
    assert p[J["l_toe"], 2] > p[J["l_ankle"], 2]  # the toes point at the camera


@pytest.mark.parametrize(
    ("angles", "joint", "axis", "sign"),
    [
        ({"arms_flex": 90}, "l_wrist", 2, 1),  # an arm lifted forwards points at the camera
        ({"arms_abd": 90}, "r_wrist", 0, -1),  # an arm lifted sideways points away from the body
        ({"arms_abd": 90, "arms_elbow": 90, "arms_rot": 90}, "l_wrist", 1, 1),  # forearm up
        ({"lean": 80}, "head", 2, 1),
        ({"legs_flex": 80}, "l_knee", 2, 1),
    ],
)
def test_angles_bend_the_way_their_names_say(
    angles: dict[str, float], joint: str, axis: int, sign: int
) -> None:
    still = forward_kinematics(np.radians(pose())[None], Body(), plant=False)[0]
    moved = forward_kinematics(np.radians(pose(**angles))[None], Body(), plant=False)[0]
    pelvis = J["pelvis"]
    change = (moved[J[joint]] - moved[pelvis]) - (still[J[joint]] - still[pelvis])
    assert sign * change[axis] > 0.1


@pytest.mark.parametrize("name", ACTIONS)
def test_bones_keep_their_lengths_and_feet_stay_above_the_floor(name: str) -> None:
    body = Body()
    bones = {
        ("l_shoulder", "l_elbow"): body.upper_arm, ("r_elbow", "r_wrist"): body.forearm,
        ("l_hip", "l_knee"): body.thigh, ("r_knee", "r_ankle"): body.shank,
        ("neck", "head"): body.neck, ("l_shoulder", "r_shoulder"): 2 * body.shoulder,
    }  # fmt: skip
    p = joints(name, 3)
    assert p.shape == (FRAMES, 17, 3)
    assert np.isfinite(p).all()
    for (a, b), length in bones.items():
        np.testing.assert_allclose(np.linalg.norm(p[:, J[a]] - p[:, J[b]], axis=1), length, 0.002)
    assert p[:, [J["l_ankle"], J["r_ankle"]], 1].min() >= 0.02 - 1e-9


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_moves(name: str) -> None:
    t = take(5)
    p = joints_of(perform(name, t), t.body)
    assert np.ptp(p, axis=0).max() > 0.1


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
@pytest.mark.parametrize("seed", range(3))
def test_counterparts_are_the_same_motion_backwards(pair: tuple[str, str], seed: int) -> None:
    def show(name: str) -> list[np.ndarray]:
        t = take(seed)
        motion: Motion = perform(name, t)
        p = joints_of(motion, t.body)
        out = [p]
        if motion.travel is not None:
            out.append(motion.travel)
        prop = carried(p, *motion.carry) if motion.carry else motion.prop
        if prop is not None:
            out += [np.asarray(corners) for corners, _ in prop.faces(FRAMES)]
        return out

    forwards, backwards = show(pair[0]), show(pair[1])
    for f, b in zip(forwards, backwards, strict=True):
        np.testing.assert_allclose(f, b[::-1], atol=1e-9)
    assert np.abs(forwards[0] - backwards[0]).max() > 0.1  # and not the same forwards


def test_progress_has_the_same_law_in_both_directions_of_time() -> None:
    u = np.stack([progress(take(seed)) for seed in range(400)])
    assert (np.diff(u, axis=1) >= 0).all()
    np.testing.assert_allclose(u.mean(0) + u.mean(0)[::-1], 1, atol=0.06)
    np.testing.assert_allclose(u.std(0), u.std(0)[::-1], atol=0.04)


def test_every_window_of_forty_frames_carries_the_direction() -> None:
    for seed in range(200):
        u = progress(take(seed))
        gain = u[39:] - u[: len(u) - 39]
        assert gain.min() > 0.25


def test_reach_puts_the_hand_on_the_target_or_stretches_towards_it() -> None:
    body = Body()
    p = np.repeat(forward_kinematics(np.radians(pose())[None], body), 2, axis=0)
    shoulder = p[0, J["l_shoulder"]]
    near, far = shoulder + np.array([0.05, -0.1, 0.2]), shoulder + np.array([0.0, 0.0, 2.0])
    reach(p, "l", np.stack([near, far]), body)
    np.testing.assert_allclose(p[0, J["l_wrist"]], near, atol=1e-9)
    stretched = p[1, J["l_wrist"]] - shoulder
    np.testing.assert_allclose(stretched[:2], 0, atol=1e-9)
    assert stretched[2] == pytest.approx(body.upper_arm + body.forearm, rel=2e-3)
