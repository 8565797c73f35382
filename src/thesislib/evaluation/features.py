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

from thesislib.config import RunConfig, choose
from thesislib.data.dataset import ClipSettings, WindowDataset, clip_settings, make_loader
from thesislib.data.manifest import Manifest


@dataclass(frozen=True)
class Protocol:
    """How videos are seen at test time, where the thesis and the released code differ."""

    short: str = "pad"  # videos no longer than a window: pad with the last frame, or drop
    hop_less: int | None = None  # windows start (half a window minus this) frames apart; None: by
    #   whole blocks, half of them
    normalise: bool = True  # False: mean and deviation are not taken off, though in training
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # of a whole clip
    jitter_p: float = 0.0

    def apply(self, settings: ClipSettings) -> ClipSettings:
        """The settings of test windows, from those of training clips."""
        augment = replace(
            settings.augment,
            normalise=settings.augment.normalise and self.normalise,
            jitter=self.jitter,
            jitter_p=self.jitter_p,
            jitter_scope="clip",
            test_jitter=self.jitter_p > 0,
        )
        return replace(settings, short=self.short, augment=augment)

    def hop_frames(self, settings: ClipSettings) -> int | None:
        """Raw frames from one window to the next; ``None`` for the usual half."""
        return None if self.hop_less is None else max(1, settings.span // 2 - self.hop_less)


# "full" evaluates every video and augments nothing. "as_released" is MemDPC's test, whatever it
# does: short videos are left out (29.7 % of UCF101's test videos, 84.8 % of HMDB51's), the input is
# not normalised, three clips in ten get other colours, windows start half a window less one frame
# apart. DPC's test drops short videos and is sane else. CoCLR's has colours as MemDPC's, stronger,
# and is sane else; for retrieval it has one random window of each training video (`one_random`).
# The resize is that of `config.augment` (nearest neighbour in the presets "as_released" of DPC and
# MemDPC). Left out: DPC's hop of 6 blocks for HMDB51, and CoCLR's padding of short videos by their
# first frame: here the last frame stands.
PROTOCOLS = {
    "full": Protocol(),
    "as_released": Protocol("drop", 1, False, (0.2, 0.2, 0.2, 0.1), 0.3),
    "as_released_dpc": Protocol("drop"),
    "as_released_coclr": Protocol("pad", 1, True, (0.4, 0.4, 0.4, 0.1), 0.3),
}


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


def unit(rows: Tensor) -> Tensor:
    """``(V, D)`` with every row scaled to length one; zeros stay.

    An untrained S3D makes features near 1e-16, which ``normalize`` alone takes for zeros.
    """
    scale = torch.frexp(rows.abs().max()).exponent  # a power of two: nothing is rounded
    return torch.nn.functional.normalize(torch.ldexp(rows, -scale), dim=1)


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
    crops: int = 1,
    protocol: str = "full",
    one_random: bool = False,
) -> Features:
    """Mean of ``function(batch)`` ``(B, D)`` over the test windows and crops of each video.

    Args:
        function: From a batch of windows to one row each.
        module: In evaluation mode while it works.
        manifest: The videos.
        config: Length, stride and size of a window, batch size and workers.
        windows: At most so many windows a video, evenly spread; 0: all.
        crops: 1, 5 or 10 views of each window (thesis 3.5.3).
        protocol: A key of :data:`PROTOCOLS`.
        one_random: One window of each video, drawn by the run's seed, in the place of all.

    Raises:
        ThesisError: There is no such protocol or number of crops, or no video can be used.
    """
    test = PROTOCOLS[choose("protocol", protocol, PROTOCOLS)]
    # Every window is read once: there is nothing to keep.
    settings = replace(test.apply(clip_settings(config)), cache=None)
    dataset = WindowDataset(
        manifest,
        settings,
        max_windows=windows,
        one_random=one_random,
        crops=crops,
        hop_frames=test.hop_frames(settings),
    )
    seen: set[tuple[int, int, int]] = set()
    sums: dict[int, NDArray[np.float64]] = {}
    counts: dict[int, int] = {}
    labels: dict[int, int] = {}
    for batch, values in in_batches(function, module, dataset, config):
        numbers = (batch[name].tolist() for name in ("index", "window", "crop", "label"))
        for video, window, crop, label, value in zip(*numbers, values, strict=True):
            if (video, window, crop) in seen:  # it stands in for a file that cannot be read
                continue
            seen.add((video, window, crop))
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


def extract(
    model: Any,
    manifest: Manifest,
    config: RunConfig,
    crops: int = 1,
    protocol: str = "full",
    one_random: bool = False,
) -> Features:
    """``model.encode`` of every video, averaged over its windows and crops."""
    return over_windows(
        model.encode,
        model,
        manifest,
        config,
        crops=crops,
        protocol=protocol,
        one_random=one_random,
    )
