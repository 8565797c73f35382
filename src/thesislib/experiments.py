"""The rows of the thesis's tables as runs: pre-train, fine-tune, probe, retrieve.

A notebook, the command line and the ledger all call :func:`run_row`, so a number in the book, one
in the terminal and one in ``results/`` come from the same code.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from thesislib.checkpoint import RunFolder, load_state, provenance
from thesislib.config import RunConfig, choose, runs_root
from thesislib.cotraining import cotrain, cycle_metrics
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.evaluation.features import extract
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.fusion import fuse, load_probabilities
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.methods.coclr import CoCLRConfig
from thesislib.pretraining import Log, pretext_metrics, train_model
from thesislib.protocols import (
    MORE,
    PROBE,
    judge,
    judge_moments,
    judge_supervised,
    retrieve_fused,
    tune_classifier,
)
from thesislib.rows import ROWS, method_name, row_config, row_method, row_tuning
from thesislib.train import seed_everything


def pretrain(
    row: str,
    profile: str = "small",
    dataset: str = "synthetic",
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    log: Log = print,
    tensorboard: bool = False,
) -> tuple[Any, RunFolder, dict[str, Any]]:
    """Trains the model of a row, or finds it trained; returns model, run and pretext metrics.

    The pretext accuracy is that of the validation split, one fixed clip a video.
    """
    entry = ROWS[choose("row", row, ROWS)]
    manifest = read_manifest(dataset)
    config = row_config(row, profile, dataset, seed, changes)
    start = None
    if entry.start:
        # The curriculum has the same number of steps in all: half for each task.
        half = {**(changes or {}), "epochs": config.epochs // 2}
        _, before, _ = pretrain(entry.start, profile, dataset, seed, half, log)
        config = replace(config, epochs=config.epochs - config.epochs // 2, init=before.name)
        start = partial(load_state, before.checkpoint)
    if isinstance(config, CoCLRConfig) and config.mines:
        return cotrain(config, manifest, log=log, tensorboard=tensorboard)
    return train_model(
        row_method(row),
        method_name(row),
        config,
        manifest,
        start=start,
        log=log,
        tensorboard=tensorboard,
    )


def run_row(
    row: str,
    profile: str = "small",
    dataset: str = "synthetic",
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    *,
    tune: Mapping[str, Any] | None = None,
    stages: int = 0,
    more: Collection[str] = (),
    log: Log = print,
) -> dict[str, Any]:
    """One row of a table, whole: pre-training, then every protocol the data set allows.

    Args:
        row: A key of :data:`ROWS`.
        profile: ``small``, ``gpu``, ``paper`` or ``as_released``.
        dataset: Name of a prepared data set.
        seed: Seed of initialisation, augmentation and label subset.
        changes: Settings of pre-training that differ from the preset.
        tune: Settings of fine-tuning that differ from the preset.
        stages: Fine-tune that many intermediate checkpoints as well (thesis figure 2.3).
        more: Further protocols, of :data:`MORE`.
        log: Where the log lines go.

    Returns:
        The content of ``result.json``: row, metrics (shares in ``[0, 1]``), hits, provenance, ...
    """
    entry = ROWS[choose("row", row, ROWS)]
    manifest = read_manifest(dataset)
    if entry.fuse:
        return _two_streams(row, profile, dataset, seed, changes, tune, more, log)
    method, name = row_method(row), method_name(row)
    config = row_config(row, profile, dataset, seed, changes)
    if stages and entry.pretrain:
        config = replace(config, keep_every=max(1, config.epochs // stages))
        changes = {**(changes or {}), "keep_every": config.keep_every}
    tuning = row_tuning(row, config, tune)
    asked = " ".join(choose("protocol", one, MORE) for one in sorted(more))
    whole = replace(config, init=f"{row} {tuning.hash()} {stages} {asked}".rstrip())
    run = RunFolder.open(row.replace("/", "_"), whole, manifest.fingerprint)
    if run.finished:
        return run.result()
    begun = time.time()
    metrics: dict[str, Any] = {}
    hits: dict[str, str] = {}
    points: list[dict[str, Any]] = []
    if entry.pretrain:
        model, source, result = pretrain(row, profile, dataset, seed, changes, log)
        metrics |= result["metrics"]
        points = result.get("stages", [])
        metrics |= cycle_metrics(points)
        rows = source.metrics()
        before = float(result["provenance"]["wall_seconds"])  # found trained, it still took them
    else:
        seed_everything(seed)
        model, source, rows, before = method.MODEL(config), None, [], 0.0
    trained = time.time()
    counts: dict[str, int] = {}
    tuned = ""
    weights = source.name if source else ""
    scores: dict[str, Any] = {}
    if entry.moments:
        scores = judge_moments(model, config, method=name, source=weights, log=log)
    elif not all(len(_labels(manifest, split)) > 1 for split in ("train", "test")):
        pass  # nothing to judge by
    elif entry.supervised:
        scores = judge_supervised(model, manifest, config, tuning, method=name, log=log)
    else:
        scores = judge(
            model, manifest, config, tuning, run, more, method=name, source=weights, log=log
        )
    if scores:
        metrics |= scores["metrics"]
        hits |= scores["hits"]
        counts, tuned = scores["counts"], scores["tuned"]
        if stages and source and not entry.moments:
            points = _checkpoints(model, source, manifest, config, tuning, rows, name, log)
            last = {"epoch": config.epochs, "finetune_top1": metrics["finetune_top1"]}
            points.append(last | {"probe_top1": metrics["probe_top1"]} | pretext_metrics(rows[-1]))
    return _finish(
        row,
        run,
        whole,
        metrics=metrics,
        hits=hits,
        videos=counts,
        checkpoints=points,
        config={"pretrain": config.to_dict(), "finetune": tuning.to_dict()},
        source=weights,
        tuned=tuned,
        provenance=provenance(begun, manifest.fingerprint, before + time.time() - trained),
    )


def _finish(row: str, run: RunFolder, settings: RunConfig, **found: Any) -> dict[str, Any]:
    """Writes and returns ``result.json`` of a row: which row it is, and what was found."""
    result = {
        "row": row,
        "run": run.name,
        "name": ROWS[row].name,
        "method": row.partition("/")[0],
        "profile": settings.profile,
        "dataset": settings.dataset,
        "seed": settings.seed,
        "config_hash": settings.hash(),
        **found,
    }
    run.finish(result)
    return result


def _two_streams(
    row: str,
    profile: str,
    dataset: str,
    seed: int,
    changes: Mapping[str, Any] | None,
    tune: Mapping[str, Any] | None,
    more: Collection[str],
    log: Log,
) -> dict[str, Any]:
    """A row that fuses the stored probabilities of others; they are trained, or found trained."""
    entry = ROWS[row]
    begun = time.time()
    parts = [
        run_row(part, profile, dataset, seed, changes, tune=tune, more=more, log=log)
        for part in entry.fuse
    ]
    metrics: dict[str, float] = {}
    hits: dict[str, str] = {}
    counts: dict[str, int] = {}
    if all("finetune_top1" in part["metrics"] for part in parts):
        for metric, paths in (
            ("finetune_top1", [runs_root() / part["tuned"] for part in parts]),
            ("probe_top1", [runs_root() / part["run"] / PROBE for part in parts]),
        ):
            fused = fuse([load_probabilities(path) for path in paths])
            metrics[metric], hits[metric] = fused["fusion_top1"], fused["hits"]
            counts = {"evaluated": fused["evaluated"], "skipped": fused["skipped"]}
        found = retrieve_fused([runs_root() / part["run"] for part in parts])
        metrics |= {k: v for k, v in found.items() if k.startswith("retrieval_r")}
        hits |= {"retrieval_r1": found["hits"]}
    manifest = read_manifest(dataset)
    first = entry.fuse[0]
    config = replace(
        row_tuning(first, row_config(first, profile, dataset, seed, changes), tune),
        modality="both",
        source=" ".join(part["run"] for part in parts),
    )
    run = RunFolder.open(row.replace("/", "_"), config, manifest.fingerprint)
    return _finish(
        row,
        run,
        config,
        metrics=metrics,
        hits=hits,
        videos=counts,
        config={"fuse": [part["config"] for part in parts]},
        source="",
        parts=[part["run"] for part in parts],
        provenance=provenance(begun, manifest.fingerprint, time.time() - begun),
    )


def _checkpoints(
    model: Any,
    source: RunFolder,
    manifest: Manifest,
    config: RunConfig,
    tuning: FinetuneConfig,
    rows: list[dict[str, Any]],
    method: str,
    log: Log,
) -> list[dict[str, Any]]:
    """Downstream scores of the weights kept along the way."""
    points = []
    for path in sorted(source.path.glob("epoch*.safetensors")):
        epoch = load_state(path, model)["epoch"]
        if epoch == config.epochs:
            continue
        stage = replace(tuning, source=f"{source.name} {path.stem}")
        tuned = tune_classifier(model, manifest, stage, method, log)
        train = extract(model, manifest.select(split="train"), config)
        probe = linear_probe(train, extract(model, manifest.select(split="test"), config))
        point = {"epoch": epoch, "finetune_top1": tuned["finetune_top1"]}
        points.append(
            point | {"probe_top1": probe["probe_top1"]} | pretext_metrics(rows[epoch - 1])
        )
    return points


def _labels(manifest: Manifest, split: str) -> set[str]:
    """The classes that a split really holds: very small sets may lack some."""
    return {v.label for v in manifest.videos if v.split == split and v.label}
