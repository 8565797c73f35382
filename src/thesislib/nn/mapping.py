"""The mapping network of chapter 8: features of frames to a few vectors (thesis 8.3.1, 8.6.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.nn.transformer import Block, draw_as_clip


class MappingNetwork(nn.Module):
    """Learnt latents that look at the frames of a clip, and at one another.

    The frames are normalised and get a place in time; latents and frames pass the blocks together,
    and what has become of the latents is the result, with no norm after the last block.

    Args:
        dim: Length D of a frame feature, and the width of the blocks.
        latents: How many vectors P come out.
        depth: Blocks.
        heads: Of each; they divide D.
        places: Frames that have a place in time.
        standardised: Whether the features are centred and scaled first, by :attr:`scale`.

    Attributes:
        scale: Mean and spread of the features of training, ``(2, D)``; ``None``: as they are.
    """

    scale: Tensor | None

    def __init__(
        self, dim: int, latents: int, depth: int, heads: int, places: int, *,
        standardised: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        scale = torch.tensor([[0.0], [1.0]]).repeat(1, dim) if standardised else None
        self.register_buffer("scale", scale)
        self.latents = nn.Parameter(torch.randn(latents, dim))
        self.positions = nn.Parameter(torch.randn(places, dim))
        self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        draw_as_clip(self.blocks)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the frames of each clip, in order, to P vectors.

        Args:
            features: ``(B, T, D)`` float, T at least 1 and at most ``places``.

        Returns:
            ``(B, P, D)``.

        Raises:
            ThesisError: Features of another length, no frame, or more than have a place.
        """
        _, frames, dim = features.shape
        places, width = self.positions.shape
        if dim != width:
            raise ThesisError(
                f"Features of frames have {dim} numbers and the mapping network reads {width}: "
                "extract them by the model that it was trained with."
            )
        if not 1 <= frames <= places:
            raise ThesisError(
                f"A clip of {frames} frames cannot be mapped: give 1 to {places} of them."
            )
        if self.scale is not None:
            features = (features - self.scale[0]) / self.scale[1]
        x = self.norm(features) + self.positions[:frames]
        latents = self.latents.expand(len(x), -1, -1)
        x = torch.cat([latents, x], 1)  # (B, P + T, D)
        for block in self.blocks:
            x = block(x)
        return x[:, : latents.shape[1]]
