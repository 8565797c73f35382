"""Actions of untrimmed videos as clips of features: what a proposal of a detector will look like.

Thesis 5.4.3: classes of proposals are learnt from the segments of training videos. A clip is spread
evenly over its segment, however long that is; so there is no gap between frames to be told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from thesislib.data.loader import Key
from thesislib.data.untrimmed import Untrimmed
from thesislib.errors import ThesisError

JITTER = 0.15  # of a segment's length: how far an end of it moves in training, as proposals do


def spread(
    first: NDArray[Any], last: NDArray[Any], frames: int, phase: float = 0.5
) -> NDArray[np.int64]:
    """Rows spread evenly over stretches.

    Args:
        first: ``(K,)``, the places in rows where the stretches begin.
        last: ``(K,)``, where they end; after their beginnings.
        frames: How many of each; of a shorter stretch rows are repeated.
        phase: Where in its equal part each lies, in ``[0, 1)``; default: in the middle.

    Returns:
        ``(K, frames)``: the rows there.
    """
    share = (np.arange(frames) + phase) / frames
    index = np.floor(first[:, None] + (last - first)[:, None] * share)
    return np.asarray(index, np.int64)


class SegmentClips(Dataset[dict[str, Tensor]]):
    """Clips of what happens in untrimmed videos.

    Args:
        videos: With segments.
        classes: Names, in the order of their numbers; segments of others are left out.
        frames: Rows T of a clip.
        train: Move both ends of a segment a little, anew each epoch.
        jitter: How far at most, in lengths of the segment.
        seed: Of the moves.

    Items:
        ``features`` float32 ``(T, D)``; ``label`` int64.

    Raises:
        ThesisError: There is no such segment.
    """

    def __init__(
        self,
        videos: Sequence[Untrimmed],
        classes: Collection[str],
        *,
        frames: int,
        train: bool,
        jitter: float = JITTER,
        seed: int = 0,
    ) -> None:
        number = {name: i for i, name in enumerate(classes)}
        self.videos, self.frames, self.seed = list(videos), frames, seed
        self.jitter = jitter if train else 0.0
        self.segments = [
            (v, start, end, number[label])
            for v, video in enumerate(self.videos)
            for start, end, label in video.segments
            if label in number and len(video)
        ]
        if not self.segments:
            raise ThesisError(
                f"No video has a segment of the {len(number)} classes to learn: check their names."
            )

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)
        which, start, end, label = self.segments[index]
        video = self.videos[which]
        rng = np.random.default_rng([self.seed, epoch, index])
        moves = self.jitter * (end - start) * rng.uniform(-1, 1, 2)
        first, last = video.to_rows(np.array([start, end]) + moves)
        first = min(first, len(video) - 1.0)
        last = min(max(last, first + 1.0), float(len(video)))  # at least a row
        rows = spread(np.array([first]), np.array([last]), self.frames)[0]
        features = np.asarray(video.features[rows], np.float32)
        return {"features": torch.from_numpy(features), "label": torch.tensor(label)}
