"""The things on the stage: a stool, a crate, a cabinet with a door, a box to carry.

A prop becomes a list of flat quadrilaterals whose corners move over time.  Which prop stands about
is drawn for every video: one that an action needs also appears, unused, beside other actions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from thesislib.synthetic.figure import Array, J

KINDS = ("stool", "crate", "cabinet", "box")
BOX = 0.13  # side of the box, in statures
CABINET = (0.28, 0.98, 0.2)  # width, height, depth
HANDLE = 0.62  # height of the door's handle


@dataclass(frozen=True)
class Prop:
    """One thing on the stage, in the actor's frame of reference (statures, radians)."""

    kind: str
    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    height: float = 0.25  # of a stool
    angle: Array | None = None  # (T,) of a cabinet's door; 0 is shut
    path: Array | None = None  # (T, 3): place over time, for things that move

    def at(self, frames: NDArray[np.int64]) -> Prop:
        """The same at some frames alone."""
        angle = None if self.angle is None else self.angle[frames]
        return replace(self, angle=angle, path=None if self.path is None else self.path[frames])

    def handle(self) -> Array:
        """Where the handle of the cabinet's door is over time, ``(T, 3)``."""
        assert self.angle is not None
        return self._door(0.92, HANDLE)

    def _door(self, across: float, up: float) -> Array:
        angle = self.angle if self.angle is not None else np.zeros(1)
        r = CABINET[0] * across
        x, _, z = self.place
        return np.stack([x - r * np.cos(angle), 0 * angle + up, z + r * np.sin(angle)], axis=1)

    def faces(self, frames: int) -> list[tuple[Array, float]]:
        """Quadrilaterals ``(T, 4, 3)``, each with a shade (1 is full light)."""
        at = self.path if self.path is not None else np.tile(np.array(self.place), (frames, 1))
        if self.kind == "stool":
            return block(at, (0.2, self.height, 0.17))
        if self.kind == "crate":
            return block(at + np.array([0, 0, 0.15]), (0.34, 0.55, 0.28))
        if self.kind == "box":
            return block(at, (BOX, BOX, BOX))
        w, h, d = CABINET
        case = block(at + np.array([-w / 2, 0, -d / 2 - 0.01]), (w, h, d))
        inside = case.pop(4)[0]  # the front is open: a dark hole behind the door
        bottom, top = self._door(0, 0.03), self._door(0, h - 0.03)
        edge, crown = self._door(1, 0.03), self._door(1, h - 0.03)
        leaf = np.stack([np.broadcast_to(c, (frames, 3)) for c in (bottom, top, crown, edge)], 1)
        return [*case, (inside, 0.3), (leaf, 1.15)]


def block(at: Array, size: tuple[float, float, float]) -> list[tuple[Array, float]]:
    """A cuboid that stands on ``at`` ``(T, 3)``: left, right, back, top and front face."""
    w, h, d = size[0] / 2, size[1], size[2] / 2
    corner = {
        (i, k, m): np.array([w * (2 * i - 1), h * k, d * (2 * m - 1)])
        for i in (0, 1) for k in (0, 1) for m in (0, 1)
    }  # fmt: skip

    def face(shade: float, *keys: tuple[int, int, int]) -> tuple[Array, float]:
        return at[:, None] + np.stack([corner[k] for k in keys]), shade

    return [
        face(0.7, (0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1)),
        face(0.8, (1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)),
        face(0.6, (0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0)),
        face(1.2, (0, 1, 0), (0, 1, 1), (1, 1, 1), (1, 1, 0)),
        face(1.0, (0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 0, 1)),
    ]


def carried(joints: Array, hands: str, held: NDArray[np.bool_]) -> Prop:
    """A box that is in the hands while ``held`` ``(T,)`` and lies on the floor otherwise.

    It lies where the hands are at the frame in which they are lowest.
    """
    wrists = [J[f"{s}_wrist"] for s in hands]
    hand = joints[:, wrists].mean(axis=1)  # (T, 3)
    low = hand[hand[:, 1].argmin()].copy()
    low[1] = 0.0
    hang = hand - np.array([0, BOX * 0.7, 0]) + np.array([0, 0, 0.04])
    path = np.where(held[:, None], hang, low)
    path[:, 1] = np.maximum(path[:, 1], 0)
    return Prop("box", path=path)


def bystander(rng: np.random.Generator, frames: int, stool: Prop, joints: Array) -> Prop:
    """A prop that the action does not need, where it would be or near the figure."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    if kind == "stool":
        return stool
    if kind == "crate":
        side = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.5)
        return Prop("crate", place=(side, 0.0, float(rng.uniform(-0.2, 0.3))))
    if kind == "cabinet":
        angle = np.full(frames, np.radians(rng.uniform(4, 90)))
        return Prop("cabinet", place=(-0.2, 0.0, 0.02), angle=angle)
    if rng.random() < 0.5:
        return carried(joints, "r", np.ones(frames, bool))
    return Prop("box", place=(float(rng.uniform(-0.2, 0.2)), 0.0, float(rng.uniform(0.2, 0.4))))
