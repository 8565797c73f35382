"""Narrated instruction videos: minutes of one activity, step by step, and somebody who talks.

The studio's stand-in for HowTo100M, HTM-Align and Breakfast (thesis 6.4.2, 6.4.3, 7.4.1). The label
of a video is its activity, ``segments.json`` holds its steps, ``narrations.csv`` what is heard and
``alignments.csv`` what of it is seen. Two frames a second, one room and one actor a video, a new
setting for each step: which thing stands about, and from where all is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from thesislib.data.manifest import SPLITS, Manifest
from thesislib.data.narrations import write_narrations
from thesislib.data.segments import write_segments
from thesislib.synthetic.acting import acted
from thesislib.synthetic.actions import ACTIONS, seat
from thesislib.synthetic.activities import NAMES, PAINTS, PLACES, painted, steps, steps_of
from thesislib.synthetic.drawing import Painter, turned
from thesislib.synthetic.figure import Array
from thesislib.synthetic.motion import FPS, Take, wander
from thesislib.synthetic.narrator import title
from thesislib.synthetic.props import Prop, bystander, carried
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
    room_of,
    session,
    shoot,
)
from thesislib.synthetic.scenes import Image, Room
from thesislib.synthetic.script import RATE, SCRIPT, Scene, Sentence, scenes, told
from thesislib.synthetic.studio import CODEC, Recipe, balanced_deck, file_of, film, split_counts
from thesislib.synthetic.untrimmed import UNTRIMMED
from thesislib.synthetic.world import World

SEED = 2_000_000_000  # added to the seed: no actor or room of other data sets is met again
STREAM = 14  # of the plan; then its parts: activities of a split (0 to 2), scenes, words
SCENES, WORDS = 3, 4
EVERY = FPS // RATE
PER_GROUP = 4  # videos of an actor in one room, of different activities: the room tells nothing
SIDEWAYS = (35.0, 65.0)  # degrees, of somebody who sits or has sat
JITTER = 0.05  # statures: a place is never quite the same

# As the untrimmed videos, nearer and calmer: the colour of a thing is to stand out from clothes and
# room. With all actions, and with things that are not used.
NARRATED = replace(
    UNTRIMMED, actions=tuple(ACTIONS), actions_per_group=PER_GROUP, split=(0.65, 0.15, 0.2),
    height=(0.66, 0.82), props=0.2, scenes=0.25, clothes=0.4, loudness=0.25,
)  # fmt: skip


@dataclass(frozen=True)
class NarratedSpec(ClipSpec):
    """All that decides the pixels of a narrated video, and its ground truth.

    ``action`` is its activity, a name of :data:`activities.NAMES`.
    """

    scenes: tuple[Scene, ...] = ()

    def segments(self) -> list[tuple[float, float, str]]:
        """The steps that are shown: start and end in seconds, label."""
        return [(*scene.seen, scene.step.label) for scene in self.scenes if scene.step]

    def sentences(self) -> list[Sentence]:
        """What is said, by the time at which it is heard."""
        rng = np.random.default_rng([self.seed, PLAN, STREAM, WORDS, self.index])
        return told(rng, self.scenes, self.action)

    def film(self) -> Image:
        """Its frames, ``(length, size, size, 3)``."""
        return render_narrated(self)


@dataclass(frozen=True)
class NarratedRecipe(Recipe):
    """Everything that decides the files of narrated videos; each is as long as its script."""

    clips: int = 200
    world: World = NARRATED
    # Half the time of the usual preset, and files a third larger.
    codec: ClassVar[dict[str, str]] = {**CODEC, "preset": "ultrafast"}
    description: ClassVar[str] = "Simulated studio: narrated instruction videos of ten activities."

    def __post_init__(self) -> None:
        super().__post_init__()
        for activity in NAMES:
            steps_of(activity, self.world.actions)

    def to_dict(self) -> dict[str, object]:
        plain = {key: value for key, value in super().to_dict().items() if key != "frames"}
        return {**plain, "every": EVERY, "script": SCRIPT}

    def specs(self) -> list[ClipSpec]:
        """All videos, balanced over activities in each split, no group in two splits."""
        out: list[ClipSpec] = []
        group, per_group = 0, self.world.actions_per_group
        for split, count in zip(SPLITS, split_counts(self.clips, self.world.split), strict=True):
            rng = np.random.default_rng([SEED + self.seed, PLAN, STREAM, SPLITS.index(split)])
            for place, activity in enumerate(balanced_deck(rng, NAMES, count)):
                out.append(self.one(len(out), activity, split, group + place // per_group))
            group = out[-1].group + 1 if out else 0
        return out

    def one(self, index: int, activity: str, split: str, group: int) -> NarratedSpec:
        """One video."""
        seed = SEED + self.seed
        spec = clip_spec(
            index, activity, split, group, seed=seed, world=self.world, size=self.size, frames=0
        )
        rng = np.random.default_rng([seed, PLAN, STREAM, SCENES, index])
        parts = scenes(rng, steps_of(activity, self.world.actions))
        frames = (parts[-1].start + parts[-1].frames) * EVERY
        return NarratedSpec(**vars(replace(spec, frames=frames, every=EVERY)), scenes=parts)

    def annotate(self, manifest: Manifest, specs: list[ClipSpec]) -> None:
        manifest.info["class_texts"] = {name: name.replace("_", " ") for name in NAMES}
        manifest.info["step_texts"] = {step.label: title(step) for step in steps()}
        found = {file_of(spec): spec for spec in specs if isinstance(spec, NarratedSpec)}
        write_segments(manifest, {path: spec.segments() for path, spec in found.items()})
        said = {path: spec.sentences() for path, spec in found.items()}
        write_narrations(
            manifest,
            {path: [one.heard for one in some] for path, some in said.items()},
            {path: [one.seen for one in some] for path, some in said.items()},
        )


class Setting(NamedTuple):
    """A scene in three dimensions, before it is turned to the camera."""

    joints: Array  # (frames, 17, 3) about the actor's own place
    travel: Array  # (frames, 3)
    prop: Prop | None
    paint: str  # of the prop, a key of PAINTS
    place: float  # of all of it to the right, in statures, as seen
    yaw: float  # degrees


def setting(spec: NarratedSpec, actor: Actor, number: int) -> Setting:
    """What is on the stage in a scene."""
    scene, w = spec.scenes[number], spec.world
    rng = np.random.default_rng([spec.seed, TAKE, spec.index, number])
    yaw = float(rng.uniform(-w.yaw, w.yaw))
    # A take counts thirty frames a second: the tempo makes up for those that are not filmed.
    tempo, amplitude = float(rng.uniform(*w.tempo)) * EVERY, float(rng.uniform(*w.amplitude))
    take = Take(scene.frames, tempo, amplitude, float(rng.uniform()), actor.body, rng)
    habit = wander(take, w.style, w.tremor, habits_of(spec))
    joints, motion = acted(take, habit, scene.step.action if scene.step else "", scene.act)
    travel = np.zeros((scene.frames, 3)) if motion.travel is None else motion.travel
    prop = carried(joints, *motion.carry) if motion.carry is not None else motion.prop
    place, paint = float(rng.uniform(-0.15, 0.15)), list(PAINTS)[int(rng.integers(len(PAINTS)))]
    if scene.step and scene.step.thing:
        paint = scene.step.detail
        if scene.step.thing == "stool":  # from before it is hidden by legs
            yaw = float(np.copysign(rng.uniform(*SIDEWAYS), yaw))
    elif scene.step:
        place = PLACES[scene.step.detail] + float(rng.uniform(-JITTER, JITTER))
    if prop is None and rng.random() < w.props:
        prop = bystander(rng, scene.frames, seat(actor.body), joints)
    return Setting(joints, travel, prop, paint, place, yaw)


def habits_of(spec: NarratedSpec) -> np.random.Generator:
    """What draws the habits of a video's actor, from the beginning."""
    return np.random.default_rng([spec.seed, TAKE, spec.index])


