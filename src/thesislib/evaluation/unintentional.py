"""Unintentional actions: does a clip lie before, across or after the moment of failure?

Thesis 3.4 and 3.5.7, table 3.4, after Oops (Epstein et al. 2020): a video is cut into short clips.
The clip that contains the failing moment is *transitional*, those before are *intentional* and
those after *unintentional*. A model that predicts the future should be surprised in between: for
every predicted step the guess and the truth are compared by a function xi, a classifier that is
trained on a frozen network or together with it.

The thesis leaves the layers of xi open. Ours sees, for each step, the spatial means of the guess,
of the truth and of their distance ``|guess - truth|`` place by place; a linear layer follows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from thesislib.checkpoint import RunFolder
from thesislib.config import FULL_SCALE, RunConfig
from thesislib.data.dataset import ClipDataset, WindowDataset, clip_settings
from thesislib.data.failures import read_failures
from thesislib.data.manifest import Manifest, Video
from thesislib.evaluation.features import Features, accuracy, in_batches
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.fusion import PROBABILITIES, save_probabilities
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.train import fit, seed_everything

KINDS = ("intentional", "transitional", "unintentional")


@dataclass(frozen=True)
class UnintentionalConfig(FinetuneConfig):
    """Settings of the windows and of fine-tuning; the windows are as long as in pre-training."""

    num_seq: int = 8

    @classmethod
    def preset(cls, profile: str) -> UnintentionalConfig:
        """``small``, ``gpu``, ``paper`` or ``as_released``."""
        base = FinetuneConfig.preset(profile)
        values = {name: getattr(base, name) for name in base.__dataclass_fields__}
        dataset = "oops" if profile in FULL_SCALE else "synthetic_oops"
        config = cls(**{**values, "dataset": dataset, "num_seq": 8, "per_class": 0})
        if profile == "small":
            return replace(config, epochs=12, milestones=(8, 11), val_every=12)
        return config


def kind_of(start: int, span: int, failure: int) -> int:
    """Place in :data:`KINDS` of the window of frames ``start`` to ``start + span - 1``."""
    if start + span <= failure:
        return 0
    return 1 if start <= failure else 2


class MomentClips(ClipDataset):
    """Training clips whose label says where they lie to the failing moment."""

    moments: Mapping[str, int]

    def label(self, video: Video, start: int) -> int:
        return kind_of(start, self.settings.span, self.moments[video.path])


class MomentWindows(WindowDataset):
    """Test windows whose label says where they lie to the failing moment."""

    moments: Mapping[str, int]

    def label(self, video: Video, start: int) -> int:
        return kind_of(start, self.settings.span, self.moments[video.path])


def moment_clips(manifest: Manifest, config: RunConfig) -> MomentClips:
    """One training clip a video and epoch; videos whose moment nobody knows are left out."""
    known, failures = _known(manifest)
    dataset = MomentClips(known, clip_settings(config), train=True)
    dataset.moments = failures
    return dataset.at_least(config.min_clips)


def moment_windows(manifest: Manifest, config: RunConfig) -> MomentWindows:
    """All windows, half overlapping; videos whose moment nobody knows are left out."""
    known, failures = _known(manifest)
    dataset = MomentWindows(known, replace(clip_settings(config), cache=None))
    dataset.moments = failures
    return dataset


def _known(manifest: Manifest) -> tuple[Manifest, dict[str, int]]:
    failures = read_failures(manifest)
    videos = tuple(v for v in manifest.videos if v.path in failures)
    return replace(manifest, videos=videos, class_names=KINDS), failures


def each_window(
    function: Callable[[dict[str, Tensor]], Tensor],
    module: nn.Module,
    dataset: MomentWindows,
    config: RunConfig,
) -> Features:
    """``function(batch)``, one row a window; names are ``path@first frame``."""
    rows: dict[tuple[int, int], tuple[Any, int]] = {}
    for batch, values in in_batches(function, module, dataset, config):
        numbers = (batch[name].tolist() for name in ("index", "window", "label"))
        for video, window, label, value in zip(*numbers, values, strict=True):
            rows[video, window] = value, label  # once, also where it stood in for a broken file
    starts = {(video, window): start for video, window, start in dataset.windows}
    videos = dataset.manifest.videos
    order = sorted(rows)
    return Features(
        values=np.stack([rows[key][0] for key in order]).astype(np.float32),
        labels=np.array([rows[key][1] for key in order], np.int64),
        videos=np.array([video for video, _ in order], np.int64),
        report=dict(dataset.report),
        names=tuple(f"{videos[key[0]].path}@{starts[key]}" for key in order),
    )


def moment_scores(
    probabilities: Features, train_labels: NDArray[np.int64], test: Manifest
) -> dict[str, Any]:
    """What a result says beside its top-1: a number alone tells little when kinds are uneven.

    Args:
        probabilities: ``(W, 3)``, one row a test window.
        train_labels: Kinds of the training windows, which say what the likeliest kind is.
        test: The test split, with the videos that had to be left out.

    Returns:
        ``balanced_top1`` (mean of the three recalls), ``majority_top1`` (always the commonest kind
        of training), ``windows`` (test windows of each kind), ``hits`` (a character a window),
        ``evaluated`` and ``skipped`` (test videos).
    """
    labels, right = probabilities.labels, probabilities.values.argmax(1) == probabilities.labels
    recalls = [float(right[labels == k].mean()) for k in range(len(KINDS)) if (labels == k).any()]
    evaluated = len(set(probabilities.videos.tolist()))
    return {
        "balanced_top1": float(np.mean(recalls)),
        "majority_top1": float(np.mean(labels == np.bincount(train_labels).argmax())),
        "windows": {kind: int((labels == k).sum()) for k, kind in enumerate(KINDS)},
        "hits": accuracy(probabilities)["hits"],
        "evaluated": evaluated,
        "skipped": len(test) - evaluated,
    }


def discrepancy(guess: Tensor, truth: Tensor) -> Tensor:
    """What xi sees of predicted and true features, both ``(B, P, D, h, w)``: ``(B, P * 3 * D)``."""
    parts = [part.mean((-2, -1)) for part in (guess, truth, (guess - truth).abs())]  # 3 x (B, P, D)
    return torch.cat(parts, 2).flatten(1)


class SurpriseClassifier(nn.Module):
    """A predictive network and xi: batch norm, dropout, linear.

    Args:
        model: Offers ``predicted_and_true(batch)``, both ``(B, P, D, h, w)``. It is copied.
        clip: One clip ``(N, 3, T, S, S)``, which tells how much :func:`discrepancy` gives.
        dropout: Before the linear layer.
    """

    def __init__(self, model: Any, clip: Tensor, dropout: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        batch = {"video": clip[None].to(next(model.parameters()).device)}
        with torch.no_grad():
            dim = discrepancy(*self.model.predicted_and_true(batch)).shape[1]
        self.norm = nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, len(KINDS))

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits ``(B, 3)``."""
        seen = discrepancy(*self.model.predicted_and_true(batch))
        return self.linear(self.dropout(self.norm(seen)))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy against ``batch["label"]`` and top-1 accuracy."""
        logits = self.predict(batch)
        loss = F.cross_entropy(logits, batch["label"])
        top1 = (logits.argmax(1) == batch["label"]).float().mean()
        return loss, {"loss": loss.detach(), "top1": top1}


def unintentional_probe(model: Any, manifest: Manifest, config: RunConfig) -> dict[str, Any]:
    """Frozen network: a linear classifier reads predicted and true features.

    Args:
        model: Offers ``predicted_and_true(batch)``, both ``(B, P, D, h, w)``.
        manifest: Videos with a failing moment, see :mod:`thesislib.data.failures`.
        config: Length, stride and size of the windows, as in pre-training.

    Returns:
        ``oops_probe_top1`` in ``[0, 1]`` (share of test windows) and what :func:`moment_scores`
        returns, ``probabilities`` (:class:`Features`, one row a window).

    Raises:
        ThesisError: No moment is known, no video is long enough, or the training windows are all
            of one kind.
    """

    def read(split: str) -> Features:
        windows = moment_windows(manifest.select(split=split), config)
        function = lambda batch: discrepancy(*model.predicted_and_true(batch))  # noqa: E731
        return each_window(function, model, windows, config)

    train, test = read("train"), read("test")
    found = linear_probe(train, test)
    extra = moment_scores(found["probabilities"], train.labels, manifest.select(split="test"))
    top1, probabilities = found["probe_top1"], found["probabilities"]
    return {"oops_probe_top1": top1, **extra, "probabilities": probabilities}


def unintentional_finetune(
    model: Any,
    manifest: Manifest,
    config: FinetuneConfig,
    *,
    method: str,
    log: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """The whole network is trained with xi, from the weights of ``model``.

    Args:
        model: Offers ``predicted_and_true(batch)``; it is not changed.
        manifest: Videos with a failing moment.
        config: Windows and training; an epoch shows one clip of each video from a random place.
        method: Prefix of the run folder.
        log: Where the log lines go.

    Returns:
        ``oops_finetune_top1`` in ``[0, 1]`` (share of test windows), what :func:`moment_scores`
        returns, and ``run``, whose folder keeps the windows' probabilities.

    Raises:
        ThesisError: No moment is known, or no video is long enough.
    """
    run = RunFolder.open(method, config, manifest.fingerprint)
    if run.finished:
        return run.result()
    train, val, test = (manifest.select(split=s) for s in ("train", "val", "test"))
    clips, windows = moment_clips(train, config), moment_windows(test, config)
    seed_everything(config.seed)
    classifier = SurpriseClassifier(model, clips[0]["video"], config.dropout)
    fit(classifier, clips, moment_windows(val, config), config, run, log=log)
    probabilities = each_window(
        lambda batch: torch.softmax(classifier.predict(batch), 1), classifier, windows, config
    )
    save_probabilities(run.path / PROBABILITIES, probabilities)
    seen = moment_windows(train, config)
    kinds = [seen.label(seen.manifest.videos[number], start) for number, _, start in seen.windows]
    result = {
        "oops_finetune_top1": accuracy(probabilities)["top1"],
        **moment_scores(probabilities, np.array(kinds), test),
        "run": run.name,
    }
    run.finish(result)
    return result
