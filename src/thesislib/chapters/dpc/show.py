"""What chapter 2 shows besides what all pages do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from thesislib import published, viz
from thesislib.chapters import blocks, compare, pages, run
from thesislib.chapters.row import Job
from thesislib.data.dataset import training_clips
from thesislib.data.manifest import Manifest
from thesislib.data.transforms import denormalise
from thesislib.ledger import Ledger
from thesislib.methods.dpc import DPCConfig

AXES = {
    "video": "(B, N, 3, T, H, W)",
    "z": "(B, N, D, H', W')",
    "context": "(B, D, H', W')",
    "guess": "(B, P, D, H', W')",
    "truth": "(B, P, D, H', W')",
    "scores": "(B P H' W', B P H' W')",
}
QUOTES = {
    "DPC, fine-tuned": ("2.1", "dpc/5pred3", "finetune_top1"),
    "random weights, fine-tuned": ("2.1", "dpc/random", "finetune_top1"),
}
FPS = 30.0  # of the thesis's videos; UCF101 has 25
# What the text takes from the ledger: its name there -> claims.
SAID = {
    "batches": ("dpc-batches", "dpc-batches-probe-top1", "dpc-batches-retrieval-r1"),
    "at_large": ("dpc-at-large", "dpc-at-large-probe-top1", "dpc-at-large-retrieval-r1"),
    "times": ("dpc-times",),
    "dense": ("dpc-dense",),
    "colours": ("dpc-colours", "dpc-colours-probe-top1", "dpc-colours-retrieval-r1"),
    "stages": ("dpc-pretext-downstream",),
}
# Random weights, the same training on other batches, and the method, by every reader.
BATCHES = ("dpc/random", "dpc/at-large", "dpc/5pred3")
READERS = (
    "finetune_top1", "probe_top1", "retrieval_r1", "probe_context_top1", "retrieval_context_r1",
)  # fmt: skip


def batches_picture(manifest: Manifest, config: Any, clips: int = 8) -> viz.Picture:
    """The first frames of a batch that is drawn at large, and of one as the settings compose it.

    Without the colours of training, which would hide who is who.
    """
    rows, plain = [], replace(config, augment=config.augment.light())
    for settings in (replace(plain, batch_groups=0), plain):
        batch = next(pages.batches(training_clips(manifest, settings), settings))
        rows.append(denormalise(batch["video"][:clips, 0, :, :1])[:, 0])  # (clips, H, W, 3)
    return viz.contact_sheet(rows, ["at large", "of one session"], None, columns=1)


def stages(job: Job) -> dict[int, list[dict[str, Any]]]:
    """The checkpoints of each seed in the ledger, pretext and downstream (figure 2.3)."""
    entries = Ledger.load().select(job.row, job.profile, run.judged_on(job))
    return {seed: entry.checkpoints for seed, entry in entries.items() if entry.checkpoints}


def costliest(job: Job) -> str:
    """Which ablation of Table 2.1 loses most against the method, and how far seeds differ."""
    ledger, where = Ledger.load(), run.judged_on(job)
    found = {
        row: ledger.compare("dpc/5pred3", row, "finetune_top1", job.profile, where)
        for row in ("dpc/parallel", "dpc/pooled")
    }
    losses = {row: c["difference"] for row, c in found.items() if c["difference"] is not None}
    if not losses:
        return "The ledger holds neither ablation for this data set."
    row = max(losses, key=lambda name: losses[name])
    values = ledger.summary("dpc/5pred3", "finetune_top1", job.profile, where)["values"]
    spread = 100 * (max(values) - min(values))
    over = f"over {found[row]['n']} seeds; two seeds of `dpc/5pred3` differ by up to {spread:.1f}."
    if losses[row] <= 0:
        return f"None loses anything: `{row}` gains {-100 * losses[row]:.1f} points {over}"
    return f"`{row}`, by {100 * losses[row]:.1f} points {over}"


def pixels_reading(job: Job) -> str:
    """R@1 of the method beside that of a reader which keeps every video and learns nothing."""
    ledger, where = Ledger.load(), run.judged_on(job)
    rows = (("baseline/pixels", "top1"), ("dpc/5pred3", "retrieval_r1"),
            ("dpc/5pred3", "retrieval_context_r1"))  # fmt: skip
    pixels, z, context = (ledger.summary(*one, job.profile, where)["mean"] for one in rows)
    if pixels is None or z is None or context is None:
        return "The ledger does not hold the nearest neighbour on pixels for this data set."
    text = (
        f"One baseline of the primer must not be forgotten: the nearest neighbour on the pixels "
        f" of a clip is right for {100 * pixels:.1f} % of the test videos, where DPC's R@1 is "
        f"{100 * z:.1f} % in z and {100 * context:.1f} % in the context (mean of the ledger). "
    )
    if pixels > max(z, context):
        return text + "As a way to look videos up, ours is no better here than comparing pictures."
    return text + "So looking videos up by features beats comparing pictures."


def ahead(config: DPCConfig, fps: float) -> float:
    """Seconds of a clip that are to be predicted."""
    return config.pred_step * config.seq_len * config.stride / fps


def numbers(
    results: Mapping[str, Mapping[str, Any]], job: Job, manifest: Manifest
) -> dict[str, Any]:
    """What the text quotes: sizes, chance levels, the thesis's figures, verdicts of the ledger."""
    figure, levels = published.figure("2.3"), blocks.chance(job)
    pretext = figure.series["pretext_top1"]
    return {
        **pages.run_numbers(results, job),
        "temporal_reading": blocks.temporal_reading(results[job.row]["metrics"], job),
        "videos": len(manifest),
        "classes": len(manifest.classes),
        "future_here": ahead(run.settings(job), manifest.videos[0].fps),
        "future_paper": ahead(DPCConfig.preset("paper"), FPS),
        "chance_all": 100 * levels["all"],
        "chance_temporal": 100 * levels["temporal"],
        "candidates": round(1 / levels["all"]),
        "thesis_pooled": published.table("2.1").printed("dpc/pooled", "finetune_top1"),
        "thesis_pretext_first": pretext[0],
        "thesis_pretext_last": pretext[-1],
        "costliest": costliest(job),
        "pixels_reading": pixels_reading(job),
        **compare.sayings(job, SAID),
    }
