"""Features and predictions of whole videos: sliding windows, averaged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate.utils import send_to_device
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from thesislib.clip_config import ClipConfig
from thesislib.data.dataset import WindowDataset
from thesislib.data.loader import items_in, make_loader
from thesislib.data.manifest import Manifest
from thesislib.data.step_clips import StepClips
from thesislib.data.transforms import CROP_SHARE, IMAGENET_MEAN, IMAGENET_STD
from thesislib.evaluation.scores import PerVideo, check_finite
from thesislib.means import evaluating
from thesislib.processes import keep_memory

T = TypeVar("T")


@dataclass(frozen=True)
class TestView:
    """How videos are seen at test time, where the thesis and the released code differ."""

    __test__ = False  # no test of pytest's

    short: str = "pad"  # videos no longer than a window: pad with the last frame, or drop
    hop_less: int | None = None  # windows start (half a window minus this) frames apart; None: by
    #   whole blocks, half of them
    normalise: bool = True  # False: mean and deviation are not taken off, though in training
    jitter: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # of a whole clip
    jitter_p: float = 0.0

    def apply(self, config: ClipConfig) -> ClipConfig:
        """The settings of test windows, from those of training clips."""
        augment = replace(
            config.augment,
            normalise=config.augment.normalise and self.normalise,
            jitter=self.jitter,
            jitter_p=self.jitter_p,
            jitter_scope="clip",
            test_jitter=self.jitter_p > 0,
        )
        # Every window is read once: there is nothing to keep.
        return replace(config, short=self.short, augment=augment, cache=False)

    def hop_frames(self, config: ClipConfig) -> int | None:
        """Raw frames from one window to the next; ``None`` for the usual half."""
        return None if self.hop_less is None else max(1, config.span // 2 - self.hop_less)


FULL = TestView()  # every video is evaluated, nothing is augmented


def over_windows(
    function: Callable[[dict[str, Any]], Tensor],
    module: nn.Module,
    manifest: Manifest,
    config: ClipConfig,
    windows: int = 0,
    crops: int = 1,
    view: TestView = FULL,
    one_random: bool = False,
    *,
    apart: bool = False,
    at_once: int = 0,
    progress: str = "",
    who: str = "The model",
) -> PerVideo:
    """Mean of ``function(batch)`` ``(B, D)`` over the test windows and crops of each video.

    Args:
        function: From a batch of windows to one row each.
        module: In evaluation mode while it works.
        manifest: The videos.
        config: Length, stride and size of a window, batch size and workers.
        windows: At most so many windows a video, evenly spread; 0: all.
        crops: 1, 5 or 10 views of each window (thesis 3.5.3).
        view: How videos are seen.
        one_random: One window of each video, drawn by the run's seed, in the place of all.
        apart: A row a window, the mean over its crops, in the place of one a video.
        at_once: Windows in a batch; 0: twice the batch of training.
        progress: What a bar on stderr, if that is a terminal, says before the windows done and the
            time left; "": no bar.
        who: Names the model in the sentence on numbers that are none.

    Raises:
        ThesisError: There is no such number of crops, no video can be used, or the model gives
            numbers that are not finite.
    """
    seen_as = view.apply(config)
    dataset = WindowDataset(
        manifest,
        seen_as,
        max_windows=windows,
        one_random=one_random,
        crops=crops,
        hop_frames=view.hop_frames(seen_as),
    )
    seen: set[tuple[int, int, int]] = set()
    sums: dict[tuple[int, int], NDArray[np.float64]] = {}
    counts: dict[tuple[int, int], int] = {}
    labels: dict[tuple[int, int], int] = {}
    for batch, values in in_batches(function, module, dataset, config, at_once, progress):
        check_finite(values, who)  # now, before hours are spent on the other videos
        numbers = (batch[name].tolist() for name in ("index", "window", "crop", "label"))
        for video, window, crop, label, value in zip(*numbers, values, strict=True):
            if (video, window, crop) in seen:  # it stands in for a file that cannot be read
                continue
            seen.add((video, window, crop))
            row = video, window if apart else 0
            sums[row] = sums.get(row, 0.0) + value
            counts[row] = counts.get(row, 0) + 1
            labels[row] = label
    order = sorted(sums)
    starts = {(video, window): start for video, window, start in dataset.windows}
    return PerVideo(
        values=np.stack([sums[row] / counts[row] for row in order]).astype(np.float32),
        labels=np.array([labels[row] for row in order], np.int64),
        videos=np.array([video for video, _ in order], np.int64),
        report=dict(dataset.report),
        names=tuple(manifest.videos[video].path for video, _ in order),
        starts=np.array([starts[row] for row in order], np.int64) if apart else None,
    )


def over_steps(
    function: Callable[[dict[str, Any]], Tensor], module: nn.Module, data: StepClips
) -> PerVideo:
    """``function(batch)`` ``(B, D)`` of every step of long videos, one clip each.

    Args:
        function: From a batch of clips to one row each.
        module: In evaluation mode while it works.
        data: The steps, without augmentation.
    """
    values, labels, steps = [], [], []
    for batch, rows in in_batches(function, module, data, data.config):
        values.append(rows)
        labels += batch["label"].tolist()
        steps += batch["step"].tolist()
    # A step that cannot be read is stood in for by the next one, which then comes twice.
    order = sorted({step: place for place, step in enumerate(steps)}.items())
    places = [place for _, place in order]
    names = [data.manifest.videos[data.steps[s].video].path for s, _ in order]
    report = {"total": len(data), "used": len(data), "failed": len(data) - len(order)}
    return PerVideo(
        values=np.concatenate(values)[places].astype(np.float32),
        labels=np.array(labels, np.int64)[places],
        videos=np.array([step for step, _ in order], np.int64),
        report=report,
        names=tuple(
            f"{name} {data.steps[s].start:g}" for name, (s, _) in zip(names, order, strict=True)
        ),
    )


def in_batches(
    function: Callable[[dict[str, Any]], Tensor],
    module: nn.Module,
    dataset: Dataset[Any],
    config: ClipConfig,
    at_once: int = 0,
    progress: str = "",
) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
    """``function(batch)`` of every batch in order, ``module`` in evaluation mode meanwhile.

    Where no workers read, a thread does, a few batches ahead. ``at_once`` and ``progress`` are
    those of :func:`over_windows`.
    """
    size = at_once or 2 * config.batch_size
    loader = make_loader(dataset, size, shuffle=False, num_workers=config.num_workers, seed=0)
    device = next(module.parameters()).device
    if device.type == "cpu":
        keep_memory()  # frames come and go
    batches = iter(loader) if config.num_workers else ahead(iter(loader))
    off, count = None if progress else True, len(dataset)  # type: ignore[arg-type]
    with evaluating(module), tqdm(desc=progress, total=count, unit="window", disable=off) as bar:
        for batch in batches:
            batch = send_to_device(batch, device)
            yield batch, function(batch).double().cpu().numpy()
            bar.update(items_in(batch))


def ahead(items: Iterator[T], most: int = 2) -> Iterator[T]:
    """The items in their order, made by a thread, up to ``most`` of them before their turn."""
    end: Any = object()
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, end) for _ in range(most))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, items, end))
                yield item
        finally:
            for future in waiting:
                future.cancel()


def extract(
    model: Any,
    manifest: Manifest,
    config: ClipConfig,
    crops: int = 1,
    view: TestView = FULL,
    one_random: bool = False,
) -> PerVideo:
    """``model.encode`` of every video, averaged over its windows and crops."""
    return over_windows(
        model.encode,
        model,
        manifest,
        config,
        crops=crops,
        view=view,
        one_random=one_random,
    )


def extract_readings(model: Any, manifest: Manifest, config: ClipConfig) -> dict[str, PerVideo]:
    """What ``model.readings`` gives of every video, by name; the first is what ``encode`` gives.

    A model without readings has that one alone, under the name "".
    """
    if not hasattr(model, "readings"):
        return {"": extract(model, manifest, config)}
    widths: dict[str, int] = {}

    def read(batch: dict[str, Any]) -> Tensor:
        found: dict[str, Tensor] = model.readings(batch)
        widths.update({name: values.shape[1] for name, values in found.items()})
        return torch.cat(list(found.values()), 1)

    rows = over_windows(read, model, manifest, config)
    ends = np.cumsum(list(widths.values()))[:-1]
    parts = np.split(rows.values, ends, axis=1)
    return {name: replace(rows, values=v) for name, v in zip(widths, parts, strict=True)}


def preprocessing(config: ClipConfig, crops: int) -> dict[str, Any]:
    """What an encoder sees of a video, for people who use the features without our code."""
    test = FULL.apply(config)
    side = test.augment.crop_size
    if crops == 1:
        crop = f"centre square of {side} pixels at most" if side else "largest centre square"
    else:
        share = f"{side} pixels" if side else f"{CROP_SHARE:g} of the short side"
        crop = f"squares of {share}: centre and corners" + (", also mirrored" * (crops == 10))
    seen: dict[str, Any] = {
        "modality": config.modality,
        "channels": "RGB" if config.modality == "rgb" else test.augment.flow_channels,
        "frames_per_window": test.num_seq * test.seq_len,
        "blocks_per_window": test.num_seq,
        "stride_raw_frames": test.stride,
        "frames_per_second": "fps of the video / stride_raw_frames",
        "raw_frames_per_window": test.span,
        "raw_frames_between_windows": test.hop,
        "windows": "all, averaged",
        "short_videos": "padded with the last frame",
        "crops": crops,
        "crop": crop,
        "size_pixels": test.size,
        "interpolation": test.augment.interpolation,
        "scale": "[0, 1]",
        "mean": list(IMAGENET_MEAN) if test.augment.normalise else [0, 0, 0],
        "std": list(IMAGENET_STD) if test.augment.normalise else [1, 1, 1],
        "values": "mean of the encodings, neither centred nor normalised",
    }
    return seen if config.modality == "rgb" else seen | {"flow": asdict(config.flow)}
