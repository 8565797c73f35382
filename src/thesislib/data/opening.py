"""Opening a video with PyAV, and the one place where what goes wrong there gets its name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from thesislib.data.pictures import pyav
from thesislib.errors import VideoError


@contextlib.contextmanager
def named(
    path: Path, reason: str = "a frame does not decode", more: type[Exception] = ValueError
) -> Iterator[None]:
    """The one place where what goes wrong with a video becomes a :class:`VideoError`.

    Args:
        path: The file.
        reason: What to say where the decoder gives up.
        more: The error of another decoder.
    """
    try:
        yield
    except pyav().error.FFmpegError as error:  # some of these are OSErrors, too
        raise VideoError(path, reason) from error
    except OSError as error:
        raise VideoError(path, f"cannot be read: {error.strerror or error}") from error
    except UnicodeEncodeError:
        raise VideoError(path, "its name is not UTF-8: rename it") from None
    except MemoryError as error:
        raise VideoError(path, "its pictures do not fit into the memory") from error
    # PyAV's own, of damaged headers.
    except (ValueError, IndexError, OverflowError, more) as error:
        raise VideoError(path, reason) from error


def check_readable(path: Path) -> None:
    """Raises what can be said without a decoder.

    Raises:
        VideoError: No such file, an empty one, one that this user may not read.
    """
    with named(path):
        str(path).encode()  # no manifest could hold another name, and decord cannot open it
        if path.is_dir():
            raise VideoError(path, "a folder: name a video in it")
        if not path.is_file():
            raise VideoError(path, "no such file")
        with path.open("rb") as file:
            if not file.read(1):
                raise VideoError(path, "empty file")


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
    except PermissionError as error:
        raise VideoError(path, f"cannot be read: {error.strerror}") from error
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


def signature(path: Path) -> str:
    """The family of the container, by its first bytes: mp4, mkv, avi, or nothing known."""
    with named(path), path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "mkv"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else ""


def has_times(path: Path) -> bool:
    """Whether the container stores a presentation time for every frame."""
    return signature(path) in ("mp4", "mkv")


def _why_not_open(path: Path) -> str:
    """The container signature tells a damaged video from a file that never was one."""
    family = signature(path)
    if family == "mp4":
        return "truncated: the mp4 index (moov) is missing"
    if family:
        return "damaged: its header cannot be read"
    return "not a video"


def packets(container: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets from here on.

    PyAV ends with an IndexError where a damaged transport stream speaks of a stream that was not
    there on opening. The next call goes on behind that packet, so one of them loses nothing else.
    """
    while True:
        try:
            yield from container.demux(stream)
        except IndexError:
            continue
        return


def decoded(
    container: Any, stream: Any, needed: Callable[[int], bool] | None = None
) -> Iterator[Any]:
    """The stream's frames from here on; hidden ones are left out.

    Args:
        container: Open.
        stream: One of its video streams.
        needed: Whether the frame of a presentation time is asked for: of the others only those are
            decoded to which others refer. Default: all.
    """
    for packet in packets(container, stream):
        if needed is not None:
            spare = packet.pts is not None and not needed(packet.pts)
            stream.codec_context.skip_frame = "NONREF" if spare else "DEFAULT"
        # An empty one is a picture that stays (Theora); to a decoder it would mean the end.
        if packet.size or packet.dts is None:
            yield from packet.decode()
