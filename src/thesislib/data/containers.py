"""What a video file holds, read from its container with PyAV: frames, times, and what is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.data.opening import (
    check_readable,
    decoded,
    has_times,
    named,
    packets,
    signature,
    video_stream,
)
from thesislib.data.pictures import Shape, pyav
from thesislib.errors import VideoError

SLACK = 1  # a missing last frame is normal: packed B-frames count a packet without a picture
MOST_FRAMES = 10_000_000  # nobody's video has more: four days
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe"}
    | {".wmv", ".flv", ".3gp", ".ogv", ".ts", ".mts", ".m2ts", ".m2t"}
    | {".gif", ".vob", ".asf", ".divx", ".mxf", ".f4v", ".m1v", ".m2v", ".3g2"}
)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        n_frames: Frames; those that decode after a full check, those in the container otherwise.
        fps: Mean frames a second, from the true time stamps.
        width: Pixels, as shown: a telephone's upright picture is stored lying.
        height: Pixels, as shown.
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
        full: Decode every frame, which alone finds a hole in the middle.

    Raises:
        VideoError: ``empty file``, ``not a video``, ``no video stream (audio only)``,
            ``truncated: N of M frames decode``, ...
    """
    path = Path(path)
    check_readable(path)
    with video_stream(path) as (container, stream):
        width, height = stream.codec_context.width, stream.codec_context.height
        table = FrameTable.of(path, container, stream)
    with video_stream(path) as opened:
        shape = _first_shape(path, *opened)
    found, lost = _decoded(path, table) if full else (table.count, 0)
    promised = max(table.declared, table.count)
    if found == 0:
        raise VideoError(path, "no frame decodes")
    if max(lost, table.declared - table.count) > SLACK:
        raise VideoError(path, f"truncated: {found} of {promised} frames decode")
    if shape is not None:
        width, height = shape.shown
    if width < 1 or height < 1:
        raise VideoError(path, "no picture size in its header")
    if table.pts is None:
        fps = table.nominal_fps
        return VideoInfo(found, fps, width, height, found / fps if fps else 0.0)
    fps = table.count / table.duration if table.duration > 0 else table.nominal_fps
    return VideoInfo(found, fps, width, height, table.duration)


def _is_shown(packet: Any, codec: str) -> bool:
    """Whether a packet holds a picture that is to be seen.

    An edit list hides the lead-in of a trimmed mp4, and VP8 stores pictures for reference alone.
    """
    if not packet.size or packet.is_discard:
        return False
    return codec != "vp8" or bool(bytes(packet)[0] & 0x10)


