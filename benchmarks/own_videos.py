"""What one's own videos cost: an index of half an hour, and training on twenty of 640 x 480.

    python benchmarks/own_videos.py --parts index          # or train, or both

The videos are made by imageio-ffmpeg's ffmpeg in a temporary folder, 25 frames a second, H.264.
Every way is a process of its own, whose processor time and peak of memory the system counts.
*Before* is training that keeps and decodes frames at their full size, as up to commit ``f40d0f4``:
the same code, with the shrinking switched off. Writes ``own_videos.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from conditions import conditions

HERE = Path(__file__).parent
SIZE, MINUTES, VIDEOS, SECONDS = "640x480", 30, 20, 10
RATE = "1000k"  # without it the noise takes 5,800k, and the decoder twice the time
FULL_SIZE = "from thesislib.data import video_dataset; video_dataset.scale_of = lambda *_: 1.0; "
CALL = "import sys; from thesislib.cli import main; sys.exit(main(sys.argv[1:]))"


def ffmpeg(*words: str) -> None:
    """Runs ffmpeg without a word."""
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-y", *words], check=True
    )


def film(path: Path, seconds: int, seed: int, *how: str) -> None:
    """A moving pattern under noise, another for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f"testsrc2=size={SIZE}:rate=25:duration={seconds},hue=h={40 * seed}"
    ffmpeg(
        "-f", "lavfi", "-i", f"{source},noise=c0s=12:c0f=t:c0_seed={seed}", "-c:v", "libx264",
        "-preset", "veryfast", "-pix_fmt", "yuv420p", *how, str(path),
    )  # fmt: skip


def half_an_hour(folder: Path) -> None:
    """One minute, thirty times, at the bit rate that films of this size have on the web."""
    minute = folder / "minute.mp4"
    film(minute, 60, 0, "-b:v", RATE)
    (folder / "list.txt").write_text("file minute.mp4\n" * MINUTES)
    (folder / "long").mkdir()
    ffmpeg(
        "-f", "concat", "-i", str(folder / "list.txt"), "-c", "copy", str(folder / "long/long.mp4")
    )


def measured(code: str, words: list[str], home: Path) -> dict[str, float]:
    """A process: seconds by the clock and of the processor, MB of memory at its peak."""
    roots = {f"THESISLIB_{name.upper()}": str(home / name) for name in ("data", "runs")}
    begun = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code, *words], env={**os.environ, **roots})
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed")
    return {
        "clock_s": round(time.perf_counter() - begun, 1),
        "processor_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6),
    }


def index(home: Path) -> dict[str, Any]:
    """``features`` on half an hour, whole and by moments."""
    half_an_hour(home)
    words = ["features", str(home / "long"), "--out"]
    return {
        "bit_rate": RATE,
        "whole": measured(CALL, [*words, str(home / "index")], home),
        "moments": measured(CALL, [*words, str(home / "moments"), "--moments"], home),
    }


def training(home: Path, epochs: int) -> dict[str, Any]:
    """``train coclr`` (the first of its trainings) on the frames of twenty videos."""
    for i in range(VIDEOS):
        film(home / "own" / f"{i:02d}.mp4", SECONDS, i)
    measured(CALL, ["prepare", "folder", str(home / "own"), "--name", "own"], home)
    words = ["train", "coclr", "--row", "infonce-rgb", "--dataset", "own"]
    # The row adds the epochs of the cycles to its own.
    words += ["--set", f"epochs={epochs - 1}", "--set", "cycles=1", "--set", "cycle_epochs=1"]
    return {
        "epochs": epochs,
        "after": measured(CALL, [*words, "--seed", "0"], home),
        "before": measured(FULL_SIZE + CALL, [*words, "--seed", "1"], home),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", nargs="+", default=["index", "train"])
    parser.add_argument("--epochs", type=int, default=30, help="of the training: 14 + 2 x 8 is all")
    args = parser.parse_args()
    file = HERE / "own_videos.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    for part in args.parts:
        with tempfile.TemporaryDirectory() as folder:
            work = {"index": index, "train": lambda home: training(home, args.epochs)}[part]
            known[part] = {**conditions(), **work(Path(folder))}
        file.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps(known, indent=1))


if __name__ == "__main__":
    main()
