"""From a clip's specification to its pixels: deterministic from (seed, video index) alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from thesislib.synthetic.actions import perform, seat
from thesislib.synthetic.drawing import Painter, project, turned
from thesislib.synthetic.failing import fail, let_go, stopped
from thesislib.synthetic.figure import Array, Body, random_body
from thesislib.synthetic.motion import FPS, Take, joints_of, wander
from thesislib.synthetic.props import Prop, bystander, carried
from thesislib.synthetic.scenes import Colour, Image, Outfit, Room, backdrop, colour, random_outfit
from thesislib.synthetic.world import World

# First words of the seeds, so that no two kinds of draws share a stream.
PLAN, GROUP, VIDEO, TAKE, NOISE, FAILURE, SESSION = range(7)
Frames = NDArray[np.int64]  # numbers of frames
MARGIN = 1.3  # side of the backdrop over the side of the frame: room for pans


@dataclass(frozen=True)
class ClipSpec:
    """All that decides the pixels of one video, and its ground truth."""

    index: int  # number of the video in the data set
    action: str
    split: str
    group: int  # number of the actor and scene
    seed: int
    size: int  # pixels, side of the frame
    frames: int
    world: World
    tempo: float
    amplitude: float
    phase: float
    mirror: bool
    yaw: float  # degrees; 0 faces the camera
    elevation: float  # degrees
    failure: int | None = None  # the frame from which on the action goes wrong
    every: int = 1  # of its frames only each so many-th is filmed

    @property
    def label(self) -> str:
        """Class name in the manifest."""
        return self.action

    @property
    def fps(self) -> Fraction:
        """Frames a second of the file."""
        return Fraction(FPS, self.every)

    @property
    def length(self) -> int:
        """Frames of the file."""
        return len(range(0, self.frames, self.every))

    def film(self) -> Image:
        """Its frames, ``(length, size, size, 3)``."""
        return render_clip(self)


def clip_spec(
    index: int, action: str, split: str, group: int, *, seed: int, world: World, size: int,
    frames: int,
) -> ClipSpec:  # fmt: skip
    """Draws how one video is performed and seen."""
    rng = np.random.default_rng([seed, VIDEO, index])
    tempo, amplitude = rng.uniform(*world.tempo), rng.uniform(*world.amplitude)
    phase = rng.uniform()
    rng = session(seed, group).view if world.session else rng
    return ClipSpec(
        index, action, split, group, seed, size, frames, world,
        float(tempo), float(amplitude), float(phase),
        mirror=bool(rng.random() < world.mirror),
        yaw=float(rng.uniform(-world.yaw, world.yaw)),
        elevation=float(rng.uniform(*world.elevation)),
    )  # fmt: skip


class Session(NamedTuple):
    """Generators of what the videos of one session share."""

    view: np.random.Generator  # mirror image and viewpoint
    path: np.random.Generator  # of the camera
    habits: np.random.Generator
    light: np.random.Generator


def session(seed: int, group: int) -> Session:
    """The draws of a session, each from its beginning."""
    return Session(*np.random.default_rng([seed, SESSION, group]).spawn(4))


@dataclass(frozen=True)
class Actor:
    """What the videos of one group share: body, clothes, backdrop, stature in the frame."""

    body: Body
    outfit: Outfit
    height: float  # stature as a fraction of the frame
    scene: np.random.Generator


def actor_of(seed: int, group: int, world: World) -> Actor:
    """The actor of a group."""
    rng, scene = np.random.default_rng([seed, GROUP, group]).spawn(2)
    body = random_body(rng, world.body)
    return Actor(body, random_outfit(rng, world.clothes), float(rng.uniform(*world.height)), scene)


@dataclass(frozen=True)
class Performance:
    """A clip in three dimensions, seen from its viewpoint."""

    joints: Array  # (T, 17, 3) statures; x right, y up, z to the camera
    way: Array  # (T, 3): travel of figure and prop over the floor
    prop: Prop | None  # in the actor's own frame of reference
    camera: Array  # (T, 2, 3): from projected statures to pixels of a frame of side 1
    progress: Array | None  # (T,), see :class:`motion.Motion`

    def at(self, frames: Frames) -> Performance:
        """The same at some frames alone."""
        prop = None if self.prop is None else self.prop.at(frames)
        u = None if self.progress is None else self.progress[frames]
        return Performance(self.joints[frames], self.way[frames], prop, self.camera[frames], u)


def performance(spec: ClipSpec, actor: Actor) -> Performance:
    """Joints, prop and camera path of a clip."""
    w = spec.world
    rng = np.random.default_rng([spec.seed, TAKE, spec.index])
    take = Take(spec.frames, spec.tempo, spec.amplitude, spec.phase, actor.body, rng)
    motion = perform(spec.action, take)
    shared = session(spec.seed, spec.group) if w.session else Session(rng, rng, rng, rng)
    habit = wander(take, w.style, w.tremor, shared.habits)
    joints = joints_of(motion, actor.body, habit)
    prop = motion.prop
    if motion.carry is not None:
        prop = carried(joints, *motion.carry)
    elif prop is None and rng.random() < w.props:
        prop = bystander(rng, spec.frames, seat(actor.body), joints)
    way = np.zeros((spec.frames, 3)) if motion.travel is None else motion.travel
    if spec.failure is not None:
        chance = np.random.default_rng([spec.seed, FAILURE, spec.index])
        joints = fail(motion, joints, actor.body, habit, spec.failure, chance)
        way, prop = stopped(way, spec.failure), let_go(prop, spec.failure)
    yaw = np.radians(spec.yaw)
    camera, drift = camera_path(shared.path, spec, actor.height)
    return Performance(
        turned(joints, yaw, spec.mirror), turned(way, yaw, spec.mirror) + drift, prop, camera,
        motion.progress,
    )  # fmt: skip


def camera_path(rng: np.random.Generator, spec: ClipSpec, height: float) -> tuple[Array, Array]:
    """The camera ``(T, 2, 3)`` for a frame of side 1, and the drift of the actor ``(T, 3)``."""
    w, t = spec.world, np.linspace(-0.5, 0.5, spec.frames)
    zoom = height * (1 + rng.uniform(-w.zoom, w.zoom) * t)
    x = 0.5 + rng.uniform(-w.place, w.place) + rng.uniform(-w.pan, w.pan) * t
    floor = 0.5 + 0.5 * min(height * 1.18, 0.94) + rng.uniform(-0.02, 0.02)
    y = floor + 0.5 * rng.uniform(-w.pan, w.pan) * t
    shake = cv2.GaussianBlur(rng.normal(size=(spec.frames, 2)), (1, 0), 1.5, sigmaY=1.5) * 2.3
    camera = np.zeros((spec.frames, 2, 3))
    camera[:, 0, 0] = camera[:, 1, 1] = zoom
    camera[:, 0, 2], camera[:, 1, 2] = x + w.shake * shake[:, 0], y + w.shake * shake[:, 1]
    drift = np.zeros((spec.frames, 3))
    drift[:, 0] = rng.uniform(-w.drift, w.drift) / height * t
    return camera, drift


def joints_2d(spec: ClipSpec) -> Array:
    """Ground truth: where the joints are in the frame, ``(T, 17, 2)`` pixels (x, y)."""
    p = performance(spec, actor_of(spec.seed, spec.group, spec.world))
    flat, _ = project(p.joints + p.way[:, None], np.radians(spec.elevation))
    pixels = flat @ p.camera[:, :, :2].transpose(0, 2, 1) + p.camera[:, None, :, 2]
    return np.asarray(pixels * spec.size)


@functools.lru_cache(maxsize=2)  # the videos of a group follow one another
def room_of(seed: int, group: int, world: World, size: int) -> Room:
    """The backdrop of a group, for frames of ``size`` pixels."""
    scene = actor_of(seed, group, world).scene
    return backdrop(scene, round(size * MARGIN), world.loudness, world.scenes)


class Stage(NamedTuple):
    """All that is on the stage in a clip, ready to be painted or told about."""

    spec: ClipSpec
    actor: Actor
    show: Performance
    room: Room


def staged(spec: ClipSpec, frames: Frames | None = None) -> Stage:
    """A clip before it is painted.

    Args:
        spec: The clip.
        frames: Numbers of the frames to show, ``(T,)``; default each ``spec.every``-th.
    """
    actor = actor_of(spec.seed, spec.group, spec.world)
    numbers = np.arange(0, spec.frames, spec.every) if frames is None else frames
    room = room_of(spec.seed, spec.group, spec.world, spec.size)
    return Stage(spec, actor, performance(spec, actor).at(numbers), room)


def paint_of(rng: np.random.Generator, world: World) -> Colour:
    """The colour of a video's prop, drawn from its noise before all else."""
    return colour(rng.uniform(), rng.uniform(0.1, 0.8) * world.clothes, rng.uniform(0.45, 0.85))


