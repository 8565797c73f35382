"""Films: named characters who recur, shots with cuts, dialogue, and a description in its gaps.

The studio's stand-in for MAD (thesis 8.4, 8.6.1). A character looks the same in a whole film and
like nobody in another, so a name is known from context alone. Beside the videos lie, in MAD's
form (:mod:`thesislib.data.film_files`): descriptions with names and without, subtitles, casts; the
truth for judging; and the text of further films that nobody filmed, which stands in for AudioVault
(thesis 8.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar, NamedTuple

import numpy as np

from thesislib.data.anonymise import anonymise
from thesislib.data.film_files import write_films, write_truth
from thesislib.data.film_texts import write_texts
from thesislib.data.films import Cue, Film, Truth
from thesislib.data.manifest import SPLITS, Manifest
from thesislib.synthetic.acting import acted
from thesislib.synthetic.activities import PAINTS, painted
from thesislib.synthetic.describer import direction
from thesislib.synthetic.drawing import Painter, turned
from thesislib.synthetic.figure import Array, random_body
from thesislib.synthetic.motion import FPS, Take, wander
from thesislib.synthetic.narrated import NARRATED
from thesislib.synthetic.props import Prop, carried
from thesislib.synthetic.render import (
    GROUP,
    MARGIN,
    PLAN,
    TAKE,
    Actor,
    ClipSpec,
    camera_path,
    clip_spec,
    expose,
    fineness,
    noise_of,
    shoot,
)
from thesislib.synthetic.scenes import Colour, Image, Room, backdrop, colour, random_outfit
from thesislib.synthetic.screenplay import RATE, ROOMS, SCREENPLAY, Screenplay, screenplay
from thesislib.synthetic.studio import CODEC, Recipe, file_of, film, split_counts
from thesislib.synthetic.world import World

SEED = 2_500_000_000  # added to the seed: no actor or room of other data sets is met again
STREAM = 15  # of the screenplays; then its parts
FILMED, WRITTEN = 0, 1  # films, and those of which there is text alone
EVERY = FPS // RATE
TEXTS = 1000  # films of which there is text alone
SIDE = 0.34  # where two stand to the left and right, in statures
FACING = (20.0, 50.0)  # degrees by which they turn to each other
SIDEWAYS = (35.0, 65.0)  # of somebody who sits or has sat, alone on the screen
CLOSE, HEADROOM = (1.15, 1.4), 0.14  # stature of who speaks; what is free above the head
FARTHER = 0.9  # stature of one of two
HAIR: tuple[Colour, ...] = ((30, 24, 20), (120, 72, 40), (205, 170, 95), (150, 150, 150))
# As the narrated videos; who is in red must be seen in one small picture.
FILMS = replace(
    NARRATED, split=(4 / 7, 1 / 7, 2 / 7), scenes=0.35, actions_per_group=1, props=0.0, yaw=30.0
)


NOTHING = Screenplay((), ())


@dataclass(frozen=True)
class FilmSpec(ClipSpec):
    """All that decides the pixels of a film, and its ground truth."""

    play: Screenplay = NOTHING

    @property
    def label(self) -> str:
        """A film has none."""
        return ""

    def film(self) -> Image:
        """Its frames, ``(length, size, size, 3)``."""
        return render_film(self)


@dataclass(frozen=True)
class FilmRecipe(Recipe):
    """Everything that decides the files of films; each is as long as its screenplay."""

    clips: int = 70
    world: World = FILMS
    texts: int = TEXTS
    codec: ClassVar[dict[str, str]] = {**CODEC, "preset": "ultrafast"}
    description: ClassVar[str] = "Simulated studio: films with characters, dialogue, descriptions."

    def to_dict(self) -> dict[str, object]:
        plain = {key: value for key, value in super().to_dict().items() if key != "frames"}
        return {**plain, "every": EVERY, "screenplay": SCREENPLAY, "texts": self.texts}

    def specs(self) -> list[ClipSpec]:
        """All films; each is a group of its own."""
        out: list[ClipSpec] = []
        for split, count in zip(SPLITS, split_counts(self.clips, self.world.split), strict=True):
            out += [self.one(len(out) + i, split) for i in range(count)]
        return out

    def one(self, index: int, split: str) -> FilmSpec:
        """One film."""
        seed = SEED + self.seed
        play = screenplay(np.random.default_rng([seed, PLAN, STREAM, FILMED, index]))
        spec = clip_spec(
            index, "", split, index, seed=seed, world=self.world, size=self.size,
            frames=play.frames * EVERY,
        )  # fmt: skip
        return FilmSpec(**vars(replace(spec, every=EVERY)), play=play)

    def annotate(self, manifest: Manifest, specs: list[ClipSpec]) -> None:
        plays = {file_of(spec): spec for spec in specs if isinstance(spec, FilmSpec)}
        films = {PurePosixPath(path).stem: spec for path, spec in plays.items()}
        write_films(manifest, [told(movie, s.split, s.play) for movie, s in films.items()])
        write_truth(manifest, {movie: truth_of(spec.play) for movie, spec in films.items()})
        write_texts(manifest, film_texts(self.texts, self.seed))


def film_texts(count: int, seed: int = 0) -> list[Film]:
    """The words of films that nobody filmed, and that are none of those that were.

    They stand in for AudioVault (thesis 8.5): descriptions and dialogue with their times.
    """
    return [told(f"t{i:05d}", "train", play) for i, play in enumerate(screenplays(count, seed))]


def screenplays(count: int, seed: int = 0) -> list[Screenplay]:
    """The screenplays of :func:`film_texts`."""
    stream = (SEED + seed, PLAN, STREAM, WRITTEN)
    return [screenplay(np.random.default_rng([*stream, i])) for i in range(count)]


def directions(play: Screenplay, rng: np.random.Generator) -> tuple[str, ...]:
    """A stage direction for each description of a film."""
    return tuple(
        direction(shot.step, [play.cast[i].top for i in shot.cast], rng)
        for shot in play.shots
        if shot.step
    )


def told(movie: str, split: str, play: Screenplay) -> Film:
    """A film as its describers and its subtitles tell it."""
    cues = [(Cue(*shot.seconds, shot.text), shot.step is None) for shot in play.shots]
    names = tuple(one.name for one in play.cast)
    return Film(
        movie, split, play.frames / RATE,
        tuple(cue for cue, spoken in cues if not spoken),
        tuple(cue._replace(text=anonymise(cue.text, names)) for cue, spoken in cues if not spoken),
        tuple(cue for cue, spoken in cues if spoken),
        names,
    )  # fmt: skip


def truth_of(play: Screenplay) -> Truth:
    """What a describer would have to see."""
    names = [one.name for one in play.cast]
    acts = [shot for shot in play.shots if shot.step]
    return Truth(
        tuple((one.name, one.pronoun, one.top) for one in play.cast),
        tuple(tuple(names[i] for i in shot.cast) for shot in acts),
        tuple(shot.step.label.rstrip("_") if shot.step else "" for shot in acts),
        tuple(names[shot.cast[0]] for shot in play.shots if not shot.step),
        {
            name: next((s.seconds[0] for s in play.shots if name in s.text), play.frames / RATE)
            for name in names
        },
    )


# --- on the stage ---


class Player(NamedTuple):
    """One of those on the screen."""

    joints: Array  # (frames, 17, 3), turned to the camera, at its place
    actor: Actor


class Thing(NamedTuple):
    """What the first of them uses."""

    prop: Prop
    yaw: float  # radians
    mirror: bool
    way: Array  # (frames, 3)


def cast_of(spec: FilmSpec) -> tuple[Actor, ...]:
    """The characters as they look: another top each, and mostly other hair and trousers."""
    rng = np.random.default_rng([spec.seed, GROUP, spec.group])
    hair, out = rng.permutation(len(HAIR)), []
    for place, one in enumerate(spec.play.cast):
        own = np.random.default_rng([spec.seed, GROUP, spec.group, place])
        body = random_body(own, 2 * spec.world.body)
        outfit = random_outfit(own, 1.0)
        legs = colour(own.uniform(), 0.15, own.uniform(0.2, 0.75))
        outfit = replace(
            outfit, top=painted(one.top, own), legs=legs, hair=HAIR[hair[place]], stripes=0
        )
        out.append(Actor(body, outfit, float(own.uniform(*spec.world.height)), own))
    return tuple(out)


def rooms_of(spec: FilmSpec) -> tuple[Room, ...]:
    """The rooms of a film."""
    side, w = round(spec.size * MARGIN), spec.world
    return tuple(
        backdrop(np.random.default_rng([spec.seed, GROUP, spec.group, 100 + i]), side,
                 w.loudness, w.scenes)
        for i in range(ROOMS)
    )  # fmt: skip


def players(
    spec: FilmSpec, cast: tuple[Actor, ...], number: int
) -> tuple[list[Player], list[Thing]]:
    """Who and what is on the stage in a shot."""
    shot, w = spec.play.shots[number], spec.world
    rng = np.random.default_rng([spec.seed, TAKE, spec.index, number])
    two, first = len(shot.cast) > 1, float(rng.choice([-1.0, 1.0]))
    out, things = [], []
    for nth, place in enumerate(shot.cast):
        actor, side = cast[place], first if nth == 0 else -first
        # A take counts thirty frames a second: the tempo makes up for those that are not filmed.
        tempo, amplitude = float(rng.uniform(*w.tempo)) * EVERY, float(rng.uniform(*w.amplitude))
        take = Take(shot.frames, tempo, amplitude, float(rng.uniform()), actor.body, rng)
        habits = np.random.default_rng([spec.seed, TAKE, spec.index, 0, place])
        habit = wander(take, w.style, w.tremor, habits)
        step = shot.step if nth == 0 or shot.together else None
        joints, motion = acted(take, habit, step.action if step else "", shot.span)
        degrees = -side * rng.uniform(*FACING) if two else rng.uniform(-w.yaw, w.yaw)
        if not two and step and step.thing == "stool":  # from before it is hidden by legs
            degrees = side * rng.uniform(*SIDEWAYS)
        yaw, mirror = float(np.radians(degrees)), bool(rng.random() < w.mirror)
        at = np.array([side * SIDE if two else rng.uniform(-0.12, 0.12), 0.0, 0.0])
        travel = np.zeros((shot.frames, 3)) if motion.travel is None else motion.travel
        way = turned(travel, yaw, mirror) + at
        out.append(Player(turned(joints, yaw, mirror) + way[:, None], actor))
        prop = carried(joints, *motion.carry) if motion.carry is not None else motion.prop
        if prop is not None:
            things.append(Thing(prop, yaw, mirror, way))
    return out, things


def shot_frames(spec: FilmSpec, cast: tuple[Actor, ...], room: Room, number: int) -> Image:
    """The frames of a shot, ``(frames, size, size, 3)``, before light and noise."""
    shot = spec.play.shots[number]
    rng = np.random.default_rng([spec.seed, TAKE, spec.index, number, 1])
    height = cast[shot.cast[0]].height * (FARTHER if len(shot.cast) > 1 else 1.0)
    if shot.step is None:
        height = float(rng.uniform(*CLOSE))
    camera, _ = camera_path(rng, replace(spec, frames=shot.frames), height)
    if shot.step is None:  # the feet are below the frame
        camera[:, 1, 2] += HEADROOM + height - camera[:, 1, 2].mean()
    side = spec.size * fineness(spec.size)
    painter = Painter(shot.frames, np.radians(spec.elevation), camera * side, side * height)
    people, things = players(spec, cast, number)
    for one in people:
        painter.figure(one.joints, one.actor.body, one.actor.outfit)
    for thing in things:
        paint = painted(shot.step.detail if shot.step else next(iter(PAINTS)), rng)
        painter.prop(thing.prop, thing.yaw, thing.mirror, thing.way, paint)
    return shoot(painter, room.picture, spec.size)


def render_film(spec: FilmSpec) -> Image:
    """The frames of a film, ``(T, size, size, 3)`` uint8 RGB."""
    cast, rooms = cast_of(spec), rooms_of(spec)
    shots = spec.play.shots
    frames = [shot_frames(spec, cast, rooms[shot.room], i) for i, shot in enumerate(shots)]
    rng = noise_of(spec)
    return expose(np.concatenate(frames), rng, rng, spec.world)


def prepare_films(
    name: str = "synthetic_films",
    root: str | Path | None = None,
    clips: int = 70,
    seed: int = 0,
    world: World = FILMS,
    size: int = 64,
    texts: int = TEXTS,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Makes films; see :func:`thesislib.synthetic.studio.prepare`.

    :func:`thesislib.data.film_files.read_films` reads descriptions, subtitles and casts of them,
    :func:`thesislib.data.film_texts.read_texts` those of ``texts`` further films without pictures.
    """
    return film(
        FilmRecipe(clips, seed, world, size, texts=texts), name, root, jobs, progress, force
    )
