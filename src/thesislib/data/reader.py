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
import threading
import weakref
from bisect import bisect_right
from collections.abc import Collection, Generator, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from thesislib.clip_config import BACKENDS
from thesislib.data.containers import (
    SLACK,
    VIDEO_SUFFIXES,
    FrameTable,
    VideoInfo,
    decoded_count,
    facts,
    probe,
)
from thesislib.data.opening import check_readable, decoded, has_times, named, open_container
from thesislib.data.pictures import Pictures
from thesislib.errors import ThesisError, VideoError, choose

__all__ = ["VIDEO_SUFFIXES", "Reader", "VideoInfo", "open_video", "probe"]

Frames = NDArray[np.uint8]
NEAR = 8  # frames on which to go is no more work than to seek
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


class _Owned:
    """Refuses to work outside the process and thread that opened the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner = (os.getpid(), threading.get_ident())

    def _check(self, indices: Any, length: int) -> NDArray[np.int64]:
        if self._owner != (os.getpid(), threading.get_ident()):
            raise ThesisError(
                f"The reader of {self.path} was opened in another process or thread: "
                "open the video where it is read."
            )
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= length):
            raise VideoError(self.path, f"frame {wanted.max()} is wanted, it has {length}")
        return wanted

    def __reduce__(self) -> Any:
        raise TypeError("a video reader cannot be sent to another process: send the path")


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


class DecordReader(_Owned):
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
        wanted = self._check(indices, self._length)
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


class TorchcodecReader(_Owned):
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
        wanted = self._check(indices, self._length)
        unique, inverse = np.unique(wanted, return_inverse=True)
        with self._refused("a frame does not decode"):
            frames: Frames = self._decoder.get_frames_at(unique.tolist()).data.numpy()
        return frames if np.array_equal(unique, wanted) else frames[inverse]

    def timestamps(self) -> NDArray[np.float64]:
        """See :class:`Reader`."""
        return PyAVReader(self.path).timestamps()


class PyAVReader(_Owned):
    """Reader on PyAV, one thread: seeks to the key frame before, then decodes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._container, self._stream = open_container(path)
        self._table = FrameTable.of(path, self._container, self._stream)
        self._length = self._table.count if self._table.pts is not None else -1
        self._pictures = Pictures(facts(path).shape)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self._pictures.shape.shown

    def __len__(self) -> int:
        if self._length < 0:
            # Without times a packet may hold no frame of its own (packed B-frames): count them.
            self._length = decoded_count(self.path)
        return self._length

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """See :class:`Reader`."""
        wanted = self._check(indices, self._length if self._length >= 0 else self._table.count)
        needed = sorted(set(wanted.tolist()))
        if not needed:
            raise VideoError(self.path, "no frame was asked for")
        open_numbers = set(needed)
        found: dict[int, Frames] = {}
        number, last = -1, None
        with named(self.path):
            for number, last in self._decode_from(needed[0]):
                if number in open_numbers and number not in found:
                    found[number] = self._pictures(last)
                if number >= needed[-1]:
                    break
        for i in needed:
            if i in found:
                continue
            # A container that was not counted may promise a packed frame that is not there.
            if last is None or self._table.pts is not None or i > number + SLACK:
                raise VideoError(self.path, f"frame {i} does not decode")
            found[i] = self._pictures(last)
        return np.stack([found[i] for i in wanted.tolist()])

    def onward(self, numbers: Sequence[int], scale: float = 1.0) -> Iterator[tuple[int, Frames]]:
        """Frames in one pass, of however long a video; of the others few are decoded.

        It closes the file at its end, also where it is left before.

        Args:
            numbers: Of the frames, rising.
            scale: Of the sides of the frames, at most 1.

        Yields:
            The number and the frame, (H, W, 3) uint8 RGB.

        Raises:
            VideoError: A frame does not decode.
        """
        self._check(numbers, self._length if self._length >= 0 else self._table.count)
        pictures = Pictures(self._pictures.shape, scale)
        found, number, frame = self._decode_from(numbers[0], numbers), numbers[0] - 1, None
        try:
            for due in numbers:
                with named(self.path):
                    if self._key_before(due) > number + NEAR:
                        found.close()
                        found, frame = self._decode_from(due, numbers), None
                    while frame is None or number < due:
                        if (step := next(found, None)) is None:
                            break
                        number, frame = step
                    # As in frames(): a packed frame may not be there.
                    short = SLACK if self._table.pts is None else 0
                    if frame is None or not number <= due <= number + short:
                        raise VideoError(self.path, f"frame {due} does not decode")
                    picture = pictures(frame)
                yield due, picture
        finally:
            found.close()
            self.close()

    def close(self) -> None:
        """Closes the file now: container and streams hold each other until the collector comes."""
        self._container.close()

    def entries(self) -> NDArray[np.int64]:
        """Numbers of the frames at which decoding can begin, rising; none where that is unknown."""
        pts, keys = self._table.pts, self._table.keys
        return np.zeros(0, np.int64) if pts is None else np.searchsorted(pts, keys)

    def _key_before(self, number: int) -> int:
        """The last frame up to this one at which decoding can begin; 0 where that is not known."""
        pts, keys = self._table.pts, self._table.keys
        place = 0 if pts is None else bisect_right(keys, pts[number])
        return int(np.searchsorted(pts, keys[place - 1])) if pts is not None and place else 0

    def _decode_from(
        self, first: int, only: Collection[int] | None = None
    ) -> Generator[tuple[int, Any], None, None]:
        """Frames with their numbers, starting at or before ``first``; all, or all of ``only``."""
        pts = self._table.pts
        if pts is None:
            self._rewind()
            yield from enumerate(decoded(self._container, self._stream))
            return
        stream, needed = self._stream, None
        if only is not None:
            needed = set(pts[list(only)].tolist()).__contains__
        self._container.seek(int(pts[first]), stream=stream, backward=True)
        for frame in decoded(self._container, stream, needed):
            if frame.pts is None:
                continue
            number = int(np.searchsorted(pts, frame.pts))
            if number < len(pts) and pts[number] == frame.pts:
                yield number, frame

    def _rewind(self) -> None:
        """Back to the first frame, by opening the file anew: a seek is not exact here."""
        self._container.close()
        self._container, self._stream = open_container(self.path)

    def timestamps(self) -> NDArray[np.float64]:
        """See :class:`Reader`."""
        table = self._table
        if table.pts is None:
            return np.arange(len(self), dtype=np.float64) / (table.nominal_fps or 1.0)
        return (table.pts - table.pts[0]).astype(np.float64) * table.unit


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
