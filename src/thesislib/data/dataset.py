"""Videos as a torch data set: training clips and windows of test time.

A training item is asked for by ``(epoch, index)`` and drawn from a generator seeded with exactly
``[seed, epoch, index]``. So the numbers do not depend on how many workers there are, on which one
does the work, or on whether the run was interrupted.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from thesislib.config import MODALITIES, Augment, FlowConfig, RunConfig, choose
from thesislib.data import clips
from thesislib.data.flow_files import check_flow, flow_file, read_flow, remedy
from thesislib.data.loader import EpochSampler, Key, make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import Frames, open_video
from thesislib.data.transforms import CROPS, Transform
from thesislib.errors import ThesisError, VideoError

__all__ = [
    "ClipDataset",
    "ClipSettings",
    "EpochSampler",
    "WindowDataset",
    "clip_settings",
    "make_loader",
]

Item = dict[str, Any]
Read = Callable[[clips.Indices], Frames]
DEFAULT_CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class ClipSettings:
    """What a clip is and how it is read; the same for training clips and for test windows.

    Attributes:
        num_seq: Blocks N.
        seq_len: Frames T of a block.
        stride: Raw frames from one frame to the next.
        size: Side of the square output in pixels.
        augment: Applied in training.
        short: Videos of at most N * T * stride frames: ``drop`` (as published) or ``pad`` (the
            last frame is repeated).
        modality: ``rgb``, ``flow``, or ``both`` streams of the same clip.
        flow: How the flow was computed, for ``flow`` and ``both``. Field k belongs to frame k; the
            last frame, which has none, takes the field before it.
        seed: Start of every random draw.
        backend: See :func:`thesislib.data.reader.open_video`.
        cache: ``memory`` keeps decoded videos, up to ``cache_bytes`` over all workers.
        cache_bytes: Bytes.
    """

    num_seq: int
    seq_len: int
    stride: int
    size: int
    augment: Augment = field(default_factory=Augment)
    short: str = "drop"
    modality: str = "rgb"
    flow: FlowConfig = field(default_factory=FlowConfig)
    seed: int = 0
    backend: str = "auto"
    cache: str | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES

    def __post_init__(self) -> None:
        choose("policy for short videos", self.short, clips.SHORT_POLICIES)
        choose("modality", self.modality, MODALITIES)
        if self.cache not in (None, "memory"):
            raise ThesisError(f"There is no cache {self.cache!r}: choose 'memory' or None.")

    @property
    def span(self) -> int:
        """Raw frames that a clip covers."""
        return clips.clip_span(self.num_seq, self.seq_len, self.stride)

    def indices(self, start: int) -> clips.Indices:
        """Frame numbers of the clip that starts here, (N * T,)."""
        return clips.block_indices(start, self.num_seq, self.seq_len, self.stride).reshape(-1)


def clip_settings(config: RunConfig) -> ClipSettings:
    """The part of a run's settings that decides its clips."""
    return ClipSettings(
        num_seq=config.num_seq,
        seq_len=config.seq_len,
        stride=config.stride,
        size=config.size,
        augment=config.augment,
        short=config.short,
        modality=config.modality,
        flow=config.flow,
        seed=config.seed,
        cache="memory" if config.cache else None,
    )


