"""Recognition by prompts (thesis 5.4.2): how a row learns, and how it is judged.

Everything is trained and judged on features that were extracted once. Text features of all classes
are computed once a step in training, and once in judging.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thesislib.chapters import run
from thesislib.chapters.clip_prompt import sceptic
from thesislib.chapters.clip_prompt.frames import class_words, image_text, store, templates, tokens
from thesislib.chapters.clip_prompt.lists import open_sets
from thesislib.chapters.clips import labelled
from thesislib.chapters.row import Job
from thesislib.data.feature_clips import FeatureClips
from thesislib.data.features import FeatureStore
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest
from thesislib.evaluation import recognition as protocols
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.scores import PROBABILITIES, PerVideo, Scores, save_rows
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.train import Log, Trained, placed, seed_everything, train

NAME = "clip_prompt"  # of the runs
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # of a probe (its c), one is chosen on validation videos

# From frame features (B, T, D) and gaps (B,) to one row a clip: probabilities, or anything else.
Reader = Callable[[Tensor, Tensor], Tensor]


# -- learning ------------------------------------------------------------------------------


def build(config: ClipPromptConfig, words: Sequence[str]) -> ClipPrompt:
    """A fresh model for classes of these words, on the device of training."""
    encoder = image_text(config)
    model: ClipPrompt = placed(ClipPrompt(config, encoder.model, tokens(encoder, words)))
    return model


def clips_of(
    manifest: Manifest, kept: FeatureStore, config: ClipPromptConfig, *, train: bool
) -> FeatureClips:
    """Clips of features by the settings."""
    return FeatureClips(
        manifest, kept, frames=config.frames, strides=config.strides, rate=config.rate,
        train=train, samples=config.test_clips, seed=config.seed,
    )  # fmt: skip


def learn(
    manifest: Manifest,
    kept: FeatureStore,
    config: ClipPromptConfig,
    name: str = NAME,
    log: Log = print,
) -> Trained:
    """Learns the classes of a data set from its training split, or finds them learnt.

    Args:
        manifest: Its classes are those to learn.
        kept: Features of its frames.
        config: Settings.
        name: First part of the run's name.
        log: Where the log lines go.
    """
    words = class_words(manifest)

    def data() -> tuple[FeatureClips, FeatureClips | None]:
        learnt = clips_of(manifest.select("train"), kept, config, train=True)
        if not any(video.split == "val" for video in manifest.videos):
            return learnt, None
        # One clip of each, shaped as in training; always of epoch 0, so always the same.
        return learnt, clips_of(manifest.select("val"), kept, config, train=True)

    seen = "\n".join([manifest.fingerprint, kept.fingerprint, *words])
    fingerprint = hashlib.sha256(seen.encode()).hexdigest()
    return train(name, partial(build, config, words), data, config, fingerprint, log=log)


def prompted(job: Job) -> Trained:
    """A row of prompts, with or without layers over time."""
    manifest, kept, config = given(job, to_learn=True)
    return learn(manifest, kept, config, log=job.log)


def untrained(job: Job) -> Trained:
    """Baselines: the frozen model as it is."""
    config = run.settings(job)
    seed_everything(config.seed)
    return Trained(build(config, ("",)), None, {})


def learns(config: ClipPromptConfig) -> bool:
    """Whether settings leave anything to learn; otherwise classes are named by a template."""
    return bool(config.context or config.layers)


# -- reading -------------------------------------------------------------------------------


def given(job: Job, to_learn: bool = False) -> tuple[Manifest, FeatureStore, ClipPromptConfig]:
    """The labelled videos of a job's data set, their features and the settings of its row.

    Args:
        job: A row.
        to_learn: The data set that is trained on; else the one that is judged on.
    """
    config: ClipPromptConfig = run.settings(job)
    manifest = labelled(replace(job, on=config.dataset) if to_learn else job)
    kept = store(manifest, config, job.log)
    return only(manifest, manifest.classes), kept, config  # without the unlabelled


def only(manifest: Manifest, classes: Sequence[str]) -> Manifest:
    """The videos of some classes, which are numbered in this order."""
    kept = set(classes)
    videos = tuple(video for video in manifest.videos if video.label in kept)
    return replace(manifest, videos=videos, class_names=tuple(classes))


@torch.no_grad()
def class_texts(model: ClipPrompt, manifest: Manifest) -> Tensor:
    """Text features of all classes ``(C, D)``: of prompts, or of a template written by hand."""
    encoder, words = image_text(model.config), class_words(manifest)
    bare = not learns(model.config)
    texts = [templates(manifest)[0].format(word) for word in words] if bare else words
    device = next(encoder.model.parameters()).device
    return model.encode_text(tokens(encoder, texts).to(device))


def by_text(model: ClipPrompt, manifest: Manifest) -> Reader:
    """Reads clips by the texts of all classes, which are encoded once: probabilities ``(B, C)``."""
    model.eval()
    text = class_texts(model, manifest)
    return lambda features, gap: model.classify(features, text, gap).softmax(1)


def mean_frame(features: Tensor, gap: Tensor) -> Tensor:
    """The mean of a clip's frame features ``(B, D)``, which probes read."""
    return features.mean(1)