def noise_of(spec: ClipSpec) -> np.random.Generator:
    """What draws the colour of the prop, light and noise of a video."""
    return np.random.default_rng([spec.seed, NOISE, spec.index])


def render_clip(spec: ClipSpec) -> Image:
    """The frames of a clip, ``(T, size, size, 3)`` uint8 RGB."""
    return paint_clip(staged(spec))


def paint_clip(stage: Stage) -> Image:
    """The frames of a stage, ``(T, size, size, 3)`` uint8 RGB."""
    spec, actor, show, room = stage
    w, side = spec.world, spec.size * fineness(spec.size)
    elevation, camera = np.radians(spec.elevation), show.camera * side
    painter = Painter(len(camera), elevation, camera, side * actor.height)
    rng = noise_of(spec)
    painter.figure(show.joints + show.way[:, None], actor.body, actor.outfit)
    if show.prop is not None:
        yaw = np.radians(spec.yaw)
        painter.prop(show.prop, yaw, spec.mirror, show.way, paint_of(rng, w))
    out = shoot(painter, room.picture, spec.size)
    light = session(spec.seed, spec.group).light if w.session else rng
    return expose(out, rng, light, w)


def fineness(size: int) -> int:
    """How many times larger than the frame is what is drawn."""
    return 2 if size <= 96 else 1


