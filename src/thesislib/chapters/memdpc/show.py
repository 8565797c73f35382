"""What chapter 3 shows: memory, flow, scarce labels, moments of failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from thesislib import viz
from thesislib.amounts import percent
from thesislib.chapters import blocks, compare, pages, run
from thesislib.chapters.clips import SHARES
from thesislib.chapters.pages import Page, grid
from thesislib.chapters.pictures import Strips, video_name
from thesislib.chapters.row import Job
from thesislib.claims import NOT_RUN
from thesislib.data.dataset import ClipDataset
from thesislib.data.flow import flow_of
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import open_video
from thesislib.data.transforms import denormalise
from thesislib.ledger import Ledger
from thesislib.methods.memdpc import memory_use

PERPLEXITY = "pretext_address_perplexity"
PERCENT = tuple(round(100 * share) for share in SHARES)
EFFICIENCY = {
    "MemDPC, RGB": "memdpc/rgb",
    "random, RGB": "memdpc/random-rgb",
    "MemDPC, flow": "memdpc/flow",
    "random, flow": "memdpc/random-flow",
}
QUOTES = {
    "MemDPC, fine-tuned": ("3.1", "memdpc/rgb", "finetune_top1"),
    "MemDPC on flow, fine-tuned": ("3.1", "memdpc/flow", "finetune_top1"),
    "DPC, fine-tuned": ("3.1", "memdpc/dpc", "finetune_top1"),
    "random weights, fine-tuned": ("3.1", "memdpc/random-rgb", "finetune_top1"),
}
TIMES = ("memdpc/dpc", "memdpc/rgb", "memdpc/bd-rgb", "memdpc/flow", "memdpc/bd-flow")
FROZEN_ROWS = (
    "memdpc/random-rgb", "memdpc/rgb", "memdpc/bd-rgb", "memdpc/random-flow", "memdpc/flow",
    "memdpc/bd-flow",
)  # fmt: skip
READERS = (
    "finetune_top1", "probe_top1", "retrieval_r1", "nonlinear_top1", "probe_z_top1",
    "retrieval_z_r1",
)  # fmt: skip
# What the text takes from the ledger: its name there -> claims.
SAID = {
    "directions": ("memdpc-both-directions", "memdpc-both-directions-flow"),
    "flow": ("memdpc-flow", "memdpc-two-streams"),
    "times": ("memdpc-times", "memdpc-times-flow"),
    "frozen": ("memdpc-pretraining-probe-top1", "memdpc-pretraining-retrieval-r1"),
    "against_dpc": ("memdpc-memory", "memdpc-memory-probe", "memdpc-memory-retrieval"),
    "moments": ("memdpc-moments", "memdpc-moments-finetune"),
    "memory": ("memdpc-smaller-memory", "memdpc-larger-memory"),
}
AXES = {
    "video": "(B, N, 3, T, H, W)",
    "z": "(B, N, D, H', W')",
    "context": "(B, D, H', W')",
    "memory": "(S, D)",
    "address": "(B, P, S, H', W')",
    "guess": "(B, P, D, H', W')",
    "truth": "(B, P, D, H', W')",
    "scores": "(B P H' W', B P H' W')",
}


# -- flow ----------------------------------------------------------------------------------


def flow_strips(manifest: Manifest, job: Job, frames: int = 6) -> Strips:
    """Frames of a video, its TV-L1 flow, and that of the algorithm the profile takes.

    Of one video a class (or of a dozen) it shows the one in which most moves.
    """
    some = manifest.select("train", 1 if manifest.classes else 12).videos
    video, numbers, pairs = max((_moving(manifest, v, frames) for v in some), key=_motion)
    taken = run.settings(job.also("memdpc/flow")).flow
    rows, titles = [pairs[::2]], [f"frames, {video_name(video)}"]
    for config in dict.fromkeys((replace(taken, algorithm="tvl1"), taken)):
        fields = [flow_of(pairs[i : i + 2], config)[0] for i in range(0, len(pairs), 2)]
        rows.append(viz.flow_colours(np.stack(fields), config.bound))
        titles.append(f"flow, {config.algorithm}")
    return Strips(rows, titles, [numbers] * len(rows))


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


# -- memory --------------------------------------------------------------------------------


class Reading(NamedTuple):
    """How a network reads its memory, at the first predicted block of each video."""

    address: NDArray[np.float32]  # (V, k, h, w), sums to 1 over the slots
    frames: NDArray[np.uint8]  # (V, H, W, 3), the middle frame of the predicted block
    names: list[str]  # (V,), class names

    def strongest(self, width: int = 8) -> NDArray[np.int64]:
        """The videos that read each slot most strongly, ``(width, k)``, best first."""
        each = self.address.max((2, 3))  # (V, k)
        return np.argsort(-each, axis=0, kind="stable")[: min(width, len(self.names))]


def read_memory(model: Any, manifest: Manifest, config: Any) -> Reading:
    """Addresses of the middle clip of each test video (or of the others, without a test split)."""
    held = {v.split for v in manifest.videos}
    some = manifest.select("test") if "test" in held else manifest
    dataset = ClipDataset(some, replace(config, short="pad"), train=False)
    model.eval()
    past = config.num_seq - config.pred_step
    device = next(model.parameters()).device
    found, frames, names = [], [], []
    with torch.no_grad():
        for batch in make_loader(dataset, 16, shuffle=False):
            address = model.address({"video": batch["video"].to(device)})[:, 0]
            found.append(address.cpu().numpy())
            future = denormalise(batch["video"][:, past])  # (B, T, H, W, 3)
            frames.append(future[:, future.shape[1] // 2])
            names += [some.videos[int(i)].label for i in batch["index"]]
    return Reading(np.concatenate(found), np.concatenate(frames), names)


def memory_strips(reading: Reading, slots: int = 5, width: int = 8) -> Strips:
    """The future frames that address each of the most read slots most strongly."""
    address, order = reading.address, reading.strongest(width)
    usage = address.mean((0, 2, 3))  # (k,)
    rows, titles = [], []
    for slot in np.argsort(-usage, kind="stable")[:slots]:
        row = []
        for video in order[:, slot]:
            place = np.unravel_index(address[video, slot].argmax(), address.shape[2:])
            row.append(_marked(reading.frames[video], place, address.shape[2:]))
        rows.append(np.stack(row))
        common = Counter(n for i in order[:, slot] if (n := reading.names[i])).most_common(1)
        said = f"; {common[0][1]} of {len(row)}: {common[0][0].replace('_', ' ')}" if common else ""
        titles.append(f"slot {slot}, {100 * usage[slot]:.1f} % of all reading{said}")
    return Strips(rows, titles, None)


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


def agreement(reading: Reading, width: int = 8) -> tuple[float, float]:
    """How far the videos of a slot share an action: mean share of the commonest one.

    Returns:
        Of the strongest videos of each slot, and of as many drawn at random; in ``[0, 1]``.
    """
    order = reading.strongest(width)

    def alike(rows: NDArray[np.int64]) -> float:
        names = [[reading.names[i] for i in row] for row in rows]
        return float(np.mean([Counter(n).most_common(1)[0][1] / len(n) for n in names]))

    rng, count = np.random.default_rng(0), len(reading.names)
    drawn = np.stack([rng.permutation(count)[: len(order)] for _ in range(1000)])
    return alike(order.T), alike(drawn)


def memory_reading(reading: Reading, width: int = 8) -> str:
    """How far reading is spread, and whether the videos of a slot share an action, in words."""
    use = memory_use(torch.from_numpy(reading.address)[:, None])
    slots = reading.address.shape[1]
    text = f"In this run a prediction reads {use['address_perplexity']:.1f} slots on average, and "
    text += f"all predictions together use {use['slots_used'] * slots:.0f} of the {slots}."
    if len(set(reading.names)) < 2:
        return text
    mine, drawn = (100 * share for share in agreement(reading, width))
    count = len(reading.strongest(width))
    text += f" Over all slots, {mine:.0f} % of the {count} strongest videos show the slot's "
    return text + f"commonest action; for videos drawn at random it is {drawn:.0f} %."


# -- from the ledger -----------------------------------------------------------------------


def efficiency(job: Job) -> dict[str, list[tuple[float, float, float | None, int]]]:
    """Accuracy in per cent over the share of labels, half its interval, seeds (figure 3.5)."""
    return compare.series(job, EFFICIENCY, "finetune_top1", PERCENT)


def moments_page(job: Job) -> Page:
    """Unintentional actions, from the ledger: pre-trained, from random weights, and guessing."""
    ledger, where = Ledger.load(), run.judged_on(job)

    def cell(row: str, metric: str) -> str:
        found = ledger.summary(row, metric, job.profile, where)
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


def perplexity_reading(job: Job) -> str:
    """How many slots an address was spread over at the end of pre-training, over the seeds."""
    found = Ledger.load().summary(job.row, PERPLEXITY, job.profile, run.judged_on(job))
    if found["mean"] is None:
        return "The ledger has no run of this data set that says where it ended."
    slots = run.settings(job).memory_slots
    return f"In the ledger it ends at {found['mean']:.1f} of {slots} slots ({found['n']} seeds)."


def mistakes_reading(job: Job) -> str:
    """How the mistakes of RGB and flow fall together, fine-tuned, over the seeds of the ledger."""
    ledger, where = Ledger.load(), run.judged_on(job)
    rows = [ledger.select(f"memdpc/{r}", job.profile, where) for r in ("rgb", "flow", "2stream")]
    seeds = [s for s in rows[0] if all(s in row for row in rows[1:])]
    if not seeds:
        return "The ledger does not hold both streams for this data set."
    rgb, flow, both = (
        np.array([[h == "1" for h in row[s].hits["finetune_top1"]] for s in seeds]) for row in rows
    )
    shares = (~rgb & ~flow, ~rgb & flow, rgb & ~flow)
    wrong, only_rgb, only_flow = (100 * share.mean() for share in shares)
    return (
        f"Over {len(seeds)} seeds both are wrong on {wrong:.1f} % of the test videos, RGB alone on "
        f"{only_rgb:.1f} % and flow alone on {only_flow:.1f} %. The last two are what fusion can "
        f"win; it is right on {100 * both.mean():.1f} %, RGB on {100 * rgb.mean():.1f} % and flow "
        f"on {100 * flow.mean():.1f} %."
    )


def numbers(results: Mapping[str, Mapping[str, Any]], job: Job) -> dict[str, Any]:
    """What the text quotes."""
    return {
        **pages.run_numbers(results, job),
        "temporal_reading": blocks.temporal_reading(results[job.row]["metrics"], job),
        "chance_all": 100 * blocks.chance(job)["all"],
        "chance_temporal": 100 * blocks.chance(job)["temporal"],
        "slots": run.settings(job).memory_slots,
        "perplexity_reading": perplexity_reading(job),
        "mistakes_reading": mistakes_reading(job),
        **compare.sayings(job, SAID),
    }
