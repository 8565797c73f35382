"""Class probabilities on disk, and late fusion of streams from them (thesis 3.3.3).

Two networks, one that saw RGB and one that saw optical flow, have scored the same test videos. The
two-stream result is the mean of their probabilities: no network runs again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from thesislib.errors import ThesisError
from thesislib.evaluation.features import Features, accuracy, unit

PROBABILITIES = "probabilities.safetensors"  # its name in a run folder
DISAGREE = "The streams disagree on the classes of the same videos: score both on one data set."


def save_probabilities(path: Path, probabilities: Features) -> None:
    """Writes class probabilities, labels and the videos they belong to; whole or not at all.

    Args:
        path: A ``.safetensors`` file: ``probabilities`` float32 ``(V, classes)``, ``labels`` and
            ``videos`` int64 ``(V,)``; paths of the videos and the report as JSON in its header.
        probabilities: One row a video, with ``names``.

    Raises:
        ThesisError: The rows do not say which videos they are, or the file cannot be written.
    """
    if len(probabilities.names) != len(probabilities.values):
        raise ThesisError(
            f"{len(probabilities.values)} rows of probabilities have {len(probabilities.names)} "
            "names of videos: give Features.names, or the rows cannot be told apart later."
        )
    note = {"names": probabilities.names, "report": probabilities.report}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, np.ndarray] = {
            "probabilities": np.ascontiguousarray(probabilities.values, np.float32),
            "labels": np.ascontiguousarray(probabilities.labels, np.int64),
            "videos": np.ascontiguousarray(probabilities.videos, np.int64),
        }
        save_file(tensors, temporary, metadata={"info": json.dumps(note)})
        os.replace(temporary, path)
    except Exception as error:
        temporary.unlink(missing_ok=True)
        raise ThesisError(f"{path} cannot be written ({error}): free some space.") from None


def load_probabilities(path: str | Path) -> Features:
    """The inverse of :func:`save_probabilities`; a run folder stands for its file.

    Raises:
        ThesisError: No such file, or not one of ours.
    """
    path = Path(path)
    path = path / PROBABILITIES if path.is_dir() else path
    if not path.is_file():
        raise ThesisError(f"There are no probabilities {path}: evaluate the run again.")
    try:
        with safe_open(path, framework="np") as file:
            note = json.loads((file.metadata() or {})["info"])
            values, labels, videos = (
                file.get_tensor(name) for name in ("probabilities", "labels", "videos")
            )
        names = tuple(note["names"])
        if not len(values) == len(labels) == len(videos) == len(names):
            raise ValueError("rows and names differ in number")
        return Features(values, labels, videos, dict(note["report"]), names)
    except Exception as error:
        raise ThesisError(
            f"{path} is damaged or holds no probabilities of ours ({type(error).__name__}): "
            "evaluate the run again."
        ) from None


def fuse(streams: Sequence[Features], weights: Sequence[float] | None = None) -> dict[str, Any]:
    """Late fusion: the weighted mean of the streams' probabilities, video by video.

    Args:
        streams: Probabilities ``(V, classes)`` with ``names``; the videos may stand in any order.
        weights: One for each stream, not negative; default: all the same, as in the thesis.

    Returns:
        ``fusion_top1`` in ``[0, 1]``, ``stream_top1`` (each stream alone, on the same videos),
        ``hits``, ``evaluated`` (videos that every stream has), ``skipped`` (videos of the first
        stream's test set that were not), ``missing`` (names of videos that some stream lacks),
        ``probabilities`` (:class:`Features`).

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
    first = rows[0]
    if any(other.values.shape != first.values.shape for other in rows):
        raise ThesisError(DISAGREE)
    total = reduce(np.add, (w * r.values.astype(float) for w, r in zip(share, rows, strict=True)))
    fused = replace(first, values=(total / share.sum()).astype(np.float32))
    scores = accuracy(fused)
    common = set(fused.names)
    absent = streams[0].report["total"] - len(common)
    return {
        "fusion_top1": scores["top1"],
        "stream_top1": [accuracy(r)["top1"] for r in rows],
        "hits": scores["hits"],
        "evaluated": len(common),
        "skipped": absent,
        "missing": sorted(set().union(*(s.names for s in streams)) - common),
        "probabilities": fused,
    }


def beside(streams: Sequence[Features]) -> Features:
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


def _common(streams: Sequence[Features]) -> list[Features]:
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


def _rows(stream: Features, rows: list[int]) -> Features:
    """Some rows, in this order."""
    return replace(
        stream,
        values=stream.values[rows],
        labels=stream.labels[rows],
        videos=stream.videos[rows],
        names=tuple(stream.names[r] for r in rows),
    )
