"""How long one training step of InfoNCE takes at the thesis's widths, in float32 and in bfloat16.

    git show COMMIT:src/thesislib/nn/s3d.py > /tmp/old_s3d.py
    python benchmarks/infonce_step.py --against /tmp/old_s3d.py

A step is forward, backward and Adam's step of ``CoCLR`` (objective infonce) on random clips, 4
clips x 2 views x 32 frames x 128 x 128. Each measurement has a process of its own, as a training
has: what other models leave in memory changes how long a step takes. The S3D of another file takes
turns with the library's way, and ratios are those within a round, so that both see the same load.
Prints Markdown and writes ``infonce_step.json`` beside this file.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import multiprocessing
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from loader import processor
from thesislib.methods import coclr_config
from thesislib.methods.coclr import CoCLR, CoCLRConfig
from thesislib.processes import keep_memory

HERE = Path(__file__).parent
CLIPS = 4
PRECISIONS = ("float32", "bfloat16")


def s3d_of(file: str) -> Any:
    """The class ``S3D`` that another file defines."""
    spec = importlib.util.spec_from_file_location("other_s3d", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.S3D


def measure(file: str | None, precision: str, threads: int, steps: int) -> list[float]:
    """Seconds of each step by the clock, after one that is not counted."""
    torch.set_num_threads(threads)
    if file is not None:
        coclr_config.S3D = s3d_of(file)
    else:
        keep_memory()  # as every training does on a CPU
    torch.manual_seed(0)
    shape: dict[str, Any] = {"num_seq": 1, "seq_len": 32, "size": 128}
    model = CoCLR(CoCLRConfig(objective="infonce", batch_size=CLIPS, bn_splits=1, **shape)).train()
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-3)
    numbers = torch.arange(CLIPS)
    batch = {"video": torch.randn(CLIPS, 2, 1, 3, 32, 128, 128)}
    batch |= dict.fromkeys(("index", "source", "label"), numbers)
    seconds = []
    for _ in range(1 + steps):
        begun = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss, _ = model(batch)
        adam.zero_grad()
        loss.backward()
        adam.step()
        seconds.append(time.perf_counter() - begun)
        assert loss.isfinite()
    return seconds[1:]


def alone(*args: Any) -> float:
    """Median of :func:`measure` in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return statistics.median(pool.apply(measure, args))


def compare(args: argparse.Namespace, threads: int) -> dict[str, Any]:
    """Median seconds of a step, and ratios to the first way (before, in float32) within a round."""
    files = {"after": None} if args.against is None else {"before": args.against, "after": None}
    ways = [(name, precision) for precision in PRECISIONS for name in files]
    rounds = []
    for _ in range(args.rounds):
        rounds.append({way: alone(files[way[0]], way[1], threads, args.steps) for way in ways})
        print({" ".join(way): round(s, 2) for way, s in rounds[-1].items()}, flush=True)
    base = ways[0]
    return {
        " ".join(way): {
            "seconds": round(statistics.median(r[way] for r in rounds), 3),
            "least": round(min(r[way] for r in rounds), 3),
            "ratio": round(statistics.median(r[way] / r[base] for r in rounds), 3),
        }
        for way in ways
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", help="a file with another S3D, which is called before")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of a process, after the first")
    parser.add_argument("--out", type=Path, default=HERE / "infonce_step.json")
    args = parser.parse_args()
    known = json.loads(args.out.read_text()) if args.out.is_file() else {}
    for threads in args.threads:
        load = os.getloadavg()[0]
        report = compare(args, threads)
        name = f"threads {threads}"
        known[name] = {
            "date": datetime.date.today().isoformat(),
            "processor": processor(),
            "torch": torch.__version__,
            "load_before": round(load, 1),
            "rounds": args.rounds,
            "steps": report,
        }
        lines = [
            f"**{name}** ({args.rounds} rounds, load {load:.1f} before)",
            "",
            "| step | s | least s | ratio |",
            "|---|---:|---:|---:|",
        ]
        lines += [
            f"| {way} | {x['seconds']:.2f} | {x['least']:.2f} | {x['ratio']:.2f} |"
            for way, x in report.items()
        ]
        print("\n".join(lines), flush=True)
        args.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
