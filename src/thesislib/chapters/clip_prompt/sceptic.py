"""The chapter's sceptic: how much of an accuracy needs time at all?

Some actions are others played backwards (``thesislib.synthetic.PAIRS``); only the order of
frames tells the two apart. So every recognition row also says how often it takes the right one of
such a pair, what it makes of one frame alone, and of frames in an order of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thesislib.evaluation.scores import PerVideo, Scores, accuracy, as_hits
from thesislib.synthetic import PAIRS

ORDER = 505  # of the draws of an order

# From clips (B, S, T, D), S of a video, and the numbers of the videos, to clips of the same shape.
View = Callable[[Tensor, Sequence[int]], Tensor]


def whole(features: Tensor, videos: Sequence[int]) -> Tensor:
    """The clips as they are."""
    return features


def one_frame(features: Tensor, videos: Sequence[int]) -> Tensor:
    """A still: the middle frame in the place of all."""
    middle = features.shape[2] // 2
    return features[:, :, middle : middle + 1].expand_as(features)


def shuffled(features: Tensor, videos: Sequence[int]) -> Tensor:
    """Frames in an order of chance, another one for each clip, the same one every time."""
    count, length = features.shape[1:3]
    orders = [
        np.random.default_rng([ORDER, video]).permuted(
            np.tile(np.arange(length), (count, 1)), axis=1
        )
        for video in videos
    ]
    index = torch.from_numpy(np.stack(orders)).to(features.device)
    return features.take_along_dim(index[..., None], 2)


VIEWS: dict[str, View] = {"": whole, "one_frame": one_frame, "shuffled": shuffled}


def counterparts(classes: Sequence[str]) -> dict[int, int]:
    """Class number to that of the action which is the same backwards, where both are there."""
    number = {name: i for i, name in enumerate(classes)}
    both = [(number[a], number[b]) for a, b in PAIRS if a in number and b in number]
    return dict(both) | {b: a for a, b in both}


def two_way(rows: PerVideo, classes: Sequence[str], name: str) -> Scores:
    """How often the right one of a pair is the likelier of the two; chance is a half.

    Args:
        rows: Probabilities ``(V, C)``. Of equal ones the first class counts.
        classes: Names of the C classes.
        name: Of the metric.

    Returns:
        Over the videos whose class has a counterpart; nothing where none has.
    """
    other = counterparts(classes)
    kept: NDArray[np.int64] = np.flatnonzero([label in other for label in rows.labels.tolist()])
    if not len(kept):
        return Scores()
    own = rows.labels[kept]
    theirs = np.array([other[label] for label in own.tolist()])
    mine, rival = rows.values[kept, own], rows.values[kept, theirs]
    right = (mine > rival) | ((mine == rival) & (own < theirs))
    return Scores({name: float(right.mean())}, {name: as_hits(right)})


def others(rows: PerVideo, classes: Sequence[str]) -> Scores:
    """Top-1 among all classes, of the videos whose class has no counterpart: ``others_top1``."""
    paired = counterparts(classes)
    alone = np.array([label not in paired for label in rows.labels.tolist()])
    if alone.all() or not alone.any():
        return Scores()
    right = rows.values[alone].argmax(1) == rows.labels[alone]
    return Scores({"others_top1": float(right.mean())}, {"others_top1": as_hits(right)})


def doubts(views: dict[str, PerVideo], classes: Sequence[str]) -> Scores:
    """What the views of one test set say.

    Args:
        views: Probabilities by the names of :data:`VIEWS`.
        classes: Names of the classes.

    Returns:
        ``pairs_top1``, and ``others_top1`` of the actions that have no counterpart;
        ``one_frame_top1``, ``one_frame_pairs_top1``; ``shuffled_top1``, ``shuffled_pairs_top1``.
        Pairs only where the data set has some.
    """
    scores = others(views[""], classes)
    for view, rows in views.items():
        prefix = f"{view}_" if view else ""
        if view:
            found = accuracy(rows, f"{view}_top1")
            scores |= Scores(found.metrics, found.hits)
        scores |= two_way(rows, classes, f"{prefix}pairs_top1")
    return scores
