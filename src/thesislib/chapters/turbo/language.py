"""Video and language (thesis 6.4.2, 6.5.2, Table 6.3): how its rows learn and are judged.

A clip and a sentence of each pair are told from those of the other pairs of a batch. The encoder of
sentences is frozen, so the features of all sentences are computed once and kept in memory. A test
sentence then points at a second of its video.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import send_to_device
from numpy.typing import NDArray
from safetensors.numpy import save_file

from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.config import RunConfig
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.narrated_clips import NarratedClips, SecondClips, pairs_of, seconds_of
from thesislib.data.narrations import read_alignments, read_narrations
from thesislib.errors import ThesisError
from thesislib.evaluation.alignment import Pointing, alignment
from thesislib.evaluation.features import FULL
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.files import replacing
from thesislib.image_text.sentences import SentenceEncoder, load_sentences
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig
from thesislib.runs import load_run
from thesislib.train import Trained, placed, seed_everything, train

NAME = "turbo"  # of the runs: other rows start from them
HOME = "turbo/nce-m75-r25"  # the row of Table 6.3
LEARNT_FROM = {"htm_align": "htm_aa"}
MOMENTS = "moments.safetensors"  # features of seconds and sentences, in the row's run folder

Floats = NDArray[np.float32]


def sentences(config: TurboConfig) -> SentenceEncoder:
    """The frozen encoder that settings name, on the device of training."""
    return load_sentences(config.text_encoder, PartialState().device)


def text_features(config: TurboConfig, texts: Sequence[str]) -> Floats:
    """Features of sentences ``(N, E)``; computed once a process."""
    return _features(config.text_encoder, sentences(config).weights_hash, tuple(texts))


@functools.lru_cache(maxsize=8)
def _features(name: str, weights_hash: str, texts: tuple[str, ...]) -> Floats:
    different = sorted(set(texts))
    place = {text: i for i, text in enumerate(different)}
    found = load_sentences(name, PartialState().device).encode_texts(different).numpy()
    return np.asarray(found[[place[text] for text in texts]], np.float32)


def fingerprint(dataset: str) -> str:
    """Of a data set with what is heard and seen in it, for the names of rows."""
    return _fingerprint(read_manifest(dataset))


def _fingerprint(manifest: Manifest) -> str:
    said = read_narrations(manifest)
    try:
        seen = read_alignments(manifest)
    except ThesisError:  # nobody knows: there is "heard" to learn from
        seen = {}
    text = f"{manifest.fingerprint} {said!r} {seen!r}"
    return hashlib.sha256(text.encode()).hexdigest()


def settle(config: TurboConfig, job: Job) -> TurboConfig:
    """The data set to learn from unless another is asked for, and the width of its sentences.

    HTM-AA teaches what HTM-Align examines; in the studio one data set has splits for both.
    """
    home = str(published.home(HOME, job.profile) or config.dataset)
    own = job.dataset or job.changes.get("dataset") or LEARNT_FROM.get(home, home)
    return replace(config, dataset=str(own), classes=0, text_dim=sentences(config).width)


def identity(job: Job) -> tuple[RunConfig, dict[str, Any]]:
    """Results also depend on the weights of the encoder of sentences, which no name tells."""
    whole, more = run.usual_identity(job)
    return whole, {"init": f"{more['init']} {sentences(run.settings(job)).weights_hash}"}


# -- learning ------------------------------------------------------------------------------


def pairs(manifest: Manifest, config: TurboConfig, split: str) -> NarratedClips:
    """Clips and sentences of a split, as training sees them."""
    some = manifest.select(split)
    found = pairs_of(some, config.pairs)
    texts = text_features(config, [pair.text for pair in found])
    return NarratedClips(some, config, found, texts, train=split == "train")


def pretrained(job: Job) -> Trained:
    """Training of a row, or the finished run."""
    config: TurboConfig = run.settings(job)
    manifest = read_manifest(config.dataset)

    def data() -> tuple[NarratedClips, NarratedClips | None]:
        held = any(video.split == "val" for video in manifest.videos)
        return pairs(manifest, config, "train"), pairs(manifest, config, "val") if held else None

    text = f"{_fingerprint(manifest)} {sentences(config).weights_hash}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    start = begin(config.source) if config.source else None
    return train(NAME, lambda: Turbo(config), data, config, digest, start=start, log=job.log)


def begin(source: str) -> Callable[[Turbo], None]:
    """What gives a model the first weights of a finished run, named by the caller."""
    return taking(load_run(source)[0])


def taking(other: Turbo) -> Callable[[Turbo], None]:
    """What gives a model the encoder of another, and the decoder where both have one."""
    return lambda model: model.start_from(other)


def untrained(job: Job) -> Trained:
    """Random weights."""
    config: TurboConfig = run.settings(job)
    seed_everything(config.seed)
    return Trained(placed(Turbo(config)), None, {})


# -- judging -------------------------------------------------------------------------------


@torch.no_grad()
def seconds(model: Turbo, manifest: Manifest, config: TurboConfig) -> dict[str, Floats]:
    """A feature for every second of every video, from all tokens: path to ``(T, E)``.

    Args:
        model: With ``text_dim``.
        manifest: The videos; one that cannot be read is left out.
        config: Length, stride and size of a clip.
    """
    # The frames of a second are read once: nothing is to be kept, unless it is there already.
    clips = SecondClips(manifest, FULL.apply(config), 2 * config.batch_size)
    loader = make_loader(clips, 1, shuffle=False, num_workers=config.num_workers)
    device = next(model.parameters()).device
    model.eval()
    parts: dict[str, dict[int, Floats]] = {}
    for batch in loader:
        video = send_to_device(batch["video"][0], device)
        rows = model.encode_video({"video": video}).float().cpu().numpy()
        path = manifest.videos[int(batch["index"][0])].path
        parts.setdefault(path, {})[int(batch["second"][0])] = rows
    return {path: np.concatenate([some[s] for s in sorted(some)]) for path, some in parts.items()}


def judge(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Sentences that are seen point at seconds (Table 6.3); the features stay in the run folder."""
    config: TurboConfig = run.settings(job)
    manifest = read_manifest(run.judged_on(job)).select(split)
    features = seconds(trained.model, manifest, config)
    text, videos = pointings(trained.model, manifest, config, features)
    if split == "test":
        tensors = {f"video/{path}": rows for path, rows in features.items()}
        tensors |= {f"text/{path}": rows for path, rows in text.items()}
        with replacing(run.folder(job).path / MOMENTS) as partial:
            save_file(tensors, partial)
    return measured(videos)


