"""How long a video of two hours and its sentences take to align, from features.

    python benchmarks/align_long.py                       # paper's size, 7,200 s, 2,000 sentences
    python benchmarks/align_long.py --preset small --seconds 3600 --sentences 1000 --threads 1

Untrained weights and random features: the work is the same. Sentences are words (up to 32) in the
presets with a text module, else features. Prints Markdown.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

from conditions import conditions
from thesislib.evaluation.aligning import align_windows, window_starts
from thesislib.methods.tan import TAN
from thesislib.methods.tan_config import TanConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--seconds", type=int, default=7200)
    parser.add_argument("--sentences", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    told = conditions()
    torch.manual_seed(0)
    config = TanConfig.preset(args.preset)
    model = TAN(config).eval()
    video = torch.randn(args.seconds, config.dim)
    heard = np.sort(np.random.default_rng(0).uniform(0, args.seconds, args.sentences))
    text = torch.randn(args.sentences, config.text_dim)
    if config.texts == "words":
        text = torch.randint(1, config.words, (args.sentences, 32))
    wall, processor = time.perf_counter(), time.process_time()
    done = align_windows(model, video, text, heard, config.seconds)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert (done.windows > 0).all() and np.isfinite(done.similarity).all()
    print(told)
    print("| preset | video (s) | sentences | windows | wall (s) | processor (s) | memory (GiB) |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    windows = len(window_starts(args.seconds, config.seconds))
    print(
        f"| {args.preset} | {args.seconds} | {args.sentences} | {windows} | {wall:.1f} | "
        f"{processor:.1f} | {most:.2f} |"
    )


if __name__ == "__main__":
    main()
