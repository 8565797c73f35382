"""Unintentional actions: does a clip lie before, across or after the moment of failure?

Thesis 3.4 and 3.5.7, table 3.4. A model that predicts the future should be surprised at the moment
of failure: for every predicted step the guess and the truth are compared by a function xi, a
classifier that is trained on a frozen network or together with it.

The thesis leaves the layers of xi open. Ours sees, for each step, the spatial means of the guess,
of the truth and of their distance ``|guess - truth|`` place by place; a linear layer follows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.clip_config import ClipConfig
from thesislib.config import FULL_SCALE
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.moments import KINDS, MomentWindows, moment_clips, moment_windows
from thesislib.evaluation.features import in_batches
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.scores import (
    PROBABILITIES,
    PerVideo,
    Scores,
    accuracy,
    load_rows,
    save_rows,
)
from thesislib.nn.classifier import Classifier
from thesislib.train import Log, Trained, train


@dataclass(frozen=True)
class UnintentionalConfig(FinetuneConfig):
    """Settings of the windows and of fine-tuning; the windows are as long as in pre-training."""

    num_seq: int = 8

    @classmethod
    def preset(cls, profile: str) -> Self:
        """``small``, ``gpu``, ``paper`` or ``as_released``."""
        dataset = "oops" if profile in FULL_SCALE else "synthetic_oops"
        config = replace(super().preset(profile), dataset=dataset, per_class=0)
        if profile == "small":
            return replace(config, epochs=12, milestones=(8, 11), val_every=12)
        return config


def moments(job: Job, trained: Trained) -> Scores:
    """Frozen and fine-tuned, each as accuracy and as mean recall of the three kinds (table 3.4).

    The studio's own failures stand in for the set of a small run, ``<data set>_oops``.
    """
    config = run.settings(job)
    tuning = UnintentionalConfig.preset(config.profile).override({"seed": config.seed})
    if config.profile not in FULL_SCALE:
        tuning = replace(tuning, dataset=f"{config.dataset}_oops")
    source = trained.run.name if trained.run else f"random {config.hash()}"
    tuning = replace(tuning, source=source)
    manifest = read_manifest(tuning.dataset)
    frozen = probe(trained.model, manifest, tuning)
    name = f"{run.method_name(job.row)}_oops"
    return frozen | finetune(trained.model, manifest, tuning, name=name, log=job.log)


def probe(model: Any, manifest: Manifest, config: ClipConfig) -> Scores:
    """Frozen network: a linear classifier reads predicted and true features.

    Args:
        model: Offers ``predicted_and_true(batch)``, both ``(B, P, D, h, w)``.
        manifest: Videos with a failing moment, see :mod:`thesislib.data.failures`.
        config: Length, stride and size of the windows, as in pre-training.

    Returns:
        ``oops_probe_top1`` (share of test windows) and what :func:`moment_scores` gives.

    Raises:
        ThesisError: No moment is known, no video is long enough, or the training windows are all
            of one kind.
    """

    def read(split: str) -> PerVideo:
        windows = moment_windows(manifest.select(split=split), config)
        function = lambda batch: discrepancy(*model.predicted_and_true(batch))  # noqa: E731
        return each_window(function, model, windows, config)

    seen, test = read("train"), read("test")
    return moment_scores(linear_probe(seen, test), seen.labels, manifest, "probe")


def finetune(
    model: Any, manifest: Manifest, config: FinetuneConfig, *, name: str, log: Log = print
) -> Scores:
    """The whole network is trained with xi, from the weights of ``model``, which stay.

    Args:
        model: Offers ``predicted_and_true(batch)``.
        manifest: Videos with a failing moment.
        config: Windows and training; an epoch shows one clip of each video from a random place.
        name: Prefix of the run folder, which keeps the windows' probabilities.
        log: Where the log lines go.

    Returns:
        ``oops_finetune_top1`` (share of test windows) and what :func:`moment_scores` gives.

    Raises:
        ThesisError: No moment is known, or no video is long enough.
    """
    learnt, val = (manifest.select(split=s) for s in ("train", "val"))
    clip = (config.num_seq, 3, config.seq_len, config.size, config.size)
    tuned = train(
        name,
        partial(SurpriseClassifier, model, clip, config.dropout),
        lambda: (moment_clips(learnt, config), moment_windows(val, config)),
        config,
        manifest.fingerprint,
        log=log,
    )
    assert tuned.run is not None
    if not (tuned.run.path / PROBABILITIES).is_file():
        classifier: Any = tuned.model
        rows = each_window(
            lambda batch: torch.softmax(classifier.predict(batch), 1),
            classifier,
            moment_windows(manifest.select(split="test"), config),
            config,
        )
        save_rows(tuned.run.path / PROBABILITIES, rows)
    labels = np.array(moment_windows(learnt, config).labels())
    scores = moment_scores(load_rows(tuned.run.path), labels, manifest, "finetune")
    return replace(scores, runs=(tuned.run.name,))


def each_window(
    function: Callable[[dict[str, Tensor]], Tensor],
    module: nn.Module,
    dataset: MomentWindows,
    config: ClipConfig,
) -> PerVideo:
    """``function(batch)``, one row a window; names are ``path@first frame``."""
    rows: dict[tuple[int, int], tuple[Any, int]] = {}
    for batch, values in in_batches(function, module, dataset, config):
        numbers = (batch[name].tolist() for name in ("index", "window", "label"))
        for video, window, label, value in zip(*numbers, values, strict=True):
            rows[video, window] = value, label  # once, also where it stood in for a broken file
    starts = {(video, window): start for video, window, start in dataset.windows}
    videos = dataset.manifest.videos
    order = sorted(rows)
    return PerVideo(
        values=np.stack([rows[key][0] for key in order]).astype(np.float32),
        labels=np.array([rows[key][1] for key in order], np.int64),
        videos=np.array([video for video, _ in order], np.int64),
        report=dict(dataset.report),
        names=tuple(f"{videos[key[0]].path}@{starts[key]}" for key in order),
    )


def moment_scores(
    rows: PerVideo, train_labels: NDArray[np.int64], manifest: Manifest, name: str
) -> Scores:
    """What a result says beside its top-1: a number alone tells little when kinds are uneven.

    Args:
        rows: Probabilities ``(W, 3)``, one row a test window.
        train_labels: Kinds of the training windows, which say what the likeliest kind is.
        manifest: The data set, with the test videos that had to be left out.
        name: ``probe`` or ``finetune``.

    Returns:
        ``oops_<name>_top1``, ``oops_<name>_balanced`` (mean of the three recalls),
        ``majority_top1`` (always the commonest kind of training); counts of test videos and of
        the windows of each kind.
    """
    labels, right = rows.labels, rows.values.argmax(1) == rows.labels
    recalls = [float(right[labels == k].mean()) for k in range(len(KINDS)) if (labels == k).any()]
    evaluated = len(set(rows.videos.tolist()))
    counts = {"evaluated": evaluated, "skipped": len(manifest.select(split="test")) - evaluated}
    found = accuracy(rows, f"oops_{name}_top1")
    return Scores(
        metrics={
            **found.metrics,
            f"oops_{name}_balanced": float(np.mean(recalls)),
            "majority_top1": float(np.mean(labels == np.bincount(train_labels).argmax())),
        },
        hits=found.hits,
        counts=counts | {kind: int((labels == k).sum()) for k, kind in enumerate(KINDS)},
    )


def discrepancy(guess: Tensor, truth: Tensor) -> Tensor:
    """What xi sees of predicted and true features, both ``(B, P, D, h, w)``: ``(B, P * 3 * D)``."""
    parts = [part.mean((-2, -1)) for part in (guess, truth, (guess - truth).abs())]  # 3 x (B, P, D)
    return torch.cat(parts, 2).flatten(1)


class SurpriseClassifier(Classifier):
    """A predictive network and xi: batch norm, dropout, linear.

    Args:
        model: Offers ``predicted_and_true(batch)``, both ``(B, P, D, h, w)``. It is copied.
        clip: Shape of a clip, ``(N, 3, T, S, S)``, which tells how much :func:`discrepancy` gives.
        dropout: Before the linear layer.
    """

    def __init__(self, model: Any, clip: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        batch = {"video": torch.zeros(1, *clip, device=next(model.parameters()).device)}
        with torch.no_grad():
            dim = discrepancy(*self.model.predicted_and_true(batch)).shape[1]
        self.norm = nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, len(KINDS))

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits ``(B, 3)``."""
        seen = discrepancy(*self.model.predicted_and_true(batch))
        return self.linear(self.dropout(self.norm(seen)))