class _VideoDataset(Dataset[Item]):
    """What training clips and test windows have in common: filter, decode, cache, bad files."""

    def __init__(self, manifest: Manifest, settings: ClipSettings, train: bool) -> None:
        self.manifest = manifest
        self.settings = settings
        self.transform = Transform(settings.augment, settings.size, train)
        self._class_number = {name: i for i, name in enumerate(manifest.classes)}
        span = settings.span
        self._short = [not clips.is_long_enough(v.n_frames, span) for v in manifest.videos]
        self.videos = [
            i for i, is_short in enumerate(self._short) if settings.short == "pad" or not is_short
        ]
        if not self.videos:
            longest = max((v.n_frames for v in manifest.videos), default=0)
            raise ThesisError(
                f"No video of {manifest.name!r} is longer than the {span} frames of a clip "
                f"({settings.num_seq} blocks x {settings.seq_len} frames x stride "
                f"{settings.stride}; the longest has {longest}): take short='pad', or fewer blocks "
                "or a smaller stride."
            )
        # What was skipped when the flow was computed counts as a failure once it is met.
        self._flowless = {} if settings.modality == "rgb" else check_flow(manifest, settings.flow)
        # Shared memory, so that workers and the main process count the same failures.
        self._failed = torch.zeros(len(manifest), dtype=torch.uint8).share_memory_()
        self._cached: dict[tuple[int, bool], Frames] = {}
        self._cached_bytes = 0

    @property
    def report(self) -> dict[str, int]:
        """Counts of videos: total, used, dropped_short, padded, failed while reading."""
        short = sum(self._short)
        dropped = len(self.manifest) - len(self.videos)
        return {
            "total": len(self.manifest),
            "used": len(self.videos),
            "dropped_short": dropped,
            "padded": short - dropped,
            "failed": int(self._failed.sum()),
        }

    @property
    def failures(self) -> list[str]:
        """Paths of the videos that failed while reading."""
        videos = self.manifest.videos
        return [videos[i].path for i in torch.nonzero(self._failed).flatten().tolist()]

    def label(self, video: Video, start: int) -> int:
        """Class number of the clip that starts at this frame; -1 without a label."""
        return self._class_number.get(video.label, -1)

    def _streams(
        self, number: int, start: int, rng: np.random.Generator, view: int | None = None
    ) -> Item:
        """The clip at this start as ``video`` (frames or flow), with ``flow`` for both."""
        indices = self.settings.indices(start)
        if self.settings.modality != "both":
            flow = self.settings.modality == "flow"
            return {"video": self._blocks(self._read(number, indices, flow), rng, flow, view)}
        frames, fields = (self._read(number, indices, flow) for flow in (False, True))
        if frames.shape[:3] != fields.shape[:3]:
            video = self.manifest.videos[number]
            raise ThesisError(
                f"The flow of {video.path} has {fields.shape[2]}x{fields.shape[1]} pixels, its "
                f"frames have {frames.shape[2]}x{frames.shape[1]}: delete "
                f"{flow_file(self.manifest, video)} and run `{remedy(self.manifest)}`."
            )
        # A generator in the same state: the same crop, flip and colours for both.
        twin = copy.deepcopy(rng)
        return {
            "video": self._blocks(frames, rng, False, view),
            "flow": self._blocks(fields, twin, True, view),
        }

    def _read(self, number: int, indices: clips.Indices, flow: bool) -> Frames:
        """Frames of the video at this place in the manifest, the last one repeated at the end."""
        video = self.manifest.videos[number]
        length = video.n_frames - flow  # the last frame has no field of its own
        indices = clips.pad_indices(indices, length)
        key = number, flow
        if key in self._cached:
            return self._cached[key][indices]
        if flow and video.path in self._flowless:
            raise VideoError(self.manifest.file(video), self._flowless[video.path])
        read = self._fields(video) if flow else self._frames(video)
        if self.settings.cache is None:
            return read(indices)
        worker = get_worker_info()
        room = self.settings.cache_bytes // (worker.num_workers if worker else 1)
        # When the room is used up the videos kept so far stay: under a random order that serves
        # as well as throwing the oldest out, and costs nothing.
        if (2 if flow else 3) * length * video.width * video.height > room - self._cached_bytes:
            return read(indices)
        frames = read(np.arange(length))
        self._cached[key] = frames
        self._cached_bytes += frames.nbytes
        return frames[indices]

    def _frames(self, video: Video) -> Read:
        return open_video(self.manifest.file(video), self.settings.backend).frames

    def _fields(self, video: Video) -> Read:
        return partial(read_flow, self.manifest, video)

    def _blocks(
        self, frames: Frames, rng: np.random.Generator, flow: bool = False, view: int | None = None
    ) -> Tensor:
        """(N * T, H, W, C) uint8 to (N, 3, T, size, size) float32."""
        clip = self.transform(frames, rng, flow, view)  # (3, N * T, S, S)
        blocks = clip.unflatten(1, (self.settings.num_seq, self.settings.seq_len))
        return blocks.transpose(0, 1).contiguous()  # (N, 3, T, S, S)

    def _first_readable(self, count: int, first: int, load: Callable[[int], Item]) -> Item:
        """The item at ``first``, or the next one whose file can be read.

        Raises:
            ThesisError: Not one file can be read.
        """
        for step in range(count):
            place = (first + step) % count
            number = self._number(place)
            if self._failed[number]:
                continue
            try:
                return load(place)
            except VideoError as error:
                if not self._failed[number]:
                    self._failed[number] = 1
                    sys.stderr.write(f"skipped while reading: {error}\n")
                    sys.stderr.flush()
        raise ThesisError(
            f"Not one video of {self.manifest.name!r} can be read any more: "
            f"run `thesislib doctor {self.manifest.name}`."
        )

    def _number(self, place: int) -> int:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        # A spawned worker starts with an empty cache: sending decoded frames would cost more.
        return {**self.__dict__, "_cached": {}, "_cached_bytes": 0}


