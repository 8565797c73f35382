"""Every protocol of the thesis on one encoder, as the rows of its tables need them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thesislib.checkpoint import RunFolder, load_state
from thesislib.config import FULL_SCALE, RunConfig, runs_root
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.evaluation.data_efficiency import data_efficiency
from thesislib.evaluation.features import extract
from thesislib.evaluation.finetune import FinetuneConfig, finetune
from thesislib.evaluation.fusion import beside, load_probabilities, save_probabilities
from thesislib.evaluation.linear_probe import linear_probe, sgd_probe
from thesislib.evaluation.nonlinear_probe import nonlinear_probe
from thesislib.evaluation.retrieval import retrieval
from thesislib.evaluation.unintentional import (
    UnintentionalConfig,
    unintentional_finetune,
    unintentional_probe,
)
from thesislib.pretraining import Log
from thesislib.train import seed_everything

PROBE = "probe.safetensors"  # class probabilities of the linear probe, in the row's run folder
FEATURES = "features-{}.safetensors"  # of the test and training videos, likewise
# Protocols that cost more time, or are one chapter's alone.
MORE = ("nonlinear", "efficiency", "sgd", "network")


def judge(
    model: Any,
    manifest: Manifest,
    config: RunConfig,
    tuning: FinetuneConfig,
    run: RunFolder,
    more: Collection[str] = (),
    *,
    method: str,
    source: str,
    log: Log,
) -> dict[str, Any]:
    """Every protocol of one encoder: frozen features, then fine-tuning.

    Args:
        model: With ``encode`` and ``classifier``.
        manifest: With labels in training and test split.
        config: Settings of the features: clip length, size, modality.
        tuning: Settings of fine-tuning.
        run: Where the features and the probabilities of the probe are kept, for fusion.
        more: ``nonlinear`` (a probe with a hidden layer), ``efficiency`` (shares of the labels),
            ``sgd`` and ``network`` (the linear probe as CoCLR released it: on stored features, and
            behind the frozen network with augmented clips).
        method: Prefix of the runs of fine-tuning.
        source: Name of the run whose weights these are; "" for random ones.
        log: Where the log lines go.

    Returns:
        ``metrics``, ``hits`` by metric, ``counts`` of test videos, ``tuned`` (name of the run).
    """
    train = extract(model, manifest.select(split="train"), config)
    test = extract(model, manifest.select(split="test"), config)
    probe, found = linear_probe(train, test), retrieval(test, train)
    save_probabilities(run.path / PROBE, probe["probabilities"])
    for split, features in (("train", train), ("test", test)):
        save_probabilities(run.path / FEATURES.format(split), features)
    tuning = replace(tuning, source=source or f"random {config.hash()}")
    tuned = tune_classifier(model, manifest, tuning, method, log)
    metrics = {"finetune_top1": tuned["finetune_top1"], "probe_top1": probe["probe_top1"]}
    metrics |= {k: v for k, v in found.items() if k.startswith("retrieval_r")}
    hits = {
        "finetune_top1": tuned["hits"],
        "probe_top1": probe["hits"],
        "retrieval_r1": found["hits"],
    }
    if "nonlinear" in more:
        curved = nonlinear_probe(train, test, seed=config.seed)
        metrics["nonlinear_top1"], hits["nonlinear_top1"] = curved["nonlinear_top1"], curved["hits"]
    if "sgd" in more:
        released = sgd_probe(train, test, seed=config.seed)
        metrics["sgd_probe_top1"], hits["sgd_probe_top1"] = (
            released["sgd_probe_top1"],
            released["hits"],
        )
    if "network" in more:
        frozen = replace(
            tuning, per_class=0, source=f"{tuning.source} frozen", lr=0.1, optimiser="sgd"
        )
        whole = tune_classifier(model, manifest, frozen, method, log, frozen=True)
        metrics["network_probe_top1"] = whole["finetune_top1"]
        hits["network_probe_top1"] = whole["hits"]
    if "efficiency" in more:

        def tune(part: Manifest) -> dict[str, Any]:
            return tune_classifier(model, part, _same_steps(part, tuning), method, log)

        shares = data_efficiency(
            model, manifest, replace(tuning, per_class=0), method=method, score=tune, log=log
        )
        for row in shares["data_efficiency"]:
            key = f"finetune_top1_{round(100 * row['share'])}"
            metrics[key], hits[key] = row["finetune_top1"], row["hits"]
    return {
        "metrics": metrics,
        "hits": hits,
        "counts": {"evaluated": tuned["evaluated"], "skipped": tuned["skipped"]},
        "tuned": tuned["run"],
    }


def judge_supervised(
    model: Any,
    manifest: Manifest,
    config: RunConfig,
    tuning: FinetuneConfig,
    *,
    method: str,
    log: Log,
) -> dict[str, Any]:
    """Training with all labels and cross-entropy, from the model's weights (table 4.1).

    Args and returns as :func:`judge`; the features are those of the trained classifier.
    """
    # All labels make longer epochs: as many steps as pre-training has, with the same clips.
    tuning = replace(tuning, per_class=0, source="supervised", epochs=config.epochs, milestones=())
    tuning = replace(tuning, val_every=config.epochs, batch_size=config.batch_size)
    tuned = tune_classifier(model, manifest, tuning, method, log)
    classifier = model.classifier(len(manifest.classes), tuning.dropout)
    load_state(RunFolder(runs_root() / tuned["run"]).checkpoint, classifier)
    train, test = (extract(classifier, manifest.select(split=s), config) for s in ("train", "test"))
    found = retrieval(test, train)
    return {
        "metrics": {"finetune_top1": tuned["finetune_top1"]}
        | {k: v for k, v in found.items() if k.startswith("retrieval_r")},
        "hits": {"finetune_top1": tuned["hits"], "retrieval_r1": found["hits"]},
        "counts": {"evaluated": tuned["evaluated"], "skipped": tuned["skipped"]},
        "tuned": tuned["run"],
    }


def retrieve_fused(folders: Sequence[Path]) -> dict[str, Any]:
    """Retrieval by the sum of several streams' similarities (table 4.3, two streams).

    Args:
        folders: Run folders of rows that :func:`judge` has seen.
    """
    test, train = (
        beside([load_probabilities(folder / FEATURES.format(split)) for folder in folders])
        for split in ("test", "train")
    )
    return retrieval(test, train, centre=False)


def tune_classifier(
    model: Any,
    manifest: Manifest,
    tuning: FinetuneConfig,
    method: str,
    log: Log,
    frozen: bool = False,
) -> dict[str, Any]:
    """A classifier that starts from the model, its head drawn by the seed."""
    seed_everything(tuning.seed)
    classifier = model.classifier(len(manifest.classes), tuning.dropout, frozen=frozen)
    return finetune(classifier, manifest, tuning, method=f"{method}_finetune", log=log)


def _same_steps(part: Manifest, tuning: FinetuneConfig) -> FinetuneConfig:
    """Settings for all labels of ``part``, with the steps of the preset where it bounds them.

    Otherwise the share with ten times the labels would also be trained ten times as long.
    """
    if not tuning.per_class:
        return tuning
    usual = max(tuning.per_class * len(part.classes), tuning.min_clips)
    held = max(sum(v.split == "train" for v in part.videos), tuning.min_clips)
    factor = min(1.0, usual / held)
    epochs, *milestones = (max(1, round(factor * e)) for e in (tuning.epochs, *tuning.milestones))
    return replace(
        tuning, per_class=0, epochs=epochs, milestones=tuple(milestones), val_every=epochs
    )


def judge_moments(
    model: Any, config: RunConfig, *, method: str, source: str, log: Log
) -> dict[str, Any]:
    """Unintentional actions (table 3.4): is a clip before, across or after the moment of failure?

    The studio's own failures stand in for the set of a small run, ``<dataset>_oops``.

    Args:
        model: With ``predicted_and_true``.
        config: Of its pre-training; the windows are as long as its clips.
        method: Prefix of the run of fine-tuning.
        source: Name of the run whose weights these are; "" for random ones.
        log: Where the log lines go.

    Returns:
        As :func:`judge`; ``counts`` also holds the windows of each kind.
    """
    tuning = UnintentionalConfig.preset(config.profile).override({"seed": config.seed})
    if config.profile not in FULL_SCALE:
        tuning = replace(tuning, dataset=f"{config.dataset}_oops")
    tuning = replace(tuning, source=source or f"random {config.hash()}")
    manifest = read_manifest(tuning.dataset)
    probe = unintentional_probe(model, manifest, tuning)
    tuned = unintentional_finetune(model, manifest, tuning, method=f"{method}_oops", log=log)
    metrics = {k: tuned[k] for k in ("oops_finetune_top1", "majority_top1")}
    metrics |= {"oops_probe_top1": probe["oops_probe_top1"]}
    for name, found in (("probe", probe), ("finetune", tuned)):
        metrics[f"oops_{name}_balanced"] = found["balanced_top1"]
    return {
        "metrics": metrics,
        "hits": {"oops_finetune_top1": tuned["hits"], "oops_probe_top1": probe["hits"]},
        "counts": {"evaluated": tuned["evaluated"], "skipped": tuned["skipped"]} | tuned["windows"],
        "tuned": tuned["run"],
    }
