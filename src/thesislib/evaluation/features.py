"""Features and predictions of whole videos: sliding windows, averaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from thesislib.config import RunConfig
from thesislib.data.dataset import WindowDataset, clip_settings, make_loader
from thesislib.data.manifest import Manifest


@dataclass(frozen=True)
class Features:
    """One row a video.

    Attributes:
        values: float32 ``(V, D)``.
        labels: int64 ``(V,)``, positions in ``manifest.classes``; -1 without a label.
        videos: int64 ``(V,)``, positions in ``manifest.videos``.
        report: How many videos were used, dropped as too short, padded, unreadable.
        names: Paths of the videos as the manifest has them; they tell which rows of two streams
            belong together.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    videos: NDArray[np.int64]
    report: dict[str, Any]
    names: tuple[str, ...] = ()

    @property
    def skipped(self) -> int:
        """Videos without a row: too short for the protocol, or unreadable."""
        return int(self.report["total"] - self.report["used"] + self.report.get("failed", 0))


def accuracy(probabilities: Features) -> dict[str, Any]:
    """How often the likeliest class is the right one.

    Args:
        probabilities: ``(V, classes)``, one row a video.

    Returns:
        ``top1`` in ``[0, 1]``, ``hits`` (one character a video), and how many videos were
        ``evaluated`` and ``skipped``.
    """
    right = probabilities.values.argmax(1) == probabilities.labels
    return {
        "top1": float(np.mean(right)),
        "hits": "".join("01"[int(r)] for r in right),
        "evaluated": len(right),
        "skipped": probabilities.skipped,
    }


def over_windows(
    function: Callable[[dict[str, Tensor]], Tensor],
    module: nn.Module,
    manifest: Manifest,
    config: RunConfig,
    windows: int = 0,
) -> Features:
    """Mean of ``function(batch)`` ``(B, D)`` over the test windows of each video.

    Windows are ``num_seq`` blocks long and overlap by half (thesis 2.4, action classifier); the
    picture is the centre crop and nothing is augmented. ``windows`` bounds their number (0: all).
    """
    # Every window is read once: there is nothing to keep.
    settings = replace(clip_settings(config), cache=None)
    dataset = WindowDataset(manifest, settings, max_windows=windows)
    sums: dict[int, NDArray[np.float64]] = {}
    counts: dict[int, int] = {}
    labels: dict[int, int] = {}
    for batch, values in in_batches(function, module, dataset, config):
        rows = zip(batch["index"].tolist(), batch["label"].tolist(), values, strict=True)
        for video, label, value in rows:
            sums[video] = sums.get(video, 0.0) + value
            counts[video] = counts.get(video, 0) + 1
            labels[video] = label
    order = sorted(sums)
    return Features(
        values=np.stack([sums[v] / counts[v] for v in order]).astype(np.float32),
        labels=np.array([labels[v] for v in order], np.int64),
        videos=np.array(order, np.int64),
        report=dict(dataset.report),
        names=tuple(manifest.videos[v].path for v in order),
    )


def in_batches(
    function: Callable[[dict[str, Tensor]], Tensor],
    module: nn.Module,
    dataset: Dataset[Any],
    config: RunConfig,
) -> Iterator[tuple[dict[str, Tensor], NDArray[np.float64]]]:
    """``function(batch)`` of every batch in order, ``module`` in evaluation mode meanwhile."""
    loader = make_loader(
        dataset, 2 * config.batch_size, shuffle=False, num_workers=config.num_workers, seed=0
    )
    device = next(module.parameters()).device
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            for batch in loader:
                batch = {k: v.to(device) for k, v in batch.items()}
                yield batch, function(batch).double().cpu().numpy()
    finally:
        module.train(training)


def extract(model: Any, manifest: Manifest, config: RunConfig) -> Features:
    """``model.encode`` of every video, averaged over its windows."""
    return over_windows(model.encode, model, manifest, config)