class ClipDataset(_VideoDataset):
    """One clip a video, at a random place when training, in the middle otherwise.

    Args:
        manifest: The videos.
        settings: What a clip is.
        train: Random start and augmentation; ``False``: middle clip, centre crop.
        repeat: Clips of each video in an epoch, for very small data sets.

    Items:
        ``video`` (N, 3, T, size, size) float32; ``label`` int64, -1 without one; ``index`` int64,
        the place of the video in the manifest. With ``modality="flow"`` the video is its flow;
        with ``"both"`` there is also ``flow``, of the same shape, frames, crop, flip and colours.
        The same seed, epoch and index show the same clip in every modality.

    Raises:
        ThesisError: No video is long enough, or the flow is missing or of other settings.
    """

    def __init__(
        self, manifest: Manifest, settings: ClipSettings, *, train: bool, repeat: int = 1
    ) -> None:
        super().__init__(manifest, settings, train)
        self.train = train
        self.repeat = repeat

    def at_least(self, count: int) -> Self:
        """Passes over a small set several times, so that an epoch has ``count`` clips or more.

        An epoch of a handful of videos would be one step, and its batch have few negatives.
        """
        self.repeat = max(1, math.ceil(count / len(self.videos)))
        return self

    def __len__(self) -> int:
        return len(self.videos) * self.repeat

    def __getitem__(self, key: int | Key) -> Item:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)

        def load(place: int) -> Item:
            # The generator belongs to the key, also when another video takes the place.
            rng = np.random.default_rng([self.settings.seed, epoch, index])
            number = self._number(place)
            video, span = self.manifest.videos[number], self.settings.span
            pick = clips.random_start(video.n_frames, span, rng) if self.train else None
            start = clips.centre_start(video.n_frames, span) if pick is None else pick
            return {
                **self._streams(number, start, rng),
                "label": torch.tensor(self.label(video, start)),
                "index": torch.tensor(number),
            }

        return self._first_readable(len(self), index, load)

    def _number(self, place: int) -> int:
        return self.videos[place % len(self.videos)]


class WindowDataset(_VideoDataset):
    """All windows of test time: each video from its first frame on, half overlapping by default.

    A window is a clip of N blocks; the scores of a video's windows are averaged (thesis section
    2.4.2). A file that fails is replaced by the next readable window, so its own index is missing
    from the results and counted in ``report``.

    Args:
        manifest: The videos.
        settings: What a window is; with ``short="pad"`` no test video is lost.
        hop: Blocks from one window to the next; default N // 2 (as released for UCF101: 4 of 8).
        hop_frames: Raw frames from one window to the next, in the place of ``hop``.
        max_windows: At most so many windows a video, evenly spread; 0: all.
        crops: Views of each window, one item each: 1 (centre, as large as it gets), 5 (centre and
            corners), 10 (these and their mirror images), see
            :func:`thesislib.data.transforms.view_box`.

    Items:
        Those of :class:`ClipDataset`; ``window`` int64, its number in the video; ``crop`` int64,
        the number of the view.
    """

    def __init__(
        self,
        manifest: Manifest,
        settings: ClipSettings,
        *,
        hop: int | None = None,
        hop_frames: int | None = None,
        max_windows: int = 0,
        crops: int = 1,
    ) -> None:
        if crops not in CROPS:
            raise ThesisError(f"There are no {crops} test crops: choose one of 1, 5 and 10.")
        super().__init__(manifest, settings, train=False)
        self.crops = crops
        self._last: dict[bool, tuple[tuple[int, int], Frames]] = {}
        if hop_frames is None:
            hop_blocks = max(settings.num_seq // 2, 1) if hop is None else hop
            hop_frames = hop_blocks * settings.seq_len * settings.stride
        self.windows: list[tuple[int, int, int]] = []  # place in the manifest, window, start
        for number in self.videos:
            length = manifest.videos[number].n_frames
            starts = clips.window_starts(length, settings.span, hop_frames)
            if max_windows and len(starts) > max_windows:
                chosen = np.linspace(0, len(starts) - 1, max_windows).round().astype(int)
                starts = starts[chosen]
            self.windows += [(number, w, int(start)) for w, start in enumerate(starts)]

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
            rng = np.random.default_rng([self.settings.seed, 0, place])
            return {
                **self._streams(number, start, rng, crop if self.crops > 1 else None),
                "label": torch.tensor(self.label(self.manifest.videos[number], start)),
                "index": torch.tensor(number),
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
            self._last[flow] = key, super()._read(number, indices, flow)
        return self._last[flow][1]
