"""What chapter 2 shows besides what all pages do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thesislib import published
from thesislib.chapters import blocks, pages, run
from thesislib.chapters.row import Job
from thesislib.data.manifest import Manifest
from thesislib.ledger import Ledger

AXES = {
    "video": "(B, N, 3, T, H, W)",
    "z": "(B, N, D, H', W')",
    "context": "(B, D, H', W')",
    "guess": "(B, P, D, H', W')",
    "truth": "(B, P, D, H', W')",
    "scores": "(B P H' W', B P H' W')",
}


def stages(job: Job) -> dict[int, list[dict[str, Any]]]:
    """The checkpoints of each seed in the ledger, pretext and downstream (figure 2.3)."""
    entries = Ledger.load().select(job.row, job.profile, run.judged_on(job))
    return {seed: entry.checkpoints for seed, entry in entries.items() if entry.checkpoints}


def numbers(
    results: Mapping[str, Mapping[str, Any]], job: Job, manifest: Manifest
) -> dict[str, Any]:
    """What the text quotes: sizes, chance levels, minutes, the thesis's figures."""
    table, figure = published.table("2.1"), published.figure("2.3")
    levels = blocks.chance(job)
    pretext = figure.series["pretext_top1"]
    return {
        **pages.run_numbers(results, job),
        "temporal_reading": blocks.temporal_reading(results[job.row]["metrics"], job),
        "videos": len(manifest),
        "classes": len(manifest.classes),
        "minutes_gpu": pages.minutes(job.row, "gpu"),
        "minutes_paper": pages.minutes(job.row, "paper"),
        "chance_all": 100 * levels["all"],
        "chance_temporal": 100 * levels["temporal"],
        "candidates": round(1 / levels["all"]),
        "thesis_random": table.cell("dpc/random", "finetune_top1").text,
        "thesis_dpc": table.cell("dpc/5pred3", "finetune_top1").text,
        "thesis_pooled": table.cell("dpc/pooled", "finetune_top1").text,
        "thesis_pretext_first": pretext[0],
        "thesis_pretext_last": pretext[-1],
    }
