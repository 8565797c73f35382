"""Learning to go on writing the text of films and captions: the loss, and rows of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from thesislib.config import RunConfig
from thesislib.data.films import Film
from thesislib.data.loader import Key
from thesislib.fields import Channels, Count, Layers, Positive, Share, between
from thesislib.losses import next_token_loss

_Cue = tuple[float, list[int], list[int]]  # start, text, direction


@dataclass(frozen=True)
class WritingConfig(RunConfig):
    """Settings of the recipe; the defaults made the weights that ship."""

    dataset: str = "studio_screenplays"
    epochs: int = 11
    batch_size: int = 20
    optimiser: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.05
    clip_grad: float = 1.0
    schedule: str = "cosine"
    warmup: int = 60
    num_workers: int = 0
    val_every: int = 2
    films: Count = 4000  # that are read
    val_films: Count = 200  # set aside
    captions: Count = 4000  # of videos, that are read
    captioned: Share = 0.25  # share of documents that are captions
    told: Share = 0.5  # share of the others that are descriptions alone, without dialogue
    unnamed: Share = 0.2  # share of them in which "someone" stands for names
    directed: Share = 0.7  # share of them with directions before half of their descriptions
    tokens: Annotated[int, between(300, 100_000)] = 1000  # of the tokenizer, 256 bytes among them
    window: Annotated[int, between(8, 100_000)] = 160  # tokens of a row
    positions: Annotated[int, between(8, 100_000)] = 256
    width: Channels = 128
    layers: Layers = 4
    heads: Layers = 4
    # All colours stand in the same places, so the vectors of their words, drawn as small as GPT-2's
    # and learning as fast as the rest, became one vector (0.06 of their length apart after 3,000
    # steps), and no colour could be told again. Drawn five times as long and learning a tenth as
    # fast they stay apart, and after 300 steps what is worn is copied from a direction.
    spread: Positive = 0.06  # standard deviation of the first weights
    word_spread: Positive = 0.1  # of the first vectors of words
    word_rate: Share = 0.1  # learning rate of those, as a share of the others'


class Writing(nn.Module):
    """A language model, with the loss of its next token."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """``ids`` int64 ``(B, n)``, -1 for padding at the end."""
        ids = batch["ids"]
        logits = self.model(input_ids=ids[:, :-1].clamp(min=0)).logits.float()
        loss, right = next_token_loss(logits, ids[:, 1:])
        return loss, {"loss": loss.detach(), "tokens": right}

    def parameter_groups(self, config: WritingConfig) -> list[dict[str, Any]]:
        """The vectors of words learn slowly, and are not drawn towards 0."""
        words = self.model.get_input_embeddings().weight
        others = [p for p in self.parameters() if p is not words]
        return [
            {"params": others, "weight_decay": config.weight_decay},
            {"params": [words], "weight_decay": 0.0, "lr_scale": config.word_rate},
        ]


class Documents(Dataset[dict[str, Tensor]]):
    """Rows of documents, each a part of a film's text or a caption, and the mark of its end.

    A part begins anywhere in a film and has one cue or many; so the model knows films from their
    middle, and that a sentence can be all there is.

    Args:
        films: Whose text it is.
        notes: For each description of each film the stage direction before it.
        captions: Of videos.
        encode: Text to token ids.
        end: Id of the mark.
        config: Has the ``window``, and the shares of the kinds of documents.
        seed: Of the draws.

    Items:
        ``ids`` int64 ``(n,)``; a key ``(epoch, index)`` always gives the same.
    """

    def __init__(
        self,
        films: Sequence[Film],
        notes: Sequence[Sequence[str]],
        captions: Sequence[str],
        encode: Callable[[str], list[int]],
        end: int,
        config: WritingConfig,
        seed: int,
    ) -> None:
        self.end, self.config, self.seed = end, config, seed
        self.captions = [encode(text) for text in captions]
        self.films: list[dict[tuple[bool, bool], list[_Cue]]] = []  # by (told, unnamed)
        for film, some in zip(films, notes, strict=True):
            before = [encode(note) for note in some]
            said: list[_Cue] = [(cue.start, encode(cue.text), []) for cue in film.subtitles]
            kinds: dict[tuple[bool, bool], list[_Cue]] = {}
            for unnamed, cues in ((False, film.named), (True, film.unnamed)):
                told = [(c.start, encode(c.text), n) for c, n in zip(cues, before, strict=True)]
                kinds[True, unnamed] = told
                kinds[False, unnamed] = sorted([*told, *said], key=itemgetter(0))
            self.films.append(kinds)

    def __len__(self) -> int:
        return len(self.films)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        config, rng = self.config, np.random.default_rng([self.seed, epoch, index])
        ids = [self.end]
        while len(ids) < config.window:
            if rng.random() < config.captioned:
                ids += self.captions[int(rng.integers(len(self.captions)))]
            else:
                told, unnamed = (
                    bool(rng.random() < config.told),
                    bool(rng.random() < config.unnamed),
                )
                ids += self._part(self.films[index][told, unnamed], rng)
            ids.append(self.end)
        return {"ids": torch.tensor(ids[: config.window])}

    def _part(self, cues: Sequence[_Cue], rng: np.random.Generator) -> list[int]:
        directed = rng.random() < self.config.directed
        first = int(rng.integers(len(cues)))
        # One cue is as likely as two to three, four to seven, eight to fifteen ...
        count = int(2 ** rng.uniform(0, 5))
        ids: list[int] = []
        for _, text, note in cues[first : first + count]:
            ids += [*note, *text] if directed and rng.random() < 0.5 else text
        return ids
