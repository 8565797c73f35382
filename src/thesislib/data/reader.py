"""One way to read a video file, whichever decoder is at hand.

decord is used where it has a wheel (Linux x86-64, Windows), PyAV where it has none, refuses the
file (AV1, for one) or would answer other frames than a player shows: decord numbers the frames that
a trimmed mp4 or VP8 hides, and does not turn all that is to be turned. torchcodec is used where it
is asked for. All give the same frames, upright and of one size. A reader belongs to the process and
the thread that opened it: one that crosses a fork hangs, one shared by two threads deadlocks.

Containers without presentation times (avi above all) are read from the first frame on: there
decord's random access was measured to land on other frames than the ones asked for, on the
packed B-frames of HMDB51's files.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from thesislib.clip_config import BACKENDS
from thesislib.data.containers import VIDEO_SUFFIXES, VideoInfo, facts, probe
from thesislib.data.opening import check_readable, has_times, named
from thesislib.data.pyav_reader import Frames, Owned, PyAVReader
from thesislib.errors import ThesisError, VideoError, choose

__all__ = ["VIDEO_SUFFIXES", "Frames", "Reader", "VideoInfo", "open_video", "probe"]

PADDED = "size must exactly match"  # in decord's words


class Reader(Protocol):
    """An open video."""

    def __len__(self) -> int:
        """Frames in the video."""

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """Frames by number, in the order given, repeats allowed: (T, H, W, 3) uint8 RGB."""

    def timestamps(self) -> NDArray[np.float64]:
        """Seconds at which each frame is shown, (n_frames,), the first at 0."""


def open_video(path: str | Path, backend: str = "auto") -> Reader:
    """Opens a video; do it inside the worker that reads it.

    Args:
        path: The file.
        backend: ``auto`` tries decord, then PyAV; ``decord`` and ``torchcodec`` read what they
            read well, and leave the rest to PyAV.

    Raises:
        VideoError: The file cannot be read; the reason is one short phrase.
        ThesisError: The backend is not installed.
    """
    path = Path(path)
    choose("video backend", backend, BACKENDS)
    if backend == "decord" and _decord() is None:
        raise ThesisError(
            "decord is not installed (it has no wheel for this platform): use backend='pyav'."
        )
    if backend == "torchcodec":
        _torchcodec()
    check_readable(path)
    # In a container without an index of times PyAV is exact and, reading on, no slower.
    if backend == "pyav" or not has_times(path) or not _is_plain(path):
        return PyAVReader(path)
    if backend == "torchcodec":
        return TorchcodecReader(path)
    if backend == "decord":
        return DecordReader(path)
    if _decord() is not None:
        with contextlib.suppress(VideoError):
            return DecordReader(path)
    return PyAVReader(path)


def _is_plain(path: Path) -> bool:
    """Whether a decoder that numbers packets, and turns nothing, answers the right frames."""
    try:
        return facts(path).plain
    except VideoError:
        return False


_living: set[weakref.ref[Any]] = set()  # decord's readers in this process


def _open_decord(path: Path) -> Any:
    """A reader of decord's own, one thread."""
    decord = _decord()
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    _living.add(weakref.ref(reader, _living.discard))
    return reader


def _forget_readers() -> None:
    """Disowns a forked child's copies of its parent's readers.

    The child has not their threads, for which decord waits when a reader is collected as garbage.
    """
    for reference in list(_living):
        if (reader := reference()) is not None:
            reader._handle = None
    _living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_readers)


class DecordReader(Owned):
    """Reader on decord, one thread; for a container with times.

    Narrow pictures go to PyAV: decord's FFmpeg pads their rows, and by its arithmetic a picture 16,
    24, 48 or 72 pixels wide then has more than three channels. It refuses those only when a frame
    is read; to read one on opening would cost every other video that time.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        decord = _decord()
        self._errors = (decord.DECORDError, RuntimeError)
        try:
            self._reader = _open_decord(path)
            self._length = len(self._reader)
        except self._errors as error:
            raise VideoError(path, "decord cannot open it") from error
        if self._length < 1:
            raise VideoError(path, "no frame decodes")
        if facts(path).frames not in (0, self._length):
            raise VideoError(path, "decord counts other frames than its index")

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """See :class:`Reader`."""
        wanted = self.check(indices, self._length)
        unique, inverse = np.unique(wanted, return_inverse=True)
        try:
            frames: Frames = self._reader.get_batch(unique.tolist()).asnumpy()
        except self._errors as error:
            if PADDED not in str(error):
                raise VideoError(self.path, "a frame does not decode") from error
            return PyAVReader(self.path).frames(wanted)
        if frames.shape[-1] != 3:
            return PyAVReader(self.path).frames(wanted)
        return frames if np.array_equal(unique, wanted) else frames[inverse]

    def timestamps(self) -> NDArray[np.float64]:
        """See :class:`Reader`."""
        times = self._reader.get_frame_timestamp(list(range(self._length)))[:, 0]
        return np.asarray(times, dtype=np.float64) - float(times[0])


class TorchcodecReader(Owned):
    """Reader on torchcodec, one thread; for a container with times."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._refused("torchcodec cannot open it"):
            self._decoder = _torchcodec().VideoDecoder(
                str(path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
            )
            self._length = len(self._decoder)
        if self._length < 1:
            raise VideoError(path, "no frame decodes")

    def _refused(self, reason: str) -> Any:
        """Names what torchcodec raises, which is torch's RuntimeError."""
        return named(self.path, reason, RuntimeError)

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """See :class:`Reader`."""
        wanted = self.check(indices, self._length)
        unique, inverse = np.unique(wanted, return_inverse=True)
        with self._refused("a frame does not decode"):
            frames: Frames = self._decoder.get_frames_at(unique.tolist()).data.numpy()
        return frames if np.array_equal(unique, wanted) else frames[inverse]

    def timestamps(self) -> NDArray[np.float64]:
        """See :class:`Reader`."""
        return PyAVReader(self.path).timestamps()


@lru_cache(maxsize=1)
def _decord() -> Any:
    """The decord module, or ``None`` where it is not installed."""
    try:
        import decord
    except (ImportError, OSError):
        return None
    decord.logging.set_level(decord.logging.QUIET)
    return decord


@lru_cache(maxsize=1)
def _torchcodec() -> Any:
    """The decoders of torchcodec.

    Raises:
        ThesisError: It is not installed, or finds no FFmpeg of the system.
    """
    try:
        from torchcodec import decoders
    except (ImportError, OSError, RuntimeError) as error:
        raise ThesisError(
            "torchcodec cannot be used: `pip install torchcodec`, in the version for this torch, "
            "and FFmpeg's libraries, or take backend='auto'."
        ) from error
    return decoders
