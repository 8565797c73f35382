"""Steps of long videos as labelled clips: what actions are learnt from where videos have many.

A clip is spread evenly over its step, however long that is, as :mod:`thesislib.data.segment_clips`
spreads features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from thesislib.clip_config import ClipConfig
from thesislib.data.loader import Key
from thesislib.data.manifest import Manifest
from thesislib.data.segment_clips import spread
from thesislib.data.segments import Segment
from thesislib.data.video_dataset import Item, VideoDataset
from thesislib.errors import ThesisError

STREAM = 11  # of the draws of a clip


class Step(NamedTuple):
    """A segment of a video."""

    video: int  # its place in the manifest
    start: float  # frames
    end: float  # frames, after its start
    label: int


def steps_of(
    manifest: Manifest, segments: Mapping[str, Sequence[Segment]], classes: Sequence[str]
) -> list[Step]:
    """The segments of the videos of a manifest, in frames; those of other classes are left out.

    Args:
        manifest: The videos, with frames a second that do not vary.
        segments: Path of a video to what happens in it.
        classes: Names, in the order of their numbers.
    """
    number = {name: i for i, name in enumerate(classes)}
    return [
        Step(place, one.start * video.fps, one.end * video.fps, number[one.label])
        for place, video in enumerate(manifest.videos)
        for one in segments.get(video.path, ())
        if one.label in number and one.start * video.fps < video.n_frames
    ]


class StepClips(VideoDataset):
    """A clip of every step.

    Args:
        manifest: The videos.
        config: ``num_seq`` blocks of ``seq_len`` frames make a clip, whatever the ``stride``.
        steps: Of :func:`steps_of`.
        train: Where in its equal part of the step each frame lies is drawn anew each epoch, the
            same for all of a clip, and the clip is augmented; else they lie in the middle.

    Items:
        ``video`` ``(N, 3, T, size, size)`` float32; ``label`` int64, of the step; ``step`` int64,
        its place among the steps; ``index`` and ``source`` of its video, as in
        :class:`~thesislib.data.dataset.ClipDataset`.

    Raises:
        ThesisError: There is no step.
    """

    def __init__(
        self,
        manifest: Manifest,
        config: ClipConfig,
        steps: Sequence[Step],
        *,
        train: bool,
    ) -> None:
        if not steps:
            raise ThesisError(f"No video of {manifest.name!r} has a step of the classes to learn.")
        # A step may be shorter than a clip of that stride, and so may its video.
        super().__init__(manifest, replace(config, short="pad"), config.modality, train)
        self.steps, self.train = list(steps), train

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, key: int | Key) -> Item:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)

        def load(place: int) -> Item:
            step = self.steps[place]
            rng = np.random.default_rng([self.config.seed, epoch, index, STREAM])
            frames = self.frames(step, rng.random() if self.train else 0.5)
            raw = {name: self._read(step.video, frames, flow) for name, flow in self.held.items()}
            return {
                **self.streams(raw, rng, self.transform),
                **self.facts(step.video, int(frames[0])),
                "label": torch.tensor(step.label),
                "step": torch.tensor(place),
            }

        return self._first_readable(len(self), index, load)

    def frames(self, step: Step, phase: float) -> np.ndarray:
        """Numbers of the frames of a clip, int64; each at this share of its equal part."""
        count = self.config.num_seq * self.config.seq_len
        ends = np.array([step.start]), np.array([step.end])
        return spread(*ends, count, phase)[0]

    def _number(self, place: int) -> int:
        return self.steps[place].video
