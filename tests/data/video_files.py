"""Small video files, good and bad, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH = 48, 64


def picture(number: int, tone: int = 0, size: tuple[int, int] | None = None) -> np.ndarray:
    """A frame that says which it is: grey of level 4 * number + 8, with a corner of its video."""
    width, height = size or (WIDTH, HEIGHT)
    frame = np.full((height, width, 3), (4 * number + 8) % 248, np.uint8)
    frame[:16, :16] = (tone * 60) % 256
    return frame


def number_of(frame: np.ndarray) -> int:
    """The inverse of :func:`picture`."""
    return round((float(frame[24:].mean()) - 8) / 4)


def write_video(
    path: Path,
    n_frames: int,
    *,
    tone: int = 0,
    codec: str = "libx264",
    times: Sequence[int] | None = None,
    size: tuple[int, int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """``times``: of presentation, in thirtieths of a second; ``size``: width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as sink:
        default = {"crf": "4", "g": "8", "threads": "1"} if codec == "libx264" else {}
        stream = sink.add_stream(codec, rate=30, options=options or default)
        (stream.width, stream.height), stream.pix_fmt = size or (WIDTH, HEIGHT), "yuv420p"
        if codec == "mpeg4":
            stream.bit_rate = 2_000_000
        for i in range(n_frames):
            frame = av.VideoFrame.from_ndarray(picture(i, tone, size), format="rgb24")
            frame.pts = times[i] if times else i
            frame.time_base = Fraction(1, 30)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode())
    return path


def write_sound(path: Path) -> Path:
    """An mp4 with sound alone."""
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 44100
        frame.planes[0].update(np.zeros(1024, np.float32).tobytes())
        for i in range(20):
            frame.pts = i * 1024
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode())
    return path


BAD = {
    "cut.mp4": "truncated",
    "cut.avi": "truncated",
    "empty.mp4": "empty file",
    "text.mp4": "not a video",
    "sound.mp4": "audio only",
    "single.mp4": "only 1 frame",
}


def write_bad_files(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, codec in ((".mp4", "libx264"), (".avi", "mpeg4")):
        whole = write_video(folder / f"whole{suffix}", 60, codec=codec)
        (folder / f"cut{suffix}").write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
        whole.unlink()
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a film\n" * 500)
    write_sound(folder / "sound.mp4")
    write_video(folder / "single.mp4", 1)
