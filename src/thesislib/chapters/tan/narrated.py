"""What chapter 7 reads: a feature for every second of a video, and one for every sentence.

Unless others are named, both are of the image-text model of chapter 5, as the thesis takes both
from MIL-NCE's network.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from thesislib.chapters import frame_features
from thesislib.data import narrations
from thesislib.data.features import FeatureStore, Rows, Times
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.narrated_windows import NarratedWindows, Told
from thesislib.data.narrations import Narration
from thesislib.data.segments import SEGMENTS_FILE, Segment, read_segments
from thesislib.data.side_files import checksum_key
from thesislib.data.step_lists import StepLists
from thesislib.data.words import Vocabulary, read_vocabulary
from thesislib.errors import ThesisError
from thesislib.methods.tan_config import TanConfig
from thesislib.train import Log

RATE = 1.0  # features a second


@dataclass(frozen=True)
class World:
    """A data set of narrated videos.

    Attributes:
        manifest: Its videos.
        kept: Features of frames, or of short clips.
        config: Of a row, with the widths of these features.
    """

    manifest: Manifest
    kept: FeatureStore
    config: TanConfig

    @property
    def fingerprint(self) -> str:
        """Of videos, what is said, and features; of their steps where these are learnt from."""
        text = f"{narrations.fingerprint(self.manifest)} {self.kept.fingerprint}"
        steps = _own_steps(self.manifest) if self.config.stage == 3 else ""
        return _with(hashlib.sha256(text.encode()).hexdigest(), steps)

    def texts(self, sentences: Sequence[str]) -> Tensor:
        """Ids of words ``(S, L)``, or features ``(S, E)``; computed once a process."""
        if self.config.texts == "words":
            return words_of(self.config).ids(sentences)
        if not sentences:
            return torch.zeros(0, self.config.text_dim)
        known = _features(self.config.model)
        if new := sorted(set(sentences) - known.keys()):
            rows = frame_features.encoder(self.config.model).encode_texts(new)
            known.update(zip(new, rows, strict=True))
        return torch.stack([known[text] for text in sentences])

    def told(self, split: str) -> dict[str, Told]:
        """The videos of a split that have features and a sentence: path to what is said in them.

        Raises:
            ThesisError: There is none.
        """
        said = narrations.read_narrations(self.manifest.select(split))
        found = {path: some for path, some in said.items() if self.kept.has(path)}
        if not found:
            raise ThesisError(
                f"No {split} video of {self.manifest.name!r} has features and a sentence: see "
                f"{self.kept.folder}."
            )
        return {path: self.video(path, some) for path, some in found.items()}

    def video(self, path: str, said: Sequence[Narration]) -> Told:
        """A video that has features, and what is said in it."""
        features, texts = by_second(*self.kept.read(path)), self.texts([one.text for one in said])
        return Told(features, tuple(said), texts, path)

    def listed(self, split: str) -> dict[str, tuple[Told, tuple[Segment, ...]]]:
        """The videos of a split that have features and a step, with the steps as sentences.

        The manifest's ``step_texts`` have words for them.

        Raises:
            ThesisError: Nobody knows which steps the videos show.
        """
        words, found = self.manifest.info.get("step_texts", {}), {}
        for path, shown in read_segments(self.manifest.select(split)).items():
            if not shown or not self.kept.has(path):
                continue
            steps = tuple(sorted(shown))
            names = [str(words.get(one.label, one.label.replace("_", " "))) for one in steps]
            features = by_second(*self.kept.read(path))
            found[path] = Told(features, (), self.texts(names), path), steps
        return found

    def lists(self, split: str) -> StepLists:
        """Videos of a split and the lists of their steps, without a time."""
        return StepLists([video for video, _ in self.listed(split).values()])

    def windows(self, split: str) -> NarratedWindows:
        """Windows of a split, as training or validation sees them."""
        config, videos = self.config, list(self.told(split).values())
        return NarratedWindows(videos, config.seconds, train=split == "train", seed=config.seed)


@functools.cache
def _features(model: str) -> dict[str, Tensor]:
    """Sentences that were read before, and their features."""
    return {}


def words_of(config: TanConfig) -> Vocabulary:
    """The words of ``texts=words``; read once a process."""
    return _vocabulary(config.vocabulary)


_vocabulary = functools.cache(read_vocabulary)


def world(dataset: str, config: TanConfig, log: Log = print) -> World:
    """A data set by its name, for the settings of a row; features that are missing are extracted.

    Raises:
        ThesisError: There are no features, or no vocabulary for ``texts=words``.
    """
    if config.texts == "words" and not (config.features and config.vocabulary):
        raise ThesisError(
            "texts=words reads features and words of others: name the folder of the videos' "
            "features (features=...) and the list of words (vocabulary=... or glove), or set "
            "texts=features."
        )
    manifest = read_manifest(dataset)
    if config.features:
        kept = FeatureStore(config.features)
    else:
        kept = frame_features.features_of(manifest, frame_features.encoder(config.model), RATE, log)
    if config.texts == "words":
        known = words_of(config)
        width = config.word_dim if known.vectors is None else known.vectors.shape[1]
        config = replace(config, dim=kept.width, words=len(known), word_dim=width)
        return World(manifest, kept, config)
    width = frame_features.encoder(config.model).width
    return World(manifest, kept, replace(config, dim=kept.width, text_dim=width))


def by_second(features: Rows, times: Times) -> Tensor:
    """Rows of features to one a second, float32 ``(T, D)``.

    Args:
        features: ``(N, D)``, at any rate.
        times: ``(N,)`` seconds, rising from the first.

    Returns:
        The mean of the rows of each second; a second without one repeats the one before.
    """
    second = np.floor(times - times[0] + 1e-6).astype(np.int64)
    rows = torch.from_numpy(np.asarray(features, np.float32))
    length = int(second[-1]) + 1
    total = torch.zeros(length, rows.shape[1]).index_add_(0, torch.from_numpy(second), rows)
    count = np.bincount(second, minlength=length)
    filled = np.maximum.accumulate(np.where(count > 0, np.arange(length), 0))
    return (total / torch.from_numpy(np.maximum(count, 1)).float()[:, None])[filled]


def fingerprint(dataset: str) -> str:
    """Of a data set with what is heard and seen in it, for the names of rows."""
    manifest = read_manifest(dataset)
    return _with(narrations.fingerprint(manifest), _own_steps(manifest))


def _own_steps(manifest: Manifest) -> str:
    """The steps of videos where somebody has put their list beside them; else "".

    A list that was prepared with the videos cannot be another, as its checksum is kept, and the
    names of runs are without it.
    """
    prepared = checksum_key(SEGMENTS_FILE) in manifest.info
    if prepared or not (manifest.root / SEGMENTS_FILE).is_file():
        return ""
    return f"{read_segments(manifest)!r} {manifest.info.get('step_texts')!r}"


def _with(fingerprint: str, more: str) -> str:
    return hashlib.sha256(f"{fingerprint} {more}".encode()).hexdigest() if more else fingerprint
