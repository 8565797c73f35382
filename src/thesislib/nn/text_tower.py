"""The text tower of a trained image-text model, frozen, and driven by vectors in place of words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError

PARTS = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")


class TextTower(nn.Module):
    """What open_clip's ``encode_text`` does, from the token vectors on.

    The tower is held, not owned: its tensors move along with this module, but they are none of its
    parameters, so no optimiser and no checkpoint sees them, and whoever loads a checkpoint brings
    the tower again. It takes no gradient and stays in evaluation mode; gradients pass through it to
    the vectors it is given. It shares its tensors with ``model``.

    Args:
        model: An open_clip ``CLIP`` or ``CustomTextCLIP``, or a text transformer of such a one.

    Attributes:
        width: Length W of a token vector.
        window: Most tokens of a text, with those of its start and end.
        dim: Length D of a text feature, in the space that texts and images share.

    Raises:
        ThesisError: It is no such model, or does not read a text at its end-of-text token.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        text: Any = getattr(model, "text", model)
        pool = getattr(text, "text_pool_type", getattr(text, "pool_type", None))
        fits = all(hasattr(text, name) for name in PARTS) and pool in ("argmax", "eos")
        if not fits or getattr(text, "cls_emb", None) is not None:
            raise ThesisError(
                f"The text tower of this {type(model).__name__} cannot be prompted: choose an "
                "open_clip model with a text transformer of its own that reads a text at its "
                "end-of-text token, such as ViT-B-16."
            )
        parts: Any = nn.Module()
        for name in PARTS:
            setattr(parts, name, getattr(text, name))
        parts.register_buffer("mask", getattr(text, "attn_mask", None), persistent=False)
        parts.requires_grad_(False).eval()
        self._held = (parts,)  # in a tuple torch does not find it
        eos = getattr(text, "text_eos_id", getattr(text, "eos_id", None))
        self._eos = eos if pool == "eos" else None
        self.window, self.width = map(int, parts.positional_embedding.shape)
        projection = parts.text_projection  # a matrix, a layer, or nothing
        if isinstance(projection, nn.Linear):
            self.dim = projection.out_features
        else:
            self.dim = self.width if projection is None else int(projection.shape[1])

    @property
    def parts(self) -> Any:
        """The pieces of the tower, in open_clip's names, and its causal ``mask``."""
        return self._held[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.parts._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def train(self, mode: bool = True) -> Self:
        """Training mode of nothing: the tower always stays in evaluation mode."""
        self.parts.eval()
        return super().train(mode)

    def end(self, tokens: Tensor) -> Tensor:
        """Where the end-of-text token stands, int64 ``(C,)``, in token ids ``(C, n)``."""
        if self._eos is None:
            return tokens.argmax(1)  # it has the highest number of all
        return (tokens == self._eos).int().argmax(1)

    def embed(self, tokens: Tensor) -> Tensor:
        """Token ids ``(C, n)`` to token vectors ``(C, n, W)``, without their place."""
        return self.parts.token_embedding(tokens)

    def forward(self, vectors: Tensor, end: Tensor) -> Tensor:
        """Text features.

        Args:
            vectors: ``(C, n, W)``, n at most the window.
            end: int64 ``(C,)``: where the end-of-text token stands among them.

        Returns:
            ``(C, D)``, float32, not normalised.
        """
        parts = self.parts
        if parts.mask is not None and not end.is_meta:
            # Causal: what comes after the last end changes nothing, and is not computed.
            vectors = vectors[:, : int(end.max()) + 1]
        length, dtype = vectors.shape[1], parts.transformer.get_cast_dtype()
        x = vectors.to(dtype) + parts.positional_embedding[:length].to(dtype)
        mask = None if parts.mask is None else parts.mask[:length, :length]
        x = parts.ln_final(parts.transformer(x, attn_mask=mask))
        x = x[torch.arange(len(x), device=x.device), end]
        projection = parts.text_projection
        if isinstance(projection, nn.Linear):
            x = projection(x)
        elif projection is not None:
            x = x @ projection
        return x.float()

    @torch.no_grad()
    def nearest_tokens(self, vectors: Tensor, k: int = 5) -> tuple[Tensor, Tensor]:
        """The words that learnt vectors are nearest to.

        Args:
            vectors: ``(V, W)``, learnt ones.
            k: How many.

        Returns:
            Token ids, int64 ``(V, k)``, nearest first, and their cosines.
        """
        words = self.parts.token_embedding.weight.float()
        cosine = F.normalize(vectors.float(), dim=1) @ F.normalize(words, dim=1).T
        found = cosine.topk(min(k, len(words)), dim=1)
        return found.indices, found.values
