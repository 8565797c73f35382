"""Untrimmed videos: about a minute, several labelled actions, background between (thesis 5.4.3).

The figure walks about, stands, looks around, and performs some of the sixteen actions at places of
its stage, where their things stand all the time. ``segments.json`` says what happens when. The
files hold every fourth frame of the studio's 30 a second, as in ``synthetic_captions``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from thesislib.data.manifest import SPLITS, Manifest
from thesislib.data.segments import write_segments
from thesislib.synthetic.actions import ACTIONS, arms_at_ease
from thesislib.synthetic.captioned import CAPTIONED, EVERY
from thesislib.synthetic.captions import names
from thesislib.synthetic.drawing import Painter, turned
from thesislib.synthetic.figure import Array, D
from thesislib.synthetic.motion import Motion, Take, along, joints_of, pose, wander
from thesislib.synthetic.plot import Beat, deal, plot
from thesislib.synthetic.props import Prop, carried
from thesislib.synthetic.render import (
    PLAN,
    TAKE,
    Actor,
    ClipSpec,
    actor_of,
    camera_path,
    clip_spec,
    expose,
    fineness,
    noise_of,
    paint_of,
    room_of,
    session,
    shoot,
)  # fmt: skip
from thesislib.synthetic.scenes import Image
from thesislib.synthetic.studio import Recipe, file_of, film, split_counts
from thesislib.synthetic.wording import TEMPLATES
from thesislib.synthetic.world import World

SEED = 1_000_000_000  # added to the seed: no actor or room of other data sets is met again
STREAM = 13  # of the plots
PLOT = 2  # version of the plots: raised whenever the same seed would give others
PER_GROUP = 2  # videos of an actor, which together show every action once
BLEND = 10  # frames in which a pose gives way to the next

# As in the captioned videos, from farther off: there is more of the stage to see.
UNTRIMMED = replace(CAPTIONED, split=(0.5, 0.2, 0.3), height=(0.55, 0.68), place=0.05, yaw=25.0)


@dataclass(frozen=True)
class LongSpec(ClipSpec):
    """All that decides the pixels of an untrimmed video, and its ground truth."""

    beats: tuple[Beat, ...] = ()

    @property
    def label(self) -> str:
        """An untrimmed video has none."""
        return ""

    def segments(self) -> list[tuple[float, float, str]]:
        """What there is to find, of the world's actions: start and end in seconds, action."""
        found = [one for beat in self.beats for one in beat.labelled()]
        return [one for one in found if one[2] in self.world.actions]

    def film(self) -> Image:
        """Its frames, ``(length, size, size, 3)``."""
        return render_untrimmed(self)


@dataclass(frozen=True)
class UntrimmedRecipe(Recipe):
    """Everything that decides the files of untrimmed videos; each is as long as its plot."""

    clips: int = 120
    world: World = UNTRIMMED
    description: ClassVar[str] = "Simulated studio: untrimmed videos with labelled actions."

    def to_dict(self) -> dict[str, object]:
        plain = {key: value for key, value in super().to_dict().items() if key != "frames"}
        return {**plain, "every": EVERY, "plot": PLOT}

    def specs(self) -> list[ClipSpec]:
        """All videos, no group in two splits."""
        out: list[ClipSpec] = []
        group = 0
        for split, count in zip(SPLITS, split_counts(self.clips, self.world.split), strict=True):
            for first in range(0, count, PER_GROUP):
                rng = np.random.default_rng([SEED + self.seed, PLAN, STREAM, group])
                hands = deal(rng, self.world.actions, PER_GROUP)
                for hand in hands[: count - first]:
                    out.append(self.one(rng, len(out), split, group, hand))
                group += 1
        return out

    def one(
        self, rng: np.random.Generator, index: int, split: str, group: int, acts: list[str]
    ) -> LongSpec:
        """One video that shows these acts."""
        spec = clip_spec(
            index, "", split, group, seed=SEED + self.seed, world=self.world, size=self.size,
            frames=0,
        )  # fmt: skip
        beats = plot(rng, acts, spec.mirror)
        frames = beats[-1].start + beats[-1].frames
        return LongSpec(**vars(replace(spec, frames=frames, every=EVERY)), beats=beats)

    def annotate(self, manifest: Manifest, specs: list[ClipSpec]) -> None:
        manifest.info["class_texts"] = names(self.world.actions)
        manifest.info["templates"] = list(TEMPLATES)
        found = {file_of(s): s.segments() for s in specs if isinstance(s, LongSpec)}
        write_segments(manifest, found)


