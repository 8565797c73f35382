"""The Transformer block of chapters 5 to 8 (Vaswani et al., 2017), norms first."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError


class QuickGELU(nn.Module):
    """x times the logistic function of 1.702 x: the GELU of the first image-text models.

    It differs from the exact one by up to 0.02, which their weights notice.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class QVAttention(nn.Module):
    """Self-attention of all tokens, with biases of queries and values and none of keys.

    A bias of the keys adds the same number to all logits of a query, so the softmax never sees it;
    VideoMAE leaves it out (thesis chapter 6 starts from its weights). One product makes all three,
    PyTorch's fused kernel does the rest.

    Args:
        dim: Length D of a token.
        heads: They divide D.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, D)`` to the same."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, N, D / heads) each
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class DropPath(nn.Module):
    """In training, leaves out what a layer adds, for whole items (G. Huang et al., 2016).

    Args:
        rate: Share of the items; what is added to the others grows by ``1 / (1 - rate)``.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand(len(x), *(1,) * (x.ndim - 1), device=x.device) >= self.rate
        return x * (kept / (1 - self.rate)).to(x.dtype)


class Block(nn.Module):
    """Self-attention, then an MLP, each on normalised input and added to what came in.

    Args:
        dim: Length D of a token.
        heads: Of the attention; they divide D.
        widening: Width of the MLP between its layers, in D.
        activation: Makes the non-linearity of the MLP.
        attention: Makes the attention of (D, heads); ``None`` is ``nn.MultiheadAttention``, the
            only one that takes masks.
        eps: Of the layer norms.
        drop_path: How often, in training, an item passes a half of the block by.

    Raises:
        ThesisError: The heads do not divide D.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        widening: float = 4.0,
        activation: Callable[[], nn.Module] = QuickGELU,
        attention: Callable[[int, int], nn.Module] | None = None,
        eps: float = 1e-5,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ThesisError(
                f"heads={heads} do not divide features of {dim} numbers: choose a divisor."
            )
        hidden = int(dim * widening)
        self.norm_1 = nn.LayerNorm(dim, eps)
        self.attention: nn.Module = (
            nn.MultiheadAttention(dim, heads, batch_first=True)
            if attention is None
            else attention(dim, heads)
        )
        self.norm_2 = nn.LayerNorm(dim, eps)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), activation(), nn.Linear(hidden, dim))
        self.drop_path = DropPath(drop_path)

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
        x = x + self.drop_path(self._attend(self.norm_1(x), mask, padding))
        return x + self.drop_path(self.mlp(self.norm_2(x)))

    def _attend(self, y: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
        if isinstance(self.attention, nn.MultiheadAttention):
            more = {"attn_mask": mask, "key_padding_mask": padding, "need_weights": False}
            return self.attention(y, y, y, **more)[0]
        if mask is not None or padding is not None:
            raise ThesisError(
                f"{type(self.attention).__name__} takes no masks: leave attention=None."
            )
        return self.attention(y)


def draw_as_clip(blocks: nn.ModuleList) -> None:
    """First weights as CLIP draws them: what is added to the sum shrinks with the number of sums.

    Args:
        blocks: The :class:`Block` of one Transformer.
    """
    for name, weight in blocks.named_parameters():
        dim = weight.shape[-1]
        if name.endswith("in_proj_weight"):
            nn.init.normal_(weight, std=dim**-0.5)
        elif name.endswith(("out_proj.weight", "mlp.2.weight")):
            dim = weight.shape[0]
            nn.init.normal_(weight, std=(2 * dim * len(blocks)) ** -0.5)
        elif name.endswith("mlp.0.weight"):
            nn.init.normal_(weight, std=(2 * dim) ** -0.5)
