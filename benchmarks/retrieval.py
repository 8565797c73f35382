"""What finding neighbours costs beside the bare matrix product that it cannot do without.

    python benchmarks/retrieval.py                # 50,000 x 50,000 vectors of 1,024 numbers

Both work on the same vectors, in the same chunks and threads: the product alone, and
``evaluation.retrieval.nearest`` with 50 neighbours (centring, unit length, product, choice, order).
Writes ``retrieval.json`` beside this file. Processor time hardly depends on what else runs.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from conditions import conditions
from thesislib.evaluation.retrieval import nearest

HERE = Path(__file__).parent
CHUNK = 1024


def product(queries: np.ndarray, gallery: np.ndarray) -> None:
    q, g = torch.from_numpy(queries), torch.from_numpy(gallery)
    out = torch.empty(CHUNK, len(g))
    for start in range(0, len(q), CHUNK):
        part = q[start : start + CHUNK]
        torch.mm(part, g.T, out=out[: len(part)])


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def peak() -> float:
    """Largest memory of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(0)
    queries, gallery = (rng.standard_normal((args.count, args.dim), np.float32) for _ in range(2))
    before = conditions()
    bare = clocked(lambda: product(queries, gallery))
    whole = clocked(lambda: nearest(queries, gallery, 50, chunk=CHUNK))
    result = {
        **before,
        "vectors": [args.count, args.count, args.dim],
        "product_processor_s": round(bare[1], 1),
        "retrieval_processor_s": round(whole[1], 1),
        "product_clock_s": round(bare[0], 1),
        "retrieval_clock_s": round(whole[0], 1),
        "share_of_the_product's_speed": round(bare[1] / whole[1], 3),
        "peak_memory_gib": round(peak(), 2),
    }
    (HERE / "retrieval.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
