"""Videos as a torch data set: training clips and windows of test time.

A training item is asked for by ``(epoch, index)`` and drawn from a generator seeded with exactly
``[seed, epoch, index]``. So the numbers do not depend on how many workers there are, on which one
does the work, or on whether the run was interrupted.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import torch

from thesislib.clip_config import ClipConfig
from thesislib.data import clips
from thesislib.data.composition import Composition
from thesislib.data.loader import Key
from thesislib.data.manifest import Manifest
from thesislib.data.passage import Passage
from thesislib.data.reader import Frames
from thesislib.data.transforms import CROPS, Transform
from thesislib.data.video_dataset import Item, VideoDataset
from thesislib.errors import ThesisError


class View(NamedTuple):
    """One clip of a training item, as drawn."""

    start: int  # its first raw frame
    transform: Transform
    rng: np.random.Generator  # of crop, flip, colours and blur


class ClipDataset(VideoDataset):
    """One clip a video, at a random place when training, in the middle otherwise; or two views.

    With ``config.views == 2`` an item holds two clips of its video for contrastive learning
    (thesis 4.4.2), each with a crop, flip, colour and blur of its own, and a window of time of its
    own unless ``one_window`` puts both into one. They are drawn also when not training, but from
    the generator of epoch 0, so that every validation pass sees the same.

    Args:
        manifest: The videos.
        config: What a clip is; ``streams`` says what it holds.
        train: Random start and augmentation; ``False``: middle clip, centre crop (of one view).
        repeat: Clips of each video in an epoch, for very small data sets.

    Items:
        ``video`` (N, 3, T, size, size) float32, of two views (2, N, 3, T, size, size); ``label``
        int64, -1 without one; ``index`` int64, the place of the video in the manifest; ``source``
        int64, the place of its group among the manifest's sorted groups (a video without a group
        counts by its own path). For ``flow`` the video is its flow; for ``both``
        there is also ``flow``, of the same shape, frames, crop, flip and colours. The same seed,
        epoch and index show the same clip in every modality.

    Raises:
        ThesisError: No video is long enough, or the flow is missing or of other settings.
    """

    def __init__(
        self,
        manifest: Manifest,
        config: ClipConfig,
        *,
        train: bool,
        repeat: int = 1,
    ) -> None:
        super().__init__(manifest, config, config.streams, train or config.views == 2)
        self.light = Transform(config.augment.light(), config.size, train=True)
        self.train = train
        self.repeat = repeat

    def at_least(self, count: int) -> Self:
        """Passes over a small set several times, so that an epoch has ``count`` clips or more.

        An epoch of a handful of videos would be one step, and its batch have few negatives.
        """
        self.repeat = max(1, math.ceil(count / len(self.videos)))
        return self

    def composition(self, batch_size: int, processes: int = 1) -> Composition | None:
        """Which training clips share a batch; ``None``: any.

        So it is with ``batch_groups=0``, and where videos have no groups.
        """
        names = [self.manifest.videos[i].group for i in self.videos]
        if not self.train or not self.config.batch_groups or not all(names):
            return None
        config, groups = self.config, np.unique(names, return_inverse=True)[1]
        return Composition(
            groups, batch_size, config.batch_groups, config.batch_clips, self.repeat, processes
        )

    def __len__(self) -> int:
        return len(self.videos) * self.repeat

    def __getitem__(self, key: int | Key) -> Item:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0.

        A key's index may lie beyond the length: a composition asks for more clips of a video.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if index < 0 or (index >= len(self) and not isinstance(key, tuple)):
            raise IndexError(index)

        def load(place: int) -> Item:
            # The draws belong to the key, also when another video takes the place.
            number = self._number(place)
            views = self.views(number, epoch, index)
            raw = self.raw(number, [view.start for view in views])
            shown = [
                self.streams(clip, view.rng, view.transform)
                for clip, view in zip(raw, views, strict=True)
            ]
            item = shown[0]
            if len(views) > 1:
                item = {name: torch.stack([clip[name] for clip in shown]) for name in item}
            return item | self.facts(number, views[0].start)

        return self._first_readable(len(self), index, load)

    def views(self, number: int, epoch: int, index: int) -> list[View]:
        """What the key ``(epoch, index)`` draws for the video at this place in the manifest."""
        config, length = self.config, self.manifest.videos[number].n_frames
        if config.views == 1:
            rng = np.random.default_rng([config.seed, epoch, index])
            pick = clips.random_start(length, config.span, rng) if self.train else None
            start = clips.centre_start(length, config.span) if pick is None else pick
            return [View(start, self.transform, rng)]
        rng = np.random.default_rng([config.seed, epoch if self.train else 0, index])
        starts = [clips.random_start(length, config.span, rng) for _ in range(2)]
        if together := rng.random() < config.one_window:
            starts[1] = starts[0]
        heavy = rng.random(2) < config.heavy
        if config.heavy < 1 and together:
            heavy = np.arange(2) == rng.integers(2)
        # A generator each: how much the first view draws is nothing to the second.
        return [
            View(start, self.transform if is_heavy else self.light, own)
            for start, is_heavy, own in zip(starts, heavy, rng.spawn(2), strict=True)
        ]

    def _number(self, place: int) -> int:
        return self.videos[place % len(self.videos)]


class WindowDataset(VideoDataset):
    """All windows of test time: each video from its first frame on, half overlapping by default.

    A window is a clip of N blocks; the scores of a video's windows are averaged (thesis section
    2.4.2). A file that fails is replaced by the next readable window, so its own index is missing
    from the results and counted in ``report``.

    Args:
        manifest: The videos.
        config: What a window is; ``modality`` says what it shows; with ``short="pad"`` no test
            video is lost.
        hop: Blocks from one window to the next; default N // 2 (as released for UCF101: 4 of 8),
            of a single block half of it.
        hop_frames: Raw frames from one window to the next, in the place of ``hop``.
        max_windows: At most so many windows a video, evenly spread; 0: all.
        one_random: In the place of all these, one window a video, its start drawn by seed and
            video (CoCLR's released features of training videos).
        crops: Views of each window, one item each: 1 (centre, as large as it gets), 5 (centre and
            corners), 10 (these and their mirror images), see
            :func:`thesislib.data.transforms.view_box`.

    Items:
        Those of :class:`ClipDataset` with one view, whatever ``views`` says; ``window`` int64,
        its number in the video; ``crop`` int64, which of the crops.
    """

    def __init__(
        self,
        manifest: Manifest,
        config: ClipConfig,
        *,
        hop: int | None = None,
        hop_frames: int | None = None,
        max_windows: int = 0,
        one_random: bool = False,
        crops: int = 1,
    ) -> None:
        if crops not in CROPS:
            raise ThesisError(f"There are no {crops} test crops: choose one of 1, 5 and 10.")
        super().__init__(manifest, config, config.modality, augmented=False)
        self.crops = crops
        self._last: dict[bool, tuple[tuple[int, int], Frames]] = {}
        # Where every window shows the same of a frame, that is cut out once, on reading.
        alike = crops == 1 and self.held == {"video": False} and not config.augment.crop_size
        self._passage = Passage(self.transform.cut if alike else None)
        if hop_frames is None:
            blocks = None if hop is None else hop * config.seq_len * config.stride
            hop_frames = config.hop if blocks is None else blocks
        self._starts: dict[int, clips.Indices] = {}  # of all windows, by place in the manifest
        for number in self.videos:
            length = manifest.videos[number].n_frames
            starts = clips.window_starts(length, config.span, hop_frames)
            if one_random:
                rng = np.random.default_rng([config.seed, 1, number])
                starts = np.array([clips.random_start(length, config.span, rng)])
            elif max_windows and len(starts) > max_windows:
                chosen = np.linspace(0, len(starts) - 1, max_windows).round().astype(int)
                starts = starts[chosen]
            self._starts[number] = starts
        self.windows = [  # place in the manifest, window, start
            (number, window, start)
            for number, starts in self._starts.items()
            for window, start in enumerate(starts.tolist())
        ]

    def __len__(self) -> int:
        return len(self.windows) * self.crops

    def __getitem__(self, key: int | Key) -> Item:
        """One window; the epoch of a ``(epoch, index)`` key has no effect."""
        index = key[1] if isinstance(key, tuple) else key
        if not 0 <= index < len(self):
            raise IndexError(index)

        def load(place: int) -> Item:
            number, window, start = self.windows[place // self.crops]
            crop = place % self.crops
            rng = np.random.default_rng([self.config.seed, 0, place])
            cut = partial(self.transform, view=crop if self.crops > 1 else None)
            return {
                **self.streams(self.raw(number, [start])[0], rng, cut),
                **self.facts(number, start),
                "window": torch.tensor(window),
                "crop": torch.tensor(crop),
            }

        return self._first_readable(len(self), index, load)

    def _number(self, place: int) -> int:
        return self.windows[place // self.crops][0]

    def _read(self, number: int, indices: clips.Indices, flow: bool) -> Frames:
        """As for any clip; the crops of a window follow one another and are decoded once."""
        key = number, int(indices[0])
        if flow not in self._last or self._last[flow][0] != key:
            frames = None if flow else self._in_passing(number, key[1])
            if frames is None:
                frames = super()._read(number, indices, flow)
            self._last[flow] = key, frames
        return self._last[flow][1]

    def _in_passing(self, number: int, start: int) -> Frames | None:
        """A window read on from the one before, see :class:`thesislib.data.passage.Passage`.

        Its frames are cropped and resized where all windows show the same of them.
        """
        starts, video = self._starts[number], self.manifest.videos[number]
        apart = int(np.diff(starts).max(initial=0))  # 0: a single window
        if self.config.cache or self.config.backend != "auto" or not 0 < apart <= self.config.span:
            return None

        def plan() -> clips.Indices:
            return clips.pad_indices(starts[:, None] + self.indices(0), video.n_frames)

        window = int(np.searchsorted(starts, start))
        return self._passage.window(self.manifest.file(video), window, len(starts), plan)


def training_clips(manifest: Manifest, config: ClipConfig) -> ClipDataset:
    """Clips of the training split: one a video and epoch, more of a small set."""
    return ClipDataset(manifest.select(split="train"), config, train=True).at_least(
        config.min_clips
    )


def validation_clips(manifest: Manifest, config: ClipConfig) -> ClipDataset | None:
    """The middle clip of each validation video; ``None`` where no such video can be used."""
    try:
        return ClipDataset(manifest.select(split="val"), config, train=False)
    except ThesisError:  # none there, or none long enough: training goes on without
        return None


def clips_of(manifest: Manifest, config: ClipConfig) -> tuple[ClipDataset, ClipDataset | None]:
    """What training needs: clips of the training split, and of the validation split if it can."""
    return training_clips(manifest, config), validation_clips(manifest, config)
