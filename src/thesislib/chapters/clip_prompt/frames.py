"""What all rows of chapter 5 start from: the frozen model, its features of frames, its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from thesislib.chapters import frame_features
from thesislib.chapters.clip_prompt.lists import class_words
from thesislib.data.features import FeatureStore
from thesislib.data.manifest import Manifest
from thesislib.image_text import ImageText
from thesislib.methods.clip_prompt import ClipPromptConfig
from thesislib.train import Log

__all__ = ["class_words", "image_text", "store", "templates", "tokens"]
TEMPLATE = "a photo of {}."  # baseline I (thesis 5.4.2), where a data set has none of its own


def image_text(config: ClipPromptConfig) -> ImageText:
    """The frozen model that settings name, on the device of training; loaded once a process.

    Random weights are drawn by the seed of the settings.
    """
    drawn = config.weights == frame_features.RANDOM
    return frame_features.encoder(config.model, config.weights, config.seed if drawn else 0)


def store(manifest: Manifest, config: ClipPromptConfig, log: Log = print) -> FeatureStore:
    """:func:`~thesislib.chapters.frame_features.features_of` by the model and rate of settings."""
    return frame_features.features_of(manifest, image_text(config), config.rate or None, log)


def templates(manifest: Manifest) -> tuple[str, ...]:
    """Sentences written by hand, ``{}`` stands for the class; the first is the usual one."""
    return tuple(manifest.info.get("templates") or (TEMPLATE,))


def tokens(image_text: ImageText, names: Sequence[str]) -> Tensor:
    """Token ids of texts: int64 ``(C, window)``, start, name, end, then zeros, on the CPU."""
    ids: Tensor = image_text.tokenizer(list(names))
    return ids
