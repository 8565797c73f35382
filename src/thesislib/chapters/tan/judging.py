"""How chapter 7 is judged: when a sentence is seen, and whether it is at all (thesis 7.5.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.numpy import save_file

from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.chapters.tan import narrated
from thesislib.chapters.tan.narrated import World
from thesislib.data.narrated_windows import Told
from thesislib.data.narrations import (
    ALIGNMENTS_FILE,
    NARRATIONS_FILE,
    Alignment,
    has_side_files,
    read_alignments,
)
from thesislib.evaluation.aligning import Stitched, align_windows, nearer
from thesislib.evaluation.alignment import Pointing, alignability, alignment, away, near
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.files import replacing
from thesislib.methods.tan import TAN
from thesislib.train import Trained

ALIGNED = "aligned.safetensors"  # similarities and logits of the test videos, in the run folder
WITHIN = (0.5, 1, 2, 5)  # seconds
KINDS = {"chatter": "chatter", "mention": "mentioned"}  # of sentences that are not seen

Floats = NDArray[np.float32]


class Found(NamedTuple):
    """What a row finds of one video: its sentences, when they are seen, and what it says.

    Its fields:

    - ``seen``: The truth of S sentences.
    - ``heard``: ``(S,)``, the middle of the time of speech in seconds, NaN where nobody knows.
    - ``similarity``: ``(S, T)``.
    - ``head``: ``(S,)`` logits of alignability; ``None`` without a head.
    """

    seen: tuple[Alignment, ...]
    heard: NDArray[np.float64]
    similarity: Floats
    head: NDArray[np.float64] | None = None

    @property
    def pointing(self) -> Pointing:
        """The sentences that are to be found."""
        times = np.array([(one.start, one.end) for one in self.seen if one.alignable])
        times = times.reshape(-1, 2)
        return Pointing(self.similarity[self.alignable], times[:, 0], times[:, 1])

    @property
    def alignable(self) -> NDArray[np.bool_]:
        """``(S,)``: whether a sentence is seen at all."""
        return np.array([one.alignable for one in self.seen], bool)


# -- finding -------------------------------------------------------------------------------


def truth(world: World, split: str) -> dict[str, tuple[Alignment, ...]]:
    """What is seen of the sentences of each video.

    Raises:
        Lacking: Nobody knows.
    """
    manifest = world.manifest
    if not has_side_files(manifest, NARRATIONS_FILE, ALIGNMENTS_FILE):
        raise Lacking(
            f"Nobody knows what of {manifest.name!r} is said and seen when: write "
            f"{NARRATIONS_FILE} and {ALIGNMENTS_FILE} into {manifest.root}."
        )
    return read_alignments(manifest.select(split))


def asked(job: Job) -> World:
    """What a row is judged on."""
    return narrated.world(run.judged_on(job), run.settings(job), job.log)


def heard(video: Told) -> NDArray[np.float64]:
    """The middle of the time of speech of each sentence, ``(S,)`` seconds; NaN: unknown."""
    return np.array([(one.start + one.end) / 2 for one in video.narrations])


def windows_of(model: TAN, video: Told, times: NDArray[np.float64]) -> Stitched:
    """A video by the network, window by window.

    Args:
        model: It.
        video: Features of its seconds and sentences.
        times: ``(S,)``, about when to look for each sentence, in seconds; NaN: everywhere.
    """
    device, seconds = next(model.parameters()).device, model.config.seconds
    features, texts = video.features.to(device), video.texts.to(device)
    return align_windows(model.eval(), features, texts, times, seconds, max(1, seconds // 4))


def found_by(model: TAN, world: World, split: str) -> dict[str, Found]:
    """What a network finds of each video of a split."""
    seen, videos = truth(world, split), world.told(split)
    done = {path: windows_of(model, video, heard(video)) for path, video in videos.items()}
    return {
        path: Found(
            seen[path], heard(video), done[path].similarity,
            done[path].head if model.config.says_alignable else None,
        )
        for path, video in videos.items()
    }  # fmt: skip


def cosines(video: Told) -> Floats:
    """Sentences and seconds by the frozen encoder alone, ``(S, T)``."""
    near_ = F.normalize(video.texts, dim=1) @ F.normalize(video.features, dim=1).T
    return np.asarray(near_.numpy(), np.float32)


def as_heard(video: Told) -> Floats:
    """Less by one for every second from the middle of the time of speech, ``(S, T)``."""
    at = np.arange(len(video.features)) + 0.5
    apart = np.abs(at - np.nan_to_num(heard(video))[:, None])
    return -np.asarray(apart, np.float32)


# -- measuring -----------------------------------------------------------------------------


def measured(found: Mapping[str, Found], strengths: bool = True) -> Scores:
    """R@1, shares within some seconds, and ROC-AUC by all the scores there are.

    Args:
        found: Of each video.
        strengths: Whether the similarities of different sentences can be compared; else there is
            no ROC-AUC, nor is there one where all sentences are seen.
    """
    videos = list(found.values())
    points = [one.pointing for one in videos]
    scores = near(points, WITHIN) | alignment(points, "strict", "align_r1_strict")
    scores |= alignment(points)
    truths = np.concatenate([one.alignable for one in videos])
    if not strengths or truths.all():
        return scores
    by = {"max": np.concatenate([one.similarity.max(1) for one in videos])}
    if all(one.head is not None for one in videos):
        by["head"] = np.concatenate([one.head for one in videos])
    kinds = np.array([one.kind for video in videos for one in video.seen])
    parts = {name: kinds == kind for name, kind in KINDS.items() if (kinds == kind).any()}
    able = alignability(by, truths, parts).metrics
    # As in Table 7.1: the head's, where there is one.
    best = able["align_auc_head" if "head" in by else "align_auc_max"]
    counts = {**scores.counts, "sentences": len(truths)}
    return scores | Scores({**able, "align_auc": best}, counts=counts)


def judge(job: Job, trained: Trained, split: str = "test", prior: float = 0.0) -> Scores:
    """A row of Table 7.1; what was found stays in its run folder.

    Args:
        job: Of the row.
        trained: Its model.
        split: Of the data set.
        prior: Taken off for each second from the time of speech.
    """
    found = found_by(trained.model, asked(job), split)
    if prior:
        return measured(nearer_all(found, prior), strengths=False)
    if split == "test":
        keep(job, found)
    return measured(found)


def keep(job: Job, found: Mapping[str, Found]) -> None:
    """Leaves similarities and logits in the run folder."""
    tensors = {f"similarity/{path}": one.similarity for path, one in found.items()}
    tensors |= {
        f"head/{path}": one.head.astype(np.float32)
        for path, one in found.items()
        if one.head is not None
    }
    with replacing(run.folder(job).path / ALIGNED) as partial:
        save_file(tensors, partial)


def nearer_all(found: Mapping[str, Found], prior: float) -> dict[str, Found]:
    """The same with a little taken off for each second from the time of speech."""
    return {
        path: one._replace(similarity=nearer(one.similarity, one.heard, prior))
        for path, one in found.items()
    }


# -- what needs no network -----------------------------------------------------------------


def _scored(job: Job, split: str, score: Callable[[Told], Floats]) -> dict[str, Found]:
    world = asked(job)
    seen = truth(world, split)
    return {p: Found(seen[p], heard(v), score(v)) for p, v in world.told(split).items()}


def zero_shot(job: Job, trained: Trained, split: str = "test", prior: float = 0.0) -> Scores:
    """The frozen encoder's cosines: what each second shows, without a neighbour."""
    found = _scored(job, split, cosines)
    if prior:
        return measured(nearer_all(found, prior), strengths=False)
    return measured(found)


