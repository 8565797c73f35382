"""Sentences as bags of word vectors: the text module of MIL-NCE and TAN (thesis 7.3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PADDING = 0  # the id of no word, and of one that is not in the vocabulary


class WordText(nn.Module):
    """A layer on each word's vector, the maximum over words, another layer (Miech et al., 2020).

    The vectors are frozen. TAN leaves padding out of the maximum; MIL-NCE, whose module it starts
    from, lets it take part.

    Args:
        words: Rows of the table, with that of :data:`PADDING`.
        dim: Numbers of a word's vector.
        hidden: Of the layer under the maximum.
        out: Of a sentence's feature.
        mask: Whether padding is left out. A sentence of nothing else keeps it.
    """

    def __init__(
        self,
        words: int = 66_250,
        dim: int = 300,
        hidden: int = 2048,
        out: int = 512,
        mask: bool = True,
    ) -> None:
        super().__init__()
        self.mask = mask
        self.table = nn.Embedding(words, dim)
        self.table.weight.requires_grad_(False)
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, out)

    def forward(self, words: Tensor) -> Tensor:
        """int64 ``(..., L)``, ids in ``[0, words)``, to ``(..., out)``."""
        hidden = torch.relu(self.fc1(self.table(words)))
        if self.mask:
            none = words == PADDING
            none = none & ~none.all(-1, keepdim=True)
            hidden = hidden.masked_fill(none[..., None], 0)  # rectified: 0 wins over nothing
        return self.fc2(hidden.amax(-2))
