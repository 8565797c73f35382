"""What chapter 6 shows besides what all pages do: its drawing, its guesses, its course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from thesislib import viz
from thesislib.amounts import percent
from thesislib.chapters import compare, pages, run
from thesislib.chapters.pages import Page
from thesislib.chapters.row import Job
from thesislib.chapters.turbo import actions
from thesislib.chapters.turbo.cost import Cost, ratio_numbers
from thesislib.data.loader import make_loader
from thesislib.data.transforms import denormalise
from thesislib.ledger import Ledger
from thesislib.methods.turbo_config import TurboConfig
from thesislib.nn.classifier import joined
from thesislib.nn.tokens import count_tokens

AXES = {
    "video": "(B, 3, T, H, W)",
    "patches": "(B, n_t, n_h, n_w, 3, t, h, w)",
    "visible": "(B, V)",
    "wanted": "(B, R)",
    "encoded": "(B, 1 + V, D)",
    "summary": "(B, D)",
    "guess": "(B, R, P)",
    "target": "(B, R, P)",
}
QUOTES = {
    "all tokens": ("6.1", "turbo/m0", "top1"),
    "a quarter seen, a quarter guessed": ("6.1", "turbo/m75-r25", "top1"),
    "a tenth seen, a tenth guessed": ("6.1", "turbo/m90-r10", "top1"),
    "sentences point at seconds": ("6.3", "turbo/nce-m75-r25", "align_r1"),
    "activities, 32 frames": ("6.4", "turbo/long-f32", "long_top1"),
}
# What a training nearer its end gives: the rows of the gpu profile that the text quotes.
AT_SCALE = {"gpu_all": "turbo/m0", "gpu_quarter": "turbo/m75-r25"}
# What the text takes from the ledger: its name there -> claims.
SAID = {
    "random": ("turbo-random",),
    "unfinished": ("turbo-random-long", "turbo-random-features"),
}
# Claims whose verdicts stand together, by what they ask.
ASKED = {
    "epochs": (
        "turbo-epochs-m50", "turbo-epochs", "turbo-epochs-m90", "turbo-seconds", "turbo-pmae-m50",
        "turbo-pmae", "turbo-pmae-m90", "turbo-partial", "turbo-partial-m90", "turbo-all-at-test",
        "turbo-all-at-test-m90",
    ),
    "time": ("turbo-time-m50", "turbo-time", "turbo-time-dropped", "turbo-time-m90"),
    "rivals": (
        "turbo-runs-m50", "turbo-runs", "turbo-runs-own-m50", "turbo-runs-own", "turbo-runs-full",
        "turbo-runs-auto", "turbo-dual", "turbo-tubes",
    ),
    "start": (
        "turbo-from-language", "turbo-from-language-scratch", "turbo-from-pixels-scratch",
    ),
    "language": (
        "turbo-sentences", "turbo-sentences-epochs", "turbo-sentences-time",
        "turbo-sentences-heard",
    ),
    "long": (
        "turbo-long-frames", "turbo-long-more", "turbo-long-language", "turbo-long-scratch",
        "turbo-long-full",
    ),
}  # fmt: skip


def _rows(*names: str) -> tuple[str, ...]:
    return tuple(f"turbo/{name}" for name in names)


TIMED = _rows("m0", "m50-r50-time", "m75-r25-time", "m75-r0-time", "m90-r10-time")
RIVALS = _rows("m75-r0", "runs-m75", "m50-r0", "runs-m50", "runs-auto", "m75-r25", "dual-m75-r25",
               "tube-m75-r25")  # fmt: skip
COURSES = {
    "all tokens": "turbo/m0",
    "m = 50 %, r = 50 %": "turbo/m50-r50",
    "m = 75 %, r = 25 %": "turbo/m75-r25",
    "m = 75 %, r = 25 %, equal time": "turbo/m75-r25-time",
}
READ = ("top1", "train_gflops", "train_seconds")
DROPPED = ("top1", "top1_m50", "top1_m75", "train_seconds")


def part(rows: Sequence[str], task: str = "") -> tuple[str, ...]:
    """The rows of one task, ``nce`` or ``long``; without one those of actions."""
    return pages.rows_of(rows, ("nce", "long"), task)


def elsewhere(job: Job, narrated: str, activities: str) -> tuple[Job, Job]:
    """The page's job for sentences and for long videos, on data sets of their own."""
    return (
        replace(job, row="turbo/nce-m75-r25", dataset=narrated),
        replace(job, row="turbo/long-f32", dataset=activities),
    )


