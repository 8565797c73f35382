"""Which clips share a batch: hard negatives by composition.

Clips of different videos are told apart by who and where. If a batch holds clips of few groups
alone (a group: one actor in one scene, one recording), what is left to tell them apart is what
happens and when. The group of a video decides, never its label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.int64]


@dataclass(frozen=True)
class Composition:
    """Batches that hold clips of few groups, and several clips of each video.

    In a pass every video gives ``clips`` clips, or more where its group does not fill its part of a
    batch.

    Attributes:
        groups: ``(V,)``, number of the group of each video, from 0.
        batch_size: Clips of a batch B.
        per_batch: Groups that a batch is drawn from; fewer where there are fewer, or where B does
            not divide. Each gives as many clips.
        clips: Of each video that a batch holds.
        passes: How often an epoch goes over the videos.
        processes: That share an epoch; each gets whole batches.
    """

    groups: Order
    batch_size: int
    per_batch: int = 1
    clips: int = 1
    passes: int = 1
    processes: int = 1

    @property
    def part(self) -> int:
        """Clips of a batch that one group gives."""
        most = min(self.per_batch, len(np.unique(self.groups)))
        return min(self.batch_size // n for n in range(1, most + 1) if self.batch_size % n == 0)

    @property
    def batches(self) -> int:
        """Batches of an epoch, of all processes."""
        parts = sum(self._count(int(videos)) for videos in np.bincount(self.groups))
        return parts * self.part // self.batch_size // self.processes * self.processes

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def _count(self, videos: int) -> int:
        """Parts that a group of so many videos gives."""
        return math.ceil(videos * self.clips * self.passes / self.part)

    def order(self, rng: np.random.Generator) -> Order:
        """The items of an epoch, ``(len(self),)``.

        Item ``i`` is a clip of video ``i % V``, and ``i // V`` counts the clips of that video. The
        batches of the processes are interleaved: each takes every ``processes``-th item.
        """
        parts = [part for group in range(self.groups.max() + 1) for part in self._parts(group, rng)]
        per_batch = self.batch_size // self.part
        drawn = rng.permutation(len(parts))[: self.batches * per_batch]
        whole = np.array([parts[i] for i in drawn]).reshape(-1, self.processes, self.batch_size)
        return whole.transpose(0, 2, 1).reshape(-1)

    def _parts(self, group: int, rng: np.random.Generator) -> Order:
        """The clips of one group, ``(parts, part)``: its videos dealt in an order of their own."""
        videos = rng.permutation(np.flatnonzero(self.groups == group))
        deal = np.arange(self._count(len(videos)) * self.part)
        turn, place = np.divmod(deal // self.clips, max(1, len(videos)))
        number = turn * self.clips + deal % self.clips  # which clip of its video
        return (number * len(self.groups) + videos[place]).reshape(-1, self.part)
