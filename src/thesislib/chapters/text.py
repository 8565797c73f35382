"""Tables and sentences of the chapters, from the library, from runs and from the ledger."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thesislib import published, report, viz
from thesislib.baselines import NAMES
from thesislib.chapters.runs import chance
from thesislib.data.manifest import SPLITS, Manifest
from thesislib.evaluation.features import Features
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.retrieval import retrieval
from thesislib.ledger import Entry, Ledger, Summary
from thesislib.losses import EASY, POSITIVE, SPATIAL, TEMPORAL
from thesislib.methods.dpc import DPC, DPCConfig, summary
from thesislib.rows import ROWS, row_config, row_tuning

NOT_RUN, NOTHING = report.NOT_RUN, report.NO_VALUE
METRICS = {
    "pretext_top1": "pretext",
    "pretext_top1_easy": "pretext, other videos",
    "pretext_top1_temporal": "pretext, other times",
    "finetune_top1": "fine-tuned",
    "probe_top1": "linear probe",
    "nonlinear_top1": "non-linear probe",
    "retrieval_r1": "R@1",
    "retrieval_r5": "R@5",
}
AXES = {
    "video": "(B, N, 3, T, H, W)",
    "z": "(B, N, D, H', W')",
    "context": "(B, D, H', W')",
    "memory": "(k, D)",
    "address": "(B, P, k, H', W')",
    "guess": "(B, P, D, H', W')",
    "truth": "(B, P, D, H', W')",
    "scores": "(B P H' W', B P H' W')",
    "views": "(B, 2, N, 3, T, H, W)",
    "query": "(B, D)",
    "key": "(B, D)",
    "queue": "(K, D)",
    "logits": "(B, 1 + K)",
}
KINDS = {"positive": POSITIVE, "temporal": TEMPORAL, "spatial": SPATIAL, "easy": EASY}
NO_LABELS = (
    "This data set has no labels: there is nothing to classify, so only the pretext accuracy and "
    "the picture of nearest neighbours can be shown.\n"
)
TOO_FEW = (
    "The training and the test split of this data set do not both hold videos of two classes, so "
    "nothing can be classified: add videos to see the other scores.\n"
)


@dataclass(frozen=True)
class Page:
    """MyST text that a notebook shows as a page shows it."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


def start(profile: str = "small", threads: int = 2) -> None:
    """The book's plot style, and in the small profile a fixed number of threads.

    With another number of threads sums are added in another order, and digits change. The other of
    two cores is well used by a second thread, or by the worker that decodes where there is one.
    """
    viz.use_style()
    if profile == "small":
        torch.set_num_threads(threads)


def source(*objects: Callable[..., Any]) -> Page:
    """The library's own text of functions and methods, so that a page cannot show a stale copy."""
    parts = [textwrap.dedent(inspect.getsource(o)).rstrip() for o in objects]
    return Page("```python\n" + "\n\n".join(parts) + "\n```\n")