@dataclass(frozen=True)
class FrameTable:
    """Presentation times of a stream from its packets, without decoding.

    Attributes:
        pts: Times in presentation order, in units of ``unit``; ``None`` if the container has no
            usable ones, so that frames can only be counted from the start.
        unit: Seconds a tick.
        count: Frames in the container that are to be seen.
        declared: Frames to be seen that the header promises; 0 if it does not say.
        duration: Seconds.
        nominal_fps: Frames a second as the header says.
        stamps: Times in order, made up ones too; ``None`` where some are missing or come twice.
        keys: Times, in order, of the frames at which decoding can begin.
    """

    pts: NDArray[np.int64] | None
    unit: float
    count: int
    declared: int
    duration: float
    nominal_fps: float
    stamps: NDArray[np.int64] | None = field(default=None, repr=False)
    keys: tuple[int, ...] = field(default=(), repr=False)

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds from the first frame at which each is shown, ``(count,)``."""
        if self.pts is None:
            return np.arange(self.count, dtype=np.float64) / (self.nominal_fps or 1.0)
        return (self.pts - self.pts[0]).astype(np.float64) * self.unit

    @classmethod
    def of(cls, path: Path, container: Any, stream: Any) -> FrameTable:
        """Reads all packets of the stream."""
        pts: list[int | None] = []
        slots: list[int] = []
        keys: list[int] = []
        last, hidden, codec = 0, 0, stream.codec_context.codec.canonical_name
        with contextlib.suppress(pyav().error.FFmpegError):  # a damaged tail: the count tells
            for packet in packets(container, stream):
                if packet.dts is not None:
                    slots.append(packet.dts)
                if _is_shown(packet, codec):
                    pts.append(packet.pts)
                    if packet.is_keyframe and packet.pts is not None:
                        keys.append(packet.pts)
                    last = packet.duration or last
                else:
                    hidden += bool(packet.size)
        nominal = float(stream.average_rate or stream.guessed_rate or 0)
        unit = float(stream.time_base or 0)
        if not pts:
            raise VideoError(path, "no frames in its video stream")
        declared = _declared(path, stream) - hidden
        if slots and signature(path) == "avi":
            # A number of a chunk that is not there is a frame that was dropped on recording.
            declared -= max(0, max(slots) - min(slots) + 1 - len(slots))
        known = sorted(p for p in pts if p is not None)
        stamps = None
        if len(set(known)) == len(pts):
            stamps = np.asarray(known, dtype=np.int64)
        # Elsewhere times are made up on reading, and wrong where frames are re-ordered.
        if unit <= 0 or not has_times(path) or stamps is None:
            duration = len(pts) / nominal if nominal else 0.0
            return cls(None, unit, len(pts), declared, duration, nominal, stamps)
        step = last or (stamps[-1] - stamps[0]) / max(len(stamps) - 1, 1)
        duration = float(stamps[-1] - stamps[0] + step) * unit
        return cls(stamps, unit, len(pts), declared, duration, nominal, stamps, tuple(sorted(keys)))


def _declared(path: Path, stream: Any) -> int:
    """Packets that the header promises; 0 if it does not say.

    The index of an mp4 knows what its edit list leaves of the frames that the header counts.
    """
    return len(_index(path, stream)) or int(stream.frames or 0)


def _index(path: Path, stream: Any) -> Sequence[Any]:
    """What the index of an mp4 says of its packets; elsewhere, and by an older PyAV, nothing."""
    return getattr(stream, "index_entries", ()) if signature(path) == "mp4" else ()


def _first_shape(path: Path, container: Any, stream: Any) -> Shape | None:
    """How the first frame looks; ``None`` if none decodes."""
    with contextlib.suppress(VideoError), named(path):
        for frame in decoded(container, stream):
            return Shape.of(frame)
    return None


def _decoded(path: Path, table: FrameTable) -> tuple[int, int]:
    """Decodes all: how many frames do, and how many are missing in one place.

    Fewer frames than packets need not be a damage: codecs hide some from view. But those stand
    alone, and the picture after them comes. A run of times without a picture is a hole, and at the
    end a truncation.
    """
    found, corrupt, times = 0, 0, set()
    for frame in _frames(path):
        if frame.is_corrupt:
            corrupt += 1
        else:
            found += 1
            times.add(frame.pts)
    if table.stamps is None or None in times:
        return found, table.count - found
    run = longest = 0
    for stamp in table.stamps.tolist():
        run = 0 if stamp in times else run + 1
        longest = max(longest, run)
    return found, max(longest, corrupt)


def decoded_count(path: Path) -> int:
    """Frames that really decode, from the first to the last."""
    return sum(not frame.is_corrupt for frame in _frames(path))


def _frames(path: Path) -> Iterator[Any]:
    """The frames from the first on; what does not decode ends them."""
    with video_stream(path) as (container, stream), contextlib.suppress(VideoError), named(path):
        yield from decoded(container, stream)


@dataclass(frozen=True)
class Facts:
    """What decides who reads a file, and how.

    Attributes:
        shape: How the first frame looks.
        plain: Whether each packet is a picture to be seen as it is stored: nothing is trimmed,
            hidden or turned.
        frames: Frames that an mp4's index promises, 0 elsewhere.
    """

    shape: Shape
    plain: bool
    frames: int


def facts(path: Path) -> Facts:
    """Looks at the header and the first frame, once for each state of a file.

    Raises:
        VideoError: It cannot be opened, or its first frame does not decode.
    """
    with named(path):
        state = path.stat()
    return _facts(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _facts(path: Path, size: int, changed: int) -> Facts:
    with video_stream(path) as (container, stream):
        codec = stream.codec_context.codec.canonical_name
        entries = _index(path, stream)
        trimmed = any(entry.is_discard for entry in entries)
        trimmed |= 0 < len(entries) != (stream.frames or len(entries))
        frames = len(entries)
        # decord makes room for as many frames as a head tells of, and dies where that is too much.
        told = (container.duration or 0) / 1e6 * float(stream.average_rate or 0)
        endless = max(told, stream.frames) > MOST_FRAMES
        shape = _first_shape(path, container, stream)
    if shape is None:
        raise VideoError(path, "its first frame does not decode")
    return Facts(shape, not (trimmed or endless or shape.turned or codec == "vp8"), frames)
