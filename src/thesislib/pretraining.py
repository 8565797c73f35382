"""One model trained without labels into its run folder, or found there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from thesislib.checkpoint import RunFolder, load_state, provenance, read_info
from thesislib.config import RunConfig
from thesislib.data.manifest import Manifest
from thesislib.evaluation.finetune import clips, validation_clips
from thesislib.train import fit, seed_everything

Log = Callable[[str], None] | None


def train_model(
    method: Any,
    name: str,
    config: RunConfig,
    manifest: Manifest,
    *,
    start: Callable[[Any], object] | None = None,
    judge: Callable[[Any], Mapping[str, Any]] | None = None,
    log: Log = print,
    tensorboard: bool = False,
) -> tuple[Any, RunFolder, dict[str, Any]]:
    """Trains a model on the training split, or finds it trained.

    Args:
        method: A module of :mod:`thesislib.methods`.
        name: Of the method, the first part of the run's name.
        config: Settings; a run started from others' weights names them (``init``).
        manifest: The data set.
        start: Gives a fresh model its first weights; not called for a run that goes on.
        judge: More metrics of the trained model, kept with the run.
        log: Where the log lines go.
        tensorboard: Also write event files.

    Returns:
        Model, run, and its result: ``metrics`` of the pretext task on the validation split (one
        fixed clip a video) and those of ``judge``; ``provenance``.
    """
    seed_everything(config.seed)
    model = method.MODEL(config)
    run = RunFolder.open(name, config, manifest.fingerprint)
    if run.finished:
        load_state(run.checkpoint, model)
        return model, run, run.result()
    if start is not None and not run.checkpoint.exists():
        start(model)
    begun = time.time()
    if log:
        log(f"{run.name}: {len(manifest.select(split='train'))} videos, {config.epochs} epochs")
    train_set = clips(manifest.select(split="train"), config, train=True)
    val_set = validation_clips(manifest, config)
    rows = fit(model, train_set, val_set, config, run, log=log, tensorboard=tensorboard)
    seconds = training_seconds(run)
    model.cpu().save_pretrained(run.path / "model")
    metrics = pretext_metrics(rows[-1]) | dict(judge(model) if judge else {})
    result = {
        "metrics": metrics,
        "provenance": provenance(begun, manifest.fingerprint, seconds),
    }
    run.finish(result)
    return model, run, result


def pretext_metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    """The validation metrics of one epoch as ``pretext_...``."""
    return {f"pretext_{k.removeprefix('val_')}": v for k, v in row.items() if k.startswith("val_")}


def training_seconds(run: RunFolder) -> float:
    """Training time over all the starts of a run."""
    return float(read_info(run.checkpoint)["seconds"])
