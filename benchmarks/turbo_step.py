"""How much faster a step of Turbo training is, and how much memory it takes.

    python benchmarks/turbo_step.py                               # a small shape, on the CPU
    python benchmarks/turbo_step.py --preset paper --rounds 5     # ViT-B, 16 x 224 x 224
    python benchmarks/turbo_step.py --preset paper --device cuda --precision bf16 --batch 16

A step is forward, backward and AdamW (fused: the usual one takes 0.8 s of a core for a ViT-B,
whatever was dropped). Ways, each in a process of its own, taking turns:

full         all tokens, cross-entropy alone: what Turbo replaces
turbo        m = 0.75, r = 0.25
dropped      m = 0.75 without reconstruction
mae          r = m = 0.75, no task; the mask of the next
transformers its VideoMAEForPreTraining, same sizes and mask
hf full      its VideoMAEForVideoClassification on all tokens
hf dropout   the same with TokenDropout(0.75)

Ratios are medians of those within a round, so that both see the same load. Operations are those of
Table 6.1 (a multiply-add once), a step taken as three forward passes; the share is of what bare
matrix products reach on the same machine in the same round. Prints Markdown and writes
``turbo_step.json`` beside this file. ``--profile`` says instead where the time of a step goes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from conditions import conditions
from loader import processor
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig, gflops
from thesislib.nn.token_dropout import TokenDropout
from thesislib.nn.tokens import from_mask
from thesislib.processes import keep_memory
from thesislib.torchvision_here import ensure_torchvision

HERE = Path(__file__).parent
RATIOS = {"full": (0.0, 0.0), "turbo": (0.75, 0.25), "dropped": (0.75, 0.0), "mae": (0.75, 0.75)}
WAYS = (*RATIOS, "transformers", "hf full", "hf dropout")
PAIRS = (("full", "turbo"), ("full", "dropped"), ("transformers", "mae"), ("hf full", "hf dropout"))


def settings(way: str, args: argparse.Namespace) -> TurboConfig:
    m, r = RATIOS.get(way, (0.75, 0.75))
    config = replace(TurboConfig.preset(args.preset), drop_path=0.0, mask_ratio=m, recon_ratio=r)
    return replace(config, classes=0, pool="mean") if way in ("mae", "transformers") else config


def theirs(kind: str, config: TurboConfig) -> Any:
    """One of transformers' models of the same sizes."""
    ensure_torchvision()
    import transformers

    sizes = transformers.VideoMAEConfig(
        image_size=config.size, patch_size=config.tubelet[1], tubelet_size=config.tubelet[0],
        num_frames=config.seq_len, hidden_size=config.width, num_hidden_layers=config.depth,
        num_attention_heads=config.heads, intermediate_size=4 * config.width,
        decoder_hidden_size=config.decoder_width, decoder_num_hidden_layers=config.decoder_depth,
        decoder_num_attention_heads=config.decoder_heads, num_labels=config.classes or 2,
        decoder_intermediate_size=4 * config.decoder_width,
        use_mean_pooling=kind == "VideoClassification",
    )  # fmt: skip
    return getattr(transformers, f"VideoMAEFor{kind}")(sizes)


def a_step(way: str, args: argparse.Namespace) -> tuple[Any, Callable[[], torch.Tensor]]:
    """A model, and what computes its loss."""
    config = settings(way, args)
    device = torch.device(args.device)
    frames, label = config.seq_len, torch.arange(args.batch, device=device) % 2
    video = torch.randn(args.batch, 3, frames, config.size, config.size, device=device)
    tokens = config.grid[0] * config.grid[1] * config.grid[2]
    masked = torch.rand(args.batch, tokens, device=device).argsort(1) >= tokens // 4
    if way == "transformers":
        model = theirs("PreTraining", config).to(device).train()
        swapped = video.transpose(1, 2).contiguous()
        return model, lambda: model(swapped, bool_masked_pos=masked).loss
    if way.startswith("hf"):
        model = theirs("VideoClassification", config).to(device).train()
        if way == "hf dropout":
            TokenDropout(0.75).attach(model)
        swapped = video.transpose(1, 2).contiguous()
        return model, lambda: model(swapped, labels=label).loss
    model = Turbo(config).to(device).train()
    if way == "mae":
        drawn = from_mask(masked)
        return model, lambda: model.partial_mae(model.encoder(video, drawn.visible), video, drawn)
    batch = {"video": video[:, None], "label": label}
    return model, lambda: model(batch)[0]


def measure(way: str, args: argparse.Namespace) -> dict[str, float]:
    """Median seconds of a step after one that is not counted, and memory in GiB.

    On a CPU memory is what the steps take beyond the process with its model; on a GPU it is all.
    """
    torch.set_num_threads(args.threads)
    cuda = args.device == "cuda"
    if not cuda:
        keep_memory()  # as every training does on a CPU
    torch.manual_seed(0)
    model, loss_of = a_step(way, args)
    adam = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    at_first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, used = [], []
    for _ in range(1 + args.steps):
        begun, before = time.perf_counter(), time.process_time()
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16"):
            loss = loss_of()
        adam.zero_grad()
        loss.backward()
        adam.step()
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
        used.append(time.process_time() - before)
        assert loss.isfinite()
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_first) * 1024
    return {
        "clock": statistics.median(seconds[1:]),
        "processor": statistics.median(used[1:]),
        "memory": (torch.cuda.max_memory_allocated() if cuda else peak) / 2**30,
    }


