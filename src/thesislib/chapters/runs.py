"""The runs of a chapter: which rows it trains, their first batch, their chance levels."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from thesislib.config import RunConfig, choose
from thesislib.data.dataset import ClipDataset, make_loader
from thesislib.data.manifest import Manifest
from thesislib.evaluation.finetune import validation_clips
from thesislib.experiments import run_row
from thesislib.rows import ROWS

# What a chapter trains by itself; its other rows come from the ledger.
HEADLINE_ROWS = {
    "dpc": ("dpc/random", "dpc/5pred3"),
    "memdpc": ("memdpc/rgb",),
    "coclr": ("coclr/coclr-rgb",),
}


def chapter_rows(method: str, rows: str = "headline") -> tuple[str, ...]:
    """The rows of a method that its notebook trains: ``headline`` or ``all``."""
    if choose("choice of rows", rows, ("headline", "all")) == "headline":
        return HEADLINE_ROWS[method]
    return tuple(name for name in ROWS if name.startswith(f"{method}/"))


def run_rows(
    rows: Iterable[str],
    profile: str,
    dataset: str,
    seed: int,
    log: Callable[[str], None] = print,
    more: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """:func:`thesislib.experiments.run_row` for several rows; says what was trained, what found.

    Returns:
        Row -> the content of its ``result.json``.
    """
    results = {}
    for row in rows:
        begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        said = 0

        def say(line: str, row: str = row) -> None:
            nonlocal said
            said += 1
            log(f"{row}: {line}")

        results[row] = run_row(row, profile, dataset, seed, more=more, log=say)
        source = results[row]["provenance"]
        # The clock alone counts in seconds, and a tiny run takes less.
        if said or source["ended"] > begun:
            log(f"{row}: done in {source['wall_seconds'] / 60:.1f} minutes")
        else:
            log(f"{row}: found finished, run on {source['ended'][:10]}")
    return results


def first_batch(videos: ClipDataset, config: RunConfig) -> dict[str, Tensor]:
    """The first batch of training: ``video`` ``(B, N, 3, T, size, size)``, ``label``, ``index``."""
    batch: dict[str, Tensor] = next(
        iter(make_loader(videos, config.batch_size, shuffle=True, num_workers=0, seed=config.seed))
    )
    return batch


def chance(config: RunConfig, manifest: Manifest) -> dict[str, float]:
    """Pretext accuracy of guessing on the validation split of a data set.

    Fewer validation videos than a batch make fewer candidates, and guessing easier.

    Returns:
        Shares: against ``all`` candidates, and against one kind of negatives.
    """
    held = validation_clips(manifest, config)
    size = min(config.batch_size, len(held)) if held else config.batch_size
    method = sys.modules[type(config).__module__]  # a method's settings stand in its own file
    model = method.MODEL(replace(config, batch_size=size))
    pairs: Mapping[str, int] = method.summary(model)["pairs of one prediction"]
    levels = {kind: 1 / (1 + n) for kind, n in pairs.items() if kind != "positive"}
    return {"all": 1 / sum(pairs.values()), **levels}