def shot(spec: NarratedSpec, actor: Actor, room: Room, number: int) -> Image:
    """The frames of a scene, ``(frames, size, size, 3)``, before light and noise."""
    stage, scene = setting(spec, actor, number), spec.scenes[number]
    rng = np.random.default_rng([spec.seed, TAKE, spec.index, number, 1])
    camera, drift = camera_path(rng, replace(spec, frames=scene.frames), actor.height)
    yaw, side = np.radians(stage.yaw), spec.size * fineness(spec.size)
    way = turned(stage.travel, yaw, spec.mirror) + drift + np.array([stage.place, 0.0, 0.0])
    painter = Painter(scene.frames, np.radians(spec.elevation), camera * side, side * actor.height)
    joints = turned(stage.joints, yaw, spec.mirror) + way[:, None]
    painter.figure(joints, actor.body, actor.outfit)
    if stage.prop is not None:
        painter.prop(stage.prop, yaw, spec.mirror, way, painted(stage.paint, rng))
    return shoot(painter, room.picture, spec.size)


def render_narrated(spec: NarratedSpec) -> Image:
    """The frames of a narrated video, ``(T, size, size, 3)`` uint8 RGB."""
    w = spec.world
    actor = actor_of(spec.seed, spec.group, w)
    room = room_of(spec.seed, spec.group, w, spec.size)
    frames = np.concatenate([shot(spec, actor, room, i) for i in range(len(spec.scenes))])
    rng = noise_of(spec)
    return expose(frames, rng, session(spec.seed, spec.group).light if w.session else rng, w)


def prepare_narrated(
    name: str = "synthetic_narrated",
    root: str | Path | None = None,
    clips: int = 200,
    seed: int = 0,
    world: World = NARRATED,
    size: int = 64,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Films narrated instruction videos; see :func:`thesislib.synthetic.studio.prepare`.

    The label of a video is its activity. ``segments.json`` holds its steps
    (:func:`thesislib.data.segments.read_segments`), ``narrations.csv`` and ``alignments.csv`` what
    is heard and what is seen (:mod:`thesislib.data.narrations`). The manifest's info holds the
    names of activities (``class_texts``) and of steps (``step_texts``) as people write them.
    """
    return film(NarratedRecipe(clips, seed, world, size), name, root, jobs, progress, force)
