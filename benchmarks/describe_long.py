"""How long the clips of a film of two hours take to be described, each after the model's own texts.

    python benchmarks/describe_long.py                     # the newest run; 1,500 clips
    python benchmarks/describe_long.py --run RUN --clips 300 --threads 1

The features are those of the test films of the run's data set, one after another until there are
enough. A process that does the same is killed in the middle and repeated; its file has to be that
of the one that was not. Prints Markdown.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from conditions import conditions
from thesislib.chapters.autoad.films import world
from thesislib.describing import load_describer
from thesislib.language.describing import describe_clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="")
    parser.add_argument("--clips", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="describe into this file, and nothing else")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    told = conditions()
    if args.out is not None:
        describe(args.run, args.clips, args.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder, "whole.jsonl"), Path(folder, "part.jsonl")
        wall, processor, words = describe(args.run, args.clips, whole)
        again = [sys.executable, __file__, "--run", args.run, "--out", str(part)]
        again += ["--clips", str(args.clips), "--threads", str(args.threads)]
        kept = killed(again, part, args.clips // 2)
        subprocess.run(again, check=True)
        assert part.read_bytes() == whole.read_bytes(), "the killed one has another file"
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(told)
    print("| clips | words | wall (s) | processor (s) | memory (GiB) | killed after | same file |")
    print("|---:|---:|---:|---:|---:|---:|---|")
    print(
        f"| {args.clips:,} | {words:,} | {wall:.1f} | {processor:.1f} | {most:.2f} | "
        f"{kept:,} clips | yes |"
    )


def describe(run: str, clips: int, out: Path) -> tuple[float, float, int]:
    """Describes that many clips; returns seconds by the clock and of the processor, and words."""
    by = load_describer(run)
    films = world(by.model.config, print).clips("test")
    features = torch.cat([film.features for film in films.values()])
    features = features.repeat(-(-clips // len(features)), 1, 1)[:clips]
    heard = [line for film in films.values() for line in film.subtitles]
    heard = (heard * (-(-clips // max(len(heard), 1))))[:clips]
    wall, processor = time.perf_counter(), time.process_time()
    found = describe_clips(by.model, by.language, features, heard, out=out)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return wall, processor, sum(len(one.text.split()) for one in found)


def killed(command: list[str], file: Path, clips: int) -> int:
    """Starts a command and kills it once the file has that many clips; how many it then has."""
    with subprocess.Popen(command) as work:
        while not file.exists() or file.read_bytes().count(b"\n") <= clips:
            assert work.poll() is None, "it ended before it was killed"
            time.sleep(0.1)
        work.kill()
    return file.read_bytes().count(b"\n") - 1


if __name__ == "__main__":
    main()
