"""Features and predictions of whole videos: sliding windows, averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

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
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    videos: NDArray[np.int64]
    report: dict[str, Any]


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
    loader = make_loader(
        dataset, 2 * config.batch_size, shuffle=False, num_workers=config.num_workers, seed=0
    )
    device = next(module.parameters()).device
    training = module.training
    module.eval()
    sums: dict[int, NDArray[np.float64]] = {}
    counts: dict[int, int] = {}
    labels: dict[int, int] = {}
    with torch.no_grad():
        for batch in loader:
            batch = {k: v.to(device) for k, v in batch.items()}
            values = function(batch).double().cpu().numpy()
            rows = zip(batch["index"].tolist(), batch["label"].tolist(), values, strict=True)
            for video, label, value in rows:
                sums[video] = sums.get(video, 0.0) + value
                counts[video] = counts.get(video, 0) + 1
                labels[video] = label
    module.train(training)
    order = sorted(sums)
    return Features(
        values=np.stack([sums[v] / counts[v] for v in order]).astype(np.float32),
        labels=np.array([labels[v] for v in order], np.int64),
        videos=np.array(order, np.int64),
        report=dict(dataset.report),
    )


def extract(model: Any, manifest: Manifest, config: RunConfig) -> Features:
    """``model.encode`` of every video, averaged over its windows."""
    return over_windows(model.encode, model, manifest, config)
