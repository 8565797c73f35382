"""How an index is made: every video of a data set, through one encoder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from thesislib.clip_config import ClipConfig
from thesislib.data.manifest import Manifest
from thesislib.data.streaming import frame_times
from thesislib.evaluation.features import over_windows, preprocessing
from thesislib.evaluation.index import FeatureIndex, Stream
from thesislib.evaluation.scores import PerVideo
from thesislib.provenance import commit

AT_ONCE = 4  # windows: more take memory (20 MB for 16), and little less time


def build_index(
    model: Any,
    manifest: Manifest,
    config: ClipConfig,
    crops: int = 1,
    run: str = "",
    progress: bool = False,
    moments: bool = False,
) -> FeatureIndex:
    """Encodes every video of a manifest, whatever its split.

    A video is the mean of ``model.encode`` over its windows and crops; one that is shorter than a
    window is padded with its last frame, one that cannot be read is named in ``skipped``.

    Args:
        model: With ``encode``.
        manifest: The videos; their labels are kept, not used.
        config: Of the model's training: length, stride and size of a window, modality.
        crops: 1, 5 or 10 views of each window.
        run: Where the weights come from, so that queries can be encoded later.
        progress: Show a bar on stderr, if that is a terminal.
        moments: A row a window, with the seconds at which it begins and ends, in the place of one a
            video.

    Raises:
        ThesisError: Not one video can be read, the flow that the model needs is missing, or the
            model gives numbers that are none.
    """
    bar = "encoding" if progress else ""
    found = over_windows(
        model.encode, model, manifest, config,
        crops=crops, at_once=AT_ONCE, progress=bar, apart=moments, who=run or "The encoder",
    )  # fmt: skip
    stream = Stream(
        values=found.values,
        run=run,
        weights=weights_hash(model),
        settings=config.hash(),
        crops=crops,
        preprocessing=preprocessing(config, crops),
    )
    used = set(found.videos.tolist())
    videos = {number: manifest.videos[number] for number in used}
    videos = {n: replace(v, path=os.path.abspath(manifest.file(v))) for n, v in videos.items()}
    name, dirty = commit()
    return FeatureIndex(
        dataset=manifest.name,
        fingerprint=manifest.fingerprint,
        videos=tuple(videos[number] for number in found.videos.tolist()),
        classes=manifest.classes,
        streams=(stream,),
        skipped=tuple(v.path for i, v in enumerate(manifest.videos) if i not in used),
        commit=name + ("-dirty" if dirty else ""),
        moments=None if found.starts is None else seconds(found, manifest, config.span),
    )


def seconds(windows: PerVideo, manifest: Manifest, span: int) -> NDArray[np.float64]:
    """Where windows of ``span`` raw frames begin and end in their videos, float64 ``(V, 2)``.

    By the times of the frames, which need not be evenly apart; the last frame lasts as long as the
    mean of all.
    """
    assert windows.starts is not None
    found = np.empty((len(windows.starts), 2))
    for number in np.unique(windows.videos):
        times = frame_times(manifest.file(manifest.videos[number]))
        mean = times[-1] / max(1, len(times) - 1) or 1 / (manifest.videos[number].fps or 25)
        times = np.append(times, times[-1] + mean)
        rows = windows.videos == number
        first = windows.starts[rows]
        last = np.minimum(first + span, len(times) - 1)
        found[rows] = np.stack([times[np.minimum(first, len(times) - 1)], times[last]], 1)
    return found


def weights_hash(model: torch.nn.Module) -> str:
    """sha256 of all weights and their names, 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
