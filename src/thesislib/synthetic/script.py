"""The script of a narrated instruction video: which steps are shown when, and what is said when.

A video is a row of scenes, each in one setting: the figure stands about, performs a step, stands
about again. The narrator talks all the while, about twelve sentences a minute as a recogniser of
speech would cut them. Three of ten can be seen at all. Half of those are spoken while their step is
shown; the others up to half a minute early or late, so that they are often out of order. Of the
rest, two in five tell of a step that this video does not show, and the others of nothing that
could be seen (thesis 7.1 and 7.4.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from thesislib.data.narrations import UNKNOWN, Alignment, Narration
from thesislib.synthetic import narrator
from thesislib.synthetic.activities import Step, activities, steps
from thesislib.synthetic.captions import Rng
from thesislib.synthetic.figure import Array

SCRIPT = 1  # version of the scripts: raised whenever the same seed would give others
RATE = 2  # frames a second
STEPS = (11, 15)  # steps that are shown, from ... to before
SWAPS = 2  # neighbours that change places, at most
# Frames before, in and after a step; and of a scene in which the figure only stands about.
BEFORE, ACT, AFTER, TALKING = (2, 5), (12, 21), (1, 4), (8, 17)
TALK = 0.4  # how often such a scene comes between two others
SPOKEN, PAUSE = (2.4, 5.4), (0.2, 2.0)  # seconds of a sentence, and after it
ALIGNABLE, ON_TIME = 0.3, 0.5  # of all sentences, and of those
OFF = (4.0, 30.0)  # seconds between a step and a sentence about it that is early or late
MENTIONS = 0.4  # of what is not alignable: tells of a step that is not shown


@dataclass(frozen=True)
class Scene:
    """A part of a video in one setting.

    Attributes:
        start: Its first frame.
        frames: How many.
        step: What is performed, if anything.
        act: First frame of the step and the first after it, counted from ``start``.
    """

    start: int
    frames: int
    step: Step | None = None
    act: tuple[int, int] = (0, 0)

    @property
    def seen(self) -> tuple[float, float]:
        """When the step is shown, in seconds of the video."""
        return (self.start + self.act[0]) / RATE, (self.start + self.act[1]) / RATE


class Sentence(NamedTuple):
    """A sentence of a script."""

    heard: Narration
    seen: Alignment


def scenes(rng: Rng, whole: Sequence[Step]) -> tuple[Scene, ...]:
    """The scenes of one video.

    Args:
        rng: Draws which steps are shown, their order, and how long all takes.
        whole: The steps of its activity, in their usual order.
    """
    out: list[Scene] = []

    def add(before: int, step: Step | None = None, act: int = 0, after: int = 0) -> None:
        start = out[-1].start + out[-1].frames if out else 0
        out.append(Scene(start, before + act + after, step, (before, before + act)))

    add(int(rng.integers(*TALKING)))
    for step in chosen(rng, whole):
        if rng.random() < TALK:
            add(int(rng.integers(*TALKING)))
        add(int(rng.integers(*BEFORE)), step, int(rng.integers(*ACT)), int(rng.integers(*AFTER)))
    return tuple(out)


def chosen(rng: Rng, whole: Sequence[Step]) -> list[Step]:
    """The steps that are shown, in their usual order but for a few neighbours."""
    count = min(int(rng.integers(*STEPS)), len(whole))
    shown = [whole[i] for i in np.sort(rng.permutation(len(whole))[:count])]
    for i in rng.integers(0, max(count - 1, 1), int(rng.integers(SWAPS + 1))):
        shown[i : i + 2] = shown[i : i + 2][::-1]
    return shown


def told(rng: Rng, parts: Sequence[Scene], activity: str) -> list[Sentence]:
    """What is said in a video, by the time at which it is heard."""
    slots = speech(rng, parts[-1].start + parts[-1].frames)
    places = alignable(rng, slots, parts)
    shown = {scene.step for scene in parts if scene.step}
    performed = {step.action for step in shown}
    unseen = [step for step in activities()[activity] if step not in shown]
    others = [step for step in steps() if step not in shown]
    who = narrator.WHO[int(rng.integers(len(narrator.WHO)))]
    rest = [i for i in range(len(slots)) if i not in places]
    mentions = set(rng.permutation(rest)[: round(MENTIONS * len(rest))].tolist())
    out: list[Sentence] = []
    before: Step | None = None
    for i, (start, end) in enumerate(slots):
        seen, step = Alignment(False, UNKNOWN, UNKNOWN, narrator.CHATTER), None
        if i in places:
            scene = places[i]
            assert scene.step is not None
            step, seen = scene.step, Alignment(True, *scene.seen, narrator.SHOWN)
            text = narrator.sentence(step, who, rng, before)
        elif i in mentions:
            pool = unseen if unseen and rng.random() < 0.5 else others
            step = pool[int(rng.integers(len(pool)))]
            seen = seen._replace(kind=narrator.MENTIONED)
            text = narrator.aside(step, who, rng, step.action not in performed)
        else:
            text = narrator.chatter(rng)
        before = step
        out.append(Sentence(Narration(start, end, text), seen))
    return out


def speech(rng: Rng, frames: int) -> list[tuple[float, float]]:
    """When the narrator speaks: starts and ends in seconds, none over another."""
    out: list[tuple[float, float]] = []
    now, end = float(rng.uniform(*PAUSE)), frames / RATE
    while True:
        stop = now + float(rng.uniform(*SPOKEN))
        if stop > end:
            return out or [(0.0, end)]
        out.append((round(now, 2), round(stop, 2)))
        now = stop + float(rng.uniform(*PAUSE))


def alignable(
    rng: Rng, slots: Sequence[tuple[float, float]], parts: Sequence[Scene]
) -> dict[int, Scene]:
    """Which of the sentences tell of which scene, exactly as many on time as asked for.

    On time is a sentence whose middle lies within its step.
    """
    acted = [scene for scene in parts if scene.step]
    wanted = round(ALIGNABLE * len(slots)) if acted else 0
    punctual = round(ON_TIME * wanted)
    middles = np.array([(start + end) / 2 for start, end in slots])
    out: dict[int, Scene] = {}
    # Every step is told of once before any is told of twice.
    order = [acted[i] for _ in range(1 + wanted) for i in rng.permutation(len(acted))]
    late: list[Scene] = []
    for scene in order[:wanted]:
        free = np.array([i not in out for i in range(len(slots))])
        start, end = scene.seen
        here = np.flatnonzero(free & (middles >= start) & (middles <= end))
        if len(out) < punctual and len(here):
            out[int(rng.choice(here))] = scene
        else:
            late.append(scene)
    for scene in late:
        place = astray(rng, middles, scene.seen, out)
        if place is not None:
            out[place] = scene
    return out


def astray(
    rng: Rng, middles: Array, seen: tuple[float, float], taken: Mapping[int, Scene]
) -> int | None:
    """A free sentence that comes early or late, about as far off as any other."""
    gap = np.maximum(seen[0] - middles, middles - seen[1])  # negative within the step
    free = np.array([i not in taken for i in range(len(middles))])
    fit = np.flatnonzero(free & (gap >= OFF[0]) & (gap <= OFF[1]))
    if not len(fit):  # a short video, or one in which all is said already
        fit = np.flatnonzero(free & (gap >= OFF[0]))
    if not len(fit):
        return None
    wanted, early = rng.uniform(*OFF), rng.random() < 0.5
    signed = np.where(middles[fit] < seen[0], -gap[fit], gap[fit])
    return int(fit[np.abs(signed - (-wanted if early else wanted)).argmin()])
