"""What training clips and test windows have in common: settings, filter, decoding, bad files."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from thesislib.config import MODALITIES, Augment, FlowConfig, RunConfig, check_views, choose
from thesislib.data import clips
from thesislib.data.flow_files import check_flow, flow_file, read_flow, remedy
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import Frames, open_video
from thesislib.data.transforms import Transform
from thesislib.errors import ThesisError, VideoError

Item = dict[str, Any]
Read = Callable[[clips.Indices], Frames]
Cut = Callable[[Frames, np.random.Generator, bool], Tensor]  # frames or flow to (3, L, size, size)
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
        views: Clips of each video in a training item, 1 or 2; test windows always have one.
        one_window: Two views: probability that both show the same window of time.
        heavy: Two views: how often colour and blur are drawn, see :class:`RunConfig`.
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
    views: int = 1
    one_window: float = 0.0
    heavy: float = 1.0
    seed: int = 0
    backend: str = "auto"
    cache: str | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES

    def __post_init__(self) -> None:
        choose("policy for short videos", self.short, clips.SHORT_POLICIES)
        choose("modality", self.modality, MODALITIES)
        check_views(self.views, self.one_window, self.heavy)
        if self.cache not in (None, "memory"):
            raise ThesisError(f"There is no cache {self.cache!r}: choose 'memory' or None.")

    @property
    def span(self) -> int:
        """Raw frames that a clip covers."""
        return clips.clip_span(self.num_seq, self.seq_len, self.stride)

    @property
    def hop(self) -> int:
        """Raw frames from one test window to the next: half a window, in whole blocks if many."""
        if self.num_seq == 1:
            return max(1, self.span // 2)
        return self.num_seq // 2 * self.seq_len * self.stride

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
        views=config.views,
        one_window=config.one_window,
        heavy=config.heavy,
        seed=config.seed,
        cache="memory" if config.cache else None,
    )


class VideoDataset(Dataset[Item]):
    """Filters, decodes, keeps, and stands in for files that cannot be read.

    Args:
        manifest: The videos.
        settings: What a clip is.
        augmented: Whether :attr:`transform` draws crop, flip and colours.

    Raises:
        ThesisError: No video is long enough, or the flow is missing or of other settings.
    """

    def __init__(self, manifest: Manifest, settings: ClipSettings, augmented: bool) -> None:
        self.manifest = manifest
        self.settings = settings
        self.transform = Transform(settings.augment, settings.size, augmented)
        self._class_number = {name: i for i, name in enumerate(manifest.classes)}
        sources = sorted({_source(v) for v in manifest.videos})
        self._source_number = {name: i for i, name in enumerate(sources)}
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

    def facts(self, number: int, start: int) -> Item:
        """``label``, ``index`` and ``source`` of the clip that starts at this frame."""
        video = self.manifest.videos[number]
        return {
            "label": torch.tensor(self.label(video, start)),
            "index": torch.tensor(number),
            "source": torch.tensor(self._source_number[_source(video)]),
        }

    def raw(self, number: int, starts: Sequence[int]) -> list[dict[str, Frames]]:
        """The clips at these starts as they are on disk, the video opened once for all of them.

        Returns:
            One dictionary a clip: ``video`` uint8 (N * T, H, W, 3), or flow (N * T, H, W, 2); with
            ``modality="both"`` also ``flow``.
        """
        indices = np.concatenate([self.settings.indices(start) for start in starts])
        names = {"rgb": (False,), "flow": (True,), "both": (False, True)}[self.settings.modality]
        found = [self._read(number, indices, flow) for flow in names]
        if len(found) == 2 and found[0].shape[:3] != found[1].shape[:3]:
            frames, fields = found
            video = self.manifest.videos[number]
            raise ThesisError(
                f"The flow of {video.path} has {fields.shape[2]}x{fields.shape[1]} pixels, its "
                f"frames have {frames.shape[2]}x{frames.shape[1]}: delete "
                f"{flow_file(self.manifest, video)} and run `{remedy(self.manifest)}`."
            )
        parts = [np.split(stream, len(starts)) for stream in found]
        return [
            dict(zip(("video", "flow"), part, strict=False)) for part in zip(*parts, strict=True)
        ]

    def streams(self, raw: dict[str, Frames], rng: np.random.Generator, cut: Cut) -> Item:
        """One clip of :meth:`raw` as blocks (N, 3, T, size, size) float32 of each stream."""
        # Each from a generator in the same state: the same crop, flip and colours for both. What
        # has two channels is flow.
        return {
            name: self._blocks(cut(frames, copy.deepcopy(rng), frames.shape[-1] == 2))
            for name, frames in raw.items()
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

    def _blocks(self, clip: Tensor) -> Tensor:
        """(3, N * T, S, S) to (N, 3, T, S, S)."""
        blocks = clip.unflatten(1, (self.settings.num_seq, self.settings.seq_len))
        return blocks.transpose(0, 1).contiguous()

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


def _source(video: Video) -> str:
    """What clips of one recording share: the group, or the file alone."""
    return video.group or video.path
