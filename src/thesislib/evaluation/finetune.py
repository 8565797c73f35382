"""Fine-tuning: the encoder becomes an action classifier, trained end to end (thesis 2.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import torch
from torch import nn

from thesislib.clip_config import SMALL_CLIPS, Augment, ClipConfig
from thesislib.config import PROFILES
from thesislib.data.dataset import training_clips, validation_clips
from thesislib.data.manifest import Manifest
from thesislib.data.transforms import CROPS
from thesislib.errors import ThesisError, choose
from thesislib.evaluation.features import TestView, over_windows
from thesislib.evaluation.scores import (
    PROBABILITIES,
    PerVideo,
    Scores,
    accuracy,
    load_rows,
    save_rows,
)
from thesislib.fields import Natural, NonNegative, Share, one_of
from thesislib.train import Log, Trained, train

CLASSIFIER_AUGMENT = Augment(jitter=(0.5, 0.5, 0.5, 0.25), jitter_p=0.3, jitter_scope="clip")


@dataclass(frozen=True)
class FinetuneConfig(ClipConfig):
    """Settings of supervised training; the defaults are the thesis's (2.4, action classifier)."""

    weight_decay: float = 1e-3
    num_seq: int = 5  # blocks; the released code has 8
    schedule: str = "steps"  # twice to a tenth
    augment: Augment = CLASSIFIER_AUGMENT
    per_class: Natural = 0  # labelled videos a class; 0: all
    dropout: Share = 0.5
    backbone_lr: NonNegative = 1.0  # rate of the backbone, against that of the linear layer
    windows: Natural = 0  # test windows a video; 0: all, half overlapping
    # Test views of a window: 1, 5 or 10.
    crops: Annotated[int, one_of("number of test crops", CROPS)] = 1
    protocol: str = "full"  # how test videos are seen: full, or as released for a method
    source: str = ""  # the run whose weights are tuned; "" for random initialisation

    @classmethod
    def preset(cls, profile: str) -> Self:
        """``small``, ``gpu``, ``paper`` or ``as_released``.

        What differs from method to method is said by the ``tuning`` of its chapter's rows.
        """
        paper = cls(profile="paper", dataset="ucf101", epochs=300, milestones=(60, 80))
        if profile == "small":
            return replace(
                paper, **SMALL_CLIPS, epochs=40, milestones=(28, 36), per_class=10, dropout=0.3,
                val_every=40,
            )  # fmt: skip
        if profile == "gpu":
            return replace(
                paper, profile="gpu", dataset="synthetic", epochs=60, milestones=(40, 52), stride=1
            )
        if profile == "as_released":
            released = replace(CLASSIFIER_AUGMENT, interpolation="nearest")
            return replace(paper, profile=profile, num_seq=8, augment=released)
        return replace(paper, profile=choose("profile", profile, PROFILES))


def classify(
    classifier: Any, manifest: Manifest, config: FinetuneConfig, view: TestView
) -> PerVideo:
    """Class probabilities ``(V, classes)``: softmax of each window and crop, averaged."""
    return over_windows(
        lambda batch: torch.softmax(classifier.predict(batch), 1),
        classifier,
        manifest,
        config,
        config.windows,
        config.crops,
        view,
    )


def finetune(
    build: Callable[[], nn.Module],
    manifest: Manifest,
    config: FinetuneConfig,
    *,
    name: str,
    view: TestView,
    log: Log = print,
) -> tuple[Trained, Scores]:
    """Trains a classifier on the training split and scores it on the test split.

    Args:
        build: Makes it, for instance ``partial(model.classifier, classes, dropout)``; called after
            seeding.
        manifest: With labels.
        config: Settings; ``per_class`` draws a class-balanced subset of the training split with
            the run's seed.
        name: Prefix of the run folder.
        view: How test videos are seen: what ``config.protocol`` names.
        log: Where the log lines go.

    Returns:
        The classifier and its run, which keeps the test videos' probabilities
        (:func:`thesislib.evaluation.scores.load_rows`); ``finetune_top1``.

    Raises:
        ThesisError: Fewer than two classes.
    """
    if len(manifest.classes) < 2:
        raise ThesisError(f"{manifest.name} has fewer than two classes: fine-tuning needs labels.")

    def data() -> Any:
        some = manifest.select(split="train", per_class=config.per_class or None, seed=config.seed)
        return training_clips(some, config), validation_clips(manifest, config)

    tuned = train(name, build, data, config, manifest.fingerprint, log=log)
    assert tuned.run is not None
    if not (tuned.run.path / PROBABILITIES).is_file():
        rows = classify(tuned.model, manifest.select(split="test"), config, view)
        save_rows(tuned.run.path / PROBABILITIES, rows)
    scores = accuracy(load_rows(tuned.run.path), "finetune_top1")
    return tuned, replace(scores, runs=(tuned.run.name,))
