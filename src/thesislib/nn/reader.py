"""A causal language model that reads vectors: learnt ones among those of words."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn


class Read(NamedTuple):
    """What a reader makes of vectors.

    Its fields:

    - ``logits``: of the token after each, ``(B, kept, V)`` float32.
    - ``cache``: keys and values, to read on from; ``None`` where none was asked for.
    """

    logits: Tensor
    cache: Any


class Reader(nn.Module):
    """A causal language model of transformers, frozen or learning.

    A frozen one is held, not owned: it moves along, but no optimiser and no checkpoint sees it, and
    whoever loads a checkpoint brings it again. It stays in evaluation mode; gradients pass through
    to the vectors.

    Args:
        model: For instance a ``GPT2LMHeadModel``. It shares its tensors with a reader that holds
            it; one that owns it has a copy.
        own: Have a copy that is part of checkpoints.
        learn: Let that copy learn.

    Attributes:
        width: Length W of a word's vector.
        vocabulary: Tokens V that it knows.
    """

    def __init__(self, model: Any, own: bool = False, learn: bool = False) -> None:
        super().__init__()
        self.learns = own and learn
        self.width, self.vocabulary = int(model.config.hidden_size), int(model.config.vocab_size)
        if own:
            self.owned = copy.deepcopy(model).requires_grad_(learn)
            self.owned.train(learn)
        else:
            model.requires_grad_(False).eval()
        self._held = () if own else (model,)  # in a tuple torch does not find it

    @property
    def model(self) -> Any:
        """The language model itself."""
        return self._held[0] if self._held else self.owned

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        if self._held:
            self.model._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def train(self, mode: bool = True) -> Self:
        """Training mode, of a model that learns; a frozen one leaves nothing out at random."""
        super().train(mode)
        if not self.learns:
            self.model.eval()
        return self

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids ``(..., n)``, of which those below 0 are padding, to ``(..., n, W)``."""
        return self.model.get_input_embeddings()(ids.clamp(min=0))

    def forward(
        self,
        vectors: Tensor,
        mask: Tensor,
        cache: Any = None,
        keep: int = 1,
        cached: bool = False,
    ) -> Read:
        """Reads on.

        Args:
            vectors: ``(B, n, W)``, those that are new.
            mask: bool ``(B, m)``, of all that was read, the new ones last: True where something
                stands. Padding counts no place, so wherever it stands, nothing changes.
            cache: Of what was read before (m - n vectors).
            keep: Logits of so many of the last vectors.
            cached: Give a cache to read on from.
        """
        places: Tensor | None
        hidden: Tensor | None
        if vectors.is_meta:  # operations are counted, and no mask has values to look at
            places, hidden = None, vectors.new_zeros(len(vectors), 1, *[vectors.shape[1]] * 2)
        else:
            places = (mask.cumsum(1) - 1).clamp(min=0)[:, -vectors.shape[1] :]
            # The mask is only given where it hides something: without, kernels are faster.
            hidden = None if bool(mask.all()) else mask.to(torch.long)
        read = self.model(
            inputs_embeds=vectors.to(self.model.dtype), attention_mask=hidden, position_ids=places,
            past_key_values=cache, use_cache=cached, logits_to_keep=keep,
        )  # fmt: skip
        return Read(read.logits.float(), read.past_key_values if cached else None)