def shoot(painter: Painter, room: Image, size: int) -> Image:
    """Paints all frames ``(T, size, size, 3)`` before the room."""
    cv2.setNumThreads(1)
    finer, camera = fineness(size), painter.camera
    side = size * finer
    out = np.empty((painter.frames, size, size, 3), np.uint8)
    around = camera.mean(axis=0)
    for t, order in enumerate(painter.orders()):
        if t == 0 or (camera[t] != camera[t - 1]).any():
            empty = film(room, camera[t] / finer, around / finer, size)
            if finer > 1:
                empty = np.asarray(cv2.resize(empty, (side, side), interpolation=cv2.INTER_LINEAR))
        canvas = empty.copy()
        painter.paint(canvas, t, order)
        if finer > 1:
            canvas = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)  # type: ignore
        out[t] = canvas
    return out


def film(room: Image, camera: Array, around: Array, side: int) -> Image:
    """The part of the backdrop that the camera sees: it moves with the stage.

    ``around`` is the mean camera, which sees the middle of the backdrop.
    """
    k = camera[0, 0] / around[0, 0]
    offset = camera[:, 2] - k * (around[:, 2] + (room.shape[0] - side) / 2)
    matrix = np.array([[k, 0, offset[0]], [0, k, offset[1]]])
    return np.asarray(
        cv2.warpAffine(room, matrix, (side, side), borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def expose(
    frames: Image, rng: np.random.Generator, light: np.random.Generator, world: World
) -> Image:
    """Light and sensor noise."""
    gain = 1 + light.uniform(-world.light, world.light)
    table = np.clip(np.arange(256) * gain + 0.5, 0, 255).astype(np.uint8)
    pixels = frames[0].size
    more, less = grain(world.noise, max(1 << 20, 4 * pixels))
    for t, start in enumerate(rng.integers(len(more) - pixels, size=len(frames))):
        lit = cv2.LUT(frames[t], table).reshape(-1)
        lit = cv2.subtract(cv2.add(lit, more[start : start + pixels]), less[start : start + pixels])
        frames[t] = lit.reshape(frames[t].shape)
    return frames


@functools.lru_cache(maxsize=2)
def grain(sigma: float, length: int) -> tuple[Image, Image]:
    """A long strip of Gaussian noise, its positive and its negative part, uint8.

    Every frame takes a piece from a random place: drawing fresh noise for each would take longer
    than everything else together.
    """
    noise = np.rint(np.random.default_rng(NOISE).normal(0, sigma, length)).clip(-255, 255)
    return np.maximum(noise, 0).astype(np.uint8), np.maximum(-noise, 0).astype(np.uint8)
