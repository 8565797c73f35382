"""What chapter 8 learns from: clips of films, the text of films, pictures with captions."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thesislib.chapters import frame_features
from thesislib.data.captions import read_captions
from thesislib.data.features import Rows, Times
from thesislib.data.features import fingerprint as fingerprint_of
from thesislib.data.film_clips import FilmItem, FilmSequences, items_of
from thesislib.data.film_features import RATE, FilmFeatures, H5Films, KeptFilms, clip_of
from thesislib.data.film_files import FilmSet, read_films
from thesislib.data.film_texts import read_texts
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.language import LanguageModel, load_language_model
from thesislib.language.describing import FilmClips
from thesislib.language.inputs import Inputs, padded
from thesislib.methods.autoad_config import AutoADConfig
from thesislib.train import Log, placed


@functools.cache
def language(name: str) -> LanguageModel:
    """A language model on the device of training; loaded once a process."""
    found = load_language_model(name)
    placed(found.model)
    return found


@dataclass(frozen=True)
class World:
    """A data set of films, with the settings of a row.

    Attributes:
        manifest: Its videos.
        films: In words.
        seen: Features of their frames.
        config: Of the row, with the width of these features.
    """

    manifest: Manifest
    films: FilmSet
    seen: FilmFeatures
    config: AutoADConfig

    @property
    def language(self) -> LanguageModel:
        """The language model of the row, as it was before any training here."""
        return language(self.config.language)

    def fingerprint(self, *more: str) -> str:
        """Of words, pictures, both frozen models, and of what else is read."""
        text = f"{_mark(self.manifest, self.films)} {self.language.weights_hash} {more}"
        if self.config.features:  # a file of others: whatever stands in it under that name
            text += f" {fingerprint_of(Path(self.config.features).expanduser())}"
        else:
            text += f" {frame_features.encoder(self.config.model).weights_hash}"
        return hashlib.sha256(text.encode()).hexdigest()

    def items(self, split: str) -> list[list[FilmItem]]:
        """The clips of each film of a split, in order, by the row's settings."""
        return [self._items(film) for film in self.films.select(split)]

    def _items(self, film: Any) -> list[FilmItem]:
        config = self.config
        return items_of(
            film, named=config.names, past=config.past, dialogue=config.subtitles,
            lines=config.dialogues, within=config.seconds,
        )  # fmt: skip

    def sequences(self, split: str) -> FilmSequences:
        """Sequences of clips with what precedes them."""
        return self._sequences(self.items(split), self.seen)

    def written(self) -> FilmSequences:
        """The same of films without pictures (8.5): there is nothing to see in them."""
        films = [self._items(film) for film in read_texts(self.manifest).films.values()]
        return self._sequences(films, Unseen(self.config.dim))

    def captioned(self, dataset: str, split: str, log: Log = print) -> FilmSequences:
        """Videos with captions, each a film of one clip and no context (8.3.3)."""
        manifest = read_manifest(dataset)
        encoder = frame_features.encoder(self.config.model)
        kept = KeptFilms(manifest, frame_features.features_of(manifest, encoder, None, log))
        films = [
            [FilmItem(PurePosixPath(path).stem, 0, 0.0, np.inf, text, (), ())]
            for path, texts in read_captions(manifest.select(split)).items()
            for text in texts
        ]
        return self._sequences(films, kept)

    def _sequences(self, films: list[list[FilmItem]], seen: FilmFeatures) -> FilmSequences:
        config, inputs = self.config, Inputs(self.language, self.config)
        sentences: Mapping[str, Tensor] = {}
        if config.learns_from == "sentence":
            texts = sorted({item.text for some in films for item in some})
            rows = frame_features.encoder(config.model).encode_texts(texts)
            sentences = dict(zip(texts, rows, strict=True))

        def encode(item: FilmItem) -> dict[str, Tensor]:
            found = {
                "context": padded([inputs.context(item.context)], config.context_tokens)[0],
                "subtitles": padded([inputs.subtitles(item.subtitles)], config.subtitle_tokens)[0],
                "text": padded([inputs.text(item.text)], config.text_tokens)[0],
            }
            return found | ({"sentence": sentences[item.text]} if sentences else {})

        return FilmSequences(films, seen, encode, pairs=config.pairs, frames=config.frames)

    def clips(self, split: str, oracle: bool = False) -> dict[str, FilmClips]:
        """The films of a split as they are described: the true context is the oracle's.

        A film without descriptions is left out.
        """
        found = {}
        for some in filter(None, self.items(split)):
            movie = some[0].movie
            rows, times = self.seen.read(movie)
            seen = [clip_of(rows, times, one.start, one.end, self.config.frames) for one in some]
            truth = [one.text for one in some] if oracle else []
            found[movie] = FilmClips(torch.stack(seen), [one.subtitles for one in some], truth)
        return found


class Unseen:
    """Features of films that nobody filmed: a row of zeros, for a model that does not look."""

    def __init__(self, width: int) -> None:
        self.width = width

    def has(self, movie: str) -> bool:
        """There are such of any film."""
        return True

    def read(self, movie: str) -> tuple[Rows, Times]:
        """See :class:`~thesislib.data.film_features.FilmFeatures`."""
        return np.zeros((1, self.width), np.float32), np.zeros(1)


def world(config: AutoADConfig, log: Log = print) -> World:
    """The data set of a row; features that are missing are extracted.

    Raises:
        ThesisError: The data set is not there, or holds no films.
    """
    manifest = read_manifest(config.dataset)
    films = read_films(manifest)
    seen: FilmFeatures
    if config.features:
        seen = H5Films(config.features)
    else:
        encoder = frame_features.encoder(config.model)
        # Of a film with fewer frames than that, each frame once.
        rate = RATE if max(video.fps for video in manifest.videos) > RATE else None
        seen = KeptFilms(manifest, frame_features.features_of(manifest, encoder, rate, log))
    return World(manifest, films, seen, replace(config, dim=seen.width))


def fingerprint(dataset: str) -> str:
    """Of the films of a data set, in pictures and words."""
    manifest = read_manifest(dataset)
    return _mark(manifest, read_films(manifest))


def _mark(manifest: Manifest, films: FilmSet) -> str:
    said = "\n".join(repr(film) for film in films.films.values())
    text = f"{manifest.fingerprint} {hashlib.sha256(said.encode()).hexdigest()}"
    return hashlib.sha256(text.encode()).hexdigest()