class Set(NamedTuple):
    """A thing on the stage over the whole video."""

    prop: Prop
    way: Array  # (T, 3)


class Part(NamedTuple):
    """One beat in three dimensions."""

    joints: Array  # (frames, 17, 3) about the actor's own place
    way: Array  # (frames, 3) that place
    prop: Prop | None = None


def staged_untrimmed(spec: LongSpec, actor: Actor) -> tuple[Array, list[Set]]:
    """Joints ``(T, 17, 3)`` on the stage, and the things on it."""
    acts = {i: act_part(spec, actor, i) for i, b in enumerate(spec.beats) if b.kind == "act"}
    whole: list[Part] = []
    for i, beat in enumerate(spec.beats):
        if i in acts:
            whole.append(acts[i])
            continue
        ahead = acts[i + 1].way[0] if i + 1 in acts else at(beat)
        here = whole[-1].way[-1] if whole else ahead
        whole.append(background(spec, actor, i, here, here if beat.kind == "idle" else ahead))
    joints = np.concatenate([part.joints for part in whole])
    for beat in spec.beats[1:]:
        f = np.linspace(0, 1, BLEND + 2)[1:-1, None, None]
        b = slice(beat.start, beat.start + BLEND)
        joints[b] = joints[beat.start - 1] * (1 - f) + joints[b] * f
    things = [
        held(part, beat, spec.frames)
        for part, beat in zip(whole, spec.beats, strict=True)
        if part.prop is not None
    ]
    return joints + np.concatenate([part.way for part in whole])[:, None], things


def at(beat: Beat) -> Array:
    """The place of a beat, ``(3,)``."""
    return np.array([beat.place[0], 0.0, beat.place[1]])


def take_of(spec: LongSpec, actor: Actor, number: int) -> Take:
    """How one beat is performed."""
    rng = np.random.default_rng([spec.seed, TAKE, spec.index, number])
    w = spec.world
    tempo, amplitude = float(rng.uniform(*w.tempo)), float(rng.uniform(*w.amplitude))
    return Take(spec.beats[number].frames, tempo, amplitude, float(rng.uniform()), actor.body, rng)


def posed(spec: LongSpec, take: Take, motion: Motion) -> Array:
    """Joints of a beat, with the actor's habits."""
    habits = np.random.default_rng([spec.seed, TAKE, spec.index])
    return joints_of(motion, take.body, wander(take, spec.world.style, spec.world.tremor, habits))


def act_part(spec: LongSpec, actor: Actor, number: int) -> Part:
    """An act, at its place."""
    beat, take = spec.beats[number], take_of(spec, actor, number)
    motion = ACTIONS[beat.action].perform(take, beat.progress(take.rng))
    joints = posed(spec, take, motion)
    prop = carried(joints, *motion.carry) if motion.carry is not None else motion.prop
    yaw = np.radians(spec.yaw)
    travel = np.zeros((beat.frames, 3)) if motion.travel is None else motion.travel
    way = at(beat) + turned(travel, yaw, spec.mirror)
    return Part(turned(joints, yaw, spec.mirror), way, prop)


