"""Short videos in rooms of their own: the data set of chapter 4 (thesis 4.3).

The same studio as in ``synthetic``, in a world made for co-training: rooms and clothes tell videos
apart, while optical flow links those that move alike. No two actions are one movement forwards and
backwards: which way time runs is chapter 2's question. The videos are half as long, since their
flow is the dearest part of the preparation.
"""

from __future__ import annotations

from pathlib import Path

from thesislib.data.manifest import Manifest
from thesislib.synthetic.studio import Recipe, film
from thesislib.synthetic.world import World

# Found on the validation split; book/data.md says how.
ROOMS = World(
    actions=(
        "sit_down", "pick_up", "open_door", "raise_arms", "push", "wave", "clap", "jumping_jack",
        "squat", "punch", "kick", "march",
    ),
    split=(0.6, 0.1, 0.3),
    scenes=0.03,
    clothes=0.1,
    loudness=0.15,
    light=0.1,
    style=2.0,
    tremor=0.7,
    tempo=(1.0, 1.4),
    yaw=15.0,
    noise=1.5,
)  # fmt: skip


def prepare_rooms(
    name: str = "synthetic_rooms",
    root: str | Path | None = None,
    clips: int = 1200,
    seed: int = 0,
    world: World = ROOMS,
    size: int = 64,
    frames: int = 32,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Films the data set of chapter 4; see :func:`thesislib.synthetic.studio.prepare`."""
    return film(Recipe(clips, seed, world, size, frames), name, root, jobs, progress, force)
