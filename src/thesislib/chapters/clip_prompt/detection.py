"""Action localisation (thesis 5.4.3, Tables 5.5 and 5.6): how its rows learn and are judged.

Rows with templates and rows with learnt prompts share one detector, hence their proposals: what
differs is how a proposal is named. In the open set a split into seen and unseen classes has a
detector and prompts of its own, which have learnt the seen classes alone; named are the unseen. An
action of a seen class in a test video is then as wrong to report as background.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from thesislib.chapters import run
from thesislib.chapters.clip_prompt import localisation as stages
from thesislib.chapters.clip_prompt.footage import Footage, footage, open_sets, showing, thresholds
from thesislib.chapters.clip_prompt.frames import templates, tokens
from thesislib.chapters.clip_prompt.lists import class_words
from thesislib.chapters.row import Job
from thesislib.config import FULL_SCALE
from thesislib.data.segment_clips import SegmentClips
from thesislib.data.untrimmed import Untrimmed
from thesislib.evaluation.localisation import (
    DEFINITIONS,
    average_precision,
    localisation,
)
from thesislib.evaluation.matching import AMBIGUOUS
from thesislib.evaluation.proposals import proposal_recall
from thesislib.evaluation.recognition import over_draws
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.evaluation.segments import Segments, joined
from thesislib.methods.clip_prompt import ClipPrompt, ClipPromptConfig
from thesislib.methods.proposals import ProposalConfig
from thesislib.train import Log, Trained, placed, train

PROMPTS, DETECTOR = "clip_prompt_localisation", "clip_prompt_detector"  # first parts of runs' names
DEFAULT = "activitynet"  # the definition of mAP behind ``map_...``
THUMOS_WINDOW = 256  # rows; ActivityNet's videos are stretched to one window each
# As good as twice the rows and two thirds more steps, on validation videos of the studio.
SMALL = {"window": 64, "levels": 4, "epochs": 12, "val_every": 12}
QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the lengths of training segments: windows of chance


def tuning(config: ClipPromptConfig, changes: Mapping[str, Any]) -> ProposalConfig:
    """Settings of the detector; data set and seed are those of the prompts."""
    preset = ProposalConfig.preset(config.profile)
    own: dict[str, Any] = {"seed": config.seed, "val_every": preset.epochs}
    if config.profile == "small":
        own |= SMALL
    if config.profile in FULL_SCALE and config.dataset == "thumos14":
        own |= {"whole": False, "window": THUMOS_WINDOW}
    return preset.override({**own, **changes, "dataset": config.dataset})


# -- learning ------------------------------------------------------------------------------


def learn_detector(
    found: Footage, config: ProposalConfig, classes: Collection[str] | None = None, log: Log = print
) -> Trained:
    """The first stage, trained on the segments of some classes, or found trained."""
    config = replace(config, dim=found.encoder.width)
    videos, val = found.videos["train"], found.videos["val"]
    if classes is not None:
        videos, val = (showing(some, classes) for some in (videos, val))
    return stages.train_detector(DETECTOR, videos, val, config, found.fingerprint, classes, log)


def learn_prompts(
    found: Footage, config: ClipPromptConfig, classes: Sequence[str], log: Log = print
) -> Trained:
    """The second stage, trained on clips of the segments of some classes, or found trained."""
    words = class_words(found.manifest, classes)

    def build() -> ClipPrompt:
        model: ClipPrompt = placed(
            ClipPrompt(config, found.encoder.model, tokens(found.encoder, words))
        )
        return model

    def clips(split: str, train: bool) -> SegmentClips:
        videos = showing(found.videos[split], classes)
        return SegmentClips(videos, classes, frames=config.frames, train=train, seed=config.seed)

    def data() -> tuple[SegmentClips, SegmentClips | None]:
        held = clips("val", False) if showing(found.videos["val"], classes) else None
        return clips("train", True), held

    text = "\n".join([found.fingerprint, *classes, *words])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return train(PROMPTS, build, data, config, digest, log=log)


def detector(job: Job) -> Trained:
    """Training of a row with templates: the detector alone."""
    config = run.settings(job)
    return learn_detector(footage(config, config.dataset, job.log), run.tuning(job), log=job.log)


def prompts(job: Job) -> Trained:
    """Training of a row with prompts; the detector is that of the row with templates."""
    config = run.settings(job)
    found = footage(config, config.dataset, job.log)
    return learn_prompts(found, config, found.classes, job.log)


# -- naming --------------------------------------------------------------------------------


class Namer(NamedTuple):
    """How proposals are named.

    Its fields:

    - ``classes``: Names, C.
    - ``texts``: ``(C, D)``, their embeddings.
    - ``temperature``: Of the softmax over classes.
    - ``encode``: From ``(K, T, D)``; ``None``: the mean of all rows of a proposal.
    - ``frames``: T.
    """

    classes: tuple[str, ...]
    texts: Tensor
    temperature: float
    encode: stages.Encode | None = None
    frames: int = stages.FRAMES


def by_template(
    found: Footage, classes: Sequence[str], temperature: float = stages.TEMPERATURE
) -> Namer:
    """Baseline III: hand-written sentences.

    The temperature decides how the classes of a proposal rank among those of others. That of
    training serves the template better than its own does, on validation videos of the studio.
    """
    words = class_words(found.manifest, classes)
    texts = [templates(found.manifest)[0].format(word) for word in words]
    return Namer(tuple(classes), found.encoder.encode_texts(texts), temperature)


@torch.no_grad()
def by_prompts(model: ClipPrompt, found: Footage, classes: Sequence[str]) -> Namer:
    """Learnt vectors around the names of classes, and layers over time where there are some."""
    words = class_words(found.manifest, classes)
    device = found.encoder.device
    texts = model.eval().encode_text(tokens(found.encoder, words).to(device)).cpu()
    config = model.config

    def encode(rows: Tensor) -> Tensor:
        return model.encode_video(rows.to(device)).cpu()

    layered = encode if config.layers else None
    return Namer(tuple(classes), texts, config.temperature, layered, config.frames)


def namer(model: Any, found: Footage, classes: Sequence[str], config: ClipPromptConfig) -> Namer:
    """By prompts where a model has learnt some, else by the template."""
    if isinstance(model, ClipPrompt):
        return by_prompts(model, found, classes)
    return by_template(found, classes, config.temperature)


class Found(NamedTuple):
    """What two stages report of some videos."""

    proposals: Segments  # without labels, the same for all namers
    detections: Segments


def localise(detector: Any, name: Namer, videos: Sequence[Untrimmed]) -> Found:
    """Both stages."""
    proposals = [stages.propose(detector, video) for video in videos]
    detections = [
        stages.classify(
            some, video, name.texts, name.classes, encode=name.encode, frames=name.frames,
            temperature=name.temperature,
        )
        for some, video in zip(proposals, videos, strict=True)
    ]  # fmt: skip
    return Found(joined(proposals), joined(detections))


# -- judging -------------------------------------------------------------------------------


def truth_of(videos: Sequence[Untrimmed], classes: Collection[str]) -> Segments:
    """What happens of some classes, and what may happen, which is marked as ambiguous."""
    unsure = [
        (video.name, start, end, AMBIGUOUS) for video in videos for start, end, _ in video.ambiguous
    ]
    tables = [stages.truth(videos, classes)]
    tables += [Segments.of(*zip(*unsure, strict=True))] if unsure else []
    return joined(tables)


def measured(truth: Segments, found: Found, overlaps: Sequence[float]) -> Scores:
    """mAP by the default definition, by the others beside it, and the recall of proposals.

    Args:
        truth: With ambiguous segments marked.
        found: Of the same videos.
        overlaps: At which mAP is taken, 0.5 among them.

    Returns:
        ``map_0.3``, ... ``map_mean`` with one item a class; ``map_mean_deduplicated``,
        ``map_0.5_deduplicated`` and so for each definition; ``ar_10``, ``ar_50``, ``ar_100``,
        ``ar_area``.
    """
    scores = localisation(truth, found.detections, overlaps, DEFAULT)
    for name in DEFINITIONS:
        if name != DEFAULT:
            other = average_precision(truth, found.detections, overlaps, name)
            half = float(other.mean[list(overlaps).index(0.5)])
            scores |= Scores({f"map_mean_{name}": other.average, f"map_0.5_{name}": half})
    if not len(found.proposals):
        return scores
    return scores | proposal_recall(truth, found.proposals)


def chance(
    found: Footage, videos: Sequence[Untrimmed], classes: Sequence[str], seed: int
) -> Segments:
    """Sliding windows as long as training segments are, with classes drawn by lot."""
    known = [end - start for v in found.videos["train"] for start, end, _ in v.segments]
    lengths = [float(x) for x in np.quantile(known, QUANTILES) if x > 0]
    some = [video for video in videos if len(video)]
    windows = joined(
        stages.sliding_windows(video, lengths, seed * len(some) + i) for i, video in enumerate(some)
    )
    drawn = np.random.default_rng([seed, len(windows)]).integers(len(classes), size=len(windows))
    return replace(windows, label=np.asarray(classes, str)[drawn])


def judged(
    found: Footage, detector: Any, name: Namer, dataset: str, seed: int, split: str = "test"
) -> tuple[Scores, Found]:
    """Scores of one detector and namer on the videos that show one of its classes, and chance."""
    videos = showing(found.videos[split], name.classes)
    if not videos:
        raise Lacking(
            f"No {split} video of {found.manifest.name!r} shows any of {len(name.classes)} classes."
        )
    truth, overlaps = truth_of(videos, name.classes), thresholds(dataset)
    reported = localise(detector, name, videos)
    scores = measured(truth, reported, overlaps)
    lot = localisation(truth, chance(found, videos, name.classes, seed), overlaps, DEFAULT)
    scores |= Scores({f"chance_{name}": value for name, value in lot.metrics.items()})
    return replace(scores, counts={**scores.counts, "skipped": found.missing(split)}), reported


def keep(job: Job, found: Found, number: int | None = None) -> None:
    """Leaves proposals and detections in the row's run folder, as JSON lines."""
    folder: Path = run.folder(job).path
    for name, table in found._asdict().items():
        table.save(folder / f"{name}{'' if number is None else f'-{number}'}.jsonl")


