"""What chapter 1 shows: candidates and belief, two readers of features, the world's baselines."""

from __future__ import annotations

from torch import Tensor

from thesislib.amounts import percent
from thesislib.chapters.pages import Page, grid
from thesislib.chapters.world.rows import ROWS
from thesislib.data.manifest import Manifest
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.retrieval import retrieval
from thesislib.evaluation.scores import PerVideo, accuracy
from thesislib.ledger import Ledger
from thesislib.losses import EASY, POSITIVE, SPATIAL, TEMPORAL
from thesislib.report import NO_VALUE

KINDS = {"positive": POSITIVE, "temporal": TEMPORAL, "spatial": SPATIAL, "easy": EASY}
AXES = {
    "target": "(B, P, D, H', W')",
    "guess": "(B, P, D, H', W')",
    "scores": "(B P H' W', B P H' W')",
}


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


def judge_page(train: PerVideo, test: PerVideo, manifest: Manifest) -> Page:
    """Linear probe and retrieval of frozen features beside chance."""
    if len(manifest.classes) < 2:
        return Page("This data set has no labels: there is nothing to classify.\n")
    found = accuracy(linear_probe(train, test), "probe_top1") | retrieval(test, train, (1,))
    values = (*found.metrics.values(), 1 / len(manifest.classes))
    shown = [f"{100 * value:.1f}" for value in values]
    head = ("training videos", "test videos", "linear probe, %", "R@1, %", "chance, %")
    return grid(head, [(len(train.labels), len(test.labels), *shown)])


def world_page(dataset: str, profile: str = "small") -> Page:
    """What the simplest readers reach on a data set, from the ledger."""
    ledger = Ledger.load()
    rows = []
    for key, row in ROWS.items():
        found = ledger.summary(key, "top1", profile, dataset)
        rows.append((row.name, percent(found), found["n"] or NO_VALUE))
    return grid(("reader", "top-1, %", "seeds"), rows)
