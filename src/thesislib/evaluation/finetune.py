"""Fine-tuning: the encoder becomes an action classifier, trained end to end (thesis 2.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from thesislib.checkpoint import RunFolder
from thesislib.config import PROFILES, SMALL_CLIPS, Augment, RunConfig, choose
from thesislib.data.dataset import ClipDataset, clip_settings
from thesislib.data.manifest import Manifest
from thesislib.data.transforms import CROPS
from thesislib.errors import ThesisError
from thesislib.evaluation.features import PROTOCOLS, Features, accuracy, over_windows
from thesislib.evaluation.fusion import PROBABILITIES, save_probabilities
from thesislib.train import fit

CLASSIFIER_AUGMENT = Augment(jitter=(0.5, 0.5, 0.5, 0.25), jitter_p=0.3, jitter_scope="clip")


@dataclass(frozen=True)
class FinetuneConfig(RunConfig):
    """Settings of supervised training; the defaults are the thesis's (2.4, action classifier)."""

    weight_decay: float = 1e-3
    num_seq: int = 5  # blocks; the released code has 8
    schedule: str = "steps"  # twice to a tenth
    augment: Augment = CLASSIFIER_AUGMENT
    per_class: int = 0  # labelled videos a class; 0: all
    dropout: float = 0.5
    backbone_lr: float = 1.0  # rate of the backbone, against that of the linear layer
    windows: int = 0  # test windows a video; 0: all, half overlapping
    crops: int = 1  # test views of a window: 1, 5 or 10
    protocol: str = "full"  # of the test: full, or as released: a key of PROTOCOLS
    source: str = ""  # the run whose weights are tuned; "" for random initialisation

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("protocol", self.protocol, PROTOCOLS)
        if self.crops not in CROPS:
            raise ThesisError(f"There are no {self.crops} test crops: choose one of 1, 5 and 10.")

    @classmethod
    def preset(cls, profile: str) -> FinetuneConfig:
        """``small``, ``gpu``, ``paper`` or ``as_released``.

        What differs from method to method is in :func:`thesislib.rows.row_tuning`.
        """
        paper = cls(profile="paper", dataset="ucf101", epochs=300, milestones=(60, 80))
        if profile == "small":
            return replace(
                paper,
                **SMALL_CLIPS,
                epochs=40,
                milestones=(28, 36),
                per_class=10,
                dropout=0.3,
                val_every=40,
            )
        if profile == "gpu":
            return replace(
                paper, profile="gpu", dataset="synthetic", epochs=60, milestones=(40, 52), stride=1
            )
        if profile == "as_released":
            released = replace(CLASSIFIER_AUGMENT, interpolation="nearest")
            return replace(paper, profile=profile, num_seq=8, augment=released)
        return replace(paper, profile=choose("profile", profile, PROFILES))


def clips(manifest: Manifest, config: RunConfig, *, train: bool) -> ClipDataset:
    """Clips as ``config`` says: one a video and epoch, more of a small training set."""
    settings = replace(clip_settings(config), modality=config.streams)
    dataset = ClipDataset(manifest, settings, train=train)
    return dataset.at_least(config.min_clips) if train else dataset


def validation_clips(manifest: Manifest, config: RunConfig) -> ClipDataset | None:
    """The middle clip of each validation video; ``None`` where no such video can be used."""
    try:
        return clips(manifest.select(split="val"), config, train=False)
    except ThesisError:  # none there, or none long enough: training goes on without
        return None


def classify(classifier: Any, manifest: Manifest, config: FinetuneConfig) -> Features:
    """Class probabilities ``(V, classes)``: softmax of each window and crop, averaged."""
    return over_windows(
        lambda batch: torch.softmax(classifier.predict(batch), 1),
        classifier,
        manifest,
        config,
        config.windows,
        config.crops,
        config.protocol,
    )


def finetune(
    classifier: nn.Module,
    manifest: Manifest,
    config: FinetuneConfig,
    *,
    method: str,
    log: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """Trains ``classifier`` on the training split and scores it on the test split.

    Args:
        classifier: From ``model.classifier(classes)``.
        manifest: With labels.
        config: Settings; ``per_class`` draws a class-balanced subset of the training split with
            the run's seed.
        method: Prefix of the run folder.
        log: Where the log lines go.

    Returns:
        ``finetune_top1``, ``val_top1``, ``hits``, ``evaluated``, ``skipped``, ``run``. The test
        videos' probabilities lie in the run folder, see :mod:`thesislib.evaluation.fusion`.
    """
    if len(manifest.classes) < 2:
        raise ThesisError(f"{manifest.name} has fewer than two classes: fine-tuning needs labels.")
    run = RunFolder.open(method, config, manifest.fingerprint)
    if run.finished:
        return run.result()
    train = manifest.select(split="train", per_class=config.per_class or None, seed=config.seed)
    rows = fit(
        classifier,
        clips(train, config, train=True),
        validation_clips(manifest, config),
        config,
        run,
        log=log,
    )
    probabilities = classify(classifier, manifest.select(split="test"), config)
    save_probabilities(run.path / PROBABILITIES, probabilities)
    scores = accuracy(probabilities)
    result = {
        "finetune_top1": scores.pop("top1"),
        "val_top1": rows[-1].get("val_top1"),
        **scores,
        "run": run.name,
    }
    run.finish(result)
    return result
