"""A network that sees pixels learns from the sentences that were aligned: Table 7.4 (thesis 7.6).

Model D says which sentences of the training videos are seen, and when. A clip of that time and its
sentence are a pair, and the video encoder of chapter 6 learns to tell it from the other pairs of a
batch; sentences come from a frozen encoder. A linear probe then reads which step a clip shows. The
thesis begins with MIL-NCE's weights; ours begins with none.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
from accelerate import PartialState

from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.chapters.tan import judging, narrated
from thesislib.config import RunConfig
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.narrated_clips import NarratedClips, Pair, pairs_of
from thesislib.data.segments import SEGMENTS_FILE, labels_of, read_segments
from thesislib.data.step_clips import StepClips, steps_of
from thesislib.errors import ThesisError
from thesislib.evaluation.features import FULL, over_steps
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.scores import Lacking, PerVideo, Scores, accuracy
from thesislib.image_text.sentences import WIDTHS, SentenceEncoder, load_sentences
from thesislib.methods.tan import TAN
from thesislib.methods.tan_config import TanConfig
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig
from thesislib.subtitles.placing import PRIOR, best_place
from thesislib.train import Trained, placed, seed_everything, train

NAME, SECOND = "tan_pixels", "tan/d"


def settle(config: TurboConfig, job: Job) -> TurboConfig:
    """Chapter 7's data set unless another is asked for, and the usual width of its sentences."""
    own = job.changes.get("dataset") or job.dataset or TanConfig.preset(job.profile).dataset
    width = WIDTHS.get(config.text_encoder, WIDTHS["microsoft/mpnet-base"])
    frames = config.num_seq * config.seq_len
    return replace(config, dataset=str(own), classes=0, text_dim=width, trained_frames=frames)


def sentences(config: TurboConfig) -> SentenceEncoder:
    """The frozen encoder that settings name, on the device of training."""
    return load_sentences(config.text_encoder, PartialState().device)


def before(job: Job) -> Job:
    """The row whose network says when sentences are seen."""
    return replace(job.also(SECOND), dataset=run.settings(job).dataset, on="", more=(), changes={})


def identity(job: Job) -> tuple[RunConfig, dict[str, Any]]:
    """Results also depend on the encoder of sentences, and on whose times the pairs have."""
    whole, more = run.usual_identity(job)
    text = f"{more['init']} {sentences(run.settings(job)).weights_hash}"
    if run.settings(job).pairs == "aligned":
        first, others = run.identity(before(job))
        text += f" from {first.hash(**others)}"
    return whole, {"init": text}


# -- learning ------------------------------------------------------------------------------


def found_pairs(model: TAN, world: narrated.World, some: Manifest, split: str) -> list[Pair]:
    """The sentences that a network takes for seen, at the time that it finds.

    As ``thesislib align`` has it: its head says which, and it looks near the speech first.

    Args:
        model: Trained by the second stage.
        world: Features of the videos.
        some: The videos of the split.
        split: Training or validation.

    Raises:
        ThesisError: No sentence is.
    """
    places, pairs = {video.path: i for i, video in enumerate(some.videos)}, []
    for path, video in world.told(split).items():
        done = judging.windows_of(model, video, judging.heard(video))
        for row, head, said in zip(done.similarity, done.head, video.narrations, strict=True):
            start, end, score = best_place(
                row.astype(np.float64), said.start, said.end, prior=PRIOR
            )
            if head >= 0 and not math.isnan(score):
                pairs.append(Pair(places[path], start, end, said.text))
    if not pairs:
        raise ThesisError(f"Of {world.manifest.name!r} no {split} sentence is taken for seen.")
    return pairs


def pairs(job: Job, some: Manifest, split: str) -> list[Pair]:
    """Clips and sentences to learn from: as they were aligned, or as they are heard."""
    if run.settings(job).pairs == "heard":
        return pairs_of(some, "heard")
    first = before(job)
    world = narrated.world(run.settings(first).dataset, run.settings(first), job.log)
    return found_pairs(run.train(first.quietly()).model, world, some, split)


def trained(job: Job) -> Trained:
    """Training of a row, or the finished run."""
    config: TurboConfig = run.settings(job)
    encoder, manifest = sentences(config), read_manifest(config.dataset)
    config = replace(config, text_dim=encoder.width)

    def clips(split: str) -> NarratedClips:
        some = manifest.select(split)
        found = pairs(job, some, split)
        texts = encoder.encode_texts([pair.text for pair in found]).numpy()
        return NarratedClips(some, config, found, texts, train=split == "train")

    def data() -> tuple[NarratedClips, NarratedClips | None]:
        learnt = clips("train")
        try:
            return learnt, clips("val")
        except ThesisError:  # no such video, or none with a sentence: training goes on without
            return learnt, None

    whole, more = identity(job)
    text = f"{narrated.fingerprint(config.dataset)} {whole.hash(**more)}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return train(NAME, functools.partial(Turbo, config), data, config, digest, log=job.log)


def untrained(job: Job) -> Trained:
    """Random weights."""
    config: TurboConfig = run.settings(job)
    seed_everything(config.seed)
    return Trained(placed(Turbo(replace(config, text_dim=sentences(config).width))), None, {})


# -- judging -------------------------------------------------------------------------------


def judge(job: Job, trained: Trained, split: str = "test") -> Scores:
    """A linear classifier of the frozen features of steps.

    Raises:
        Lacking: Nobody knows which steps the videos show.
    """
    manifest = read_manifest(run.judged_on(job))
    if not (manifest.root / SEGMENTS_FILE).is_file():
        raise Lacking(
            f"Nobody knows which steps {manifest.name!r} shows: write {SEGMENTS_FILE} into "
            f"{manifest.root}."
        )
    segments = read_segments(manifest)
    classes, config = labels_of(segments), FULL.apply(run.settings(job))

    def read(part: str) -> PerVideo:
        some = manifest.select(part)
        steps = steps_of(some, segments, classes)
        data = StepClips(some, config, steps, train=False)
        return over_steps(
            functools.partial(trained.model.encode, mask_ratio=0.0), trained.model, data
        )

    return accuracy(linear_probe(read("train"), read(split)), "probe_top1")
