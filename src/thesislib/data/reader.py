"""One way to read a video file, whichever decoder is at hand.

decord is used where it has a wheel (Linux x86-64, Windows), PyAV where it has none or refuses the
file (AV1, for one). Both give the same frames. A reader belongs to the process and the thread that
opened it: one that crosses a fork hangs, one shared by two threads deadlocks.

Containers without presentation times (avi above all) are read from the first frame on: there
decord's random access was measured to land on other frames than the ones asked for, on the
packed B-frames of HMDB51's files.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from thesislib.config import choose
from thesislib.errors import ThesisError, VideoError

Frames = NDArray[np.uint8]
BACKENDS = ("auto", "decord", "pyav")
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe"}
    | {".wmv", ".flv", ".3gp", ".ogv", ".ts", ".mts", ".m2ts"}
)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        n_frames: Frames; those that decode after a full check, those in the container otherwise.
        fps: Mean frames a second, from the true time stamps.
        width: Pixels.
        height: Pixels.
        duration: Seconds, from the first frame to the end of the last.
    """

    n_frames: int
    fps: float
    width: int
    height: int
    duration: float


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
        backend: ``auto`` tries decord, then PyAV.

    Raises:
        VideoError: The file cannot be read; the reason is one short phrase.
    """
    path = Path(path)
    choose("video backend", backend, BACKENDS)
    if not path.is_file():
        raise VideoError(path, "no such file")
    if path.stat().st_size == 0:
        raise VideoError(path, "empty file")
    if backend == "pyav":
        return PyAVReader(path)
    if backend == "decord":
        if _decord() is None:
            raise ThesisError(
                "decord is not installed (it has no wheel for this platform): use backend='pyav'."
            )
        return DecordReader(path)
    # In a container without an index of times PyAV is exact and, reading on, no slower.
    if _decord() is not None and _has_times(path):
        with contextlib.suppress(VideoError):
            return DecordReader(path)
    return PyAVReader(path)


def probe(path: str | Path, full: bool = False) -> VideoInfo:
    """Reads what a file holds, and names what is wrong with it.

    Args:
        path: The file.
        full: Decode every frame and compare their number with what the container promises. A
            truncated avi is silently short in every decoder: only the count gives it away.

    Raises:
        VideoError: ``empty file``, ``not a video``, ``no video stream (audio only)``,
            ``truncated: N of M frames decode``, ...
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(path, "no such file")
    if path.stat().st_size == 0:
        raise VideoError(path, "empty file")
    with _container(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        table = _FrameTable.of(path, container, stream)
    declared = max(table.declared, table.count)
    found = _decoded_count(path) if full else table.count
    if found == 0:
        raise VideoError(path, "no frame decodes")
    # One missing frame is normal (a declared count that includes a dropped or hidden frame).
    if found < declared - 1:
        raise VideoError(path, f"truncated: {found} of {declared} frames decode")
    if width < 1 or height < 1:
        raise VideoError(path, "no picture size in its header")
    if table.pts is None:
        fps = table.nominal_fps
        return VideoInfo(found, fps, width, height, found / fps if fps else 0.0)
    fps = table.count / table.duration if table.duration > 0 else table.nominal_fps
    return VideoInfo(found, fps, width, height, table.duration)


@contextlib.contextmanager
def _container(path: Path) -> Iterator[tuple[Any, Any]]:
    """Opens the file with PyAV and gives its first real video stream."""
    av = _av()
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(path, _why_not_open(path)) from error
    with container:
        # A cover picture in a music file is a video stream by name only.
        cover = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & cover]
        if not streams:
            kind = " (audio only)" if container.streams.audio else ""
            raise VideoError(path, f"no video stream{kind}")
        stream = streams[0]
        if stream.codec_context is None:
            raise VideoError(path, "its codec is unknown to the decoder")
        stream.codec_context.thread_count = 1
        yield container, stream


