"""Activities in long videos, end to end (thesis 6.4.3, 6.5.3, Table 6.4).

16, 32 or 64 frames are spread over a whole video, and the more there are the more of their tokens
are dropped, so that each row sees the same number of tokens. At test time all are seen, in ten
samples of frames whose probabilities are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from thesislib.chapters import run
from thesislib.chapters.clips import labelled
from thesislib.chapters.row import Job
from thesislib.chapters.turbo import language, starts
from thesislib.data.dataset import clips_of
from thesislib.data.long_clips import LongClips
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.evaluation.features import FULL, in_batches
from thesislib.evaluation.scores import PROBABILITIES, PerVideo, Scores, accuracy, save_rows
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig
from thesislib.train import Trained, train

NAME = "turbo_long"  # of the runs
HOME = "turbo/long-f32"  # a row of Table 6.4
NCE = "turbo/nce-m75-r25"  # what rows start from
SAMPLES = 10  # of a test video (6.4.3)
VIDEOMAE: dict[str, Any] = {"text_dim": 0, "mask_ratio": 0.9, "recon_ratio": 0.9}

Start = Callable[[Job], Trained]


def settle(config: TurboConfig, job: Job) -> TurboConfig:
    """Trained on what it is judged on; positions are stretched from the length of its start."""
    dataset = str(job.changes.get("dataset", run.judged_on(job)))
    trained = run.settings(before(job)).seq_len
    return replace(config, dataset=dataset, text_dim=0, trained_frames=trained, short="pad")


def fitted(config: TurboConfig, manifest: Manifest) -> TurboConfig:
    """Settings with the number of activities of the data."""
    return replace(config, classes=len(manifest.classes))


def before(job: Job) -> Job:
    """The row of video and language, on its own data set."""
    return starts.first(NCE, job)


# -- beginnings ----------------------------------------------------------------------------


def from_language(job: Job) -> Trained:
    """Trained with sentences (6.5.2)."""
    return run.train(before(job))


def from_pixels(job: Job) -> Trained:
    """Trained to reconstruct, as VideoMAE is, with as many steps and on the same videos."""
    first = before(job)
    config: TurboConfig = run.settings(first)
    manifest = read_manifest(config.dataset)
    clips = len(language.pairs(manifest, config, "train"))
    config = config.override(VIDEOMAE | {"min_clips": clips})
    data = partial(clips_of, manifest, config)
    build = partial(Turbo, config)
    return train(language.NAME, build, data, config, manifest.fingerprint, log=job.log)


# -- learning ------------------------------------------------------------------------------


def samples(manifest: Manifest, config: TurboConfig, split: str) -> LongClips:
    """One sample of each video of a split, as training and validation see them."""
    return LongClips(manifest.select(split), config, train=split == "train", samples=1)


def trained(job: Job, start: Start | None = from_language) -> Trained:
    """Training of a row from the weights of another run; ``source`` names one of the caller's."""
    config: TurboConfig = run.settings(job)
    manifest = labelled(replace(job, on=config.dataset))
    config = fitted(config, manifest)
    begin = starts.begin(config.source) if config.source else None
    if start is not None and begin is None:
        first = start(job)
        assert first.run is not None
        begin, config = starts.taking(first.model), replace(config, source=first.run.name)

    def data() -> tuple[LongClips, LongClips | None]:
        held = any(video.split == "val" and video.label for video in manifest.videos)
        val = samples(manifest, config, "val") if held else None
        return samples(manifest, config, "train"), val

    build = partial(Turbo, config)
    return train(NAME, build, data, config, manifest.fingerprint, start=begin, log=job.log)


# -- judging -------------------------------------------------------------------------------


def classify(model: Turbo, manifest: Manifest, config: TurboConfig, draws: int) -> PerVideo:
    """Probabilities of activities ``(V, classes)``, the mean over samples of a video.

    Args:
        model: A classifier.
        manifest: The videos; one that cannot be read is left out and counted.
        config: Frames of a sample, size, batch size.
        draws: Samples of each video.
    """
    cache = config.cache  # samples of a video follow one another: it is opened once, if kept
    seen_as = replace(FULL.apply(config), cache=cache)
    dataset = LongClips(manifest, seen_as, train=False, samples=draws)
    rows: dict[int, dict[int, np.ndarray]] = {}
    labels: dict[int, int] = {}
    function = lambda batch: torch.softmax(model.predict(batch), 1)  # noqa: E731
    for batch, values in in_batches(function, model, dataset, config):
        numbers = (batch[name].tolist() for name in ("index", "sample", "label"))
        for video, sample, label, value in zip(*numbers, values, strict=True):
            rows.setdefault(video, {})[sample] = value  # one that stands in for another: again
            labels[video] = label
    order = sorted(rows)
    return PerVideo(
        values=np.stack([np.mean(list(rows[v].values()), 0) for v in order]).astype(np.float32),
        labels=np.array([labels[v] for v in order], np.int64),
        videos=np.array(order, np.int64),
        report=dict(dataset.report),
        names=tuple(manifest.videos[v].path for v in order),
    )


def judge(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Top-1 of activities (Table 6.4); the probabilities stay in the row's run folder."""
    config: TurboConfig = run.settings(job)
    rows = classify(trained.model, labelled(job).select(split), config, SAMPLES)
    if split == "test":
        save_rows(run.folder(job).path / PROBABILITIES, rows)
    return accuracy(rows, "long_top1")