KINDS = {  # of operators, by what their names hold; the first that fits
    "matrix products": ("addmm", "aten::mm", "bmm", "linear", "convolution", "mkldnn"),
    "attention": ("attention", "softmax"),
    "norms": ("layer_norm", "LayerNorm"),
    "GELU": ("gelu",),
    "AdamW": ("adam", "Adam"),
    "gathering and copying": ("gather", "index", "copy", "cat", "contiguous", "clone", "scatter"),
}


def profiled(way: str, args: argparse.Namespace) -> dict[str, float]:
    """Seconds of one core of a step by kind of operator, and of all."""
    torch.set_num_threads(args.threads)
    keep_memory()
    torch.manual_seed(0)
    model, loss_of = a_step(way, args)
    adam = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)

    def step() -> None:
        adam.zero_grad()
        loss_of().backward()
        adam.step()

    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as record:
        step()
    found = dict.fromkeys((*KINDS, "the rest"), 0.0)
    for event in record.key_averages():
        kinds = (kind for kind, parts in KINDS.items() if any(p in event.key for p in parts))
        found[next(kinds, "the rest")] += event.self_cpu_time_total / 1e6
    return {**found, "in all": sum(found.values())}


def products(args: argparse.Namespace) -> dict[str, float]:
    """Multiply-adds a second of bare products of an MLP's size, in 10^9."""
    torch.set_num_threads(args.threads)
    width = TurboConfig.preset(args.preset).width
    kind = torch.bfloat16 if args.precision == "bf16" else torch.float32
    a = torch.randn(1568, width, device=args.device, dtype=kind)
    b = torch.randn(width, 4 * width, device=args.device, dtype=kind)
    best = {"clock": 0.0, "processor": 0.0}
    for _ in range(8):
        begun, before = time.perf_counter(), time.process_time()
        for _ in range(10):
            a @ b
        if args.device == "cuda":
            torch.cuda.synchronize()
        work = 10 * 1568 * 4 * width**2 / 1e9
        best["clock"] = max(best["clock"], work / (time.perf_counter() - begun))
        best["processor"] = max(best["processor"], work / (time.process_time() - before))
    return best


def alone(function: Callable[..., Any], *args: Any) -> Any:
    """The result of a function in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def work_of(way: str, args: argparse.Namespace) -> float | None:
    """GFLOPs of a clip's forward pass, where they are counted."""
    if way.startswith("hf"):
        return None
    config = settings(way, args)
    return gflops(replace(config, embed_all=True) if way == "transformers" else config)


def compare(args: argparse.Namespace) -> dict[str, Any]:
    rounds, peaks = [], []
    for _ in range(args.rounds):
        peaks.append(alone(products, args))
        rounds.append({way: alone(measure, way, args) for way in args.ways})
        print({way: round(r[args.by], 3) for way, r in rounds[-1].items()}, flush=True)
    steps = {}
    for way in args.ways:
        middle = {k: statistics.median(r[way][k] for r in rounds) for k in rounds[0][way]}
        row: dict[str, Any] = {k: round(v, 4) for k, v in middle.items()}
        if (work := work_of(way, args)) is not None:
            row["gflops"] = round(work, 4)
            share = (
                3 * work * args.batch / r[way][args.by] / p[args.by]
                for r, p in zip(rounds, peaks, strict=True)
            )
            row["share_of_products"] = round(statistics.median(share), 3)
        steps[way] = row
    ratios = {}
    for slow, fast in PAIRS:
        if slow in steps and fast in steps:
            each = [r[slow][args.by] / r[fast][args.by] for r in rounds]
            work = [work_of(way, args) for way in (slow, fast)]
            ratios[f"{slow} / {fast}"] = {
                "time": round(statistics.median(each), 2),
                "memory": round(steps[slow]["memory"] / steps[fast]["memory"], 2),
                "operations": round(work[0] / work[1], 2) if work[0] and work[1] else None,
            }
    return {"steps": steps, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="small", choices=("small", "gpu", "paper"))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="no", choices=("no", "bf16"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="of a process, after the first")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--by", default="clock", choices=("clock", "processor"),
                        help="processor: where other programs share the cores")  # fmt: skip
    parser.add_argument("--out", type=Path, default=HERE / "turbo_step.json")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    if args.profile:
        table = {way: alone(profiled, way, args) for way in args.ways}
        print(f"| s of a step | {' | '.join(table)} |", "|---|" + "---:|" * len(table), sep="\n")
        for kind in (*KINDS, "the rest", "in all"):
            print(f"| {kind} | {' | '.join(f'{one[kind]:.2f}' for one in table.values())} |")
        return
    known = json.loads(args.out.read_text()) if args.out.is_file() else {}
    where = conditions() | {"threads": args.threads, "processor": processor()}
    name = f"{args.preset}, {args.device}, batch {args.batch}, {args.precision}, {args.threads}"
    report = compare(args)
    known[name] = where | {"rounds": args.rounds, "seconds_by": args.by, **report}
    lines = [f"**{name}** (load {where['load_before']} before)", "",
             "| way | s a step | memory, GiB | GFLOPs a clip | share of products |",
             "|---|---:|---:|---:|---:|"]  # fmt: skip
    for way, row in report["steps"].items():
        more = (row.get("gflops", ""), row.get("share_of_products", ""))
        lines.append(
            f"| {way} | {row[args.by]:.3f} | {row['memory']:.2f} | {more[0]} | {more[1]} |"
        )
    print("\n".join(lines), json.dumps(report["ratios"], indent=1), sep="\n\n")
    args.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
