"""Pictures with captions, for training a small image-text model: many worlds, nothing on disk.

Every group draws a world of its own, so that a model meets loud rooms and plain ones, bright
clothes and dull ones, and works in a world that it was not made for. The seeds lie apart from those
of all data sets, so no actor and no room of these pictures is met again.

The pictures are held as JPEG: 51,200 of 64 pixels take 75 MB in the place of 630 MB, and a batch of
128 is decoded in 8 ms, a fiftieth of a training step. They so also lose what the frames of videos
lose: at quality 85 they differ from what was painted by as much as H.264 makes the studio's videos
differ (3.5 of 255 grey levels on average).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from thesislib.errors import ThesisError
from thesislib.synthetic.captions import Rng, caption
from thesislib.synthetic.crew import shared_out
from thesislib.synthetic.facts import Facts, facts_of
from thesislib.synthetic.render import PLAN, clip_spec, paint_clip, staged
from thesislib.synthetic.scenes import Image
from thesislib.synthetic.world import DEFAULT_ACTIONS, World

SEED = 3_000_000_000  # added to the seed of pairs; data sets have seeds below
MOST = 1_000_000_000  # seeds of pairs
LENGTH = 64  # frames of the videos that the pictures are taken from
QUALITY = 85
STREAM, MOMENTS = 11, 12  # of the worlds and the times of pictures


@dataclass(frozen=True)
class Pairs:
    """Pictures and what is known of them.

    The pictures of a video follow one another, and so do the videos of a group.

    Attributes:
        jpegs: The pictures, encoded.
        facts: One a video.
        videos: Of a group.
        size: Pixels, side of a picture.
    """

    jpegs: tuple[bytes, ...]
    facts: tuple[Facts, ...]
    videos: int
    size: int

    def __len__(self) -> int:
        return len(self.jpegs)

    @property
    def frames(self) -> int:
        """Pictures of a video."""
        return len(self.jpegs) // len(self.facts)

    def images(self, indices: ArrayLike) -> Image:
        """Pictures by their numbers ``(B,)``: ``(B, size, size, 3)`` uint8 RGB."""
        numbers = np.asarray(indices, np.int64)
        out = np.empty((len(numbers), self.size, self.size, 3), np.uint8)
        for i, number in enumerate(numbers):
            data = np.frombuffer(self.jpegs[number], np.uint8)
            out[i] = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]
        return out

    def caption(self, index: int, rng: Rng, twice: bool = False) -> str:
        """A caption of one picture, drawn anew at each call; see :func:`captions.caption`."""
        video, frame = divmod(int(index), self.frames)
        return caption(self.facts[video], rng, frame, twice)

    def action(self, index: int) -> str:
        """What is done in the video of a picture."""
        return self.facts[int(index) // self.frames].action

    def group(self, index: int) -> int:
        """Number of the actor, room and world of a picture."""
        return int(index) // (self.frames * self.videos)


class Filmed(NamedTuple):
    """One group."""

    jpegs: list[bytes]
    facts: list[Facts]


def pairs(
    groups: int = 800,
    videos: int = 8,
    frames: int = 8,
    seed: int = 0,
    size: int = 64,
    jobs: int | None = None,
) -> Pairs:
    """Pictures for training an image-text model; other seeds share no actor, room or world.

    Args:
        groups: Actors, each in a room and a world of its own.
        videos: Of each group, of different actions as far as there are.
        frames: Of each video: one from each of so many equal parts of its time.
        seed: From 0. Hold out by another seed.
        size: Pixels, even, 16 or more.
        jobs: Processes; default one a core.

    Raises:
        ThesisError: A number is out of range.
    """
    if min(groups, videos, frames) < 1 or frames > LENGTH:
        raise ThesisError(
            f"groups={groups}, videos={videos}, frames={frames}: give at least 1 of each, and at "
            f"most {LENGTH} frames."
        )
    if not 0 <= seed < MOST:
        raise ThesisError(f"seed={seed}: give a number from 0 to {MOST - 1}.")
    if size < 16 or size % 2:
        raise ThesisError(f"size={size}: give an even number of pixels, 16 or more.")
    work = functools.partial(film_group, videos=videos, frames=frames, seed=SEED + seed, size=size)
    filmed = list(shared_out(work, range(groups), jobs, "filming pictures", chunk=8))
    jpegs = tuple(jpeg for one in filmed for jpeg in one.jpegs)
    return Pairs(jpegs, tuple(fact for one in filmed for fact in one.facts), videos, size)


def world_of(rng: np.random.Generator) -> World:
    """The world of a group: every knob that changes what a picture looks like is wide open."""
    return World(
        scenes=float(rng.uniform(0.2, 0.8)), clothes=float(rng.uniform(0.3, 1.0)),
        loudness=float(rng.uniform(0.2, 0.7)), props=0.3, yaw=40.0, place=0.12,
        height=(0.6, 0.88), light=0.1, tempo=(0.8, 1.2),
    )  # fmt: skip


def film_group(group: int, videos: int, frames: int, seed: int, size: int) -> Filmed:
    """The pictures of one group, and what is known of them."""
    rng = np.random.default_rng([seed, PLAN, STREAM, group])
    world = world_of(rng)
    out = Filmed([], [])
    order = rng.permutation(len(DEFAULT_ACTIONS))
    for place in range(videos):
        action, index = DEFAULT_ACTIONS[order[place % len(order)]], group * videos + place
        spec = clip_spec(
            index, action, "train", group, seed=seed, world=world, size=size, frames=LENGTH
        )
        moments = np.random.default_rng([seed, PLAN, MOMENTS, index]).uniform(size=frames)
        stage = staged(spec, ((np.arange(frames) + moments) * LENGTH / frames).astype(np.int64))
        out.jpegs.extend(encoded(picture) for picture in paint_clip(stage))
        out.facts.append(facts_of(stage))
    return out


def encoded(picture: Image) -> bytes:
    """An RGB picture as JPEG, its colours at half the resolution as in H.264."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
