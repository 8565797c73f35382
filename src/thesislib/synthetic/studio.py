"""The studio: which actor plays which action in which video, and the files on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av
import cv2
import numpy as np
from tqdm import tqdm

from thesislib.data.manifest import (
    INFO_FILE,
    MANIFEST_FILE,
    SPLITS,
    Manifest,
    Video,
    read_manifest,
    sole_writer,
    write_manifest,
)
from thesislib.errors import ThesisError, choose
from thesislib.files import read_json, write_json
from thesislib.places import data_root, inside
from thesislib.synthetic.actions import ACTIONS
from thesislib.synthetic.crew import shared_out
from thesislib.synthetic.motion import FPS
from thesislib.synthetic.render import PLAN, ClipSpec, clip_spec
from thesislib.synthetic.scenes import Image
from thesislib.synthetic.world import STUDIO, World

VERSION = 1  # of the recipe: raised whenever the same seed would give other pixels
RECIPE_FILE = "recipe.json"  # written first: what this folder is being filled with
PARTIAL = ".partial"  # unfinished files
# Fixed settings of the encoder, chosen so that the same frames give the same bytes.  With its
# macroblock tree on, the same clip came out differently now and then at 32, 48, 72 and 80 pixels,
# depending on what the process had done before.
CODEC = {
    "crf": "22", "preset": "veryfast", "g": "16", "threads": "1", "bf": "0",
    "x264-params": "mbtree=0:scenecut=0:weightp=0",
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the files of a data set."""

    clips: int = 1600
    seed: int = 0
    world: World = STUDIO
    size: int = 64
    frames: int = 64

    description: ClassVar[str] = "Simulated studio: jointed figures performing actions."
    codec: ClassVar[dict[str, str]] = CODEC

    def __post_init__(self) -> None:
        if self.clips < 1 or self.frames < 2:
            raise ThesisError(
                f"clips={self.clips}, frames={self.frames}: "
                "a data set needs at least 1 clip of 2 frames."
            )
        if self.seed < 0:
            raise ThesisError(f"seed={self.seed}: give 0 or more.")
        if self.size < 16 or self.size % 2:
            raise ThesisError(f"size={self.size}: give an even number of pixels, 16 or more.")
        for action in self.world.actions:
            choose("action", action, ACTIONS)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON types."""
        return {
            "version": VERSION, "clips": self.clips, "seed": self.seed, "size": self.size,
            "frames": self.frames, "world": self.world.to_dict(), "codec": self.codec,
        }  # fmt: skip

    @property
    def hash(self) -> str:
        """Six hex digits; part of every group's name, so that other recipes are other data."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:6]

    def annotate(self, manifest: Manifest, specs: list[ClipSpec]) -> None:
        """Writes what a manifest cannot say beside it; this recipe has nothing."""

    def specs(self) -> list[ClipSpec]:
        """All videos, balanced over actions in each split, no group in two splits."""
        counts = split_counts(self.clips, self.world.split)
        out: list[ClipSpec] = []
        group = 0
        for split, count in zip(SPLITS, counts, strict=True):
            rng = np.random.default_rng([self.seed, PLAN, SPLITS.index(split)])
            deck = balanced_deck(rng, self.world.actions, count)
            for place, action in enumerate(deck):
                spec = clip_spec(
                    len(out), action, split, group + place // self.world.actions_per_group,
                    seed=self.seed, world=self.world, size=self.size, frames=self.frames,
                )  # fmt: skip
                out.append(spec)
            group = out[-1].group + 1 if out else 0
        return out


def split_counts(clips: int, shares: tuple[float, float, float]) -> tuple[int, int, int]:
    """Number of train, val and test videos; together exactly ``clips``."""
    val, test = round(clips * shares[1]), round(clips * shares[2])
    val = min(val, clips)
    test = min(test, clips - val)
    return clips - val - test, val, test


def balanced_deck(rng: np.random.Generator, actions: tuple[str, ...], count: int) -> list[str]:
    """``count`` actions in random order, as one shuffled deck of all of them after another.

    Consecutive cards make a group, which so performs a random subset of the actions.
    """
    deck: list[str] = []
    while len(deck) < count:
        deck.extend(actions[i] for i in rng.permutation(len(actions)))
    return deck[:count]


def file_of(spec: ClipSpec) -> str:
    """Path of a video inside its data set (posix)."""
    name = f"g{spec.group:04d}_v{spec.index:05d}.mp4"
    return "/".join(filter(None, (spec.split, spec.label, name)))


