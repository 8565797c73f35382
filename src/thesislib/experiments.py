"""The rows of the thesis's tables as runs: pre-train, fine-tune, probe, retrieve.

A notebook, the command line and the ledger all call :func:`run_row`, so a number in the book, one
in the terminal and one in ``results/`` come from the same code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from thesislib.checkpoint import RunFolder, load_state, provenance, read_info
from thesislib.config import choose
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.evaluation.features import extract
from thesislib.evaluation.finetune import FinetuneConfig, clips, finetune, validation_clips
from thesislib.evaluation.fusion import save_probabilities
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.retrieval import retrieval
from thesislib.methods.dpc import DPC, DPCConfig
from thesislib.train import fit, seed_everything

Log = Callable[[str], None] | None


@dataclass(frozen=True)
class Row:
    """One row of a table: what it changes against the preset of its method."""

    name: str  # as the thesis names it
    changes: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""  # the row whose weights start this one
    pretrain: bool = True


ROWS = {
    "dpc/random": Row("random initialisation", pretrain=False),
    "dpc/5pred3": Row("DPC, 5pred3"),
    "dpc/parallel": Row("remove Seq.", {"sequential": False}),
    "dpc/pooled": Row("remove Map", {"dense": False}),
    "dpc/4pred4": Row("DPC, 4pred4", {"pred_step": 4}),
    "dpc/5pred3+4pred4": Row("DPC, 5pred3 then 4pred4", {"pred_step": 4}, start="dpc/5pred3"),
    # Not a row of the thesis: what per-frame colour is worth, see thesis 2.3.3.
    "dpc/clip-wise": Row(
        "colour per clip", {"augment.grey_scope": "clip", "augment.jitter_scope": "clip"}
    ),
}
HEADLINE = {"dpc": "dpc/5pred3"}


def dpc_config(
    row: str, profile: str, dataset: str, seed: int, changes: Mapping[str, Any] | None = None
) -> DPCConfig:
    """The resolved settings of one row: preset, then the row's changes, then the caller's."""
    entry = ROWS[choose("row", row, ROWS)]
    config = DPCConfig.preset(profile).override({"dataset": dataset, "seed": seed})
    return config.override(entry.changes).override(changes or {})


def pretrain(
    row: str,
    profile: str = "small",
    dataset: str = "synthetic",
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    log: Log = print,
    tensorboard: bool = False,
) -> tuple[DPC, RunFolder, dict[str, Any]]:
    """Trains the model of a row, or finds it trained; returns model, run and pretext metrics.

    The pretext accuracy is that of the validation split, one fixed clip a video.
    """
    entry = ROWS[choose("row", row, ROWS)]
    manifest = read_manifest(dataset)
    config = dpc_config(row, profile, dataset, seed, changes)
    seed_everything(seed)
    if entry.start:
        # The curriculum has the same number of steps in all: half for each task.
        half = {**(changes or {}), "epochs": config.epochs // 2}
        _, before, _ = pretrain(entry.start, profile, dataset, seed, half, log)
        config = replace(config, epochs=config.epochs - config.epochs // 2, init=before.name)
    model = DPC(config)
    run = RunFolder.open("dpc", config, manifest.fingerprint)
    if run.finished:
        load_state(run.checkpoint, model)
        return model, run, run.result()
    if entry.start:
        load_state(before.checkpoint, model)
    begun = time.time()
    train = manifest.select(split="train")
    if log:
        log(f"{run.name}: {len(train)} videos, {config.epochs} epochs")
    train_set = clips(train, config, train=True)
    val_set = validation_clips(manifest, config)
    rows = fit(model, train_set, val_set, config, run, log=log, tensorboard=tensorboard)
    seconds = _seconds(run)
    result = {
        "metrics": _pretext(rows[-1]),
        "provenance": provenance(begun, manifest.fingerprint, seconds),
    }
    model.cpu().save_pretrained(run.path / "model")
    run.finish(result)
    return model, run, result


def run_row(
    row: str,
    profile: str = "small",
    dataset: str = "synthetic",
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    *,
    tune: Mapping[str, Any] | None = None,
    stages: int = 0,
    log: Log = print,
) -> dict[str, Any]:
    """One row of a table, whole: pre-training, then every protocol the data set allows.

    Args:
        row: A key of :data:`ROWS`.
        profile: ``small``, ``gpu`` or ``paper``.
        dataset: Name of a prepared data set.
        seed: Seed of initialisation, augmentation and label subset.
        changes: Settings of pre-training that differ from the preset.
        tune: Settings of fine-tuning that differ from the preset.
        stages: Fine-tune that many intermediate checkpoints as well (thesis figure 2.3).
        log: Where the log lines go.

    Returns:
        The content of ``result.json``: row, metrics (shares in ``[0, 1]``), hits, provenance, ...
    """
    entry = ROWS[choose("row", row, ROWS)]
    manifest = read_manifest(dataset)
    config = dpc_config(row, profile, dataset, seed, changes)
    if stages and entry.pretrain:
        config = replace(config, keep_every=max(1, config.epochs // stages))
        changes = {**(changes or {}), "keep_every": config.keep_every}
    tuning = FinetuneConfig.preset(profile).override({"dataset": dataset, "seed": seed})
    tuning = tuning.override(tune or {})
    whole = replace(config, init=f"{row} {tuning.hash()} {stages}")
    run = RunFolder.open(row.replace("/", "_"), whole, manifest.fingerprint)
    if run.finished:
        return run.result()
    begun = time.time()
    metrics: dict[str, Any] = {}
    hits: dict[str, str] = {}
    if entry.pretrain:
        model, source, result = pretrain(row, profile, dataset, seed, changes, log)
        metrics |= result["metrics"]
        rows = source.metrics()
    else:
        seed_everything(seed)
        model, source, rows = DPC(config), None, []
    counts: dict[str, int] = {}
    points: list[dict[str, Any]] = []
    if all(len(_labels(manifest, split)) > 1 for split in ("train", "test")):
        scores = protocols(model, manifest, config, tuning, source, log)
        metrics |= scores["metrics"]
        hits |= scores["hits"]
        counts = scores["counts"]
        save_probabilities(run.path / "probe_probabilities.safetensors", scores["probabilities"])
        if stages and source:
            points = _checkpoints(model, source, manifest, config, tuning, rows, log)
            last = {"epoch": config.epochs, "finetune_top1": metrics["finetune_top1"]}
            points.append(last | {"probe_top1": metrics["probe_top1"]} | _pretext(rows[-1]))
    result = {
        "row": row,
        "run": run.name,
        "name": entry.name,
        "method": "dpc",
        "profile": profile,
        "dataset": dataset,
        "seed": seed,
        "metrics": metrics,
        "hits": hits,
        "videos": counts,
        "checkpoints": points,
        "config": {"pretrain": config.to_dict(), "finetune": tuning.to_dict()},
        "config_hash": whole.hash(),
        "source": source.name if source else "",
        "provenance": provenance(begun, manifest.fingerprint, time.time() - begun),
    }
    run.finish(result)
    return result


def protocols(
    model: DPC,
    manifest: Manifest,
    config: DPCConfig,
    tuning: FinetuneConfig,
    source: RunFolder | None,
    log: Log,
) -> dict[str, Any]:
    """Linear probe, retrieval and fine-tuning of one encoder."""
    train = extract(model, manifest.select(split="train"), config)
    test = extract(model, manifest.select(split="test"), config)
    probe, found = linear_probe(train, test), retrieval(test, train)
    tuning = replace(tuning, source=source.name if source else f"random {config.hash()}")
    seed_everything(tuning.seed)
    classifier = model.classifier(len(manifest.classes), tuning.dropout)
    tuned = finetune(classifier, manifest, tuning, method="dpc_finetune", log=log)
    metrics = {"finetune_top1": tuned["finetune_top1"], "probe_top1": probe["probe_top1"]}
    metrics |= {k: v for k, v in found.items() if k.startswith("retrieval_r")}
    return {
        "metrics": metrics,
        "hits": {
            "finetune_top1": tuned["hits"],
            "probe_top1": probe["hits"],
            "retrieval_r1": found["hits"],
        },
        "counts": {"evaluated": tuned["evaluated"], "skipped": tuned["skipped"]},
        "probabilities": probe["probabilities"],
    }


def _checkpoints(
    model: DPC,
    source: RunFolder,
    manifest: Manifest,
    config: DPCConfig,
    tuning: FinetuneConfig,
    rows: list[dict[str, Any]],
    log: Log,
) -> list[dict[str, Any]]:
    """Downstream scores of the weights kept along the way."""
    points = []
    for path in sorted(source.path.glob("epoch*.safetensors")):
        epoch = load_state(path, model)["epoch"]
        if epoch == config.epochs:
            continue
        stage = replace(tuning, source=f"{source.name} {path.stem}")
        seed_everything(tuning.seed)
        classifier = model.classifier(len(manifest.classes), tuning.dropout)
        tuned = finetune(classifier, manifest, stage, method="dpc_finetune", log=log)
        train = extract(model, manifest.select(split="train"), config)
        probe = linear_probe(train, extract(model, manifest.select(split="test"), config))
        point = {"epoch": epoch, "finetune_top1": tuned["finetune_top1"]}
        points.append(point | {"probe_top1": probe["probe_top1"]} | _pretext(rows[epoch - 1]))
    return points


def _labels(manifest: Manifest, split: str) -> set[str]:
    """The classes that a split really holds: very small sets may lack some."""
    return {v.label for v in manifest.videos if v.split == split and v.label}


def _pretext(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"pretext_{k}": v for k, v in _prefixed(row, "val_").items()}


def _prefixed(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {k.removeprefix(prefix): v for k, v in row.items() if k.startswith(prefix)}


def _seconds(run: RunFolder) -> float:
    """Training time over all the starts of a run."""
    return float(read_info(run.checkpoint)["seconds"])
