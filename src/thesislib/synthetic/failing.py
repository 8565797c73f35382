"""How an action goes wrong: the actor topples, collapses or stumbles, and lets go of things.

From one frame on the intended motion gives way to a fall. A body topples like a rod on its foot:
its angle to the vertical obeys ``a'' = 3 g / 2 h * sin(a)``, slow at first and then not to be
stopped; knees that give way and things that are dropped follow free fall.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thesislib.synthetic.figure import Array, Body, D, J
from thesislib.synthetic.motion import FPS, Motion, joints_of, pose
from thesislib.synthetic.props import Prop

GRAVITY = 9.81 / 1.7  # statures a second squared
LETTING_GO = 0.15  # seconds until the hands have left what they held
FAILURES = ("topple", "collapse", "stumble")
SHARES = (0.4, 0.25, 0.35)


def fail(
    motion: Motion, joints: Array, body: Body, habit: Array, start: int, rng: np.random.Generator
) -> Array:
    """The joints of an action that goes wrong.

    Args:
        motion: What was intended.
        joints: Its joints ``(T, 17, 3)`` in statures.
        body: Limb lengths.
        habit: What is added to the angles of ``motion``, ``(T, len(DOF))`` degrees.
        start: First frame that differs.
        rng: Draws how it goes wrong.

    Returns:
        ``(T, 17, 3)``, the same as ``joints`` before ``start``.
    """
    kind = FAILURES[int(rng.choice(len(FAILURES), p=SHARES))]
    seconds = np.maximum(np.arange(len(joints)) - start + 1, 0) / FPS  # since the failure
    held = motion.angles.copy()
    held[start:] = held[start]  # nobody goes on with what has failed
    angles = {"topple": brace, "collapse": give_way, "stumble": stagger}[kind](held, seconds, rng)
    fallen = joints_of(Motion(angles, motion.plant), body, habit)
    free = np.clip(seconds / LETTING_GO, 0, 1)[:, None, None]
    out = joints * (1 - free) + fallen * free
    turn = rng.uniform(0, 2 * np.pi)  # of the direction on the floor
    towards = np.array([np.cos(turn), 0, 0.6 * np.sin(turn)])
    towards /= np.linalg.norm(towards)
    if kind == "topple":
        out = toppled(out, rod(seconds, rng), towards, rng.uniform(0, 0.5))
    if kind == "stumble":
        out = out + lunge(seconds, rng)[:, None, None] * towards
    out[:, :, 1] += np.maximum(0.02 - out[:, :, 1].min(axis=1), 0)[:, None]  # not into the floor
    out[:start] = joints[:start]
    return out


def smooth(seconds: Array, length: float) -> Array:
    """From 0 to 1 in ``length`` seconds, without a jerk."""
    u = np.clip(seconds / length, 0, 1)
    return u * u * (3 - 2 * u)


def flail(angles: Array, seconds: Array, size: float, rng: np.random.Generator) -> None:
    """Arms beat the air, in place; the movement dies away within two seconds."""
    strength = size * smooth(seconds, 0.2) * np.exp(-seconds / 0.7)
    for name in ("l_flex", "l_abd", "r_flex", "r_abd"):
        beat = np.sin(2 * np.pi * (rng.uniform(1.5, 3.0) * seconds + rng.uniform()))
        angles[:, D[name]] += strength * (beat + 0.6)


def brace(held: Array, seconds: Array, rng: np.random.Generator) -> Array:
    """A toppling body: arms fly up to break the fall, knees bend a little."""
    end = pose(
        arms_flex=rng.uniform(20, 110), arms_abd=rng.uniform(20, 90),
        arms_elbow=rng.uniform(10, 60), legs_flex=rng.uniform(0, 40),
        legs_knee=rng.uniform(5, 60), lean=rng.uniform(-10, 25),
    )  # fmt: skip
    w = smooth(seconds, rng.uniform(0.3, 0.6))[:, None]
    angles = held * (1 - w) + end * w
    angles[:, D["yaw"]] = held[:, D["yaw"]]
    flail(angles, seconds, rng.uniform(10, 40), rng)
    return angles


def give_way(held: Array, seconds: Array, rng: np.random.Generator) -> Array:
    """Knees give way, as fast as free fall allows; the body ends up sitting on the floor."""
    end = pose(
        legs_flex=rng.uniform(82, 98), legs_knee=rng.uniform(0, 20), lean=rng.uniform(-25, 15),
        side=rng.uniform(-15, 15), arms_flex=rng.uniform(-35, 20), arms_abd=rng.uniform(10, 45),
    )  # fmt: skip
    crouch = pose(legs_flex=70, legs_knee=105, lean=35, arms_abd=40)
    fall = np.clip(0.5 * GRAVITY * seconds**2 / 0.45, 0, 1)[:, None]  # the pelvis falls 0.45
    sit = smooth(np.maximum(seconds - 0.2, 0), rng.uniform(0.3, 0.5))[:, None]
    angles = (held * (1 - fall) + crouch * fall) * (1 - sit) + end * sit
    angles[:, D["yaw"]] = held[:, D["yaw"]]
    flail(angles, seconds, rng.uniform(15, 45), rng)
    return angles


def stagger(held: Array, seconds: Array, rng: np.random.Generator) -> Array:
    """The trunk sways and the legs catch up; the body comes to rest on its feet."""
    w = smooth(seconds, rng.uniform(0.5, 0.9))[:, None]
    angles = held * (1 - w) + pose(lean=rng.uniform(0, 20), arms_elbow=rng.uniform(10, 40)) * w
    angles[:, D["yaw"]] = held[:, D["yaw"]]
    rest = smooth(seconds, 0.15) * np.exp(-seconds / rng.uniform(0.5, 0.9))
    tempo, phase = rng.uniform(1.2, 2.0), rng.uniform()
    wave = lambda shift: np.sin(2 * np.pi * (tempo * seconds + phase + shift))  # noqa: E731
    angles[:, D["lean"]] += rest * rng.uniform(25, 50) * wave(0.0)
    angles[:, D["side"]] += rest * rng.uniform(-35, 35) * wave(0.1)
    for side, shift in (("l", 0.0), ("r", 0.5)):
        step = np.maximum(wave(shift), 0)
        angles[:, D[f"{side}_hip"]] += rest * rng.uniform(35, 60) * step
        angles[:, D[f"{side}_knee"]] += rest * rng.uniform(35, 70) * step
    flail(angles, seconds, rng.uniform(35, 70), rng)
    return angles


def rod(seconds: Array, rng: np.random.Generator) -> Array:
    """Angle to the vertical ``(T,)`` of a rod that topples, until it lies on the floor."""
    angle, speed = rng.uniform(0.03, 0.08), rng.uniform(0.5, 1.5)
    end = np.radians(rng.uniform(78, 90))
    out, steps = np.zeros(len(seconds)), 8
    for t in np.flatnonzero(seconds > 0):
        for _ in range(steps):
            speed += 1.5 * GRAVITY * np.sin(angle) / (FPS * steps)
            angle += speed / (FPS * steps)
            if angle > end:  # a dull bounce
                angle, speed = end, -0.25 * speed
        out[t] = angle
    return out


def toppled(joints: Array, angle: Array, towards: Array, grip: float) -> Array:
    """Joints turned by ``angle`` ``(T,)`` about the feet, in the direction ``towards``.

    With no ``grip`` the feet slip away and the middle of the body falls straight down; with a
    ``grip`` of 1 the feet stay where they are.
    """
    pivot = joints[:, [J["l_ankle"], J["r_ankle"]]].mean(axis=1, keepdims=True)  # (T, 1, 3)
    arm = joints - pivot
    along = arm @ towards  # (T, 17): how far towards the fall
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    turned_along, up = c * along + s * arm[:, :, 1], c * arm[:, :, 1] - s * along
    arm = arm + (turned_along - along)[:, :, None] * towards
    arm[:, :, 1] = up
    slip = (1 - grip) * 0.5 * np.sin(angle)[:, None, None] * towards
    return np.asarray(pivot + arm - slip)


def lunge(seconds: Array, rng: np.random.Generator) -> Array:
    """How far a stumbling body is carried over the floor ``(T,)``, in statures."""
    return np.asarray(rng.uniform(0.08, 0.22) * smooth(seconds, rng.uniform(0.4, 0.9)))


def stopped(values: Array, start: int) -> Array:
    """The course of something that is left alone from ``start`` on."""
    out = values.copy()
    out[start:] = out[start]
    return out


def let_go(prop: Prop | None, start: int) -> Prop | None:
    """A thing that nobody moves any more: it stays where it is, or falls to the floor."""
    if prop is None:
        return None
    angle = None if prop.angle is None else stopped(prop.angle, start)
    if prop.path is None:
        return replace(prop, angle=angle)
    path = stopped(prop.path, start)
    seconds = np.maximum(np.arange(len(path)) - start, 0) / FPS
    path[:, 1] = np.maximum(path[:, 1] - 0.5 * GRAVITY * seconds**2, 0)
    return replace(prop, angle=angle, path=path)