def settings_page(job: Job, spoken: Job, long: Job) -> Page:
    """Where settings differ from the thesis's, for the three tasks."""
    stages = {"actions": job, "sentences": spoken, "long videos": long}
    pairs = [
        (name, run.settings(one), run.settings(replace(one, profile="paper", dataset="")))
        for name, one in stages.items()
    ]
    return pages.differences_page(*pairs)


def flow_picture(config: TurboConfig, caption: str = "") -> viz.Picture:
    """The training of these settings as a drawing."""
    t, h, w = config.grid
    seen, wanted = count_tokens(config.grid, config.mask_ratio, config.recon_ratio, config.masking)
    pixels = 3 * config.tubelet[0] * config.tubelet[1] * config.tubelet[2]
    tokens, dims = (t * h * w, seen, wanted), (config.width, config.decoder_width, pixels)
    return viz.turbo_flow(config.batch_size, tokens, dims, "classifier", caption)


def readers(job: Job, rows: Sequence[str], metrics: Sequence[str] = READ) -> Page:
    """Rows of actions from the ledger: by default accuracy, operations and time of a training."""
    return compare.readers_page(job, rows, metrics)


# -- the course of training ----------------------------------------------------------------


def progress_picture(job: Job, by: str = "seconds", caption: str = "") -> viz.Picture:
    """Top-1 on the test split along a training, the mean of the ledger's seeds.

    Args:
        job: The page's.
        by: What lies along the x axis: ``seconds`` of the processor, or ``operations`` (a step is
            taken as three forward passes).
        caption: Kept with the picture.
    """
    ledger, where = Ledger.load(), run.judged_on(job)
    series = {}
    for name, row in COURSES.items():
        entries = list(ledger.select(row, job.profile, where).values())
        courses = [_course(entry, by) for entry in entries if entry.checkpoints]
        if courses:
            series[f"{name} (n = {len(courses)})"] = [
                (float(x), float(y)) for x, y in np.mean(courses, axis=0)
            ]
    names = {"seconds": "processor seconds of training", "operations": "operations (10¹²)"}
    return viz.lines(series, names[by], "top-1 (%)", caption)


def _course(entry: Any, by: str) -> list[tuple[float, float]]:
    """Points of one run: what was spent so far, top-1 in per cent."""
    key, scale = {"seconds": ("train_seconds", 1.0), "operations": ("gflops", 3e-3)}[by]
    return [(scale * p[key], 100 * p["top1"]) for p in entry.checkpoints]


# -- pictures ------------------------------------------------------------------------------


def guesses_picture(job: Job, clips: int = 2, frames: int = 8, caption: str = "") -> viz.Picture:
    """Validation clips, what a trained network sees of them, and the same with its guesses.

    Args:
        job: A row with a decoder; it is trained, or found.
        clips: How many.
        frames: Of each, at most.
        caption: Kept with the picture.
    """
    config: TurboConfig = run.settings(job)
    model = run.train(job.quietly()).model
    learnt, held = actions.actions(config.dataset).training(config)
    batch = next(iter(make_loader(held or learnt, clips, shuffle=True, seed=job.seed)))
    shown: list[Any] = []
    titles: list[str] = []
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        seen, guessed = model.pictures(batch, config.mask_ratio, config.recon_ratio)
    rows = {"clip": joined(batch["video"]), "seen": seen, "with guesses": guessed}
    for i in range(len(seen)):
        shown += [
            denormalise(video[i], config.augment.normalise)[:frames] for video in rows.values()
        ]
        titles += [f"{title} {i + 1}" for title in rows]
    return viz.contact_sheet(shown, titles, columns=1, caption=caption)


# -- numbers that the text quotes ----------------------------------------------------------


def numbers(
    results: Mapping[str, Mapping[str, Any]], job: Job, found: Mapping[tuple[float, float], Cost]
) -> dict[str, Any]:
    """What the text quotes.

    Args:
        results: Of all rows of the page.
        job: The page's.
        found: Costs at the page's sizes.
    """
    found_actions, config = actions.given(job)
    return {
        **pages.run_numbers(results, job),
        **ratio_numbers(found),
        "tubelet": " × ".join(map(str, config.tubelet)),
        "temperature": config.temperature,
        "judged_on": run.judged_on(job),
        "classes": len(found_actions.classes),
        "pmae": f"{results[job.row]['metrics'].get('pretext_pmae', float('nan')):.2f}",
        **at_scale(job),
        **compare.sayings(job, SAID),
    }


def at_scale(job: Job) -> dict[str, str]:
    """Accuracy of :data:`AT_SCALE` in the gpu profile, on this job's data set, as text."""
    ledger, data = Ledger.load(), run.judged_on(job)
    return {k: percent(ledger.summary(row, "top1", "gpu", data)) for k, row in AT_SCALE.items()}
