"""What proposals for an hour of features cost.

    python benchmarks/detector.py                 # 10 rows a second, two threads

The detectors of the small preset and of the paper's (in windows, as for THUMOS14), untrained and on
random features: all points are scored, and soft suppression has as much to do as ``top`` allows,
since no proposal is left out for its score. Writes ``detector.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from conditions import conditions
from thesislib.chapters.clip_prompt.localisation import propose
from thesislib.data.untrimmed import Untrimmed
from thesislib.methods.proposals import ProposalConfig, ProposalDetector

HERE = Path(__file__).parent
PAPER = ProposalConfig.preset("paper")
CONFIGS = {
    "small": ProposalConfig.preset("small"),
    "gpu": ProposalConfig.preset("gpu"),
    "paper, in windows of 256": replace(PAPER, whole=False, window=256),
}


def measured(config: ProposalConfig, rows: int, rate: float) -> dict[str, float]:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, config.dim), np.float32)
    video = Untrimmed("hour", features, np.arange(rows) / rate)
    torch.manual_seed(0)
    detector = ProposalDetector(config)
    propose(detector, replace(video, features=features[:1000], times=video.times[:1000]))
    clock, processor = time.perf_counter(), time.process_time()
    found = propose(detector, video, floor=0.0)
    return {
        "clock_s": round(time.perf_counter() - clock, 2),
        "processor_s": round(time.process_time() - processor, 2),
        "proposals": len(found),
        "parameters": sum(p.numel() for p in detector.parameters()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rate", type=float, default=10.0, help="rows a second")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = round(3600 * args.rate)
    result = {
        **conditions(),
        "rows": rows,
        **{name: measured(config, rows, args.rate) for name, config in CONFIGS.items()},
    }
    (HERE / "detector.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
