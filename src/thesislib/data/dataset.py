"""Videos as a torch data set: training clips and windows of test time.

A training item is asked for by ``(epoch, index)`` and drawn from a generator seeded with exactly
``[seed, epoch, index]``. So the numbers do not depend on how many workers there are, on which one
does the work, or on whether the run was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from thesislib.config import Augment, choose
from thesislib.data import clips
from thesislib.data.loader import EpochSampler, Key, make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import Frames, open_video
from thesislib.data.transforms import Transform
from thesislib.errors import ThesisError, VideoError

__all__ = ["ClipDataset", "EpochSampler", "WindowDataset", "make_loader"]

Item = dict[str, Any]
DEFAULT_CACHE_BYTES = 1 << 30


class _VideoDataset(Dataset[Item]):
    """What training clips and test windows have in common: filter, decode, cache, bad files."""

    def __init__(
        self,
        manifest: Manifest,
        *,
        num_seq: int,
        seq_len: int,
        stride: int,
        size: int,
        augment: Augment,
        train: bool,
        short: str,
        seed: int,
        backend: str,
        cache: str | None,
        cache_bytes: int,
    ) -> None:
        choose("policy for short videos", short, clips.SHORT_POLICIES)
        if cache not in (None, "memory"):
            raise ThesisError(f"There is no cache {cache!r}: choose 'memory' or None.")
        self.manifest = manifest
        self.num_seq, self.seq_len, self.stride = num_seq, seq_len, stride
        self.span = clips.clip_span(num_seq, seq_len, stride)
        self.transform = Transform(augment, size, train)
        self.seed = seed
        self.backend = backend
        self.cache = cache
        self.cache_bytes = cache_bytes
        self._class_number = {name: i for i, name in enumerate(manifest.classes)}
        self._short = [not clips.is_long_enough(v.n_frames, self.span) for v in manifest.videos]
        self.videos = [
            i for i, is_short in enumerate(self._short) if short == "pad" or not is_short
        ]
        if not self.videos:
            longest = max((v.n_frames for v in manifest.videos), default=0)
            raise ThesisError(
                f"No video of {manifest.name!r} is longer than the {self.span} frames of a clip "
                f"({num_seq} blocks x {seq_len} frames x stride {stride}; the longest has "
                f"{longest}): take short='pad', or fewer blocks or a smaller stride."
            )
        # Shared memory, so that workers and the main process count the same failures.
        self._failed = torch.zeros(len(manifest), dtype=torch.uint8).share_memory_()
        self._cached: dict[int, Frames] = {}
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

    def _read(self, number: int, indices: clips.Indices) -> Frames:
        """Frames of the video at this place in the manifest, the last one repeated at the end."""
        video = self.manifest.videos[number]
        indices = clips.pad_indices(indices.reshape(-1), video.n_frames)
        if number in self._cached:
            return self._cached[number][indices]
        reader = open_video(self.manifest.file(video), self.backend)
        if self.cache is None:
            return reader.frames(indices)
        worker = get_worker_info()
        room = self.cache_bytes // (worker.num_workers if worker else 1) - self._cached_bytes
        # When the room is used up the videos kept so far stay: under a random order that serves
        # as well as throwing the oldest out, and costs nothing.
        if 3 * video.n_frames * video.width * video.height > room:
            return reader.frames(indices)
        frames = reader.frames(np.arange(video.n_frames))
        self._cached[number] = frames
        self._cached_bytes += frames.nbytes
        return frames[indices]

    def _blocks(self, frames: Frames, rng: np.random.Generator) -> Tensor:
        """(N * T, H, W, 3) uint8 to (N, 3, T, size, size) float32."""
        clip = self.transform(frames, rng)  # (3, N * T, S, S)
        blocks = clip.unflatten(1, (self.num_seq, self.seq_len))  # (3, N, T, S, S)
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


class ClipDataset(_VideoDataset):
    """One clip a video, at a random place when training, in the middle otherwise.

    Args:
        manifest: The videos.
        num_seq: Blocks N.
        seq_len: Frames T of a block.
        stride: Raw frames from one frame to the next.
        size: Side of the square output in pixels.
        augment: Applied when ``train``.
        train: Random start and augmentation; ``False``: middle clip, centre crop.
        short: Videos of at most N * T * stride frames: ``drop`` (as published) or ``pad`` (the
            last frame is repeated).
        seed: Start of every random draw.
        backend: See :func:`thesislib.data.reader.open_video`.
        cache: ``memory`` keeps decoded videos, up to ``cache_bytes`` over all workers.
        cache_bytes: Bytes.
        repeat: Clips of each video in an epoch, for very small data sets.

    Items:
        ``video`` (N, 3, T, size, size) float32; ``label`` int64, -1 without one; ``index`` int64,
        the place of the video in the manifest.

    Raises:
        ThesisError: No video is long enough.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        num_seq: int,
        seq_len: int,
        stride: int,
        size: int,
        augment: Augment,
        train: bool,
        short: str = "drop",
        seed: int = 0,
        backend: str = "auto",
        cache: str | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        repeat: int = 1,
    ) -> None:
        super().__init__(
            manifest,
            num_seq=num_seq,
            seq_len=seq_len,
            stride=stride,
            size=size,
            augment=augment,
            train=train,
            short=short,
            seed=seed,
            backend=backend,
            cache=cache,
            cache_bytes=cache_bytes,
        )
        self.train = train
        self.repeat = repeat

    def __len__(self) -> int:
        return len(self.videos) * self.repeat

    def __getitem__(self, key: int | Key) -> Item:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)

        def load(place: int) -> Item:
            # The generator belongs to the key, also when another video takes the place.
            rng = np.random.default_rng([self.seed, epoch, index])
            number = self._number(place)
            video = self.manifest.videos[number]
            pick = clips.random_start(video.n_frames, self.span, rng) if self.train else None
            start = clips.centre_start(video.n_frames, self.span) if pick is None else pick
            indices = clips.block_indices(start, self.num_seq, self.seq_len, self.stride)
            frames = self._read(number, indices)
            return {
                "video": self._blocks(frames, rng),
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
        hop: Blocks from one window to the next; default N // 2 (as released for UCF101: 4 of 8).
        max_windows: At most so many windows a video, evenly spread; 0: all.

    The other arguments are those of :class:`ClipDataset`; ``short`` is ``pad`` by default, so that
    no test video is lost.

    Items:
        ``video`` (N, 3, T, size, size) float32; ``label``; ``index`` (of the video in the
        manifest); ``window`` (its number in the video); all int64.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        num_seq: int,
        seq_len: int,
        stride: int,
        size: int,
        augment: Augment,
        hop: int | None = None,
        max_windows: int = 0,
        short: str = "pad",
        seed: int = 0,
        backend: str = "auto",
        cache: str | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        super().__init__(
            manifest,
            num_seq=num_seq,
            seq_len=seq_len,
            stride=stride,
            size=size,
            augment=augment,
            train=False,
            short=short,
            seed=seed,
            backend=backend,
            cache=cache,
            cache_bytes=cache_bytes,
        )
        hop_frames = (max(num_seq // 2, 1) if hop is None else hop) * seq_len * stride
        self.windows: list[tuple[int, int, int]] = []  # place in the manifest, window, start
        for number in self.videos:
            starts = clips.window_starts(manifest.videos[number].n_frames, self.span, hop_frames)
            if max_windows and len(starts) > max_windows:
                chosen = np.linspace(0, len(starts) - 1, max_windows).round().astype(int)
                starts = starts[chosen]
            self.windows += [(number, w, int(start)) for w, start in enumerate(starts)]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, key: int | Key) -> Item:
        """One window; the epoch of a ``(epoch, index)`` key has no effect."""
        index = key[1] if isinstance(key, tuple) else key
        if not 0 <= index < len(self):
            raise IndexError(index)

        def load(place: int) -> Item:
            number, window, start = self.windows[place]
            indices = clips.block_indices(start, self.num_seq, self.seq_len, self.stride)
            rng = np.random.default_rng([self.seed, 0, place])
            return {
                "video": self._blocks(self._read(number, indices), rng),
                "label": torch.tensor(self.label(self.manifest.videos[number], start)),
                "index": torch.tensor(number),
                "window": torch.tensor(window),
            }

        return self._first_readable(len(self), index, load)

    def _number(self, place: int) -> int:
        return self.windows[place][0]
