"""The Transformer block of chapters 5 to 8 (Vaswani et al., 2017), norms first."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from thesislib.errors import ThesisError


class QuickGELU(nn.Module):
    """x times the logistic function of 1.702 x: the GELU of the first image-text models.

    It differs from the exact one by up to 0.02, which their weights notice.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Self-attention, then an MLP, each on normalised input and added to what came in.

    Args:
        dim: Length D of a token.
        heads: Of the attention; they divide D.
        widening: Width of the MLP between its layers, in D.
        activation: Makes the non-linearity of the MLP.

    Raises:
        ThesisError: The heads do not divide D.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        widening: float = 4.0,
        activation: Callable[[], nn.Module] = QuickGELU,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ThesisError(
                f"heads={heads} do not divide features of {dim} numbers: choose a divisor."
            )
        hidden = int(dim * widening)
        self.norm_1 = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm_2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), activation(), nn.Linear(hidden, dim))

    def forward(
        self, x: Tensor, mask: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """One layer.

        Args:
            x: ``(B, N, D)``.
            mask: ``(N, N)``, added to the attention's logits, or bool, True where a token (row)
                must not look (column).
            padding: bool ``(B, N)``, True for tokens at which nobody looks.

        Returns:
            ``(B, N, D)``.
        """
        y = self.norm_1(x)
        x = (
            x
            + self.attention(y, y, y, attn_mask=mask, key_padding_mask=padding, need_weights=False)[
                0
            ]
        )
        return x + self.mlp(self.norm_2(x))
