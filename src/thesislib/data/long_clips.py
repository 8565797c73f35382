"""Frames spread over the whole of a long video: what activities are told by (thesis 6.4.3)."""

from __future__ import annotations

import numpy as np
import torch

from thesislib.clip_config import ClipConfig
from thesislib.data.loader import Key
from thesislib.data.manifest import Manifest
from thesislib.data.video_dataset import Item, VideoDataset
from thesislib.errors import ThesisError

ENDS = 0.2  # of a video, from each end: where a sample may begin and end
STREAM = 7  # of the draws of samples
TEST = 8  # of those of test time


def spread_frames(n_frames: int, frames: int, rng: np.random.Generator | None) -> np.ndarray:
    """Numbers of the frames of a sample, ``(frames,)`` int64, ascending.

    The first is drawn from the first fifth of the video, the last from its last fifth, and the
    others lie evenly between the two (thesis 6.4.3). Of a short video frames are repeated.

    Args:
        n_frames: Length of the video.
        frames: How many to take.
        rng: Draws both ends; ``None``: the first and the last frame of the video.

    Raises:
        ThesisError: No frames.
    """
    if n_frames < 1 or frames < 1:
        raise ThesisError(f"{frames} frames of a video of {n_frames} cannot be taken: give 1 each.")
    last = n_frames - 1
    draws = np.zeros(2) if rng is None else rng.random(2)
    begin, end = ENDS * draws[0] * last, (1 - ENDS * draws[1]) * last
    return np.asarray(np.floor(np.linspace(begin, end, frames) + 0.5), np.int64)


class LongClips(VideoDataset):
    """Samples of frames that are spread over videos.

    Args:
        manifest: The videos.
        config: ``num_seq`` blocks of ``seq_len`` frames make a sample, whatever the ``stride``.
        train: One sample of each video, anew each epoch, augmented.
        samples: When not training: of each video, an item each; their probabilities are averaged.

    Items:
        ``video`` ``(N, 3, T, size, size)`` float32; ``label``, ``index`` and ``source`` as in
        :class:`~thesislib.data.dataset.ClipDataset`; ``sample`` int64.
    """

    def __init__(
        self,
        manifest: Manifest,
        config: ClipConfig,
        *,
        train: bool,
        samples: int = 10,
    ) -> None:
        if samples < 1:
            raise ThesisError(f"samples={samples}: take one of each video or more.")
        super().__init__(manifest, config, config.modality, train)
        self.train, self.samples = train, 1 if train else samples

    def __len__(self) -> int:
        return len(self.videos) * self.samples

    def __getitem__(self, key: int | Key) -> Item:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0.

        The samples of a test video follow one another; the epoch has no effect on them.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)

        def load(place: int) -> Item:
            number = self._number(place)
            words = [epoch, index, STREAM] if self.train else [place, TEST]
            rng = np.random.default_rng([self.config.seed, *words])
            video = self.manifest.videos[number]
            count = self.config.num_seq * self.config.seq_len
            frames = spread_frames(video.n_frames, count, rng)
            raw = {name: self._read(number, frames, flow) for name, flow in self.held.items()}
            seen = self.streams(raw, rng, self.transform)
            return {**seen, **self.facts(number, 0), "sample": torch.tensor(place % self.samples)}

        return self._first_readable(len(self), index, load)

    def _number(self, place: int) -> int:
        return self.videos[place // self.samples]
