"""What training clips and test windows have in common: filter, decoding, cache, bad files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from thesislib.clip_config import ClipConfig
from thesislib.data import clips
from thesislib.data.flow_files import check_flow, flow_file, read_flow, remedy
from thesislib.data.manifest import Manifest, Video
from thesislib.data.passage import read_small
from thesislib.data.reader import Frames, open_video
from thesislib.data.shrinking import read_shrunk, scale_of
from thesislib.data.transforms import Transform
from thesislib.errors import ThesisError, VideoError, choose

Item = dict[str, Any]
Read = Callable[[clips.Indices], Frames]
Cut = Callable[[Frames, np.random.Generator, bool], Tensor]  # frames or flow to (3, L, size, size)
# What an item holds by modality: name -> whether it is flow.
STREAMS = {"rgb": {"video": False}, "flow": {"video": True}, "both": {"video": False, "flow": True}}

# Decoded videos whole, by root of the data set, file, time of its last change, backend, and by how
# much they were shrunk. All of the process share them: training, validation and every test see the
# same files again.
KEPT: dict[tuple[Path, Path, int, str, float], Frames] = {}


class VideoDataset(Dataset[Item]):
    """Filters, decodes, keeps, and stands in for files that cannot be read.

    Args:
        manifest: The videos.
        config: What a clip is.
        modality: ``rgb``, ``flow`` or ``both``.
        augmented: Whether :attr:`transform` draws crop, flip and colours.

    Raises:
        ThesisError: No video is long enough, or the flow is missing or of other settings.
    """

    cache_bytes = 1 << 30  # most that decoded videos may take in a process, over all its workers

    def __init__(
        self,
        manifest: Manifest,
        config: ClipConfig,
        modality: str,
        augmented: bool,
    ) -> None:
        self.manifest = manifest
        self.config = config
        self.held = STREAMS[choose("modality", modality, STREAMS)]
        self.transform = Transform(config.augment, config.size, augmented)
        self._class_number = {name: i for i, name in enumerate(manifest.classes)}
        sources = sorted({_source(v) for v in manifest.videos})
        self._source_number = {name: i for i, name in enumerate(sources)}
        span = config.span
        self._short = [not clips.is_long_enough(v.n_frames, span) for v in manifest.videos]
        self.videos = [
            i for i, is_short in enumerate(self._short) if config.short == "pad" or not is_short
        ]
        if not self.videos:
            longest = max((v.n_frames for v in manifest.videos), default=0)
            raise ThesisError(
                f"No video of {manifest.name!r} is longer than the {span} frames of a clip "
                f"({config.num_seq} blocks x {config.seq_len} frames x stride "
                f"{config.stride}; the longest has {longest}): take short='pad', or fewer blocks "
                "or a smaller stride."
            )
        # What was skipped when the flow was computed counts as a failure once it is met.
        self._flowless = {} if modality == "rgb" else check_flow(manifest, config.flow)
        # Shared memory, so that workers and the main process count the same failures.
        self._failed = torch.zeros(len(manifest), dtype=torch.uint8).share_memory_()

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
            ``modality="both"`` also ``flow``. With ``cache`` large frames are shrunk, see
            :mod:`thesislib.data.shrinking`.
        """
        indices = np.concatenate([self.indices(start) for start in starts])
        names = self.held
        found = {name: self._read(number, indices, flow) for name, flow in names.items()}
        if len({stream.shape[:3] for stream in found.values()}) > 1:
            frames, fields = found.values()
            video = self.manifest.videos[number]
            raise ThesisError(
                f"The flow of {video.path} has {fields.shape[2]}x{fields.shape[1]} pixels, its "
                f"frames have {frames.shape[2]}x{frames.shape[1]}: delete "
                f"{flow_file(self.manifest, video)} and run `{remedy(self.manifest)}`."
            )
        parts = zip(*(np.split(stream, len(starts)) for stream in found.values()), strict=True)
        return [dict(zip(names, part, strict=True)) for part in parts]

    def indices(self, start: int) -> clips.Indices:
        """Frame numbers of the clip that starts here, (N * T,)."""
        config = self.config
        blocks = clips.block_indices(start, config.num_seq, config.seq_len, config.stride)
        return blocks.reshape(-1)

    def streams(self, raw: dict[str, Frames], rng: np.random.Generator, cut: Cut) -> Item:
        """One clip of :meth:`raw` as blocks (N, 3, T, size, size) float32 of each stream."""
        state, found = rng.bit_generator.state, {}
        for name, flow in self.held.items():
            rng.bit_generator.state = state  # the same crop, flip and colours for both
            found[name] = self._blocks(cut(raw[name], rng, flow))
        return found

    def _read(self, number: int, indices: clips.Indices, flow: bool) -> Frames:
        """Frames of the video at this place in the manifest, the last one repeated at the end."""
        video = self.manifest.videos[number]
        length = video.n_frames - flow  # the last frame has no field of its own
        indices = clips.pad_indices(indices, length)
        if flow and video.path in self._flowless:
            raise VideoError(self.manifest.file(video), self._flowless[video.path])
        file = flow_file(self.manifest, video) if flow else self.manifest.file(video)
        changed = file.stat().st_mtime_ns if file.is_file() else 0
        config, scale = self.config, 1.0
        if config.cache:
            scale = scale_of(video.height, video.width, config.augment, config.size)
        key = self.manifest.root, file, changed, config.backend, scale
        if key in KEPT:
            return KEPT[key][indices]
        read = self._fields(video, scale) if flow else self._frames(video, scale)
        size = (2 if flow else 3) * video.width * video.height * scale**2  # bytes of a frame
        if not config.cache or not self._room(round(length * size)):
            return read(indices)
        KEPT[key] = read(np.arange(length))
        return KEPT[key][indices]

    def _room(self, size: int) -> bool:
        """Whether so many bytes more may be kept; the videos of other data sets go for it.

        Those of this one stay: under a random order that serves as well as throwing the oldest
        out, and costs nothing.
        """
        worker = get_worker_info()
        room = self.cache_bytes // (worker.num_workers if worker else 1) - size
        held = sum(frames.nbytes for frames in KEPT.values())
        if held > room:
            for key in [key for key in KEPT if key[0] != self.manifest.root]:
                held -= KEPT.pop(key).nbytes
        return held <= room

    def _frames(self, video: Video, scale: float) -> Read:
        if scale < 1:  # shrunk as they are decoded, by the reader that can
            return partial(read_small, self.manifest.file(video), scale)
        return open_video(self.manifest.file(video), self.config.backend).frames

    def _fields(self, video: Video, scale: float) -> Read:
        read = partial(read_flow, self.manifest, video)
        return partial(read_shrunk, read, scale) if scale < 1 else read

    def _blocks(self, clip: Tensor) -> Tensor:
        """(3, N * T, S, S) to (N, 3, T, S, S)."""
        blocks = clip.unflatten(1, (self.config.num_seq, self.config.seq_len))
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


def _source(video: Video) -> str:
    """What clips of one recording share: the group, or the file alone."""
    return video.group or video.path