def measured(videos: Sequence[Pointing]) -> Scores:
    """R@1 by both rules of a segment's ends, and chance."""
    strict = alignment(videos, "strict", "align_r1_strict")
    return strict | alignment(videos)


def pointings(
    model: Turbo, manifest: Manifest, config: TurboConfig, features: dict[str, Floats]
) -> tuple[dict[str, Floats], list[Pointing]]:
    """The sentences that are seen, their features by video, and what they are compared with.

    Raises:
        Lacking: Nobody knows what is seen when.
    """
    try:
        heard, seen = read_narrations(manifest), read_alignments(manifest)
    except ThesisError as error:
        raise Lacking(str(error)) from None
    text: dict[str, Floats] = {}
    videos: list[Pointing] = []
    for path, rows in features.items():
        both = zip(heard.get(path, ()), seen.get(path, ()), strict=True)
        some = [(said.text, when) for said, when in both if when.alignable]
        some = [(said, when) for said, when in some if not math.isnan(when.start)]
        if not some:
            continue
        text[path] = text_features(config, [said for said, _ in some])
        own, other = (torch.from_numpy(x) for x in (text[path], rows))
        near = model.pair_logits(own, other).numpy()
        start, end = (np.array([getattr(when, x) for _, when in some]) for x in ("start", "end"))
        videos.append(Pointing(near, start, end))
    return text, videos


def guessing(job: Job, trained: Trained) -> Scores:
    """A second at random."""
    manifest = read_manifest(run.judged_on(job)).select("test")
    found = measured(list(_blank(manifest)))
    return Scores(
        {name: found.metrics[f"chance_{name}"] for name in ("align_r1", "align_r1_strict")}
    )


def _blank(manifest: Manifest) -> Any:
    seen = read_alignments(manifest)
    for video in manifest.videos:
        some = [when for when in seen.get(video.path, ()) if when.alignable]
        if some:
            start, end = (np.array([getattr(when, x) for when in some]) for x in ("start", "end"))
            yield Pointing(np.zeros((len(some), seconds_of(video))), start, end)