def _signature(path: Path) -> str:
    """The family of the container, by its first bytes: mp4, mkv, avi, or nothing known."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "mkv"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else ""


def _has_times(path: Path) -> bool:
    """Whether the container stores a presentation time for every frame."""
    return _signature(path) in ("mp4", "mkv")


def _why_not_open(path: Path) -> str:
    """The container signature tells a damaged video from a file that never was one."""
    signature = _signature(path)
    if signature == "mp4":
        return "truncated: the mp4 index (moov) is missing"
    if signature:
        return "damaged: its header cannot be read"
    return "not a video"


@dataclass(frozen=True)
class _FrameTable:
    """Presentation times of a stream from its packets, without decoding.

    Attributes:
        pts: Times in presentation order, in units of ``unit``; ``None`` if the container has no
            usable ones, so that frames can only be counted from the start.
        unit: Seconds a tick.
        count: Frames in the container.
        declared: Frames that the header promises; 0 if it does not say.
        duration: Seconds.
        nominal_fps: Frames a second as the header says.
    """

    pts: NDArray[np.int64] | None
    unit: float
    count: int
    declared: int
    duration: float
    nominal_fps: float

    @classmethod
    def of(cls, path: Path, container: Any, stream: Any) -> _FrameTable:
        """Reads all packets of the stream."""
        pts: list[int | None] = []
        last = 0
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    pts.append(packet.pts)
                    last = packet.duration or last
        except _av().error.FFmpegError:
            pass  # a damaged tail: the count tells
        nominal = float(stream.average_rate or stream.guessed_rate or 0)
        unit = float(stream.time_base or 0)
        declared = int(stream.frames or 0)
        if not pts:
            raise VideoError(path, "no frames in its video stream")
        known = sorted(p for p in pts if p is not None)
        # Elsewhere times are made up on reading, and wrong where frames are re-ordered.
        if unit <= 0 or not _has_times(path) or len(set(known)) < len(pts):
            duration = len(pts) / nominal if nominal else 0.0
            return cls(None, unit, len(pts), declared, duration, nominal)
        times = np.asarray(known, dtype=np.int64)
        step = last or (times[-1] - times[0]) / max(len(times) - 1, 1)
        duration = float(times[-1] - times[0] + step) * unit
        return cls(times, unit, len(pts), declared, duration, nominal)


def _decoded_count(path: Path) -> int:
    """Frames that really decode, from the first to the last."""
    count = 0
    with _container(path) as (container, stream), contextlib.suppress(_av().error.FFmpegError):
        for frame in container.decode(stream):
            count += not frame.is_corrupt
    return count


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


class DecordReader(_Owned):
    """Reader on decord, one thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        decord = _decord()
        self._errors = (decord.DECORDError, RuntimeError)
        try:
            self._reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
            self._length = len(self._reader)
            self._random_access = _has_times(path)
        except self._errors as error:
            raise VideoError(path, "decord cannot open it") from error
        if self._length < 1:
            raise VideoError(path, "no frame decodes")

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """See :class:`Reader`."""
        wanted = self._check(indices, self._length)
        unique, inverse = np.unique(wanted, return_inverse=True)
        try:
            if self._random_access:
                frames: Frames = self._reader.get_batch(unique.tolist()).asnumpy()
            else:
                frames = self._read_on(set(unique.tolist()))
        except self._errors as error:
            raise VideoError(self.path, "a frame does not decode") from error
        return frames if np.array_equal(unique, wanted) else frames[inverse]

    def _read_on(self, wanted: set[int]) -> Frames:
        """Every frame from the first on; a new reader, because decord's seek is not exact here."""
        reader = _decord().VideoReader(str(self.path), num_threads=1)
        frames = (reader.next().asnumpy() for _ in range(max(wanted) + 1))
        return np.stack([frame for i, frame in enumerate(frames) if i in wanted])

    def timestamps(self) -> NDArray[np.float64]:
        """See :class:`Reader`."""
        times = self._reader.get_frame_timestamp(list(range(self._length)))[:, 0]
        return np.asarray(times, dtype=np.float64) - float(times[0])


class PyAVReader(_Owned):
    """Reader on PyAV, one thread: seeks to the key frame before, then decodes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _container(path) as (container, stream):
            self._table = _FrameTable.of(path, container, stream)
        self._length = self._table.count if self._table.pts is not None else -1

    def __len__(self) -> int:
        if self._length < 0:
            # Without times a packet may hold no frame of its own (packed B-frames): count them.
            self._length = _decoded_count(self.path)
        return self._length

    def frames(self, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """See :class:`Reader`."""
        wanted = self._check(indices, self._length if self._length >= 0 else self._table.count)
        needed = sorted(set(wanted.tolist()))
        if not needed:
            raise VideoError(self.path, "no frame was asked for")
        open_numbers = set(needed)
        found: dict[int, Frames] = {}
        with _container(self.path) as (container, stream):
            try:
                for number, frame in self._decode_from(container, stream, needed[0]):
                    if number in found or number not in open_numbers:
                        continue
                    found[number] = frame.to_ndarray(format="rgb24")
                    if number >= needed[-1]:
                        break
            except _av().error.FFmpegError as error:
                raise VideoError(self.path, "a frame does not decode") from error
        missing = [i for i in needed if i not in found]
        if missing:
            raise VideoError(self.path, f"frame {missing[0]} does not decode")
        return np.stack([found[i] for i in wanted.tolist()])

    def _decode_from(self, container: Any, stream: Any, first: int) -> Iterator[tuple[int, Any]]:
        """Frames with their numbers, starting at or before ``first``."""
        pts = self._table.pts
        if pts is None:
            yield from enumerate(container.decode(stream))
            return
        if first > 0:
            container.seek(int(pts[first]), stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            number = int(np.searchsorted(pts, frame.pts))
            if number < len(pts) and pts[number] == frame.pts:
                yield number, frame

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
def _av() -> Any:
    """The PyAV module, made silent: what matters is raised as an error."""
    import av
    import av.error
    import av.logging
    import av.stream

    av.logging.set_level(None)
    return av