def background(spec: LongSpec, actor: Actor, number: int, here: Array, goal: Array) -> Part:
    """Walking from here to a goal, or standing about."""
    take = take_of(spec, actor, number)
    t = np.linspace(0, 1, take.frames)
    still = np.allclose(here, goal)
    if still:
        angles = idle(take)
        way = np.tile(here, (take.frames, 1))
    else:
        way = here + (t * t * (3 - 2 * t))[:, None] * (goal - here)
        angles = walk(take)
    turn = np.clip(np.minimum(t, 1 - t) * take.frames / 12, 0, 1)  # away from the camera and back
    front = np.radians(spec.yaw)
    heading = front if still else np.arctan2(*(goal - here)[[0, 2]])
    angles[:, D["yaw"]] = np.degrees(front + turn * (heading - front))
    return Part(posed(spec, take, Motion(angles, plant=False)), way)


def idle(take: Take) -> Array:
    """Standing about: from one way of holding the arms to another, the head turns."""
    rng = take.rng
    keys = [pose(**arms_at_ease(take)) for _ in range(3)]
    u = np.linspace(0, 1, take.frames)
    angles = along(keys, u * u * (3 - 2 * u))
    sway = np.sin(2 * np.pi * (u * take.frames / 30 * rng.uniform(0.15, 0.4) + rng.uniform()))
    angles[:, D["turn"]] += rng.uniform(10, 45) * sway
    angles[:, D["side"]] += rng.uniform(0, 5) * sway
    return angles


def walk(take: Take) -> Array:
    """Steps, small at the beginning and the end."""
    t = np.arange(take.frames)
    size = np.clip(np.minimum(t, t[::-1]) / 10, 0, 1) * take.amplitude
    phase = 2 * np.pi * (t / 30 * 0.95 * take.tempo + take.phase)
    angles = np.tile(pose(arms_elbow=20), (take.frames, 1))
    for side, sign in (("l", 1), ("r", -1)):
        swing = sign * np.sin(phase)
        angles[:, D[f"{side}_hip"]] += 26 * size * swing
        angles[:, D[f"{side}_knee"]] += 30 * size * np.clip(sign * np.cos(phase), 0, 1)
        angles[:, D[f"{side}_flex"]] -= 24 * size * swing
    return angles


def held(part: Part, beat: Beat, frames: int) -> Set:
    """A thing over the whole video: it stands still before and after its act."""
    assert part.prop is not None
    number = np.clip(np.arange(frames) - beat.start, 0, beat.frames - 1)
    return Set(part.prop.at(number), part.way[number])


def render_untrimmed(spec: LongSpec) -> Image:
    """The frames of an untrimmed video, ``(T, size, size, 3)`` uint8 RGB."""
    actor, w = actor_of(spec.seed, spec.group, spec.world), spec.world
    joints, things = staged_untrimmed(spec, actor)
    shown = np.arange(0, spec.frames, spec.every)
    shared = session(spec.seed, spec.group)
    rng = noise_of(spec)
    path = shared.path if w.session else np.random.default_rng([spec.seed, TAKE, spec.index])
    camera, drift = camera_path(path, spec, actor.height)
    side = spec.size * fineness(spec.size)
    elevation = np.radians(spec.elevation)
    painter = Painter(len(shown), elevation, camera[shown] * side, side * actor.height)
    painter.figure((joints + drift[:, None])[shown], actor.body, actor.outfit)
    for prop, way in things:
        paint = paint_of(rng, w)
        painter.prop(prop.at(shown), np.radians(spec.yaw), spec.mirror, (way + drift)[shown], paint)
    room = room_of(spec.seed, spec.group, w, spec.size)
    frames = shoot(painter, room.picture, spec.size)
    return expose(frames, rng, shared.light if w.session else rng, w)


def prepare_untrimmed(
    name: str = "synthetic_untrimmed",
    root: str | Path | None = None,
    clips: int = 120,
    seed: int = 0,
    world: World = UNTRIMMED,
    size: int = 64,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Films untrimmed videos; see :func:`thesislib.synthetic.studio.prepare`.

    Videos have no label; ``segments.json`` says what happens when
    (:func:`thesislib.data.segments.read_segments`). The manifest's info holds ``class_texts`` and
    ``templates`` as that of ``synthetic_captions``.
    """
    return film(UntrimmedRecipe(clips, seed, world, size), name, root, jobs, progress, force)
