"""What protocols give: rows of predictions or features, one a video, and the scores of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from thesislib.errors import ThesisError
from thesislib.files import reading, replacing

PROBABILITIES = "probabilities.safetensors"  # the name of a classifier's rows in its run folder


class Lacking(ThesisError):
    """A data set lacks what a protocol measures by: labels, a split, times."""


@dataclass(frozen=True)
class Scores:
    """What was measured. Metrics are named as the tables name them, shares are in [0, 1].

    Attributes:
        metrics: Name -> value.
        hits: Name of a share -> one character an item, ``1`` where it was right.
        items: Name -> one value an item, for metrics that are a mean of something else than hits.
        counts: Items ``evaluated``, ``skipped``, and what else was counted.
        runs: Names of the runs that were trained for it.
        points: Metrics along the way, one dictionary a checkpoint.
        parts: Results of the rows that it was made of.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    hits: Mapping[str, str] = field(default_factory=dict)
    items: Mapping[str, list[float]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    points: tuple[Mapping[str, Any], ...] = ()
    parts: tuple[Mapping[str, Any], ...] = ()

    def __or__(self, other: Scores) -> Scores:
        """Both; of what both have, the other's."""
        return Scores(
            {**self.metrics, **other.metrics},
            {**self.hits, **other.hits},
            {**self.items, **other.items},
            {**self.counts, **other.counts},
            self.runs + other.runs,
            self.points + other.points,
            self.parts + other.parts,
        )


@dataclass(frozen=True)
class PerVideo:
    """One row a video: features, or probabilities of classes.

    Attributes:
        values: float32 ``(V, D)``.
        labels: int64 ``(V,)``, positions in ``manifest.classes``; -1 without a label.
        videos: int64 ``(V,)``, positions in ``manifest.videos``.
        report: How many videos were used, dropped as too short, padded, unreadable.
        names: Paths of the videos as the manifest has them; they tell which rows of two streams
            belong together.
        starts: int64 ``(V,)``, first raw frames of windows, where each of these has a row;
            ``None`` where a row is a video.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    videos: NDArray[np.int64]
    report: dict[str, Any]
    names: tuple[str, ...] = ()
    starts: NDArray[np.int64] | None = None

    @property
    def skipped(self) -> int:
        """Videos without a row: too short for the protocol, or unreadable."""
        return int(self.report["total"] - self.report["used"] + self.report.get("failed", 0))


def accuracy(rows: PerVideo, name: str) -> Scores:
    """How often the likeliest class is the right one.

    Args:
        rows: Probabilities ``(V, classes)``.
        name: Of the metric.
    """
    right = rows.values.argmax(1) == rows.labels
    return Scores(
        metrics={name: float(np.mean(right))},
        hits={name: as_hits(right)},
        counts={"evaluated": len(right), "skipped": rows.skipped},
    )


def as_hits(right: NDArray[np.bool_]) -> str:
    """One character an item: ``1`` where it is right."""
    return "".join("01"[int(r)] for r in right)


def unit(rows: Tensor) -> Tensor:
    """``(V, D)`` with every row scaled to length one; zeros stay.

    An untrained S3D makes features near 1e-16, which ``normalize`` alone takes for zeros.
    """
    scale = torch.frexp(rows.abs().max()).exponent  # a power of two: nothing is rounded
    return torch.nn.functional.normalize(torch.ldexp(rows, -scale), dim=1)


def check_finite(values: NDArray[np.floating[Any]], who: str, what: str = "features") -> None:
    """Refuses features, or other numbers, of an encoder whose training has failed.

    Args:
        values: Any shape.
        who: Begins the sentence: the run, or what else gave them.
        what: They are.

    Raises:
        ThesisError: One is not finite.
    """
    if not np.isfinite(values).all():
        raise ThesisError(
            f"{who} gives {what} that are not finite, so its training has failed: train again with "
            "a lower lr, or name another run."
        )


def save_rows(path: Path, rows: PerVideo) -> None:
    """Writes rows, labels and the videos they belong to; whole or not at all.

    Args:
        path: A ``.safetensors`` file: ``probabilities`` float32 ``(V, D)`` (or features, under the
            same name), ``labels`` and ``videos`` int64 ``(V,)``; paths of the videos and the report
            as JSON in its header.
        rows: With ``names``.

    Raises:
        ThesisError: The rows do not say which videos they are, or the file cannot be written.
    """
    if len(rows.names) != len(rows.values):
        raise ThesisError(
            f"{len(rows.values)} rows have {len(rows.names)} names of videos: give PerVideo.names, "
            "or the rows cannot be told apart later."
        )
    tensors: dict[str, np.ndarray] = {
        "probabilities": np.ascontiguousarray(rows.values, np.float32),
        "labels": np.ascontiguousarray(rows.labels, np.int64),
        "videos": np.ascontiguousarray(rows.videos, np.int64),
    }
    note = json.dumps({"names": rows.names, "report": rows.report})
    with replacing(path) as partial:
        save_file(tensors, partial, metadata={"info": note})


def load_rows(path: str | Path) -> PerVideo:
    """The inverse of :func:`save_rows`; a run folder stands for its classifier's probabilities.

    Raises:
        ThesisError: No such file, or not one of ours.
    """
    path = Path(path)
    path = path / PROBABILITIES if path.is_dir() else path
    if not path.is_file():
        raise ThesisError(f"There are no probabilities {path}: evaluate the run again.")
    with reading(path, "evaluate the run again."):
        with safe_open(path, framework="np") as file:
            note = json.loads((file.metadata() or {})["info"])
            values, labels, videos = (
                file.get_tensor(name) for name in ("probabilities", "labels", "videos")
            )
        names = tuple(note["names"])
        if not len(values) == len(labels) == len(videos) == len(names):
            raise ValueError("rows and names differ in number")
        return PerVideo(values, labels, videos, dict(note["report"]), names)