def closed(job: Job, trained: Trained, split: str = "test") -> Scores:
    """All classes were seen (Table 5.5)."""
    config, dataset = run.settings(job), run.judged_on(job)
    found = footage(config, dataset, job.log)
    learnt = found if dataset == config.dataset else footage(config, config.dataset, job.log)
    first = learn_detector(learnt, run.tuning(job), log=job.log)
    name = namer(trained.model, found, found.classes, config)
    scores, reported = judged(found, first.model, name, dataset, config.seed, split)
    keep(job, reported)
    return replace(scores, runs=(first.run.name,) if first.run else ())


def open_set(job: Job, trained: Trained, seen: float, learns: bool, split: str = "test") -> Scores:
    """Some classes were never seen (Table 5.6): means over splits of the classes.

    Args:
        job: The row.
        trained: Not used: each split learns for itself.
        seen: Share of the classes to learn.
        learns: Prompts; else the template.
        split: Whose videos are judged.

    Returns:
        The metrics of the closed set, one item a split.
    """
    config, dataset = run.settings(job), run.judged_on(job)
    found, draws = footage(config, dataset, job.log), []
    for one in open_sets(found, seen, config.seed):
        first = learn_detector(found, run.tuning(job), one.seen, job.quietly().log)
        model = learn_prompts(found, config, one.seen, None).model if learns else None
        name = namer(model, found, one.unseen, config)
        scores, reported = judged(found, first.model, name, dataset, config.seed, split)
        keep(job, reported, one.number)
        if job.log:
            job.log(f"split {one.number}: mAP {100 * scores.metrics['map_mean']:.1f}")
        draws.append(scores)
    return replace(over_draws(draws), counts={"draws": len(draws)})


with_templates, with_prompts = partial(open_set, learns=False), partial(open_set, learns=True)
