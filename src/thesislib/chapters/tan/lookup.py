"""Sentences look up the moment that they tell of, among those of all videos: Table 7.3 (7.6)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.chapters.row import Job
from thesislib.chapters.tan import judging
from thesislib.chapters.tan.narrated import World
from thesislib.data.segments import SEGMENTS_FILE, Segment, read_segments
from thesislib.evaluation.scores import Lacking, Scores
from thesislib.evaluation.text_retrieval import text_retrieval
from thesislib.methods.tan import TAN
from thesislib.train import Trained


class Moments(NamedTuple):
    """Sentences that are seen, and the moments at which they are.

    Its fields:

    - ``clips``: C tensors ``(T, D)``, the seconds of each moment.
    - ``labels``: C names of what happens there; "" where nobody says.
    - ``texts``: ``(S, ...)``, a row a sentence.
    - ``own``: S numbers of moments.
    """

    clips: list[Tensor]
    labels: list[str]
    texts: Tensor
    own: list[int]


def judge(job: Job, trained: Trained, split: str = "test") -> Scores:
    """The dual encoder sees each moment by itself, cut out of its video.

    The steps of the studio repeat. Another moment of the same step is as right as a sentence's own,
    and is no rival of it.

    Raises:
        Lacking: No sentence is seen, or there is but one moment.
    """
    world = judging.asked(job)
    found = moments(world, split)
    similarity = compared(trained.model if isinstance(trained.model, TAN) else None, found)
    for row, own in enumerate(found.own):
        for other, label in enumerate(found.labels):
            if label and other != own and label == found.labels[own]:
                similarity[row, other] = -2.0  # below every cosine
    scores = text_retrieval(similarity, found.own)
    metrics = {name: value for name, value in scores.metrics.items() if name.startswith("t2v_r")}
    return Scores(
        metrics | {"t2v_median_rank": scores.metrics["t2v_median"]},
        {name: hits for name, hits in scores.hits.items() if name.startswith("t2v_r")},
        counts={"moments": len(found.clips)},
    )


def moments(world: World, split: str) -> Moments:
    """Those of a split, in its order; sentences that share a moment share a clip."""
    seen, videos, steps = judging.truth(world, split), world.told(split), _steps(world, split)
    places: dict[tuple[str, float, float], int] = {}
    clips: list[Tensor] = []
    labels: list[str] = []
    texts: list[Tensor] = []
    own: list[int] = []
    for path, video in videos.items():
        for one, text in zip(seen[path], video.texts, strict=True):
            if not one.alignable:
                continue
            key = (path, one.start, one.end)
            if key not in places:
                places[key] = len(clips)
                clips.append(_cut(video.features, one.start, one.end))
                labels.append(_label(steps.get(path, ()), one.start, one.end))
            texts.append(text)
            own.append(places[key])
    if len(clips) < 2:
        raise Lacking(f"{world.manifest.name!r} has {len(clips)} moments: two or more are needed.")
    return Moments(clips, labels, torch.stack(texts), own)


def _steps(world: World, split: str) -> dict[str, tuple[Segment, ...]]:
    if not (world.manifest.root / SEGMENTS_FILE).is_file():
        return {}
    return {path: tuple(some) for path, some in read_segments(world.manifest.select(split)).items()}


def _cut(features: Tensor, start: float, end: float) -> Tensor:
    """The seconds that a moment touches, one at least."""
    first = min(math.floor(start), len(features) - 1)
    return features[first : max(first + 1, math.ceil(end))]


def _label(steps: tuple[Segment, ...], start: float, end: float) -> str:
    """The step that shares most of a moment."""
    shared = [(min(end, one.end) - max(start, one.start), one.label) for one in steps]
    best = max(shared, default=(0.0, ""))
    return best[1] if best[0] > 0 else ""


@torch.no_grad()
def compared(model: TAN | None, found: Moments) -> np.ndarray:
    """Cosines of sentences and moments, ``(S, C)``; without a network the frozen encoder's."""
    if model is None:
        rows = [F.normalize(clip, dim=1).mean(0) for clip in found.clips]
        texts = F.normalize(found.texts, dim=1)
    else:
        device = next(model.parameters()).device
        model.eval()
        parts = [model.encode_video({"video": clip[None].to(device)})[0] for clip in found.clips]
        rows = [part.mean(0).cpu() for part in parts]
        texts = model.encode_text(found.texts[None].to(device))[0].cpu()
    return (texts @ F.normalize(torch.stack(rows), dim=1).T).numpy()