def grid(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Page:
    """A table; its head and its rows have the same number of cells."""
    lines = [list(head), ["---"] * len(head), *rows]
    cells = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    return Page("\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n")


def parts_page(manifest: Manifest) -> Page:
    """How many videos, actions, and videos in each split a data set has."""
    counts = [sum(v.split == split for v in manifest.videos) for split in SPLITS]
    return grid(("videos", "actions", *SPLITS), [(len(manifest), len(manifest.classes), *counts)])


def settings_page(row: str, profile: str, dataset: str, seed: int) -> Page:
    """Where the settings of a row differ from the thesis's (the preset ``paper``)."""
    here = row_config(row, profile, dataset, seed)
    thesis = row_config(row, "paper", "ucf101", seed)
    return differences_page(
        ("pre-training", here, thesis),
        ("fine-tuning", row_tuning(row, here), row_tuning(row, thesis)),
    )


def differences_page(*stages: tuple[str, Any, Any]) -> Page:
    """Settings that differ, for each stage: its name, the settings here, those of the thesis."""
    head, rows = ["setting"], dict[str, list[str]]()
    for place, (stage, mine, theirs) in enumerate(stages):
        head += [f"{stage}, here", "thesis"]
        here, there = _flat(mine), _flat(theirs)
        for name in here:
            if here[name] != there[name]:
                row = rows.setdefault(name, [f"`{name}`"])
                row += [NOTHING] * (2 * place + 1 - len(row)) + [here[name], there[name]]
    return grid(head, [row + [NOTHING] * (len(head) - len(row)) for row in rows.values()])


def _flat(settings: Any, prefix: str = "") -> dict[str, str]:
    """Fields that decide a result, as text; workers and caches only decide how fast it comes."""
    flat: dict[str, str] = {}
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            flat |= _flat(value, f"{name}.")
        elif name not in ("num_workers", "cache", "val_every", "keep_every", "profile"):
            flat[name] = "all" if name == "per_class" and not value else _short(value)
    return flat


def _short(value: Any) -> str:
    """A setting as text: 4/3 as 1.33."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shapes_page(**tensors: Tensor) -> Page:
    """Shape of tensors, with the letters of their axes where the chapters use their name."""
    rows = []
    for name, tensor in tensors.items():
        rows.append((f"`{name}`", AXES.get(name, NOTHING), str(tuple(tensor.shape))))
    return grid(("tensor", "axes", "shape"), rows)


def pairs_page(configs: Mapping[str, DPCConfig]) -> Page:
    """How many candidates of each kind one prediction meets, and the chance levels that follow."""
    rows = []
    for name, config in configs.items():
        pairs = summary(DPC(config))["pairs of one prediction"]
        shares = [f"{100 / n:.2g} %" for n in (sum(pairs.values()), 1 + pairs["temporal"])]
        rows.append((name, *(f"{n:,}" for n in pairs.values()), *shares))
    head = ("settings", "positive", "temporal", "spatial", "easy", "chance, all", "chance, times")
    return grid(head, rows)


def rows_page(method: str, trained: Sequence[str]) -> Page:
    """The rows of a method: what each changes, and which are trained in this notebook."""
    rows = []
    for key, row in ROWS.items():
        if key.startswith(f"{method}/"):
            changes = ", ".join(f"`{k}={v}`" for k, v in row.changes.items())
            changes += f" started from `{row.start}`" if row.start else ""
            changes = "no pre-training" if not row.pretrain else changes
            here = "trained here" if key in trained else "from the ledger"
            rows.append((f"`{key}`", row.name, changes or "the preset", here))
    return grid(("row", "name", "what it changes", "in this notebook"), rows)


def scores_page(results: Mapping[str, Mapping[str, Any]], manifest: Manifest) -> Page:
    """The metrics of the runs at hand, in per cent, and how many test videos they are of.

    One sentence more without labels.
    """
    measured = [m for m in METRICS if any(m in r["metrics"] for r in results.values())]
    counts = ("evaluated", "skipped")
    rows = []
    for row, result in results.items():
        values = [result["metrics"].get(m) for m in measured]
        texts = [NOTHING if v is None else f"{100 * v:.1f}" for v in values]
        rows.append((row, *texts, *(result["videos"].get(c, NOTHING) for c in counts)))
    table = grid(("row", *(f"{METRICS[m]}, %" for m in measured), *counts), rows)
    judged = any("finetune_top1" in r["metrics"] for r in results.values())
    why = TOO_FEW if len(manifest.classes) > 1 else NO_LABELS
    return table if judged else Page(f"{table.text}\n{why}")


def tables_page(
    tables: str | Sequence[str],
    results: Mapping[str, Mapping[str, Any]],
    profile: str,
    dataset: str,
) -> Page:
    """Tables of the thesis: its numbers, ours over seeds from the ledger, and those of this run.

    This run has a column of its own where the ledger knows nothing of its rows.
    """
    at_hand = Ledger(_entry(result) for result in results.values())
    parts = []
    for number in [tables] if isinstance(tables, str) else tables:
        frame = report.thesis_table(number, profile, dataset)
        mine = report.thesis_table(number, profile, dataset, at_hand)
        for name in [c for c in frame.columns if c.endswith(", ours")]:
            values = [v.removesuffix(" (1)").replace(NOT_RUN, NOTHING) for v in mine[name]]
            place = list(frame.columns).index(name) + 1
            pairs = zip(values, frame[name], strict=True)
            if any(v != NOTHING and ours == NOT_RUN for v, ours in pairs):
                frame.insert(place, name.replace(", ours", ", this run"), values)
        # A label that all rows share tells nothing and makes the table wider.
        labels = list(frame.columns[: len(published.table(number).labels)])
        frame = frame.drop(columns=[c for c in labels if frame[c].nunique() == 1])
        # Ours are not measured on the thesis's first test set, but on the one at hand.
        frame.columns = [
            c if c.endswith("thesis") else re.sub("^UCF101", "action", c) for c in frame.columns
        ]
        parts.append(f"**{frame.attrs['caption']}**\n\n{report.to_markdown(frame)}")
    return Page("\n\n".join(parts))


def _entry(result: Mapping[str, Any]) -> Entry:
    return Entry(**{k: v for k, v in result.items() if k in Entry.__dataclass_fields__})


def moves_page(before: Tensor, after: Tensor, kinds: Tensor) -> Page:
    """Which kind of candidate the softmax believes in, before and after a step.

    Args:
        before: ``(R, R)`` scores.
        after: The same after the step.
        kinds: ``(R, R)`` codes of :func:`thesislib.losses.pair_kinds`.
    """
    believed = [scores.detach().softmax(1) for scores in (before, after)]
    rows = []
    for name, code in KINDS.items():
        pair = [100 * float((p * (kinds == code)).sum(1).mean()) for p in believed]
        rows.append((name, *(f"{p:.1f}" for p in pair), f"{pair[1] - pair[0]:+.1f}"))
    return grid(("kind of candidate", "probability before, %", "after, %", "change"), rows)


def judge_page(train: Features, test: Features, manifest: Manifest) -> Page:
    """Linear probe and retrieval of frozen features beside chance."""
    if len(manifest.classes) < 2:
        return Page(NO_LABELS)
    scores = linear_probe(train, test)["probe_top1"], retrieval(test, train, (1,))["retrieval_r1"]
    shown = [f"{100 * s:.1f}" for s in (*scores, 1 / len(manifest.classes))]
    head = ("training videos", "test videos", "linear probe, %", "R@1, %", "chance, %")
    return grid(head, [(len(train.labels), len(test.labels), *shown)])


def claims_page(chapter: int, profile: str, dataset: str) -> Page:
    """What the thesis asserts in a chapter, with the verdicts of the ledger."""
    found = report.claims(None, profile, dataset, chapter)
    return Page(report.to_markdown(report.claims_frame(found)))


def percent(found: Summary) -> str:
    """A metric over seeds as text: mean, and half of its interval where there is one."""
    if found["mean"] is None:
        return NOT_RUN
    half = "" if found["half_width"] is None else f" ± {100 * found['half_width']:.1f}"
    return f"{100 * found['mean']:.1f}{half}"


def world_page(dataset: str = "synthetic") -> Page:
    """What the simplest readers reach on a data set, from the ledger."""
    ledger = Ledger.load()
    rows = []
    for name, text in NAMES.items():
        found = ledger.summary(f"baseline/{name}", "top1", dataset=dataset)
        rows.append((text, percent(found), found["n"] or NOTHING))
    return grid(("reader", "top-1, %", "seeds"), rows)


# -- numbers that the prose quotes ---------------------------------------------------------


def glue_all(values: Mapping[str, Any]) -> None:
    """:func:`thesislib.report.glue` for several values."""
    for name, value in values.items():
        report.glue(name, value)


def run_numbers(
    results: Mapping[str, Mapping[str, Any]], row: str, config: Any, manifest: Manifest
) -> dict[str, Any]:
    """What every chapter says of the runs at hand; ``row`` is its method as the thesis has it."""
    minutes = sum(r["provenance"]["wall_seconds"] for r in results.values()) / 60
    return {
        "scale": f"{config.profile} profile, data set {manifest.name}, seed {config.seed}",
        "minutes_run": round(minutes, 1),
        "device": next(iter(results.values()))["provenance"]["device"],
        "temporal_reading": temporal_reading(results[row]["metrics"], config, manifest),
    }


def numbers(
    results: Mapping[str, Mapping[str, Any]], config: DPCConfig, manifest: Manifest
) -> dict[str, Any]:
    """What the text of chapter 2 quotes: sizes, chance levels, minutes, the thesis's figures."""
    table, figure = published.table("2.1"), published.figure("2.3")
    levels = chance(config, manifest)
    pretext = figure.series["pretext_top1"]
    return {
        **run_numbers(results, "dpc/5pred3", config, manifest),
        "videos": len(manifest),
        "classes": len(manifest.classes),
        "minutes_gpu": _minutes("gpu", manifest.name),
        "minutes_paper": _minutes("paper", "ucf101"),
        "chance_all": 100 * levels["all"],
        "chance_temporal": 100 * levels["temporal"],
        "candidates": round(1 / levels["all"]),
        "thesis_random": table.cell("dpc/random", "finetune_top1").text,
        "thesis_dpc": table.cell("dpc/5pred3", "finetune_top1").text,
        "thesis_pooled": table.cell("dpc/pooled", "finetune_top1").text,
        "thesis_pretext_first": pretext[0],
        "thesis_pretext_last": pretext[-1],
    }


def _minutes(profile: str, dataset: str) -> str:
    """Minutes of one seed of the headline row in the ledger."""
    found = Ledger.load().select("dpc/5pred3", profile, dataset)
    seconds = [e.provenance["wall_seconds"] for e in found.values()]
    return f"{sum(seconds) / len(seconds) / 60:.0f}" if seconds else NOT_RUN


def temporal_reading(metrics: Mapping[str, float], config: Any, manifest: Manifest) -> str:
    """One honest sentence on the accuracy against the other times alone.

    Each validation video counts as one trial: its places are not independent of one another.
    """
    found = metrics.get("pretext_top1_temporal")
    if found is None:
        return "No video was left for validation, so the pretext accuracy was not measured."
    level = 1 / config.pred_step
    trials = sum(v.split == "val" for v in manifest.videos)
    margin = 1.96 * math.sqrt(level * (1 - level) / trials)
    text = f"Against the other times alone the run ends at {100 * found:.1f} %"
    text += f", where guessing gives {100 * level:.1f} %"
    if found > level + margin:
        return f"{text}: more than luck, so it tells some moments from others."
    return f"{text}: not to be told from luck, so nothing shows that it tells moments apart."
