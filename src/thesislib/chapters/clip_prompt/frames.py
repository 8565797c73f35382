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
from thesislib.data.extraction import extract_features, feature_folder
from thesislib.data.features import FeatureStore, canonical, fingerprint, look
from thesislib.data.few_shot_names import words_of
from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError
from thesislib.image_text import ImageText, load_image_text
from thesislib.methods.clip_prompt import ClipPromptConfig
from thesislib.train import Log, placed

RANDOM = "random"
TEMPLATE = "a photo of {}."  # baseline I (thesis 5.4.2), where a data set has none of its own
DTYPE = "float16"
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
        _STORES[key] = FeatureStore(folder, wanted)
    return _STORES[key]


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


def class_words(manifest: Manifest, classes: Sequence[str] | None = None) -> tuple[str, ...]:
    """What a prompt calls classes of a data set: its own words for them, or the names cut up.

    Args:
        manifest: ``info["class_texts"]`` may hold the words of each class.
        classes: Default: all.
    """
    return words_of(
        manifest.classes if classes is None else classes, manifest.info.get("class_texts")
    )


def templates(manifest: Manifest) -> tuple[str, ...]:
    """Sentences written by hand, ``{}`` stands for the class; the first is the usual one."""
    return tuple(manifest.info.get("templates") or (TEMPLATE,))


def tokens(image_text: ImageText, names: Sequence[str]) -> Tensor:
    """Token ids of texts: int64 ``(C, window)``, start, name, end, then zeros, on the CPU."""
    ids: Tensor = image_text.tokenizer(list(names))
    return ids
