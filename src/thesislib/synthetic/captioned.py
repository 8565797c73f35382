"""Captioned videos: the data set of chapter 5 for recognition and text-video retrieval.

The studio in rooms that are a little loud, each video seen by a camera of its own. Ten of the
sixteen actions are pairs that only time tells apart (:data:`actions.PAIRS`). The files hold every
fourth of the studio's 30 frames a second, the 16 frames that chapter 5 reads of a video: so 3,200
videos are filmed in the time of 800.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from thesislib.data.captions import write_captions
from thesislib.data.manifest import Manifest
from thesislib.synthetic.captions import describe, names
from thesislib.synthetic.facts import facts_of
from thesislib.synthetic.render import PLAN, ClipSpec, staged
from thesislib.synthetic.studio import Recipe, file_of, film
from thesislib.synthetic.wording import TEMPLATES
from thesislib.synthetic.world import World

EVERY = 4  # of 30 frames a second
STREAM = 10  # of the captions
CAPTIONS = 1  # version of the captions: raised whenever the same seed would give other words

# As the worlds of the image-text model's pictures (pairs.py), in the middle of their range.
CAPTIONED = World(
    split=(0.625, 0.125, 0.25),
    scenes=0.4,
    clothes=0.6,
    loudness=0.4,
    light=0.1,
    height=(0.6, 0.88),
    place=0.12,
    yaw=40.0,
    tempo=(0.8, 1.2),
)


@dataclass(frozen=True)
class CaptionedRecipe(Recipe):
    """Everything that decides the files of captioned videos; ``frames`` are those of the file."""

    clips: int = 3200
    world: World = CAPTIONED
    frames: int = 16
    description: ClassVar[str] = "Simulated studio: actions, each video with a caption."

    def to_dict(self) -> dict[str, object]:
        return {**super().to_dict(), "every": EVERY, "captions": CAPTIONS}

    def specs(self) -> list[ClipSpec]:
        """As in the plain recipe, four times as long and filmed four times as seldom."""
        longer = replace(self, frames=self.frames * EVERY)
        return [replace(spec, every=EVERY) for spec in super(CaptionedRecipe, longer).specs()]

    def annotate(self, manifest: Manifest, specs: list[ClipSpec]) -> None:
        manifest.info["class_texts"] = names(self.world.actions)
        manifest.info["templates"] = list(TEMPLATES)
        write_captions(manifest, ((file_of(spec), caption_of(spec)) for spec in specs))


def caption_of(spec: ClipSpec) -> str:
    """The caption of a video; it depends on its seed and number alone."""
    return describe(
        facts_of(staged(spec)), np.random.default_rng([spec.seed, PLAN, STREAM, spec.index])
    )


def prepare_captions(
    name: str = "synthetic_captions",
    root: str | Path | None = None,
    clips: int = 3200,
    seed: int = 0,
    world: World = CAPTIONED,
    size: int = 64,
    frames: int = 16,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Films captioned videos; see :func:`thesislib.synthetic.studio.prepare`.

    The captions are in ``captions.csv`` (:func:`thesislib.data.captions.read_captions`), one a
    video. The manifest's info holds the class names as people write them (``class_texts``) and the
    hand-written ``templates`` that they are put into.
    """
    recipe = CaptionedRecipe(clips, seed, world, size, frames)
    return film(recipe, name, root, jobs, progress, force)
