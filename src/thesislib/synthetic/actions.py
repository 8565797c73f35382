"""What the figures do: parametric motions, from time to joint angles.

An action that has a counterpart in time (sit down and stand up, push and pull, ...) is written
once, as a path that is walked along with a *progress* between 0 and 1.  Its counterpart walks the
same path backwards, so the two share every pose and every speed, and only the order tells them
apart.  The other actions are cycles.  Poses are shared across actions on purpose: arms are up in
wave, raise, lower and jumping jack, knees are bent in sit, stand, squat and pick up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from thesislib.synthetic.figure import DOF, LIFT, Array, Body, D, J, forward_kinematics
from thesislib.synthetic.motion import Motion, Take, along, cycle, pose, progress, swing
from thesislib.synthetic.props import Prop


def arms_at_ease(take: Take) -> dict[str, float]:
    """What the arms do while the legs act: drawn once a video."""
    options: tuple[dict[str, float], ...] = (
        {},
        {"arms_flex": 75, "arms_elbow": 10},
        {"arms_abd": 42, "arms_elbow": 95, "arms_rot": -75},
        {"arms_abd": 70, "arms_elbow": 20},
        {"arms_flex": 35, "arms_elbow": 105},
    )
    return options[int(take.rng.integers(len(options)))]


def stance(take: Take) -> dict[str, float]:
    """What the legs do while the arms act: drawn once a video."""
    knee = float(take.rng.uniform(0, 22))
    return {"legs_abd": float(take.rng.uniform(2, 13)), "legs_knee": knee, "legs_flex": knee / 2}


# --- paths: walked forwards by one action, backwards by its counterpart ---


def sit(take: Take, u: Array) -> Motion:
    """Down onto a stool."""
    arms, a = arms_at_ease(take), take.amplitude**0.5
    keys = [
        pose(**arms),
        pose(lean=34 * a, legs_flex=58, legs_knee=62, **arms),
        pose(lean=8, legs_flex=84, legs_knee=88, **arms),
    ]
    return Motion(along(keys, u), prop=seat(take.body))


def seat(body: Body) -> Prop:
    """A stool of the right height, where this body sits down."""
    sitting = np.radians(pose(lean=8, legs_flex=84, legs_knee=88))[None]
    x, y, z = forward_kinematics(sitting, body)[0, J["pelvis"]]
    return Prop("stool", place=(x, 0.0, z - 0.02), height=y - 0.05)


def fetch(take: Take, u: Array) -> Motion:
    """Bend down with empty hands, come up with a box."""
    a = take.amplitude
    hands = "lr" if take.rng.random() < 0.5 else "r"
    down = 0.5 * (1 - np.cos(2 * np.pi * u))[:, None]
    up = np.clip((u - 0.5) * 2, 0, 1)[:, None]
    knees = take.rng.uniform(35, 75)
    bent = pose(lean=62 + 12 * a, legs_flex=knees * 0.8, legs_knee=knees, nod=-15)
    empty, full = pose(), pose()
    for s in hands:
        bent[[D[f"{s}_flex"], D[f"{s}_elbow"]]] = 66, 4
        full[[D[f"{s}_flex"], D[f"{s}_elbow"]]] = 22, 78 * a
        empty[[D[f"{s}_flex"], D[f"{s}_elbow"]]] = full[[D[f"{s}_flex"], D[f"{s}_elbow"]]] * 0.6
    angles = (empty * (1 - up) + full * up) * (1 - down) + bent * down
    return Motion(angles, prop=Prop("box"), carry=(hands, u >= 0.5))


def door(take: Take, u: Array) -> Motion:
    """Swing open the door of a cabinet at the right hand."""
    prop = Prop("cabinet", place=(-0.2, 0.0, 0.02), angle=np.radians(4 + 88 * take.amplitude * u))
    angles = along(
        [pose(side=10, twist=-18, turn=-20, **stance(take)), pose(side=2, twist=-4, turn=-25)], u
    )
    return Motion(angles, hands={"r": prop.handle()}, prop=prop)


def lift(take: Take, u: Array) -> Motion:
    """Both arms from the sides up over the head, forwards or sideways."""
    a, legs = take.amplitude**0.5, stance(take)
    top = 158 * a
    keys = [
        [pose(arms_abd=9, **legs), pose(arms_abd=top, arms_elbow=8, **legs)],
        [pose(arms_flex=4, **legs), pose(arms_flex=top, arms_elbow=8, **legs)],
        [
            pose(arms_flex=4, **legs),
            pose(arms_flex=50, arms_elbow=110, **legs),
            pose(arms_flex=top, arms_elbow=8, **legs),
        ],
    ][int(take.rng.integers(3))]
    return Motion(along(keys, u), plant=True)


def shove(take: Take, u: Array) -> Motion:
    """Walk forwards with both hands on a crate."""
    a = take.amplitude
    steps = 2 * np.pi * (1.5 * u + take.phase)
    angles = along([pose(lean=20), pose(lean=34 * a)], u)
    for s, sign in (("l", 1), ("r", -1)):
        angles[:, D[f"{s}_hip"]] = 12 + 22 * a * sign * np.sin(steps)
        angles[:, D[f"{s}_knee"]] = 14 + 26 * swing(steps + (0 if sign > 0 else np.pi))
    near = 0.27 + 0.10 * a * u  # the arms stretch a little too
    crate = np.stack([0 * u, 0 * u, near], axis=1)
    grip = np.stack([0 * u, 0 * u + 0.55, near + 0.01], axis=1)
    side = np.array([0.1, 0, 0])
    travel = np.stack([0 * u, 0 * u, 0.6 * a * (u - 0.5) - 0.12], axis=1)
    return Motion(
        angles, False, {"l": grip + side, "r": grip - side}, Prop("crate", path=crate),
        travel=travel,
    )  # fmt: skip


# --- cycles ---


def wave(take: Take, _: Array) -> Motion:
    """One forearm swings beside the head."""
    legs = stance(take)
    w = np.sin(cycle(take, 0.7))[:, None]
    up = float(take.rng.uniform(95, 150))
    middle = pose(r_abd=up, r_rot=90, r_elbow=float(take.rng.uniform(35, 65)), side=-3, **legs)
    reachy = np.zeros(len(DOF))
    reachy[[D["r_elbow"], D["r_abd"]]] = 32 * take.amplitude, -8
    return Motion(middle + w * reachy)


def clap(take: Take, _: Array) -> Motion:
    """Both hands meet before the chest, the belly or over the head."""
    open_ = swing(cycle(take, 0.75)) * 0.24 * take.amplitude + 0.015
    high = float(take.rng.choice([0.66, 0.8, 1.08]))
    ahead = 0.26 if high < 1 else 0.08
    centre = np.array([0, high, ahead])
    side = open_[:, None] * np.array([1.0, 0, 0])
    angles = np.tile(pose(**stance(take)), (take.frames, 1))
    return Motion(angles, hands={"l": centre + side, "r": centre - side})


def jumping_jack(take: Take, _: Array) -> Motion:
    """Arms and legs open and close in the air."""
    angle = cycle(take, 1.05)
    a = take.amplitude**0.5
    keys = [pose(arms_abd=12), pose(arms_abd=150 * a, legs_abd=20 * a, arms_elbow=10)]
    angles = along(keys, swing(angle))
    angles[:, LIFT] = 0.05 * take.amplitude * np.abs(np.sin(angle))
    return Motion(angles)


def squat(take: Take, _: Array) -> Motion:
    """Down and up on both legs."""
    arms, a = arms_at_ease(take), take.amplitude**0.5
    low = pose(lean=30, legs_flex=88 * a, legs_knee=98 * a, **arms)
    return Motion(along([pose(**arms), low], swing(cycle(take, 1.5))))


def punch(take: Take, _: Array) -> Motion:
    """The fists shoot forward in turn."""
    angle = cycle(take, 1.1)
    angles = np.tile(pose(legs_abd=8, legs_knee=15, legs_flex=10), (take.frames, 1))
    guard, out = np.array([0.09, 0.7, 0.15]), np.array([0.04, 0.79, 0.42])
    hands = {}
    for s, sign in (("l", 1), ("r", -1)):
        b = np.clip(sign * np.sin(angle), 0, 1)[:, None] * min(take.amplitude, 1.1)
        target = guard * (1 - b) + out * b
        target[:, 0] *= sign
        hands[s] = target
    angles[:, D["twist"]] = -22 * take.amplitude * np.sin(angle)
    return Motion(angles, hands=hands)


def kick(take: Take, _: Array) -> Motion:
    """One leg swings forward."""
    angle = cycle(take, 1.2)
    b = np.clip(np.sin(angle), 0, 1)
    angles = np.tile(pose(**arms_at_ease(take)), (take.frames, 1))
    angles[:, D["r_hip"]] = 82 * take.amplitude * b
    angles[:, D["r_knee"]] = 60 * np.clip(np.sin(angle + 0.9), 0, 1) * (1 - b) + 5
    angles[:, D["lean"]] = -12 * b
    return Motion(angles, plant=False)


def bow(take: Take, _: Array) -> Motion:
    """The trunk bends forward and comes up."""
    arms = arms_at_ease(take)
    keys = [pose(**arms), pose(lean=62 * take.amplitude, nod=12, legs_flex=6, **arms)]
    return Motion(along(keys, swing(cycle(take, 1.5))))


def march(take: Take, _: Array) -> Motion:
    """Steps on the spot."""
    angle = cycle(take, 1.1)
    angles = np.tile(pose(arms_elbow=50), (take.frames, 1))
    for s, sign in (("l", 1), ("r", -1)):
        b = np.clip(sign * np.sin(angle), 0, 1)
        angles[:, D[f"{s}_hip"]] = 72 * take.amplitude * b
        angles[:, D[f"{s}_knee"]] = 85 * b
        angles[:, D[f"{s}_flex"]] = -32 * take.amplitude * sign * np.sin(angle)
    return Motion(angles, plant=False)


def jump(take: Take, _: Array) -> Motion:
    """Crouch and leap on the spot."""
    angle = cycle(take, 0.95)
    air = np.clip(np.sin(angle), 0, 1)
    crouch = np.clip(-np.sin(angle), 0, 1)
    angles = along(
        [pose(), pose(lean=26, legs_flex=52, legs_knee=66, arms_flex=-30)], crouch
    ) + air[:, None] * (pose(arms_flex=110 * take.amplitude) - pose())
    angles[:, LIFT] = 0.13 * take.amplitude * air
    return Motion(angles)


def turn(take: Take, _: Array) -> Motion:
    """Turning about on the spot."""
    legs = stance(take)
    angles = np.tile(pose(**arms_at_ease(take), **legs), (take.frames, 1))
    angles[:, D["yaw"]] = np.degrees(cycle(take, 2.2))
    return Motion(angles, plant=False)


@dataclass(frozen=True)
class Action:
    """How an action is performed: a path walked forwards or backwards, or a cycle."""

    perform: Callable[[Take, Array], Motion]
    direction: int = 0  # +1 forwards, -1 backwards, 0 cycle


ACTIONS: dict[str, Action] = {
    "sit_down": Action(sit, 1), "stand_up": Action(sit, -1),
    "pick_up": Action(fetch, 1), "put_down": Action(fetch, -1),
    "open_door": Action(door, 1), "close_door": Action(door, -1),
    "raise_arms": Action(lift, 1), "lower_arms": Action(lift, -1),
    "push": Action(shove, 1), "pull": Action(shove, -1),
    "wave": Action(wave), "clap": Action(clap), "jumping_jack": Action(jumping_jack),
    "squat": Action(squat), "punch": Action(punch), "kick": Action(kick),
    "bow": Action(bow), "march": Action(march), "jump": Action(jump), "turn": Action(turn),
}  # fmt: skip

# Pairs that only time tells apart.
PAIRS = (
    ("sit_down", "stand_up"), ("pick_up", "put_down"), ("open_door", "close_door"),
    ("raise_arms", "lower_arms"), ("push", "pull"),
)  # fmt: skip


def perform(name: str, take: Take) -> Motion:
    """The motion of one action."""
    action = ACTIONS[name]
    u = progress(take)
    u = u[::-1].copy() if action.direction < 0 else u
    motion = action.perform(take, u)
    return replace(motion, progress=u if action.direction else None)
