"""What the chapters of prediction share: blocks of a clip, chance levels, the pretext curves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from thesislib import viz
from thesislib.chapters import run
from thesislib.chapters.pages import Page, grid
from thesislib.chapters.row import Job
from thesislib.checkpoint import RunFolder
from thesislib.data.clips import block_indices, centre_start
from thesislib.data.dataset import validation_clips
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.reader import open_video
from thesislib.places import runs_root

# The pretext task: against other videos, all candidates, the other times alone.
TASK = ("pretext_top1_easy", "pretext_top1", "pretext_top1_temporal")


def chance(job: Job) -> dict[str, float]:
    """Pretext accuracy of guessing on the validation split of the job's data set.

    Fewer validation videos than a batch make fewer candidates, and guessing easier.

    Returns:
        Shares: against ``all`` candidates, and against one kind of negatives.
    """
    config = run.settings(job)
    held = validation_clips(read_manifest(config.dataset), config)
    size = min(config.batch_size, len(held)) if held else config.batch_size
    pairs: Mapping[str, int] = run.method_of(job.row).pairs(replace(config, batch_size=size))
    levels = {kind: 1 / (1 + n) for kind, n in pairs.items() if kind != "positive"}
    return {"all": 1 / sum(pairs.values()), **levels}


def pairs_page(job: Job, configs: Mapping[str, Any]) -> Page:
    """How many candidates of each kind one prediction meets, and the chance levels that follow."""
    rows = []
    for name, config in configs.items():
        pairs = run.method_of(job.row).pairs(config)
        shares = [f"{100 / n:.2g} %" for n in (sum(pairs.values()), 1 + pairs["temporal"])]
        rows.append((name, *(f"{n:,}" for n in pairs.values()), *shares))
    head = ("settings", "positive", "temporal", "spatial", "easy", "chance, all", "chance, times")
    return grid(head, rows)


def clip_picture(manifest: Manifest, config: Any) -> viz.Picture:
    """The middle clip of the first video: a row of frames for each block."""
    video = manifest.videos[0]
    start = centre_start(video.n_frames, config.span)
    index = block_indices(start, config.num_seq, config.seq_len, config.stride)
    index = np.minimum(index, video.n_frames - 1)
    frames = open_video(manifest.file(video)).frames(index.reshape(-1))
    blocks = list(frames.reshape(*index.shape, *frames.shape[1:]))
    past = config.num_seq - config.pred_step
    parts = ["seen"] * past + ["to predict"] * config.pred_step
    titles = [f"$x_{n}$, {part}" for n, part in enumerate(parts, 1)]
    return viz.contact_sheet(
        blocks, titles, [[int(i) for i in row] for row in index], formulas=True
    )


def curves_picture(result: Mapping[str, Any], job: Job) -> viz.Picture:
    """Pretext accuracy of a row's pre-training on the validation split, beside chance."""
    levels = chance(job)
    return viz.curves(
        RunFolder(runs_root() / result["source"]).metrics(),
        {"val_top1": "all candidates", "val_top1_temporal": "other times only"},
        {"chance, all": levels["all"], "chance, times": levels["temporal"]},
    )


def temporal_reading(metrics: Mapping[str, float], job: Job) -> str:
    """One honest sentence on the accuracy against the other times alone.

    Each validation video counts as one trial: its places are not independent of one another.
    """
    found = metrics.get("pretext_top1_temporal")
    if found is None:
        return "No video was left for validation, so the pretext accuracy was not measured."
    config = run.settings(job)
    level = 1 / config.pred_step
    trials = sum(v.split == "val" for v in read_manifest(config.dataset).videos)
    margin = 1.96 * math.sqrt(level * (1 - level) / trials)
    text = f"Against the other times alone the run ends at {100 * found:.1f} %"
    text += f", where guessing gives {100 * level:.1f} %"
    if found > level + margin:
        return f"{text}: more than luck, so it tells some moments from others."
    return f"{text}: in one run not to be told from luck."
