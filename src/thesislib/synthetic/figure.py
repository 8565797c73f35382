"""The jointed figure: a skeleton of 17 joints, forward kinematics, reaching.

Lengths are in statures (the standing figure is 1 high).  The frame of reference is the stage: x to
the right of the picture, y up from the floor, z towards the camera.  A figure with yaw 0 faces the
camera, so its own left is at positive x.  A motion is an array of joint angles
``(T, len(DOF))`` in radians; anything that ends in joint positions ``(T, 17, 3)`` can be drawn,
wherever the joints come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

JOINTS = (
    "pelvis", "neck", "head",
    "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
    "l_hip", "l_knee", "l_ankle", "l_toe", "r_hip", "r_knee", "r_ankle", "r_toe",
)  # fmt: skip
J = {name: i for i, name in enumerate(JOINTS)}

# Degrees of freedom.  flex lifts a limb forwards, abd sideways, rot turns the bend of the elbow.
DOF = (
    "yaw", "lean", "side", "twist", "nod", "turn", "lift",
    "l_flex", "l_abd", "l_rot", "l_elbow", "r_flex", "r_abd", "r_rot", "r_elbow",
    "l_hip", "l_hip_abd", "l_knee", "r_hip", "r_hip_abd", "r_knee",
)  # fmt: skip
D = {name: i for i, name in enumerate(DOF)}
LIFT = D["lift"]  # the one that is a length, not an angle: height of the feet over the floor


@dataclass(frozen=True)
class Body:
    """Lengths of the limbs and half widths, in statures."""

    torso: float = 0.30  # hip line to shoulder line
    neck: float = 0.12  # shoulder line to the middle of the head
    head: float = 0.075  # radius
    shoulder: float = 0.115  # half width
    hip: float = 0.065  # half width
    upper_arm: float = 0.175
    forearm: float = 0.165
    thigh: float = 0.235
    shank: float = 0.225
    foot: float = 0.085
    girth: float = 1.0  # factor on the thickness of everything


def random_body(rng: np.random.Generator, spread: float) -> Body:
    """A body whose limbs differ from the usual ones; ``spread`` 0 gives the usual one."""

    def vary(value: float, deviation: float) -> float:
        return float(value * np.exp(np.clip(rng.normal(), -2, 2) * deviation * spread))

    b = Body()
    return Body(
        vary(b.torso, 0.05), vary(b.neck, 0.05), vary(b.head, 0.10), vary(b.shoulder, 0.10),
        vary(b.hip, 0.10), vary(b.upper_arm, 0.06), vary(b.forearm, 0.06), vary(b.thigh, 0.06),
        vary(b.shank, 0.06), vary(b.foot, 0.08), vary(b.girth, 0.16),
    )  # fmt: skip


def rotation(axis: int, angle: Array) -> Array:
    """Rotations about a coordinate axis: angles ``(T,)`` to matrices ``(T, 3, 3)``."""
    c, s = np.cos(angle), np.sin(angle)
    out = np.zeros((len(angle), 3, 3))
    i, k = (axis + 1) % 3, (axis + 2) % 3
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, k, k] = c
    out[:, i, k], out[:, k, i] = -s, s
    return out


def forward_kinematics(angles: Array, body: Body, plant: bool = True) -> Array:
    """Joint positions from joint angles.

    Args:
        angles: ``(T, len(DOF))`` radians (``lift`` in statures).
        body: limb lengths.
        plant: keep the middle between the ankles in place (the body moves over its feet);
            otherwise the pelvis stays over the origin.

    Returns:
        ``(T, 17, 3)`` positions in statures; the lower foot stands ``lift`` above the floor.
    """
    a = {name: angles[:, i] for i, name in enumerate(DOF)}
    p = np.zeros((len(angles), len(JOINTS), 3))
    base = rotation(1, a["yaw"])
    chest = base @ rotation(1, a["twist"]) @ rotation(0, a["lean"]) @ rotation(2, a["side"])
    skull = chest @ rotation(1, a["turn"]) @ rotation(0, a["nod"])
    p[:, J["neck"]] = chest[:, :, 1] * body.torso
    p[:, J["head"]] = p[:, J["neck"]] + skull[:, :, 1] * body.neck
    for s, sign in (("l", 1.0), ("r", -1.0)):
        shoulder = p[:, J["neck"]] + chest[:, :, 0] * (sign * body.shoulder)
        arm = chest @ rotation(2, sign * a[f"{s}_abd"]) @ rotation(0, -a[f"{s}_flex"])
        arm = arm @ rotation(1, sign * a[f"{s}_rot"])
        elbow = shoulder - arm[:, :, 1] * body.upper_arm
        fore = arm @ rotation(0, -a[f"{s}_elbow"])
        p[:, J[f"{s}_shoulder"]], p[:, J[f"{s}_elbow"]] = shoulder, elbow
        p[:, J[f"{s}_wrist"]] = elbow - fore[:, :, 1] * body.forearm

        hip = base[:, :, 0] * (sign * body.hip)
        leg = base @ rotation(2, sign * a[f"{s}_hip_abd"]) @ rotation(0, -a[f"{s}_hip"])
        knee = hip - leg[:, :, 1] * body.thigh
        shank = leg @ rotation(0, a[f"{s}_knee"])
        ankle = knee - shank[:, :, 1] * body.shank
        p[:, J[f"{s}_hip"]], p[:, J[f"{s}_knee"]], p[:, J[f"{s}_ankle"]] = hip, knee, ankle
        p[:, J[f"{s}_toe"]] = ankle + base[:, :, 2] * body.foot
    ankles = p[:, [J["l_ankle"], J["r_ankle"]]]
    shift = np.zeros((len(angles), 3))
    if plant:
        shift = -ankles.mean(axis=1)
    shift[:, 1] = a["lift"] - ankles[:, :, 1].min(axis=1) + 0.02
    return p + shift[:, None]


def reach(joints: Array, side: str, target: Array, body: Body) -> None:
    """Put one hand on a target, in place (two-bone inverse kinematics, elbow kept low).

    Args:
        joints: ``(T, 17, 3)``, changed in place at the elbow and the wrist of ``side``.
        side: ``"l"`` or ``"r"``.
        target: ``(T, 3)``; a target out of reach is approached with a stretched arm.
        body: limb lengths.
    """
    shoulder = joints[:, J[f"{side}_shoulder"]]
    line = target - shoulder
    span = np.linalg.norm(line, axis=1, keepdims=True)
    u, f = body.upper_arm, body.forearm
    unit = line / np.maximum(span, 1e-6)
    span = np.clip(span, abs(u - f) + 1e-3, (u + f) * 0.999)
    along = (u * u - f * f + span * span) / (2 * span)
    away = np.sqrt(np.maximum(u * u - along * along, 0))
    outward = joints[:, J[f"{side}_shoulder"]] - joints[:, J["neck"]]
    pole = np.array([0.0, -1.0, 0.0]) + 3.0 * outward
    pole = pole - (pole * unit).sum(axis=1, keepdims=True) * unit
    pole /= np.maximum(np.linalg.norm(pole, axis=1, keepdims=True), 1e-6)
    joints[:, J[f"{side}_elbow"]] = shoulder + along * unit + away * pole
    joints[:, J[f"{side}_wrist"]] = shoulder + span * unit
