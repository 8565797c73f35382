"""Learning to go on writing the text of films: the loss, and rows of documents."""

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
from thesislib.fields import Channels, Count, Layers, Share, between
from thesislib.losses import next_token_loss

_Cue = tuple[float, list[int], list[int]]  # start, text, direction


@dataclass(frozen=True)
class WritingConfig(RunConfig):
    """Settings of the recipe; the defaults made the weights that ship."""

    dataset: str = "studio_screenplays"
    epochs: int = 12
    batch_size: int = 16
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
    told: Share = 0.5  # share of documents that are descriptions alone, without dialogue
    directed: Share = 0.7  # share of documents with directions before half of their descriptions
    tokens: Annotated[int, between(300, 100_000)] = 1000  # of the tokenizer, 256 bytes among them
    window: Annotated[int, between(8, 100_000)] = 192  # tokens of a row
    positions: Annotated[int, between(8, 100_000)] = 256
    width: Channels = 128
    layers: Layers = 4
    heads: Layers = 4


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


class Documents(Dataset[dict[str, Tensor]]):
    """Rows of documents, each a part of a film's text and the mark of its end.

    A document begins anywhere in a film and has one cue or many; so the model knows films from
    their middle, and that a sentence can be all there is.

    Args:
        films: Whose text it is.
        notes: For each description of each film the stage direction before it.
        encode: Text to token ids.
        end: Id of the mark.
        config: Has the ``window``, and the shares ``told`` and ``directed``.
        seed: Of the draws.

    Items:
        ``ids`` int64 ``(n,)``; a key ``(epoch, index)`` always gives the same.
    """

    def __init__(
        self,
        films: Sequence[Film],
        notes: Sequence[Sequence[str]],
        encode: Callable[[str], list[int]],
        end: int,
        config: WritingConfig,
        seed: int,
    ) -> None:
        self.end, self.config, self.seed = end, config, seed
        told: list[list[_Cue]] = [
            [(c.start, encode(c.text), encode(n)) for c, n in zip(film.named, some, strict=True)]
            for film, some in zip(films, notes, strict=True)
        ]
        said: list[list[_Cue]] = [
            [(c.start, encode(c.text), []) for c in f.subtitles] for f in films
        ]
        both = [sorted([*a, *b], key=itemgetter(0)) for a, b in zip(told, said, strict=True)]
        self.cues = (told, both)

    def __len__(self) -> int:
        return len(self.cues[0])

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng([self.seed, epoch, index])
        ids = [self.end]
        while len(ids) < self.config.window:
            cues = self.cues[int(rng.random() >= self.config.told)][index]
            directed = rng.random() < self.config.directed
            first = int(rng.integers(len(cues)))
            # One cue is as likely as two to three, four to seven, eight to fifteen ...
            count = int(2 ** rng.uniform(0, 5))
            for _, text, note in cues[first : first + count]:
                ids += [*note, *text] if directed and rng.random() < 0.5 else text
            ids.append(self.end)
        return {"ids": torch.tensor(ids[: self.config.window])}
