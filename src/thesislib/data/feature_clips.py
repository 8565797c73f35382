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
    """Which rows make a clip."""

    start: int  # number of the first row
    gap: int  # the stride that was drawn
    step: float  # rows from one to the next, on average: the gap, unless it counts at another rate

    def rows(self, frames: int, length: int) -> NDArray[np.int64]:
        """Numbers of the rows ``(T,)``: the nearest ones, the very last row repeated at the end."""
        rows = self.start + np.floor(np.arange(frames) * self.step + 0.5).astype(np.int64)
        return np.minimum(rows, length - 1)


def draw(
    length: int,
    frames: int,
    strides: Sequence[int],
    rng: np.random.Generator,
    rows_a_frame: float = 1.0,
) -> Sample:
    """A random clip.

    The stride is drawn among those with which the clip fits; where none does the smallest is taken,
    from the first row, and the last row is repeated.

    Args:
        length: Rows of the video.
        frames: Rows T of the clip.
        strides: In frames.
        rng: Draws stride and start.
        rows_a_frame: Rows that pass while a frame does, by which strides are counted.
    """
    spans = [(frames - 1) * stride * rows_a_frame for stride in strides]
    fitting = [i for i, span in enumerate(spans) if span + 0.5 < length]
    pick = fitting[int(rng.integers(len(fitting)))] if fitting else int(np.argmin(strides))
    room = length - int(spans[pick] + 0.5)
    start = int(rng.integers(room)) if room > 0 else 0
    return Sample(start, strides[pick], strides[pick] * rows_a_frame)


def centre(length: int, frames: int, strides: Sequence[int], rows_a_frame: float = 1.0) -> Sample:
    """The clip in the middle, of the longest stride with which it fits; see :func:`draw`."""
    spans = {stride: (frames - 1) * stride * rows_a_frame for stride in sorted(strides)}
    fitting = [stride for stride, span in spans.items() if span + 0.5 < length]
    gap = fitting[-1] if fitting else min(strides)
    return Sample(max(0, (length - int(spans[gap] + 0.5) - 1) // 2), gap, gap * rows_a_frame)


class FeatureClips(Dataset[dict[str, Any]]):
    """Clips of the features of a data set's videos.

    Args:
        manifest: The videos; those without features are left out and counted.
        store: Their features.
        frames: Rows T of a clip.
        strides: Frames from one of a clip to the next, one is drawn.
        rate: Frames a second that strides count in, whatever the videos have; 0: rows as they are.
        train: A new clip every epoch; otherwise the same every time.
        samples: Clips S of a video when not training: 5 random ones, as released; 1 is the middle.
        seed: Of the draws.

    Items:
        ``features`` (T, D) float32, when not training (S, T, D); ``gap`` int64 or (S,), the
        stride; ``label`` int64, -1 without one; ``index`` int64, the place in the
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
        rate: float = 0.0,
        train: bool,
        samples: int = 5,
        seed: int = 0,
    ) -> None:
        if frames < 1 or samples < 1 or not strides or min(strides) < 1 or rate < 0:
            raise ThesisError(
                f"frames={frames}, samples={samples}, strides={tuple(strides)}, rate={rate}: give "
                "1 or more, of the rate 0 or more."
            )
        self.manifest, self.store = manifest, store
        self.frames, self.strides, self.rate = frames, tuple(strides), rate
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
        length = self.store.length(video)
        picks = self.picks(length, epoch, index, self._rows_a_frame(video.fps))
        clips = [self._clip(video.path, pick.rows(self.frames, length)) for pick in picks]
        features = torch.from_numpy(clips[0] if self.train else np.stack(clips))
        gaps = torch.tensor([pick.gap for pick in picks])
        return {
            "features": features,
            "gap": gaps[0] if self.train else gaps,
            "label": torch.tensor(self._class_number.get(video.label, -1)),
            "index": torch.tensor(number),
        }

    def picks(self, length: int, epoch: int, index: int, rows_a_frame: float = 1.0) -> list[Sample]:
        """What a key draws from a video of so many rows."""
        how = (length, self.frames, self.strides)
        if not self.train and self.samples == 1:
            return [centre(*how, rows_a_frame)]
        words = [self.seed, epoch, index] if self.train else [self.seed, TEST_SEED, index]
        rng = np.random.default_rng(words)
        count = 1 if self.train else self.samples
        return [draw(*how, rng, rows_a_frame) for _ in range(count)]

    def _rows_a_frame(self, fps: float) -> float:
        """Rows that pass while a frame of ``rate`` does."""
        rows_a_second = self.store.settings["rate"] or fps
        return float(rows_a_second) / self.rate if self.rate and rows_a_second else 1.0

    def _clip(self, video: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(T, D) float32."""
        features = self.store.read(video, int(rows[0]), int(rows[-1]) + 1)[0]
        return features[rows - rows[0]].astype(np.float32)
