"""How a step is acted out within a scene: before it and after it the figure stands about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thesislib.synthetic.actions import ACTIONS
from thesislib.synthetic.figure import Array, D
from thesislib.synthetic.motion import Motion, Take, joints_of
from thesislib.synthetic.untrimmed import idle


def acted(
    take: Take, habit: Array, action: str = "", act: tuple[int, int] = (0, 0)
) -> tuple[Array, Motion]:
    """Joints ``(frames, 17, 3)`` of a scene, and the motion whose things they use.

    What leads somewhere is walked once, and the figure stays as it is before and after; a cycle is
    stood about before and after.

    Args:
        take: How it is performed.
        habit: ``(frames, len(DOF))``, of :func:`motion.wander`.
        action: A key of :data:`actions.ACTIONS`; without one the figure only stands about.
        act: First frame of the action and the first after it.
    """
    standing = Motion(idle(take), plant=False)
    if not action:
        return joints_of(standing, take.body, habit), standing
    a, b = act
    found = ACTIONS[action]
    if found.direction:
        u = np.clip((np.arange(take.frames) - a + 0.5) / (b - a), 0, 1)
        motion = found.perform(take, u if found.direction > 0 else 1 - u)
        aside = (u <= 0) | (u >= 1)
        motion.angles[:, D["turn"]] += aside * standing.angles[:, D["turn"]]  # talking
        return joints_of(motion, take.body, habit), motion
    motion = found.perform(replace(take, frames=b - a), np.zeros(b - a))
    joints = joints_of(standing, take.body, habit)
    joints[a:b] = joints_of(motion, take.body, habit[a:b])
    return joints, Motion(motion.angles)
