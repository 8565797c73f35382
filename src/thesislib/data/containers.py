"""What a video file holds, read from its container with PyAV: frames, times, and what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import VideoError

SLACK = 1  # a missing last frame is normal: packed B-frames count a packet without a picture
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
    with video_stream(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        table = FrameTable.of(path, container, stream)
    declared = max(table.declared, table.count)
    found = decoded_count(path) if full else table.count
    if found == 0:
        raise VideoError(path, "no frame decodes")
    if found < declared - SLACK:
        raise VideoError(path, f"truncated: {found} of {declared} frames decode")
    if width < 1 or height < 1:
        raise VideoError(path, "no picture size in its header")
    if table.pts is None:
        fps = table.nominal_fps
        return VideoInfo(found, fps, width, height, found / fps if fps else 0.0)
    fps = table.count / table.duration if table.duration > 0 else table.nominal_fps
    return VideoInfo(found, fps, width, height, table.duration)


@contextlib.contextmanager
def video_stream(path: Path) -> Iterator[tuple[Any, Any]]:
    """Opens the file with PyAV and gives its first real video stream; closes it at the end."""
    container, stream = open_container(path)
    with container:
        yield container, stream


def open_container(path: Path) -> tuple[Any, Any]:
    """The open container and its first real video stream; the caller closes the container.

    Raises:
        VideoError: It cannot be opened, or holds no video.
    """
    av = pyav()
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise VideoError(path, _why_not_open(path)) from error
    # A cover picture in a music file is a video stream by name only.
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    reason = ""
    if not streams:
        reason = "no video stream" + (" (audio only)" if container.streams.audio else "")
    elif streams[0].codec_context is None:
        reason = "its codec is unknown to the decoder"
    if reason:
        container.close()
        raise VideoError(path, reason)
    streams[0].codec_context.thread_count = 1
    return container, streams[0]


def _signature(path: Path) -> str:
    """The family of the container, by its first bytes: mp4, mkv, avi, or nothing known."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "mkv"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else ""


def has_times(path: Path) -> bool:
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
class FrameTable:
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
    def of(cls, path: Path, container: Any, stream: Any) -> FrameTable:
        """Reads all packets of the stream."""
        pts: list[int | None] = []
        last = 0
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    pts.append(packet.pts)
                    last = packet.duration or last
        except pyav().error.FFmpegError:
            pass  # a damaged tail: the count tells
        nominal = float(stream.average_rate or stream.guessed_rate or 0)
        unit = float(stream.time_base or 0)
        declared = int(stream.frames or 0)
        if not pts:
            raise VideoError(path, "no frames in its video stream")
        known = sorted(p for p in pts if p is not None)
        # Elsewhere times are made up on reading, and wrong where frames are re-ordered.
        if unit <= 0 or not has_times(path) or len(set(known)) < len(pts):
            duration = len(pts) / nominal if nominal else 0.0
            return cls(None, unit, len(pts), declared, duration, nominal)
        times = np.asarray(known, dtype=np.int64)
        step = last or (times[-1] - times[0]) / max(len(times) - 1, 1)
        duration = float(times[-1] - times[0] + step) * unit
        return cls(times, unit, len(pts), declared, duration, nominal)


def decoded_count(path: Path) -> int:
    """Frames that really decode, from the first to the last."""
    count = 0
    with video_stream(path) as (container, stream), contextlib.suppress(pyav().error.FFmpegError):
        for frame in container.decode(stream):
            count += not frame.is_corrupt
    return count


def converter() -> Callable[..., Any]:
    """A PyAV frame to another size or pixel format: ``f(frame, width, height, format, ...)``.

    One scaler for all frames and one thread: PyAV's own default, a new scaler with a thread a core
    for each frame, takes four times as long on small frames.
    """
    reformat = pyav().video.reformatter.VideoReformatter().reformat
    # An older PyAV knows one thread only, and no such argument (compiled: no signature to ask).
    return partial(reformat, threads=1) if "threads" in (reformat.__doc__ or "") else reformat


@lru_cache(maxsize=1)
def pyav() -> Any:
    """The PyAV module, made silent: what matters is raised as an error."""
    import av
    import av.error
    import av.logging
    import av.stream
    import av.video.reformatter

    av.logging.set_level(None)
    return av
