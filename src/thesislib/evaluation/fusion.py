"""Late fusion of streams from their stored probabilities (thesis 3.3.3).

Two networks, one that saw RGB and one that saw optical flow, have scored the same test videos. The
two-stream result is the mean of their probabilities: no network runs again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import torch

from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PerVideo, unit

DISAGREE = "The streams disagree on the classes of the same videos: score both on one data set."


def fuse(streams: Sequence[PerVideo], weights: Sequence[float] | None = None) -> PerVideo:
    """Late fusion: the weighted mean of the streams' probabilities, video by video.

    Args:
        streams: Probabilities ``(V, classes)`` with ``names``; the videos may stand in any order.
        weights: One for each stream, not negative; default: all the same, as in the thesis.

    Returns:
        One row for each video that all streams have, in the order of the first; the others of its
        test set count as skipped.

    Raises:
        ThesisError: Fewer than two streams, unfit weights, no common video, or streams that do
            not agree on classes or labels.
    """
    if len(streams) < 2:
        raise ThesisError(f"Fusion needs at least two streams, not {len(streams)}.")
    share = np.ones(len(streams)) if weights is None else np.asarray(weights, float)
    if share.shape != (len(streams),) or not (share >= 0).all() or not 0 < share.sum() < np.inf:
        raise ThesisError(
            f"weights={weights} do not fit {len(streams)} streams: give one number of 0 or more "
            "for each, not all 0."
        )
    rows = _common(streams)
    if any(other.values.shape != rows[0].values.shape for other in rows):
        raise ThesisError(DISAGREE)
    total = reduce(np.add, (w * r.values.astype(float) for w, r in zip(share, rows, strict=True)))
    return replace(rows[0], values=(total / share.sum()).astype(np.float32))


def beside(streams: Sequence[PerVideo]) -> PerVideo:
    """Features of several streams side by side, so that one cosine is the mean of theirs.

    Each stream is centred and scaled to length one; videos that a stream lacks are left out.

    Raises:
        ThesisError: No common video, or streams that do not agree on labels.
    """
    rows = _common(streams)
    units = []
    for stream in rows:
        values = torch.from_numpy(stream.values)
        units.append(unit(values - values.mean(0)))
    return replace(rows[0], values=torch.cat(units, 1).numpy())


def _common(streams: Sequence[PerVideo]) -> list[PerVideo]:
    """The rows of the videos that all streams have, in the order of the first."""
    places = [{name: i for i, name in enumerate(s.names)} for s in streams]
    for stream, place in zip(streams, places, strict=True):
        if len(place) != len(stream.values):
            raise ThesisError(
                f"A stream has {len(stream.values)} rows for {len(place)} different videos: each "
                "row needs its own name."
            )
    common = [name for name in streams[0].names if all(name in place for place in places)]
    if not common:
        raise ThesisError("The streams have no video in common: were they scored on one data set?")
    rows = [
        _rows(stream, [place[name] for name in common])
        for stream, place in zip(streams, places, strict=True)
    ]
    if any((other.labels != rows[0].labels).any() for other in rows):
        raise ThesisError(DISAGREE)
    return rows


def _rows(stream: PerVideo, rows: list[int]) -> PerVideo:
    """Some rows, in this order."""
    return replace(
        stream,
        values=stream.values[rows],
        labels=stream.labels[rows],
        videos=stream.videos[rows],
        report={"total": stream.report["total"], "used": len(rows)},
        names=tuple(stream.names[r] for r in rows),
    )
