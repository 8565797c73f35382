"""Looks into damaged videos and decodes them, in processes that may die, and counts what happens.

    python benchmarks/mutated_videos.py                      # --videos 10000, --seed 0

Small films that ffmpeg writes (mp4, mov, mkv, webm, ts, avi, mpg, gif, flv) are damaged: bits
flipped, bytes cut, zeroed, repeated, exchanged with another film's, sizes in heads made huge. Of
each the facts are asked for, then the first frames by decord and by PyAV, then three small pictures
in one pass. A worker process does it and is told apart: it answers (frames, or a named problem),
something else escapes, it dies, or it takes longer than the limit and is ended. The same seed gives
the same videos.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data"))
import zoo

HERE = Path(__file__).parent
LIMIT = 30.0  # seconds that one video may take, all three calls
FRAMES = 4
SEEDS = (
    "h264.mp4", "h264_b.mp4", "fragmented.mp4", "hevc.mp4", "h264.mov", "h264_b.mkv", "vp8.webm",
    "vp9.webm", "h264.ts", "mpeg4.avi", "mpeg4_b.avi", "mjpeg.avi", "mpeg2.mpg", "h264.flv",
)  # fmt: skip
CALLS = ("facts", "decord", "pyav", "pass")


def films(folder: Path) -> dict[str, bytes]:
    """The whole films, a few kilobytes each."""
    source = zoo.TEST.format(size="64x48", rate="25", seconds="0.6")
    for name in SEEDS:
        told = zoo.WHOLE[name][2].split()
        zoo.run("-f", "lavfi", "-i", source, *told, "-pix_fmt", "yuv420p", str(folder / name))
    zoo.run("-f", "lavfi", "-i", source, str(folder / "film.gif"))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def damaged(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """A film, damaged in one or two ways."""
    for _ in range(int(rng.integers(1, 3))):
        n = len(data)
        a, b = sorted(int(i) for i in rng.integers(0, n + 1, 2))
        kind = int(rng.integers(8))
        raw = bytearray(data)
        if kind < 2 and n:  # bits anywhere, or in the head
            for place in rng.integers(0, n if kind else min(n, 400), int(rng.integers(1, 30))):
                raw[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            raw = raw[:a]
        elif kind == 3:
            raw[a:b] = bytes(b - a)
        elif kind == 4:
            raw[b:b] = raw[a:b]
        elif kind == 5:
            raw[a:b] = other[a : a + int(rng.integers(1, 2000))]
        elif kind == 6 and n > 8:  # a size
            place = int(rng.integers(0, n - 4))
            raw[place : place + 4] = (b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4))[rng.integers(3)]
        elif kind == 7:
            del raw[a : a + int(rng.integers(1, 64))]
        data = bytes(raw)
    return data


def work(tube: Connection, folder: str, whole: dict[str, bytes], seed: int, todo: range) -> None:
    """Does some videos and tells of each what its calls came to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # ffmpeg complains of every one
    from thesislib.data.pyav_reader import PyAVReader
    from thesislib.data.reader import open_video, probe
    from thesislib.errors import ThesisError

    names = sorted(whole)
    for number in todo:
        rng = np.random.default_rng([seed, number])
        name, other = (names[i] for i in rng.integers(0, len(names), 2))
        path = Path(folder) / f"{os.getpid()}-{name}"
        path.write_bytes(damaged(whole[name], whole[other], rng))
        told = {}
        for call in CALLS:
            try:
                if call == "facts":
                    probe(path)
                elif call == "pass":
                    source = PyAVReader(path)
                    last = max(0, len(source) - 1)
                    list(source.onward(sorted({0, last // 2, last}), scale=0.5))
                else:
                    source = open_video(path, call)
                    frames = source.frames(range(min(FRAMES, len(source))))
                    if frames.dtype != np.uint8 or frames.shape[3:] != (3,):
                        raise ValueError(f"frames {frames.dtype} {frames.shape}")
                told[call] = "read"
            except ThesisError as error:
                told[call] = "named" if "\n" not in str(error) else f"several lines: {error}"
            except Exception:
                told[call] = f"escaped\n{traceback.format_exc()}"
        path.unlink()
        tube.send((number, told))
    tube.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first video")
    options = parser.parse_args()
    counts = {call: collections.Counter[str]() for call in CALLS}
    crashed: list[int] = []
    hung: list[int] = []
    shown: set[str] = set()
    context = multiprocessing.get_context("spawn")
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        (made := Path(folder) / "films").mkdir()
        whole = films(made)
        number, start, slowest = options.first, time.perf_counter(), 0.0
        while number < options.videos:
            ours, theirs = context.Pipe(duplex=False)
            todo = range(number, options.videos)
            job = context.Process(target=work, args=(theirs, folder, whole, options.seed, todo))
            job.start()
            theirs.close()
            patience = 120.0  # the first has to import
            while number < options.videos:
                before = time.perf_counter()
                if not ours.poll(patience):
                    hung.append(number)
                    number += 1
                    break
                try:
                    number, told = ours.recv()
                except EOFError:  # it died
                    crashed.append(number)
                    number += 1
                    break
                if patience == LIMIT:
                    slowest = max(slowest, time.perf_counter() - before)
                patience = LIMIT
                for call, what in told.items():
                    kind = what.split("\n")[0].split(":")[0]
                    counts[call][kind] += 1
                    if kind not in ("read", "named") and what[-300:] not in shown:
                        shown.add(what[-300:])
                        print(f"--- video {number}, {call}: {what}", flush=True)
                number += 1
                if number % 500 == 0:
                    print(f"{number:,} videos, {time.perf_counter() - start:.0f} s", flush=True)
            job.kill()
            job.join()
    note = {
        "videos": options.videos - options.first,
        "films": len(whole),
        "crashed": crashed,
        "hung": hung,
        "slowest_s": round(slowest, 2),
        **{call: dict(counts[call]) for call in CALLS},
    }
    print(json.dumps(note, indent=1))
    (HERE / "mutated_videos.json").write_text(json.dumps(note, indent=1) + "\n")


if __name__ == "__main__":
    main()
