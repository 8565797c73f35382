"""Chapter 3: pictures and numbers of memory, flow and scarce labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from thesislib import published, viz
from thesislib.chapters.pictures import video_name
from thesislib.chapters.runs import chance
from thesislib.chapters.text import METRICS, NOT_RUN, Page, grid, percent, run_numbers
from thesislib.data.dataset import make_loader
from thesislib.data.flow import flow_of
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import open_video
from thesislib.data.transforms import denormalise
from thesislib.evaluation import data_efficiency
from thesislib.evaluation.finetune import clips
from thesislib.ledger import Ledger
from thesislib.methods.memdpc import memory_use
from thesislib.rows import row_config

SHARES = tuple(round(100 * share) for share in data_efficiency.SHARES)  # in per cent
EFFICIENCY = {
    "MemDPC, RGB": "memdpc/rgb",
    "random, RGB": "memdpc/random-rgb",
    "MemDPC, flow": "memdpc/flow",
    "random, flow": "memdpc/random-flow",
}


def flow_picture(manifest: Manifest, profile: str, frames: int = 6) -> viz.Picture:
    """Frames of a video, its TV-L1 flow, and that of the algorithm the profile takes.

    Of one video a class (or of a dozen) it shows the one in which most moves.
    """
    some = manifest.select("train", 1 if manifest.classes else 12).videos
    video, numbers, pairs = max((_moving(manifest, v, frames) for v in some), key=_motion)
    taken = row_config("memdpc/flow", profile, manifest.name, 0).flow
    rows = {"frames": pairs[::2]}
    for config in dict.fromkeys((replace(taken, algorithm="tvl1"), taken)):
        fields = [flow_of(pairs[i : i + 2], config)[0] for i in range(0, len(pairs), 2)]
        rows[f"flow, {config.algorithm}"] = viz.flow_colours(np.stack(fields), config.bound)
    titles = [f"{row}, {video_name(video)}" if row == "frames" else row for row in rows]
    return viz.contact_sheet(list(rows.values()), titles, [numbers] * len(rows), columns=1)


def _moving(
    manifest: Manifest, video: Video, frames: int
) -> tuple[Video, list[int], NDArray[np.uint8]]:
    """A video, evenly spaced frame numbers, and each of these frames with the one after it."""
    numbers = np.linspace(0, video.n_frames - 2, frames + 2).round().astype(int)[1:-1]
    both = np.stack([numbers, numbers + 1], 1).reshape(-1)
    return video, numbers.tolist(), open_video(manifest.file(video)).frames(both)


def _motion(found: tuple[Video, list[int], NDArray[np.uint8]]) -> float:
    """How much changes from frame to frame, in levels."""
    pairs = found[2].astype(np.int16)
    return float(np.abs(pairs[1::2] - pairs[::2]).mean())


def memory_picture(
    model: Any, manifest: Manifest, config: Any, slots: int = 5, width: int = 8
) -> tuple[viz.Picture, str]:
    """The future frames that address each of the most read slots most strongly.

    Looks at the middle clip of each test video (or of the others, without a test split) and at the
    first predicted block.

    Returns:
        The picture, and a sentence on how the memory is used and whether slots follow actions.
    """
    held = {v.split for v in manifest.videos}
    some = manifest.select("test") if "test" in held else manifest
    dataset = clips(some, replace(config, short="pad"), train=False)
    address, frames, names = _addresses(model, dataset, config)
    usage = address.mean((0, 2, 3))  # (k,)
    strongest = address.max((2, 3))  # (V, k)
    width = min(width, len(names))
    order = np.argsort(-strongest, axis=0, kind="stable")[:width]  # (width, k)
    rows, titles = [], []
    for slot in np.argsort(-usage, kind="stable")[:slots]:
        row = []
        for video in order[:, slot]:
            place = np.unravel_index(address[video, slot].argmax(), address.shape[2:])
            row.append(_marked(frames[video], place, address.shape[2:]))
        rows.append(np.stack(row))
        common = Counter(n for i in order[:, slot] if (n := names[i])).most_common(1)
        said = f"; {common[0][1]} of {width}: {common[0][0].replace('_', ' ')}" if common else ""
        titles.append(f"slot {slot}, {100 * usage[slot]:.1f} % of all reading{said}")
    sheet = viz.contact_sheet(rows, titles, columns=1)
    return sheet, _memory_reading(address, order, names)


def _addresses(
    model: Any, dataset: Any, config: Any
) -> tuple[NDArray[np.float32], NDArray[np.uint8], list[str]]:
    """Addresses ``(V, k, h, w)`` of the first predicted block, its middle frame, class names."""
    model.eval()
    past = config.num_seq - config.pred_step
    found, frames, names = [], [], []
    with torch.no_grad():
        for batch in make_loader(dataset, 16, shuffle=False):
            found.append(model.address(batch)[:, 0].numpy())
            future = denormalise(batch["video"][:, past])  # (B, T, H, W, 3)
            frames.append(future[:, future.shape[1] // 2])
            names += [dataset.manifest.videos[int(i)].label for i in batch["index"]]
    return np.concatenate(found), np.concatenate(frames), names


def _marked(
    frame: NDArray[np.uint8], place: tuple[Any, ...], grid: tuple[int, ...]
) -> NDArray[np.uint8]:
    """The frame with a square round the cell ``place`` of a grid."""
    high, wide = frame.shape[0] / grid[0], frame.shape[1] / grid[1]
    top, left = round(place[0] * high), round(place[1] * wide)
    corner = round(left + wide) - 1, round(top + high) - 1
    marked = frame.copy()
    cv2.rectangle(marked, (left, top), corner, (213, 94, 0), 1)
    return marked


def _memory_reading(
    address: NDArray[np.float32], order: NDArray[np.int64], names: list[str]
) -> str:
    """How far reading is spread, and whether the videos of a slot share an action."""
    slots = address.shape[1]
    use = memory_use(torch.from_numpy(address)[:, None])
    text = f"In this run a prediction reads {use['address_perplexity']:.1f} slots on average, and "
    text += f"all predictions together use {use['slots_used'] * slots:.0f} of the {slots}."
    if len(set(names)) < 2:
        return text

    def alike(rows: NDArray[np.int64]) -> float:
        shares = [Counter(names[i] for i in row).most_common(1)[0][1] / len(row) for row in rows]
        return 100 * float(np.mean(shares))

    rng = np.random.default_rng(0)
    drawn = np.stack([rng.permutation(len(names))[: len(order)] for _ in range(1000)])
    text += f" Over all slots, {alike(order.T):.0f} % of the {len(order)} strongest videos show "
    return (
        text
        + f"the slot's commonest action; for videos drawn at random it is {alike(drawn):.0f} %."
    )


def efficiency_picture(profile: str, dataset: str) -> viz.Picture:
    """Accuracy over the share of labels, from the ledger (thesis figure 3.5)."""
    ledger = Ledger.load()
    series: dict[str, list[tuple[float, float, float | None]]] = {}
    for name, row in EFFICIENCY.items():
        for share in SHARES:
            found = ledger.summary(row, f"finetune_top1_{share}", profile, dataset)
            if found["mean"] is not None:
                half = found["half_width"]
                point = (share, 100 * found["mean"], None if half is None else 100 * half)
                series.setdefault(name, []).append(point)
    return viz.lines_with_interval(series, "share of the labels (%)")


def moments_page(profile: str, dataset: str) -> Page:
    """Unintentional actions, from the ledger: pre-trained, from random weights, and guessing."""
    ledger = Ledger.load()

    def cell(row: str, metric: str) -> str:
        found = ledger.summary(row, metric, profile, dataset)
        return f"{percent(found)} ({found['n']})" if found["n"] else NOT_RUN

    metrics = ("oops_probe_top1", "oops_finetune_top1")
    rows = [
        (name, *(cell(f"memdpc/{row}", m) for m in metrics))
        for name, row in (("MemDPC", "oops"), ("random weights", "oops-random"))
    ]
    guess = cell("memdpc/oops", "majority_top1")
    return grid(
        ("weights", "frozen, %", "fine-tuned, %"), [*rows, ("the commonest kind", *[guess] * 2)]
    )


def frozen_reading(ledger: Ledger, profile: str, dataset: str) -> str:
    """Frozen features of MemDPC beside those of random weights, in words."""
    parts, gains, seeds = [], [], 0
    for metric in ("probe_top1", "nonlinear_top1", "retrieval_r1"):
        found = ledger.compare("memdpc/rgb", "memdpc/random-rgb", metric, profile, dataset)
        mine, random = found["mean_a"], found["mean_b"]
        if mine is not None and random is not None:
            parts.append(f"{METRICS[metric]} {100 * mine:.1f} against {100 * random:.1f} %")
            gains.append(mine - random)
            seeds = found["n"]
    if not parts:
        return "Frozen features of MemDPC and of random weights were not compared on this data set."
    text = f"Frozen, MemDPC beside random weights (ledger, {seeds} seeds): {', '.join(parts)}."
    if max(gains) < 0:
        text += (
            " So in this run's world what was learnt describes the action worse than filters drawn "
            "at random. A pretext task that can be solved by telling videos apart need not learn "
            "what happens in them, and fine-tuning hides that."
        )
    return text


def memdpc_numbers(
    results: Mapping[str, Mapping[str, Any]], config: Any, manifest: Manifest
) -> dict[str, Any]:
    """What the text of chapter 3 quotes."""
    table = published.table("3.1")
    quoted = {"memdpc": "rgb", "dpc": "dpc", "random": "random-rgb", "flow": "flow"}
    return {
        **run_numbers(results, "memdpc/rgb", config, manifest),
        "chance_all": 100 * chance(config, manifest)["all"],
        "slots": config.memory_slots,
        "frozen_reading": frozen_reading(Ledger.load(), config.profile, manifest.name),
        **{
            f"thesis_{name}": table.cell(f"memdpc/{row}", "finetune_top1").text
            for name, row in quoted.items()
        },
    }
