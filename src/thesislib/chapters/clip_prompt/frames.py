"""What all rows of chapter 5 start from: the frozen model, its features of frames, its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor

from thesislib import processes
from thesislib.chapters.clip_prompt.lists import class_words
from thesislib.data.extraction import extract_features, feature_folder
from thesislib.data.features import FeatureStore, Rows, Times, canonical, fingerprint, look
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError
from thesislib.image_text import ImageText, load_image_text
from thesislib.methods.clip_prompt import ClipPromptConfig
from thesislib.train import Log, placed

__all__ = ["class_words", "image_text", "store", "templates", "tokens"]
RANDOM = "random"
TEMPLATE = "a photo of {}."  # baseline I (thesis 5.4.2), where a data set has none of its own
DTYPE = "float16"
KEPT = 1 << 28  # bytes of features that stay in memory: all of a small data set
_STORES: dict[tuple[str, str, str], FeatureStore] = {}  # found whole in this process


def image_text(config: ClipPromptConfig) -> ImageText:
    """The frozen model that settings name, on the device of training; loaded once a process.

    Random weights are drawn by the seed of the settings.
    """
    return _load(config.model, config.weights, config.seed if config.weights == RANDOM else 0)


@cache
def _load(model: str, weights: str, seed: int) -> ImageText:
    processes.meet()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = load_image_text(model, weights)
    placed(found.model)
    return found


def store(manifest: Manifest, config: ClipPromptConfig, log: Log = print) -> FeatureStore:
    """Features of all frames at the rate of the settings; missing ones are extracted.

    They lie in the data set's folder, apart for each model, weights and rate.

    Args:
        manifest: The whole data set.
        config: Names model, weights and rate.
        log: Is told when there is something to extract.

    Raises:
        ThesisError: As :func:`~thesislib.data.extraction.extract_features`.
    """
    encoder, rate = image_text(config), config.rate or None
    name = f"{Path(config.model).name}-{encoder.weights_hash[:8]}"
    folder = feature_folder(manifest, name if rate is None else f"{name}-{rate:g}fps")
    wanted = {**encoder.describe(), "rate": rate, "dtype": DTYPE}
    key = (str(folder), canonical(wanted), manifest.fingerprint)
    if key not in _STORES:
        with PartialState().main_process_first():
            if not _whole(manifest, folder, wanted):
                if log:
                    log(f"{manifest.name}: features of frames by {config.model}, into {folder}")
                extract_features(
                    manifest, encoder, folder, rate=rate, dtype=DTYPE, progress=log is not None
                )
        _STORES[key] = Kept(folder, wanted)
    return _STORES[key]


class Kept(FeatureStore):
    """Features that are read from the disk once, as far as there is room.

    A trial of few examples takes less time than reading its videos again would.
    """

    def __init__(self, folder: str | Path, wanted: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder, wanted)
        self._rows: dict[str, tuple[Rows, Times]] = {}
        self._room = KEPT

    def read(
        self, video: Video | str, first: int = 0, last: int | None = None
    ) -> tuple[Rows, Times]:
        """See :meth:`thesislib.data.features.FeatureStore.read`."""
        name = video if isinstance(video, str) else video.path
        if name not in self._rows:
            if self._room <= 0:
                return super().read(video, first, last)
            self._rows[name] = super().read(video)
            self._room -= self._rows[name][0].nbytes
        features, times = self._rows[name]
        return features[first:last], times[first:last]


def _whole(manifest: Manifest, folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether nothing is left to extract; it takes no lock, so runs may share the features."""
    try:
        kept = FeatureStore(folder, wanted)
        videos = [video for video in manifest.videos if video.path not in kept.skipped]
        return all(
            look(kept.file(video)).source == fingerprint(manifest.file(video)) for video in videos
        )
    except (ThesisError, OSError):
        return False


def templates(manifest: Manifest) -> tuple[str, ...]:
    """Sentences written by hand, ``{}`` stands for the class; the first is the usual one."""
    return tuple(manifest.info.get("templates") or (TEMPLATE,))


def tokens(image_text: ImageText, names: Sequence[str]) -> Tensor:
    """Token ids of texts: int64 ``(C, window)``, start, name, end, then zeros, on the CPU."""
    ids: Tensor = image_text.tokenizer(list(names))
    return ids
