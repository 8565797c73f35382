"""A zoo of small videos, whole and damaged, written by ffmpeg; and ffmpeg's own frames of each."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np

TEST = "testsrc2=size={size}:rate={rate}:duration={seconds}"
X264 = "-c:v libx264 -preset ultrafast -g 12 -threads 1"
X264_B = "-c:v libx264 -preset veryfast -bf 3 -g 24 -threads 1"
MPEG4 = "-c:v mpeg4 -q:v 3"
VPX = "-deadline realtime -cpu-used 8 -g 12 -threads 1"

# name -> (size, rate, what ffmpeg is told)
WHOLE: dict[str, tuple[str, str, str]] = {
    "h264.mp4": ("64x48", "25", X264),
    "h264_b.mp4": ("64x48", "25", X264_B),
    "h264_b.mkv": ("64x48", "25", X264_B),
    "h264.mov": ("64x48", "25", X264),
    "h264.flv": ("64x48", "25", X264),
    "h264.ts": ("64x48", "25", X264),
    "h264_b.ts": ("64x48", "25", X264_B),
    "h264.3gp": ("64x48", "25", X264),
    "h264.avi": ("64x48", "25", X264 + " -bf 0"),
    "fragmented.mp4": ("64x48", "25", X264_B + " -movflags frag_keyframe+empty_moov"),
    "faststart.mp4": ("64x48", "25", X264_B + " -movflags faststart"),
    "ntsc.mp4": ("64x48", "30000/1001", X264_B),
    "slow.mp4": ("64x48", "5", X264),
    "fast.mp4": ("64x48", "120", X264),
    "narrow.mp4": ("24x48", "25", X264),
    "odd.mp4": ("66x50", "25", X264),
    "wide.mp4": ("160x32", "25", X264),
    "444.mp4": ("64x48", "25", X264 + " -pix_fmt yuv444p"),
    "422.mkv": ("64x48", "25", X264 + " -pix_fmt yuv422p"),
    "10bit.mp4": ("64x48", "25", X264 + " -pix_fmt yuv420p10le"),
    "grey.mp4": ("64x48", "25", X264 + " -pix_fmt gray"),
    "full_range.mp4": ("64x48", "25", X264 + " -pix_fmt yuvj420p"),
    "bt709.mp4": (
        "64x48",
        "25",
        X264 + " -colorspace bt709 -color_primaries bt709 -color_trc bt709",
    ),
    "hevc.mp4": ("64x64", "25", "-c:v libx265 -preset ultrafast -x265-params log-level=0:pools=1"),
    "vp8.webm": ("64x48", "25", "-c:v libvpx " + VPX),
    "vp8_altref.webm": ("64x48", "25", "-c:v libvpx -auto-alt-ref 1 -lag-in-frames 12 -b:v 80k"),
    "vp9.webm": ("64x48", "25", "-c:v libvpx-vp9 " + VPX),
    "mpeg4.avi": ("64x48", "25", MPEG4),
    "mpeg4_b.avi": ("64x48", "25", MPEG4 + " -bf 2"),
    "mpeg4.mp4": ("64x48", "25", MPEG4),
    "mpeg2.mpg": ("64x48", "25", "-c:v mpeg2video -q:v 3"),
    "mpeg1.mpg": ("64x48", "25", "-c:v mpeg1video -q:v 3"),
    "mjpeg.avi": ("64x48", "25", "-c:v mjpeg -q:v 3"),
    "ffv1.mkv": ("64x48", "25", "-c:v ffv1"),
    "wmv2.wmv": ("64x48", "25", "-c:v wmv2 -q:v 3"),
    "theora.ogv": ("64x48", "25", "-c:v libtheora -q:v 7"),
    "prores.mov": ("64x48", "25", "-c:v prores_ks"),
    "variable.mp4": ("64x48", "25", X264_B + " -vf select='not(eq(mod(n\\,5)\\,2))' -fps_mode vfr"),
    "variable.mkv": ("64x48", "25", X264 + " -vf select='lt(mod(n\\,7)\\,4)' -fps_mode vfr"),
    "dropped.avi": ("64x48", "25", MPEG4 + " -vf select='mod(n\\,4)' -fps_mode vfr"),
}
# name -> (from which, what ffmpeg is told before the input, and after it)
REMUXED: dict[str, tuple[str, str, str]] = {
    "turned_90.mp4": ("h264_b.mp4", "-display_rotation 90", "-c copy"),
    "turned_180.mov": ("h264_b.mp4", "-display_rotation 180", "-c copy"),
    "turned_270.mkv": ("h264_b.mp4", "-display_rotation 270", "-c copy"),
    "mirrored.mp4": ("h264.mp4", "-display_hflip", "-c copy"),
    "turned_mirrored.mp4": ("h264.mp4", "-display_rotation 90 -display_hflip", "-c copy"),
    "trimmed.mp4": ("h264_b.mp4", "-ss 0.3", "-c copy"),
    "trimmed_end.mp4": ("h264_b.mp4", "-ss 0.3", "-t 0.4 -c copy"),
    "trimmed.mkv": ("h264_b.mp4", "-ss 0.3", "-c copy"),
}
DAMAGED = {
    "cut.mp4": ("faststart.mp4", "cut"), "cut_moov.mp4": ("h264.mp4", "cut"),
    "cut.avi": ("mpeg4.avi", "cut"), "cut.mkv": ("h264_b.mkv", "cut"),
    "cut.ts": ("h264.ts", "cut"), "zeroed.mp4": ("h264_b.mp4", "zero"),
    "zeroed.webm": ("vp9.webm", "zero"), "flipped.ts": ("h264.ts", "flip"),
    "flipped.avi": ("mpeg4.avi", "flip"), "spliced.mpg": ("mpeg2.mpg", "splice"),
    "headless.mkv": ("h264_b.mkv", "head"), "text.mp4": ("h264.mp4", "text"),
}  # fmt: skip


@lru_cache(maxsize=1)
def ffmpeg() -> str:
    """The program that the wheel imageio-ffmpeg brings."""
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def run(*words: str) -> bytes:
    """What ffmpeg writes to its standard output."""
    command = [ffmpeg(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *words]
    return subprocess.run(command, capture_output=True, timeout=60).stdout


def write_zoo(folder: Path) -> dict[str, Path]:
    """Writes what the encoders at hand can write."""
    seconds = "0.96"
    for name, (size, rate, told) in WHOLE.items():
        span = "0.2" if rate == "120" else "2.4" if rate == "5" else seconds
        source = TEST.format(size=size, rate=rate, seconds=span)
        pixels = [] if "-pix_fmt" in told or "prores" in told else ["-pix_fmt", "yuv420p"]
        run("-f", "lavfi", "-i", source, *told.split(), *pixels, str(folder / name))
    for name, (of, before, after) in REMUXED.items():
        run(*before.split(), "-i", str(folder / of), *after.split(), str(folder / name))
    for name, (of, how) in DAMAGED.items():
        (folder / name).write_bytes(damaged((folder / of).read_bytes(), how))
    found = {path.name: path for path in sorted(folder.iterdir()) if path.stat().st_size}
    return found


def damaged(data: bytes, how: str, seed: int = 0) -> bytes:
    """The bytes of a video, damaged in one way."""
    rng, n = np.random.default_rng(seed), len(data)
    raw = bytearray(data)
    if how == "cut":
        return data[: n * 8 // 10]
    if how == "zero":
        raw[n // 3 : n // 2] = bytes(n // 2 - n // 3)
    if how == "flip":
        for place in rng.integers(n // 8, n, 20):
            raw[place] ^= 1 << int(rng.integers(8))
    if how == "splice":
        return data[: n // 2] + data[n // 4 :]
    if how == "head":
        raw[:64] = bytes(64)
    if how == "text":
        return b"no film\n" * 200
    return bytes(raw)


def frames_of(path: Path, width: int, height: int) -> np.ndarray:
    """ffmpeg's own frames as shown, (N, height, width, 3) uint8 RGB."""
    raw = run("-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo",
              "-pix_fmt", "rgb24", "-sws_flags", "bicubic", "-threads", "1", "-")  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
