"""What the simplest readers of a data set reach: is the world neither trivial nor hopeless?

A sceptic asks whether colour gives the action away, or one frame. Each answer is a row of the
ledger like any other, so that the data page shows measured numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from thesislib.chapters import clips, run
from thesislib.chapters.row import Job, Row
from thesislib.clip_config import ClipConfig, one_view
from thesislib.data.dataset import ClipDataset
from thesislib.data.manifest import Manifest
from thesislib.data.transforms import denormalise
from thesislib.errors import ThesisError
from thesislib.evaluation.linear_probe import linear_probe
from thesislib.evaluation.retrieval import retrieval
from thesislib.evaluation.scores import PerVideo, Scores, accuracy
from thesislib.train import Trained

Pixels = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def chance(job: Job, trained: Trained) -> Scores:
    """Guessing."""
    return Scores({"top1": 1 / len(clips.labelled(job).classes)})


def mean_colour(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean and spread of each channel over the clip ``(L, H, W, 3)``: ``(6,)``."""
    pixels = frames.reshape(-1, 3).astype(np.float32)
    return np.concatenate([pixels.mean(0), pixels.std(0)])


def thumbnails(frames: NDArray[np.uint8], side: int = 16, count: int = 8) -> NDArray[np.float32]:
    """Evenly spaced frames of the clip ``(L, H, W, 3)``, small and grey, as one vector."""
    picks = frames[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    small = [
        cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)
        for f in picks
    ]
    return np.concatenate([s.reshape(-1) for s in small]).astype(np.float32)


def pixel_features(manifest: Manifest, config: ClipConfig, function: Pixels) -> PerVideo:
    """``function`` of the middle clip ``(L, H, W, 3)`` of every video, without a network."""
    dataset = ClipDataset(manifest, one_view(config), train=False)
    rows, labels, videos = [], [], []
    for i in range(len(dataset)):
        item = dataset[i]
        frames = denormalise(item["video"])  # (N, T, H, W, 3)
        rows.append(function(frames.reshape(-1, *frames.shape[2:])))
        labels.append(int(item["label"]))
        videos.append(int(item["index"]))
    values = np.stack(rows).astype(np.float32)
    return PerVideo(values, np.array(labels), np.array(videos), dataset.report)


def untaught(job: Job) -> Trained:
    """Nothing to train: refuses first weights, which no reader here would look at."""
    if run.settings(job).init:
        raise ThesisError(f"{job.row} has no weights: leave init out, or take another row.")
    return clips.nothing(job)


def colour(job: Job, trained: Trained) -> Scores:
    """A linear classifier of mean colours."""
    train, test = _splits(job, mean_colour)
    return accuracy(linear_probe(train, test), "top1")


def pixels(job: Job, trained: Trained) -> Scores:
    """The nearest neighbour, picture by picture."""
    train, test = _splits(job, thumbnails)
    found = retrieval(test, train, (1,))
    name = "retrieval_r1"
    return Scores({"top1": found.metrics[name]}, {"top1": found.hits[name]}, counts=found.counts)


def _splits(job: Job, function: Pixels) -> list[PerVideo]:
    manifest, config = clips.labelled(job), run.settings(job)
    return [pixel_features(manifest.select(split=s), config, function) for s in ("train", "test")]


def frozen(job: Job, trained: Trained) -> Scores:
    """A linear classifier of the features of random weights."""
    manifest, config = clips.labelled(job), run.settings(job)
    return accuracy(linear_probe(*clips.both_splits(trained.model, manifest, config)), "top1")


def supervised(job: Job, trained: Trained) -> Scores:
    """The small network trained on all labels."""
    found = clips.tune(job, trained, clips.labelled(job), run.tuning(job))
    return replace(clips.renamed(found, "top1"), counts=found.counts, runs=found.runs)


def tuning(config: Any, changes: Mapping[str, Any], **own: Any) -> Any:
    """All labels make longer epochs: twelve of them are more steps than a row has."""
    own = {"per_class": 0, "epochs": 12, "milestones": (8, 11), "val_every": 12, **own}
    return clips.tuning(config, changes, **own)


_reader = partial(Row, method="dpc")
_trained = partial(_reader, train=clips.untrained, judges=(supervised,))
# One frame a clip: the same network, with nothing that moves.
STILL: dict[str, Any] = {"num_seq": 1, "seq_len": 1, "windows": 1, "source": "frame"}

ROWS = {
    "baseline/chance": _reader("chance", untaught, (chance,)),
    "baseline/colour": _reader("mean colour of a clip, linear classifier", untaught, (colour,)),
    "baseline/pixels": _reader("nearest neighbour on pixels", untaught, (pixels,)),
    "baseline/random": _reader("random weights, linear probe", clips.untrained, (frozen,)),
    "baseline/frame": _trained(
        "supervised, one frame, all labels", tuning=partial(tuning, **STILL)
    ),
    "baseline/clip": _trained(
        "supervised, clips, all labels", tuning=partial(tuning, source="clip")
    ),
}
TRAINED = ("baseline/frame", "baseline/clip")


def baselines(job: Job, supervised: bool = False) -> dict[str, float]:
    """Top-1 on the test split of every reader; of the two that are trained if asked for.

    Args:
        job: Names data set and seed; its row counts for nothing.
        supervised: Train those two as well.
    """
    names = [name for name in ROWS if supervised or name not in TRAINED]
    found = {name: run.run(replace(job, row=name))["metrics"]["top1"] for name in names}
    return {name.partition("/")[2]: top1 for name, top1 in found.items()}