@torch.no_grad()
def read(
    reader: Reader,
    clips: FeatureClips,
    config: ClipPromptConfig,
    views: Mapping[str, sceptic.View] | None = None,
) -> dict[str, PerVideo]:
    """What a reader says of every video, seen in several ways; the mean over its test clips.

    Args:
        reader: From clips to a row each.
        clips: Made with ``train=False``.
        config: Batch size, workers.
        views: By name; default: the clips as they are, under "".
    """
    views = views or {"": sceptic.whole}
    device = next(image_text(config).model.parameters()).device
    rows: dict[str, list[Any]] = {name: [] for name in views}
    labels: list[int] = []
    videos: list[int] = []
    loader = make_loader(
        clips, 2 * config.batch_size, shuffle=False, num_workers=config.num_workers
    )
    for batch in loader:
        features, gap = batch["features"].to(device), batch["gap"].to(device)  # (B, S, T, D)
        numbers = batch["index"].tolist()
        for name, view in views.items():
            found = reader(view(features, numbers).flatten(0, 1), gap.flatten())
            rows[name].append(found.unflatten(0, features.shape[:2]).mean(1).float().cpu().numpy())
        labels += batch["label"].tolist()
        videos += numbers
    return {
        name: PerVideo(
            np.concatenate(parts), np.array(labels), np.array(videos), dict(clips.report),
            tuple(clips.manifest.videos[i].path for i in videos),
        )
        for name, parts in rows.items()
    }  # fmt: skip


# -- judging -------------------------------------------------------------------------------


def closed(job: Job, trained: Trained, split: str = "test") -> Scores:
    """All classes were seen (Tables 5.1 and 5.2), and what the sceptic asks.

    The probabilities stay in the row's run folder.
    """
    manifest, kept, config = given(job)
    clips = clips_of(manifest.select(split), kept, config, train=False)
    views = read(by_text(trained.model, manifest), clips, config, sceptic.VIEWS)
    return _closed(job, manifest, views)


def probe(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Baseline II: a linear classifier of the mean frame, its strength chosen on validation."""
    manifest, kept, config = given(job)

    def features(part: str, **views: sceptic.View) -> dict[str, PerVideo]:
        clips = clips_of(manifest.select(part), kept, config, train=False)
        return read(mean_frame, clips, config, views or None)

    learnt = features("train")[""]
    held = any(video.split == "val" for video in manifest.videos)
    c = strength(learnt, features("val")[""]) if held else 1.0
    test = features(split, **sceptic.VIEWS)
    values = np.concatenate([rows.values for rows in test.values()])  # read by one and the same
    labels = np.tile(test[""].labels, len(test))
    found = linear_probe(learnt, replace(test[""], values=values, labels=labels), c).values
    parts = zip(test.items(), np.split(found, len(test)), strict=True)
    return _closed(job, manifest, {name: replace(rows, values=v) for (name, rows), v in parts})


def strength(learnt: PerVideo, val: PerVideo) -> float:
    """The c of :func:`~thesislib.evaluation.linear_probe.linear_probe` that validates best."""
    right = [
        float((linear_probe(learnt, val, c).values.argmax(1) == val.labels).mean())
        for c in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(right))]


def _closed(job: Job, manifest: Manifest, views: dict[str, PerVideo]) -> Scores:
    save_rows(run.folder(job).path / PROBABILITIES, views[""])
    return protocols.top(views[""]) | sceptic.doubts(views, manifest.classes)


def open_set(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Some classes were never seen (Table 5.4): means over draws of classes.

    Each draw learns the videos of its seen classes alone, from the start. Seen videos are then told
    apart among seen classes, unseen ones among unseen.
    """
    manifest, kept, config = given(job)
    draws = []
    for classes in open_sets(manifest, config.seed):
        seen, unseen = only(manifest, classes.seen), only(manifest, classes.unseen)
        one = trained
        if learns(config):
            one = learn(seen, kept, config, f"{NAME}_open", job.log)
        found = [
            read(by_text(one.model, part), clips_of(rows, kept, config, train=False), config)[""]
            for part, rows in ((seen, seen.select(split)), (unseen, unseen.select(split)))
        ]
        scores = protocols.open_set(*found)
        draws.append(replace(scores, runs=(one.run.name,) if one.run else ()))
    return replace(protocols.over_draws(draws), counts={"draws": len(draws)})


def chance(job: Job, trained: Trained) -> Scores:
    """Guessing."""
    classes = len(labelled(job).classes)
    one, five = 1 / classes, min(1.0, 5 / classes)
    halves = dict.fromkeys(("pairs_top1", "shuffled_pairs_top1", "one_frame_pairs_top1"), 0.5)
    alike = ("top1", "others_top1", "one_frame_top1", "shuffled_top1", "fewshot_top1")
    guesses = dict.fromkeys(alike, one)
    return Scores({**guesses, "top5": five, "top_mean": (one + five) / 2, **halves})