def stamps(job: Job, trained: Trained, split: str = "test") -> Scores:
    """Every sentence is seen when it is heard.

    Raises:
        Lacking: Of a sentence that is seen nobody knows when it is heard, as in HTM-Align.
    """
    found = _scored(job, split, as_heard)
    if unknown := sum(int(np.isnan(one.heard[one.alignable]).sum()) for one in found.values()):
        raise Lacking(
            f"Of {unknown} sentences that are seen nobody knows when they are heard: judge the "
            "times of speech on a data set that has them."
        )
    return measured(found, strengths=False)


def chance(job: Job, trained: Trained, split: str = "test") -> Scores:
    """A second at random."""
    found = _scored(job, split, as_heard)
    usual = measured(found, strengths=False).metrics
    metrics = {name: usual[f"chance_{name}"] for name in ("align_r1", "align_r1_strict")}
    for limit in WITHIN:
        shares = [_share(one.pointing, limit) for one in found.values()]
        metrics[f"align_within_{limit:g}"] = float(np.concatenate(shares).mean())
    return Scores({**metrics, "align_auc": 0.5, "align_auc_max": 0.5, "align_auc_head": 0.5})


def _share(video: Pointing, limit: float) -> NDArray[np.float64]:
    """Of each sentence, which share of the video's seconds is near enough."""
    at = np.arange(video.similarity.shape[1]) + 0.5
    apart = away(at, video.start[:, None], video.end[:, None])
    return np.asarray((apart <= limit).mean(1), np.float64)
