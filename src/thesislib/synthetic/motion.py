"""How a motion is written down: key poses, progress, cycles, habits; and its way to joints.

Angles are written in degrees here; forward kinematics takes radians.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from thesislib.synthetic.figure import DOF, LIFT, Array, Body, D, forward_kinematics, reach
from thesislib.synthetic.props import Prop

FPS = 30


@dataclass(frozen=True)
class Take:
    """How one video performs its action."""

    frames: int
    tempo: float  # 1 is the usual speed
    amplitude: float  # 1 is the usual size
    phase: float  # 0..1: where a cycle starts; how early a path starts
    body: Body
    rng: np.random.Generator  # for the style of this performance


@dataclass
class Motion:
    """Joint angles over time and what the hands do.

    Attributes:
        angles: ``(T, len(DOF))`` degrees (``lift`` in statures).
        plant: see :func:`figure.forward_kinematics`.
        hands: per side (``"l"``, ``"r"``) a target ``(T, 3)`` that the hand holds on to.
        prop: the thing that the action needs, if any.
        carry: for the prop ``"box"``: which hands carry it, and when ``(T,)`` it is carried.
        travel: ``(T, 3)`` way of the whole figure over the floor, in statures.
        progress: ``(T,)`` place on the path in 0..1, which a counterpart walks backwards; ``None``
            of a cycle.
    """

    angles: Array
    plant: bool = True
    hands: dict[str, Array] = field(default_factory=dict)
    prop: Prop | None = None
    carry: tuple[str, NDArray[np.bool_]] | None = None
    travel: Array | None = None
    progress: Array | None = None


def pose(**degrees: float) -> Array:
    """A pose ``(len(DOF),)`` that departs from standing at ease; ``arms_``/``legs_`` set both."""
    out = np.zeros(len(DOF))
    for side in "lr":
        out[D[f"{side}_abd"]], out[D[f"{side}_elbow"]], out[D[f"{side}_hip_abd"]] = 9, 12, 4
    for name, value in degrees.items():
        kind, _, rest = name.partition("_")
        if kind == "arms":
            out[[D[f"l_{rest}"], D[f"r_{rest}"]]] = value
        elif kind == "legs":
            joint = {"flex": "hip", "abd": "hip_abd", "knee": "knee"}[rest]
            out[[D[f"l_{joint}"], D[f"r_{joint}"]]] = value
        else:
            out[D[name]] = value
    return out


def along(keys: list[Array], progress: Array) -> Array:
    """Walk through key poses: progress ``(T,)`` in 0..1 to poses ``(T, len(DOF))``."""
    x = np.clip(progress, 0, 1) * (len(keys) - 1)
    i = np.minimum(x.astype(int), len(keys) - 2)
    f = (x - i)[:, None]
    stack = np.stack(keys)
    return stack[i] * (1 - f) + stack[i + 1] * f


def progress(take: Take) -> Array:
    """From 0 to 1, once, over most of the clip: its law does not change when time is reversed.

    At tempo 1 the way takes 70 % of the clip, so every window of 60 % of the clip sees the
    greater part of it.
    """
    n = take.frames - 1
    length = min(0.7 / take.tempo, 0.94) * n
    start = (n - length) * (0.5 + 0.7 * (take.phase - 0.5))
    u = np.clip((np.arange(take.frames) - start) / max(length, 1), 0, 1)
    ease = take.rng.uniform(0.2, 0.9)
    return ease * u * u * (3 - 2 * u) + (1 - ease) * u


def cycle(take: Take, seconds: float) -> Array:
    """The phase angle ``(T,)`` of a repeated movement whose period at tempo 1 is ``seconds``."""
    turns = np.arange(take.frames) / FPS * take.tempo / seconds
    return 2 * np.pi * (turns + take.phase)


def swing(angle: Array) -> Array:
    """0 at angle 0, 1 at half a turn, and back: ``(1 - cos) / 2``."""
    return (1 - np.cos(angle)) / 2


def wander(take: Take, style: float, tremor: float, habits: np.random.Generator) -> Array:
    """Tremor and habit ``(T, len(DOF))`` in degrees.

    No two performances share the tremor; ``habits`` draws the habitual offset of each joint.
    """
    rng = take.rng
    weight = np.ones(len(DOF))
    weight[[D["yaw"], LIFT]] = 0
    for name in ("lean", "side", "twist", "l_hip", "r_hip", "l_knee", "r_knee"):
        weight[D[name]] = 0.5
    for name in ("l_hip_abd", "r_hip_abd"):
        weight[D[name]] = 0.3
    t = np.arange(take.frames)[:, None] / FPS
    slow = np.sin(2 * np.pi * (rng.uniform(0.2, 0.9, len(DOF)) * t + rng.uniform(size=len(DOF))))
    return weight * (style * habits.normal(size=len(DOF)) + tremor * 1.4 * slow)


def joints_of(motion: Motion, body: Body, extra: Array | float = 0.0) -> Array:
    """Joint positions ``(T, 17, 3)`` of a motion, hands on what they hold."""
    angles = motion.angles + extra
    for name in ("l_knee", "r_knee", "l_elbow", "r_elbow"):  # these bend one way only
        angles[:, D[name]] = np.maximum(angles[:, D[name]], 0)
    radians = np.radians(angles)
    radians[:, LIFT] = angles[:, LIFT]
    joints = forward_kinematics(radians, body, motion.plant)
    for side, target in motion.hands.items():
        reach(joints, side, target, body)
    return joints