def write_mp4(
    path: Path, frames: Image, fps: Fraction = Fraction(FPS), codec: dict[str, str] = CODEC
) -> None:
    """Encodes RGB frames ``(T, H, W, 3)`` uint8 as H.264 in yuv420p, H and W even."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=codec)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode())


def film_one(spec: ClipSpec, root: Path, codec: dict[str, str] = CODEC) -> int:
    """Renders and writes one video, whole or not at all; returns its index."""
    target = root / file_of(spec)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = root / PARTIAL / f"{os.getpid()}-{spec.index}.mp4"
    write_mp4(partial, spec.film(), spec.fps, codec)
    os.replace(partial, target)
    return spec.index


def prepare(
    name: str = "synthetic",
    root: str | Path | None = None,
    clips: int = 1600,
    seed: int = 0,
    world: World | None = None,
    size: int = 64,
    frames: int = 64,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Films a data set, or goes on where a killed call stopped.

    Worker processes are started afresh (spawn): a script that calls this needs the usual
    ``if __name__ == "__main__":``, or ``jobs=1``.

    Args:
        name: Folder name of the data set.
        root: Folder that holds the data sets; default :func:`thesislib.places.data_root`.
        clips: Number of videos in all.
        seed: The same seed gives the same pixels and the same manifest.
        world: The choice of world; default :data:`thesislib.synthetic.world.STUDIO`.
        size: Side of the frame in pixels, even.
        frames: Frames a video, at 30 a second.
        jobs: Processes; default one a core.
        progress: Show a bar on stderr.
        force: Throw away what another recipe left in the folder.

    Returns:
        The manifest, which is written last: where it exists, the data set is whole.

    Raises:
        ThesisError: The folder holds the files of another recipe, or cannot be written.
    """
    recipe = Recipe(clips, seed, world or STUDIO, size, frames)
    return film(recipe, name, root, jobs, progress, force)


def film(
    recipe: Recipe,
    name: str,
    root: str | Path | None,
    jobs: int | None,
    progress: bool,
    force: bool,
) -> Manifest:
    """Films a recipe; the arguments are those of :func:`prepare`."""
    if jobs is not None and jobs < 1:
        raise ThesisError(f"jobs={jobs}: give 1 or more processes.")
    below = (Path(root).expanduser() if root is not None else data_root()).resolve()
    folder = inside(below, name, "a data set")
    with sole_writer(folder, "free some space or choose another folder with --root."):
        claim(folder, recipe, force)
        return fill(folder, name, recipe, jobs, progress)


def claim(folder: Path, recipe: Recipe, force: bool) -> None:
    """Makes the folder this recipe's, or refuses."""
    note = folder / RECIPE_FILE
    mine = recipe.to_dict()
    theirs: object = None
    if note.is_file():
        theirs = "unreadable"
        with contextlib.suppress(ThesisError):
            theirs = read_json(note, "", object)
    elif (folder / MANIFEST_FILE).exists():
        theirs = "another kind of data set"
    if theirs is not None and theirs != json.loads(json.dumps(mine)):
        if not force:
            raise ThesisError(
                f"{folder} holds a data set made with other options ({difference(theirs, mine)}): "
                "choose another name or folder, or pass force (--force) to replace it."
            )
        # The manifest goes first and the note last: a kill in between is seen as unfinished.
        for file in (MANIFEST_FILE, INFO_FILE):
            (folder / file).unlink(missing_ok=True)
        for part in (*SPLITS, PARTIAL):
            shutil.rmtree(folder / part, ignore_errors=True)
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    write_json(note, mine, sort_keys=True)


def difference(theirs: object, mine: dict[str, object]) -> str:
    """The first option in which two recipes differ, in words."""
    if not isinstance(theirs, dict):
        return str(theirs)
    for key, value in mine.items():
        other = theirs.get(key)
        if isinstance(value, dict) and isinstance(other, dict) and value != other:
            return f"{key}: {difference(other, value)}"
        if json.dumps(other) != json.dumps(value):
            return f"{key} is {other} there and {value} here"
    return "other options"


def fill(folder: Path, name: str, recipe: Recipe, jobs: int | None, progress: bool) -> Manifest:
    """Films what is missing and writes the manifest."""
    specs = recipe.specs()
    # A file under its final name is whole, because it was moved there when finished.
    missing = [s for s in specs if not (folder / file_of(s)).is_file()]
    if not missing and (folder / MANIFEST_FILE).is_file():
        return read_manifest(name, folder.parent)
    (folder / PARTIAL).mkdir(exist_ok=True)
    bar = tqdm(
        total=len(specs), initial=len(specs) - len(missing), desc=name, unit="video",
        file=sys.stderr, disable=None if progress else True, mininterval=0.5,
    )  # fmt: skip
    with bar:
        work = functools.partial(film_one, root=folder, codec=recipe.codec)
        for _ in shared_out(work, missing, jobs, f"filming {folder}"):
            bar.update()
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    prefix = f"{recipe.hash}-g"
    videos = tuple(
        Video(
            file_of(s), s.label, s.split, f"{prefix}{s.group:04d}", s.length, float(s.fps),
            s.size, s.size,
        )
        for s in specs
    )  # fmt: skip
    info: dict[str, object] = {
        "description": recipe.description,
        "licence": "generated on this machine, no rights reserved",
        "recipe": recipe.to_dict(),
        "skipped": {},
    }
    manifest = Manifest(name, folder, videos, info)
    recipe.annotate(manifest, specs)
    write_manifest(manifest)
    return manifest
