"""Unintentional moments: videos of actions that go wrong at a known frame (thesis 3.5.7).

The studio's stand-in for the Oops data set: each video is one of the actions as in ``synthetic``,
until its actor topples, collapses or stumbles somewhere about the middle. ``failures.csv`` says
when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from thesislib.data.failures import write_failures
from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError
from thesislib.synthetic.render import PLAN, ClipSpec
from thesislib.synthetic.studio import Recipe, file_of, film
from thesislib.synthetic.world import STUDIO, World

MIDDLE = (0.4, 0.6)  # where in the video the action goes wrong, as a share of its length
STREAM = 9  # of the failing frames: apart from the draws of the plan of each split (0 to 2)


@dataclass(frozen=True)
class OopsRecipe(Recipe):
    """Everything that decides the files of a data set of failing actions."""

    clips: int = 300
    frames: int = 144
    description: ClassVar[str] = "Simulated studio: actions that go wrong at a known frame."

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames < 30:
            raise ThesisError(
                f"frames={self.frames}: an action and its failure need 30 frames or more."
            )

    def to_dict(self) -> dict[str, object]:
        return {**super().to_dict(), "failure": list(MIDDLE)}

    def specs(self) -> list[ClipSpec]:
        """As in the plain recipe, each with the frame from which on the action goes wrong."""
        specs = super().specs()
        places = np.random.default_rng([self.seed, PLAN, STREAM]).uniform(*MIDDLE, len(specs))
        return [
            replace(spec, failure=round(place * self.frames))
            for spec, place in zip(specs, places.tolist(), strict=True)
        ]

    def annotate(self, manifest: Manifest, specs: list[ClipSpec]) -> None:
        write_failures(manifest, {file_of(s): s.failure for s in specs if s.failure is not None})


def prepare_oops(
    name: str = "synthetic_oops",
    root: str | Path | None = None,
    clips: int = 300,
    seed: int = 0,
    world: World | None = None,
    size: int = 64,
    frames: int = 144,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Films a data set of failing actions; see :func:`thesislib.synthetic.studio.prepare`.

    The label of a video is the action that was intended; ``failures.csv`` holds the moment, see
    :func:`thesislib.data.failures.read_failures`.
    """
    recipe = OopsRecipe(clips, seed, world or STUDIO, size, frames)
    return film(recipe, name, root, jobs, progress, force)
