"""Clips of kept features as a torch data set: a random stride and start, a short video padded.

Thesis chapter 5: 16 frames a video, every s-th frame, s drawn for each clip; so a clip may show a
whole action or a part of it, and the position code can tell how far apart its frames are. A
training item is drawn from a generator seeded with ``[seed, epoch, index]``, as frames are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from thesislib.data.features import FeatureStore
from thesislib.data.loader import Key
from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError

STRIDES = (1, 2, 3, 4, 5, 6, 10, 15)  # of the thesis
RELEASED_STRIDES = (1, 2, 3, 3, 3, 4)  # of the released code, in its proportions
FRAMES = 16
TEST_SEED = 1 << 20  # of the draws of test time: none of a training epoch's


class Sample(NamedTuple):
    """Which rows make a clip: ``start + k * gap`` for k below T, the last row repeated."""

    start: int
    gap: int


def draw(length: int, frames: int, strides: Sequence[int], rng: np.random.Generator) -> Sample:
    """A random clip.

    The stride is drawn among those with which the clip fits; where none does the smallest is taken,
    from the first row, and the last row is repeated.
    """
    fitting = [stride for stride in strides if (frames - 1) * stride < length]
    gap = int(rng.choice(fitting)) if fitting else min(strides)
    room = length - (frames - 1) * gap
    return Sample(int(rng.integers(room)) if room > 0 else 0, gap)


def centre(length: int, frames: int, strides: Sequence[int]) -> Sample:
    """The clip in the middle, of the longest stride with which it fits."""
    fitting = [stride for stride in strides if (frames - 1) * stride < length]
    gap = max(fitting) if fitting else min(strides)
    return Sample(max(0, (length - (frames - 1) * gap - 1) // 2), gap)


class FeatureClips(Dataset[dict[str, Any]]):
    """Clips of the features of a data set's videos.

    Args:
        manifest: The videos; those without features are left out and counted.
        store: Their features.
        frames: Rows T of a clip.
        strides: Rows from one of a clip to the next, one is drawn.
        train: A new clip every epoch; otherwise the same every time.
        samples: Clips S of a video when not training: 5 random ones, as released; 1 is the middle.
        seed: Of the draws.

    Items:
        ``features`` (T, D) float32, when not training (S, T, D); ``gap`` int64 or (S,), rows from
        one to the next; ``label`` int64, -1 without one; ``index`` int64, the place in the
        manifest.

    Raises:
        ThesisError: Not one video has features, or settings out of range.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: FeatureStore,
        *,
        frames: int = FRAMES,
        strides: Sequence[int] = STRIDES,
        train: bool,
        samples: int = 5,
        seed: int = 0,
    ) -> None:
        if frames < 1 or samples < 1 or not strides or min(strides) < 1:
            raise ThesisError(
                f"frames={frames}, samples={samples}, strides={tuple(strides)}: give 1 or more."
            )
        self.manifest, self.store = manifest, store
        self.frames, self.strides = frames, tuple(strides)
        self.train, self.samples, self.seed = train, samples, seed
        self.videos = [i for i, video in enumerate(manifest.videos) if store.has(video)]
        self._class_number = {name: i for i, name in enumerate(manifest.classes)}
        if not self.videos:
            raise ThesisError(
                f"Not one video of {manifest.name!r} has features in {store.folder}: extract them."
            )

    @property
    def report(self) -> dict[str, int]:
        """Counts of videos: total, used, without features."""
        total, used = len(self.manifest), len(self.videos)
        return {"total": total, "used": used, "without": total - used}

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, key: int | Key) -> dict[str, Any]:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = self.videos[index]
        video = self.manifest.videos[number]
        picks = self.picks(self.store.length(video), epoch, index)
        clips = [self._clip(video.path, pick) for pick in picks]
        features = torch.from_numpy(clips[0] if self.train else np.stack(clips))
        gaps = torch.tensor([pick.gap for pick in picks])
        return {
            "features": features,
            "gap": gaps[0] if self.train else gaps,
            "label": torch.tensor(self._class_number.get(video.label, -1)),
            "index": torch.tensor(number),
        }

    def picks(self, length: int, epoch: int, index: int) -> list[Sample]:
        """What a key draws from a video of so many rows."""
        if not self.train and self.samples == 1:
            return [centre(length, self.frames, self.strides)]
        words = [self.seed, epoch, index] if self.train else [self.seed, TEST_SEED, index]
        rng = np.random.default_rng(words)
        count = 1 if self.train else self.samples
        return [draw(length, self.frames, self.strides, rng) for _ in range(count)]

    def _clip(self, video: str, pick: Sample) -> NDArray[np.float32]:
        """(T, D) float32."""
        last = pick.start + (self.frames - 1) * pick.gap + 1
        rows = self.store.read(video, pick.start, last)[0][:: pick.gap].astype(np.float32)
        missing = self.frames - len(rows)
        if missing:
            # Of a short video the very last row, also where the stride steps over it.
            end = self.store.length(video)
            tail = self.store.read(video, end - 1, end)[0].astype(np.float32)
            rows = np.concatenate([rows, np.repeat(tail, missing, axis=0)])
        return rows
