"""The steps of a video, laid over it in their order: Table 7.2 (thesis 7.6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from thesislib.chapters.row import Job
from thesislib.chapters.tan import judging
from thesislib.chapters.tan.narrated import World
from thesislib.data.narrated_windows import Told
from thesislib.data.segments import SEGMENTS_FILE, Segment
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.evaluation.segmentation import segmentation
from thesislib.evaluation.warping import in_order
from thesislib.methods.tan import TAN
from thesislib.train import Trained

Labels = dict[str, NDArray[np.int64]]  # path of a video -> a label a second, 0 between steps


def judge(job: Job, trained: Trained, split: str = "test") -> Scores:
    """The list of a video's steps is known, and when each begins is not.

    What is neither step is given to one all the same, so that ``segment_frame_acc_foreground`` says
    more than ``segment_frame_acc`` where videos pause between steps.

    Raises:
        Lacking: Nobody knows which steps the videos show.
    """
    world = judging.asked(job)
    if not (world.manifest.root / SEGMENTS_FILE).is_file():
        raise Lacking(
            f"Nobody knows which steps {world.manifest.name!r} shows: write {SEGMENTS_FILE} into "
            f"{world.manifest.root}."
        )
    model = trained.model

    def score(video: Told) -> judging.Floats:
        if not isinstance(model, TAN):
            return judging.cosines(video)
        return judging.windows_of(model, video, np.full(len(video.texts), np.nan)).similarity

    return segmentation(*labelled(world, split, score))


def labelled(
    world: World, split: str, score: Callable[[Told], judging.Floats]
) -> tuple[Labels, Labels]:
    """The step of every second of the videos of a split: the truth, and what was found.

    Args:
        world: Of the videos.
        split: Of its videos; those without a step or features are left out.
        score: Steps and seconds of a video to similarities ``(K, T)``.
    """
    numbers: dict[str, int] = {}
    right: Labels = {}
    found: Labels = {}
    for path, (video, steps) in world.listed(split).items():
        labels = np.array([numbers.setdefault(one.label, len(numbers) + 1) for one in steps])
        right[path] = at_seconds(steps, labels, len(video.features))
        found[path] = labels[in_order(score(video))]
    return right, found


def at_seconds(
    steps: Sequence[Segment], labels: NDArray[np.int64], length: int
) -> NDArray[np.int64]:
    """The label of the middle of every second, ``(length,)``; 0 where there is no step."""
    at, found = np.arange(length) + 0.5, np.zeros(length, np.int64)
    for one, label in zip(steps, labels, strict=True):
        found[(at >= one.start) & (at < one.end)] = label
    return found
