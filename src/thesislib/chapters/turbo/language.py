"""Video and language (thesis 6.4.2, 6.5.2, Table 6.3): how its rows learn and are judged.

A clip and a sentence of each pair are told from those of the other pairs of a batch. The encoder of
sentences is frozen, so the features of all sentences are computed once and kept in memory. A test
sentence then points at a second of its video.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import send_to_device
from numpy.typing import NDArray
from safetensors.numpy import save_file

from thesislib import published
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.chapters.turbo import starts
from thesislib.config import RunConfig
from thesislib.data import narrations
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.narrated_clips import NarratedClips, SecondClips, pairs_of, seconds_of
from thesislib.data.narrations import (
    ALIGNMENTS_FILE,
    NARRATIONS_FILE,
    has_side_files,
    read_alignments,
    read_narrations,
)
from thesislib.errors import ThesisError
from thesislib.evaluation.alignment import Pointing, alignment
from thesislib.evaluation.features import FULL
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.files import replacing
from thesislib.image_text.sentences import WIDTHS, SentenceEncoder, load_sentences
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig
from thesislib.train import Trained, placed, seed_everything, train

NAME = "turbo"  # of the runs: other rows start from them
HOME = "turbo/nce-m75-r25"  # the row of Table 6.3
LEARNT_FROM = {"htm_align": "htm_aa"}
MOMENTS = "moments.safetensors"  # features of seconds and sentences, in the row's run folder

METRIC, ENDS = "align_r1", ("start", "end")

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
    return narrations.fingerprint(read_manifest(dataset))


def settle(config: TurboConfig, job: Job) -> TurboConfig:
    """The data set to learn from unless another is asked for, and the usual width of its sentences.

    HTM-AA teaches what HTM-Align examines; in the studio one data set has splits for both.
    """
    home = str(published.home(HOME, job.profile) or config.dataset)
    own = job.dataset or job.changes.get("dataset") or LEARNT_FROM.get(home, home)
    width = WIDTHS.get(config.text_encoder, WIDTHS["microsoft/mpnet-base"])
    frames = config.num_seq * config.seq_len
    return replace(config, dataset=str(own), classes=0, text_dim=width, trained_frames=frames)


def fitted(config: TurboConfig) -> TurboConfig:
    """Settings with the width of the encoder's sentences, whatever it is."""
    return replace(config, text_dim=sentences(config).width)


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
    config = fitted(run.settings(job))
    manifest = read_manifest(config.dataset)

    def data() -> tuple[NarratedClips, NarratedClips | None]:
        learnt = pairs(manifest, config, "train")
        try:
            return learnt, pairs(manifest, config, "val")
        except ThesisError:  # no such video, or none with a sentence: training goes on without
            return learnt, None

    text = f"{narrations.fingerprint(manifest)} {sentences(config).weights_hash}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    start = starts.begin(config.source) if config.source else None
    return train(NAME, lambda: Turbo(config), data, config, digest, start=start, log=job.log)


def untrained(job: Job) -> Trained:
    """Random weights."""
    config = fitted(run.settings(job))
    seed_everything(config.seed)
    return Trained(placed(Turbo(config)), None, {})


# -- judging -------------------------------------------------------------------------------


class Seen(NamedTuple):
    """A sentence that is seen, as the truth has it."""

    text: str
    start: float  # seconds
    end: float


def seen_sentences(manifest: Manifest) -> dict[str, list[Seen]]:
    """Those of each video that has one, in the order of its narration.

    Raises:
        Lacking: Nobody knows what is said, or seen when.
    """
    if not has_side_files(manifest, NARRATIONS_FILE, ALIGNMENTS_FILE):
        raise Lacking(
            f"Nobody knows what of {manifest.name!r} is said and seen when: write "
            f"{NARRATIONS_FILE} and {ALIGNMENTS_FILE} into {manifest.root}."
        )
    said, when = read_narrations(manifest), read_alignments(manifest)
    found = {
        path: [
            Seen(one.text, at.start, at.end)
            for one, at in zip(said[path], when[path], strict=True)
            if at.alignable
        ]
        for path in said
    }
    return {path: some for path, some in found.items() if some}


@torch.no_grad()
def seconds(model: Turbo, manifest: Manifest, config: TurboConfig) -> dict[str, Floats]:
    """A feature for every second of every video, from all tokens: path to ``(T, E)``.

    Args:
        model: With ``text_dim``.
        manifest: The videos; one that cannot be read is left out.
        config: Length, stride and size of a clip.
    """
    seen_as = replace(FULL.apply(config), cache=config.cache)  # long videos are judged on them too
    clips = SecondClips(manifest, seen_as, 2 * config.batch_size)
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
    said = seen_sentences(manifest)
    video = seconds(trained.model, manifest, config)
    text = {path: text_features(config, [one.text for one in said[path]]) for path in said}
    if split == "test":
        tensors = {f"video/{path}": rows for path, rows in video.items()}
        tensors |= {f"text/{path}": rows for path, rows in text.items()}
        with replacing(run.folder(job).path / MOMENTS) as partial:
            save_file(tensors, partial)
    near = {
        path: trained.model.pair_logits(torch.from_numpy(text[path]), torch.from_numpy(rows))
        for path, rows in video.items()
        if path in said
    }
    lost = sum(len(some) for path, some in said.items() if path not in near)
    scores = measured({path: matrix.numpy() for path, matrix in near.items()}, said)
    return scores | Scores(counts={"skipped": lost})


def measured(near: Mapping[str, Floats], said: Mapping[str, Sequence[Seen]]) -> Scores:
    """R@1 by both rules of a segment's ends, and chance.

    Args:
        near: Path of a video to similarities ``(sentences, seconds)``.
        said: Path of a video to its sentences.
    """
    videos = []
    for path, matrix in near.items():
        start, end = (np.array([getattr(one, name) for one in said[path]]) for name in ENDS)
        videos.append(Pointing(matrix, start, end))
    return alignment(videos, "strict", f"{METRIC}_strict") | alignment(videos, name=METRIC)


def guessing(job: Job, trained: Trained) -> Scores:
    """A second at random."""
    manifest = read_manifest(run.judged_on(job)).select("test")
    said, length = seen_sentences(manifest), {v.path: seconds_of(v) for v in manifest.videos}
    blank = {path: np.zeros((len(some), length[path]), np.float32) for path, some in said.items()}
    found = measured(blank, said).metrics
    return Scores({name: found[f"chance_{name}"] for name in (METRIC, f"{METRIC}_strict")})
