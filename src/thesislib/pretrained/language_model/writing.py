"""Learning to go on writing the text of films: the loss, and rows of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from thesislib.config import RunConfig
from thesislib.data.films import Film
from thesislib.data.loader import Key
from thesislib.fields import Channels, Count, Layers, Share, between

PADDING = -1


@dataclass(frozen=True)
class WritingConfig(RunConfig):
    """Settings of the recipe; the defaults made the weights that ship."""

    dataset: str = "studio_screenplays"
    epochs: int = 8
    batch_size: int = 32
    optimiser: str = "adamw"
    lr: float = 3e-3
    weight_decay: float = 0.05
    clip_grad: float = 1.0
    schedule: str = "cosine"
    warmup: int = 60
    num_workers: int = 0
    val_every: int = 2
    films: Count = 4000  # that are read
    val_films: Count = 200  # set aside
    told: Share = 0.5  # share of documents that are descriptions alone, without dialogue
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
        target = ids[:, 1:]
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PADDING)
        right = (logits.argmax(2) == target)[target >= 0].float().mean()
        return loss, {"loss": loss.detach(), "tokens": right}


class Documents(Dataset[dict[str, Tensor]]):
    """Rows of documents, each a part of a film's text and the mark of its end.

    A document begins anywhere in a film and has one cue or many; so the model knows films from
    their middle, and that a sentence can be all there is.

    Args:
        films: Whose text it is.
        encode: Text to token ids.
        end: Id of the mark.
        window: Tokens n of a row, with the mark that it begins with.
        told: Share of the documents without dialogue.
        seed: Of the draws.

    Items:
        ``ids`` int64 ``(n,)``; a key ``(epoch, index)`` always gives the same.
    """

    def __init__(
        self,
        films: Sequence[Film],
        encode: Callable[[str], list[int]],
        end: int,
        window: int,
        told: float,
        seed: int,
    ) -> None:
        self.end, self.window, self.told, self.seed = end, window, told, seed
        kinds = ([film.named for film in films], [(*film.named, *film.subtitles) for film in films])
        self.cues = [[[encode(c.text) for c in sorted(some)] for some in kind] for kind in kinds]

    def __len__(self) -> int:
        return len(self.cues[0])

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        rng = np.random.default_rng([self.seed, epoch, index])
        ids = [self.end]
        while len(ids) < self.window:
            cues = self.cues[int(rng.random() >= self.told)][index]
            first = int(rng.integers(len(cues)))
            # One cue is as likely as two to three, four to seven, eight to fifteen ...
            count = int(2 ** rng.uniform(0, 5))
            for cue in cues[first : first + count]:
                ids += cue
            ids.append(self.end)
        return {"ids": torch.tensor(ids[: self.window])}
