"""Action classification (thesis 6.4.1, 6.5.1, Tables 6.1 and 6.2): how rows learn and are judged.

Of a data set that says what happens when, the steps are classified, a clip each; of any other, its
labelled videos. Every model is judged with several shares of the tokens dropped at test time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.chapters.turbo import starts
from thesislib.clip_config import ClipConfig
from thesislib.data import dataset
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.segments import SEGMENTS_FILE, Segment, labels_of, read_segments
from thesislib.data.step_clips import StepClips, steps_of
from thesislib.errors import ThesisError
from thesislib.evaluation.features import FULL, over_steps, over_windows
from thesislib.evaluation.scores import Lacking, PerVideo
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig, gflops
from thesislib.train import Trained, placed, seed_everything, train

NAME = "turbo"  # of the runs: other rows start from them
# Rows that others start from, and the one whose features are probed.
PIXELS, LANGUAGE, SPOKEN = "turbo/mae", "turbo/nce-m50-r50", "turbo/nce-m75-r25"


@dataclass(frozen=True)
class Actions:
    """A data set to classify.

    Attributes:
        manifest: Its videos.
        classes: Names in the order of their numbers.
        segments: Path of a video to its steps; ``None``: videos have labels.
    """

    manifest: Manifest
    classes: tuple[str, ...]
    segments: Mapping[str, Sequence[Segment]] | None

    @property
    def fingerprint(self) -> str:
        """Of videos and labels."""
        if self.segments is None:
            return self.manifest.fingerprint
        text = f"{self.manifest.fingerprint} {dict(self.segments)!r}"
        return hashlib.sha256(text.encode()).hexdigest()

    def steps(self, split: str, config: ClipConfig, *, train: bool) -> StepClips:
        """Clips of the steps of a split."""
        some = self.manifest.select(split)
        return StepClips(
            some, config, steps_of(some, self.segments or {}, self.classes), train=train
        )

    def training(self, config: TurboConfig) -> tuple[Any, Any]:
        """Clips to learn from, and others to validate on, or ``None``."""
        if self.segments is None:
            return dataset.clips_of(self.manifest, config)
        held = any(video.split == "val" for video in self.manifest.videos)
        val = self.steps("val", config, train=False) if held else None
        return self.steps("train", config, train=True), val


def actions(name: str) -> Actions:
    """Reads a data set: its steps where it says what happens when, else its labelled videos."""
    manifest = read_manifest(name)
    if not (manifest.root / SEGMENTS_FILE).is_file():
        return Actions(manifest, manifest.classes, None)
    segments = read_segments(manifest)
    return Actions(manifest, labels_of(segments), segments)


def fingerprint(name: str) -> str:
    """Of a data set with its steps, for the names of rows."""
    return actions(name).fingerprint


# -- settings ------------------------------------------------------------------------------


def settle(config: TurboConfig, job: Job, times: float = 1.0) -> TurboConfig:
    """Trained on what it is judged on.

    Args:
        config: So far.
        job: Of a row.
        times: So often the epochs in the small profile, for equal processor time with m = 0;
            elsewhere, unless it is 1, as often as the operations are fewer.
    """
    name = str(job.changes.get("dataset") or job.dataset or run.judged_on(job))
    if times != 1.0 and "epochs" not in job.changes:
        if job.profile != "small":
            times = gflops(replace(config, mask_ratio=0.0, recon_ratio=0.0)) / gflops(config)
        config = replace(config, epochs=round(times * config.epochs))
    return replace(config, dataset=name)


def fitted(config: TurboConfig, found: Actions, job: Job) -> TurboConfig:
    """Settings with what follows from the data: classes, and whether clips may be mirrored."""
    if config.classes and len(found.classes) < 2:
        raise Lacking(
            f"{config.dataset!r} has fewer than two classes: label more of its videos, or learn to "
            "reconstruct alone with classes=0."
        )
    if found.segments is not None and "augment.flip" not in job.changes:
        # A mirror image would make a lie of left and right, which steps are named by.
        config = config.override({"augment.flip": 0.0})
    return replace(config, classes=len(found.classes) if config.classes else 0)


def given(job: Job) -> tuple[Actions, TurboConfig]:
    """The data set of a row and its settings for it.

    Raises:
        Lacking: There is nothing to tell apart.
        ThesisError: It is to be judged on other classes than it learnt.
    """
    config: TurboConfig = run.settings(job)
    if run.judged_on(job) != config.dataset:
        raise ThesisError(
            f"{job.row} tells the classes apart that it has learnt: name one data set for both, by "
            "--dataset."
        )
    found = actions(config.dataset)
    return found, fitted(config, found, job)


def before(row: str, job: Job) -> Job:
    """What another row starts from; video and language have data of their own."""
    return starts.first(row, job, run.settings(job).dataset if row == PIXELS else "")


# -- learning ------------------------------------------------------------------------------


def trained(job: Job, first: str = "") -> Trained:
    """Training of a row, or the finished run.

    Args:
        job: Its setting ``source`` names a finished run, or a file of VideoMAE's, to start from.
        first: The row that it starts from otherwise; "": from random weights.
    """
    found, config = given(job)
    if first and not config.source:
        config = replace(config, source=_run_of(first, job))
    build, data = partial(Turbo, config), partial(found.training, config)
    start = starts.begin(config.source) if config.source else None
    return train(NAME, build, data, config, found.fingerprint, start=start, log=job.log)


def untrained(job: Job) -> Trained:
    """Random weights."""
    _, config = given(job)
    seed_everything(config.seed)
    return Trained(placed(Turbo(config)), None, {})


def taken(job: Job, first: str) -> Trained:
    """The weights of another row as they are, to be read by a probe."""
    found = untrained(job)
    starts.begin(_run_of(first, job))(found.model)
    return found


def _run_of(first: str, job: Job) -> str:
    """The name of the run of a row that another starts from, trained or found."""
    begun = run.train(before(first, job)).run
    assert begun is not None
    return begun.name


# -- reading -------------------------------------------------------------------------------


def read(
    function: Callable[[dict[str, Any]], Tensor],
    model: Turbo,
    found: Actions,
    config: TurboConfig,
    split: str,
) -> PerVideo:
    """``function(batch)`` of every step or video of a split, ``(V, D)``.

    Tokens are drawn by the run's seed, whatever was drawn before.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        if found.segments is None:
            return over_windows(function, model, found.manifest.select(split), config)
        return over_steps(function, model, found.steps(split, FULL.apply(config), train=False))


def classify(
    model: Turbo,
    found: Actions,
    config: TurboConfig,
    split: str,
    ratios: Mapping[str, float],
    samples: int = 1,
) -> dict[str, PerVideo]:
    """Probabilities ``(V, classes)`` with each share of tokens dropped; clips are read once."""

    def function(batch: dict[str, Any]) -> Tensor:
        logits = [model.predict(batch, ratio, samples) for ratio in ratios.values()]
        return torch.cat([one.softmax(1) for one in logits], 1)

    rows = read(function, model, found, config, split)
    parts = np.split(rows.values, len(ratios), axis=1)
    return {name: replace(rows, values=part) for name, part in zip(ratios, parts, strict=True)}
