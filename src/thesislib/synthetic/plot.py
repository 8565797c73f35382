"""What happens in an untrimmed video: acts at places of the stage, and what lies between them.

An act that has a counterpart is walked to its end, held, and walked back: both ways are labelled,
what lies between is not. So a seated figure, an open door or raised arms are no sign of an action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thesislib.synthetic.actions import ACTIONS, PAIRS
from thesislib.synthetic.figure import Array
from thesislib.synthetic.motion import FPS

BACK = dict(PAIRS)  # action -> its counterpart
WITH_PROPS = ("sit_down", "pick_up", "open_door", "push")
EITHER_END = ("open_door", "push")  # these may begin at the end of their path
SIDE, FRONT = 0.42, 0.3  # where things stand to the left and right, and free acts before them
Place = tuple[float, float]  # x to the right, z to the camera, in statures


@dataclass(frozen=True)
class Beat:
    """A stretch of an untrimmed video.

    Attributes:
        kind: ``act``, ``walk`` or ``idle``.
        start: Its first frame, at 30 a second.
        frames: How many.
        place: Where it happens; of a walk, where it leads to (what follows decides).
        action: Of an act: the one whose path is walked first forwards, or the cycle.
        first: Of an act with a path: 0 begins with ``action``, 1 with its counterpart.
        turns: Of an act with a path: its four frames, start and end of both ways, from ``start``.
    """

    kind: str
    start: int
    frames: int
    place: Place
    action: str = ""
    first: int = 0
    turns: tuple[int, int, int, int] = (0, 0, 0, 0)

    def labelled(self) -> list[tuple[float, float, str]]:
        """What there is to find: start and end in seconds, and the action."""
        if self.kind != "act":
            return []
        if self.action not in BACK:
            return [(self.start / FPS, (self.start + self.frames) / FPS, self.action)]
        a, b, c, d = ((self.start + frame) / FPS for frame in self.turns)
        names = [self.action, BACK[self.action]]
        return [(a, b, names[self.first]), (c, d, names[1 - self.first])]

    def progress(self, rng: np.random.Generator) -> Array:
        """Place on the path in each frame ``(frames,)``, 0 to 1."""
        a, b, c, d = self.turns
        t = np.arange(self.frames)
        u = np.clip((t - a) / max(b - a, 1), 0, 1) - np.clip((t - c) / max(d - c, 1), 0, 1)
        ease = rng.uniform(0.2, 0.9)
        u = ease * u * u * (3 - 2 * u) + (1 - ease) * u
        return 1 - u if self.first else u


def acts_of(actions: Sequence[str]) -> tuple[list[str], list[str]]:
    """The acts that show these actions: with something on the stage, and without."""
    forward = {b: a for a, b in PAIRS}
    acts = list(dict.fromkeys(forward.get(action, action) for action in actions))
    return [a for a in acts if a in WITH_PROPS], [a for a in acts if a not in WITH_PROPS]


def deal(rng: np.random.Generator, actions: Sequence[str], videos: int) -> list[list[str]]:
    """The acts of the videos of one group: together each act once, no thing twice in a video."""
    hands: list[list[str]] = [[] for _ in range(videos)]
    place = 0
    for acts in acts_of(actions):
        for i in rng.permutation(len(acts)):
            hands[place % videos].append(acts[i])
            place += 1
    return [[hands[k][i] for i in rng.permutation(len(hands[k]))] for k in rng.permutation(videos)]


def plot(rng: np.random.Generator, acts: Sequence[str], mirror: bool) -> tuple[Beat, ...]:
    """The beats of one video: the acts in their order, and what lies between them."""
    places = stand(rng, acts, mirror)
    beats: list[Beat] = []

    def add(kind: str, frames: int, place: Place, **more: object) -> None:
        start = beats[-1].start + beats[-1].frames if beats else 0
        beats.append(Beat(kind, start, frames, place, **more))  # type: ignore[arg-type]

    def between(goal: Place | None) -> None:
        """Standing about, now and then somewhere else, and the way to the next act."""
        if beats and rng.random() < 0.5:
            aside = float(rng.uniform(-0.5, 0.5)), float(rng.uniform(0.2, 0.4))
            add("walk", pace(rng, beats[-1].place, aside), aside)
        here = beats[-1].place if beats else goal or (0.0, FRONT)
        add("idle", int(rng.integers(45, 136)), here)
        if goal is not None and goal != here:
            add("walk", pace(rng, here, goal), goal)

    for action in acts:
        between(places[action])
        if ACTIONS[action].direction == 0:
            add("act", int(rng.integers(75, 151)), places[action], action=action)
            continue
        lead, there, hold, back, trail = (
            int(rng.integers(low, high)) for low, high in
            ((12, 25), (39, 79), (40, 111), (39, 79), (12, 25))
        )  # fmt: skip
        turns = (lead, lead + there, lead + there + hold, lead + there + hold + back)
        first = int(rng.integers(2)) if action in EITHER_END else 0
        more = {"action": action, "first": first, "turns": turns}
        add("act", turns[-1] + trail, places[action], **more)
    between(None)
    return tuple(beats)


def stand(rng: np.random.Generator, acts: Sequence[str], mirror: bool) -> dict[str, Place]:
    """Where each act is performed: those with things left and right, the others before them."""
    sides = [-SIDE, SIDE] if rng.random() < 0.5 else [SIDE, -SIDE]
    if "open_door" in acts:  # its cabinet stands towards the middle
        sides = [-SIDE, SIDE] if mirror else [SIDE, -SIDE]
    things = sorted((act for act in acts if act in WITH_PROPS), key=lambda act: act != "open_door")
    places = {act: (side, 0.0) for act, side in zip(things, sides, strict=False)}
    return {act: places.get(act) or (float(rng.uniform(-0.15, 0.15)), FRONT) for act in acts}


def pace(rng: np.random.Generator, here: Place, there: Place) -> int:
    """Frames that the way takes."""
    return int(28 + np.hypot(there[0] - here[0], there[1] - here[1]) * rng.uniform(50, 80))
