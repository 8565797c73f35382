"""Unintentional actions: does a clip lie before, across or after the moment of failure?

Thesis 3.4 and 3.5.7, table 3.4, after Oops (Epstein et al. 2020): a video is cut into short clips.
The clip that contains the failing moment is *transitional*, those before are *intentional* and
those after *unintentional*. A model that predicts the future should be surprised in between: for
every predicted step the guess and the truth are compared by a function xi, a classifier that is
trained on a frozen network or together with it.

The thesis leaves the layers of xi open. Ours sees, for each step, the spatial means of the guess,
of the truth and of their distance ``|guess - truth|``, taken place by place; a linear layer follows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.checkpoint import RunFolder
from thesislib.config import RunConfig
from thesislib.data.dataset import ClipDataset, WindowDataset
from thesislib.data.manifest import Manifest, Video
from thesislib.evaluation.features import accuracy
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
        """``small``, ``gpu`` or ``paper``."""
        base = FinetuneConfig.preset(profile)
        values = {name: getattr(base, name) for name in base.__dataclass_fields__}
        dataset = "oops" if profile == "paper" else "synthetic_oops"
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

    failures: Mapping[str, int]

    def label(self, video: Video, start: int) -> int:
        return kind_of(start, self.span, self.failures[video.path])


class MomentWindows(WindowDataset):
    """Test windows whose label says where they lie to the failing moment."""

    failures: Mapping[str, int]

    def label(self, video: Video, start: int) -> int:
        return kind_of(start, self.span, self.failures[video.path])


def discrepancy(guess: Tensor, truth: Tensor) -> Tensor:
    """What xi sees of predicted and true features, both ``(B, P, D, h, w)``: ``(B, P * 3 * D)``."""
    parts = [part.mean((-2, -1)) for part in (guess, truth, (guess - truth).abs())]  # 3 x (B, P, D)
    return torch.cat(parts, 2).flatten(1)


class SurpriseClassifier(nn.Module):
    """A predictive network and xi: batch norm, dropout, linear.

    Args:
        model: Offers ``predicted_and_true(batch)``, both ``(B, P, D, h, w)``. It is copied.
        dim: Numbers that :func:`discrepancy` makes of one clip.
        dropout: Before the linear layer.
    """

    def __init__(self, model: nn.Module, dim: int, dropout: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.norm = nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, len(KINDS))

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits ``(B, 3)``."""
        seen = discrepancy(*self.model.predicted_and_true(batch))  # type: ignore[operator]
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
        model: Offers ``predicted_and_true(batch)``.
        manifest: Videos with a failing moment, see :mod:`thesislib.data.failures`.
        config: Length, stride and size of the windows, as in pre-training.

    Returns:
        ``oops_probe_top1`` in ``[0, 1]`` and the counts of :func:`moments`.

    Raises:
        ThesisError: No moment is known, or the training windows are all of one kind.
    """
    rows = {}
    for split in ("train", "test"):
        windows = moment_windows(manifest.select(split=split), config)
        rows[split] = each_window(_surprise(model), model, windows, config)
    scores = linear_probe(rows["train"], rows["test"])
    return {
        "oops_probe_top1": scores["probe_top1"],
        **moments(rows["train"], scores["probabilities"], manifest),
        "probabilities": scores["probabilities"],
    }


def unintentional_finetune(
    model: Any,
    manifest: Manifest,
    config: FinetuneConfig,
    *,
    method: str,
    log: Callable[[str], None] | None = print,
) -> dict[str, Any]:
    """The whole network is trained with xi, from the weights of ``model``.

    An epoch shows one clip of each training video from a random place.

    Args:
        model: Offers ``predicted_and_true(batch)``; it is not changed.
        manifest: Videos with a failing moment.
        config: Windows and training.
        method: Prefix of the run folder.
        log: Where the log lines go.

    Returns:
        ``oops_finetune_top1`` in ``[0, 1]``, the counts of :func:`moments`, ``run``.

    Raises:
        ThesisError: No moment is known, or no video is long enough.
    """
    run = RunFolder.open(method, config, manifest.fingerprint)
    if run.finished:
        return run.result()
    train, test = (manifest.select(split=split) for split in ("train", "test"))
    seen = moment_windows(train, config)
    sample = {"video": seen[0]["video"][None].to(next(model.parameters()).device)}
    with torch.no_grad():
        dim = discrepancy(*model.eval().predicted_and_true(sample)).shape[1]
    seed_everything(config.seed)
    classifier = SurpriseClassifier(model, dim, config.dropout)
    val_windows = moment_windows(manifest.select(split="val"), config)
    fit(classifier, moment_clips(train, config), val_windows, config, run, log=log)
    windows = moment_windows(test, config)
    probabilities = each_window(
        lambda batch: torch.softmax(classifier.predict(batch), 1), classifier, windows, config
    )
    save_probabilities(run.path / PROBABILITIES, probabilities)
    result = {
        "oops_finetune_top1": accuracy(probabilities)["top1"],
        **moments(labels_of(seen), probabilities, manifest),
        "run": run.name,
    }
    run.finish(result)
    return result
