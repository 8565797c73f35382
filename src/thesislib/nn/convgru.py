"""ConvGRU with 1 x 1 kernels: the aggregation function g of DPC and MemDPC (thesis 2.3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvGRU(nn.Module):
    """One recurrent layer that shares its weights among all positions of the map.

    ``u = sigmoid(W_u [x; h])``, ``r = sigmoid(W_r [x; h])``, ``o = tanh(W_o [x; r * h])``,
    ``h' = (1 - u) * h + u * o``, then dropout on ``h'``, which is the state carried on
    (facts of the released code; the thesis gives the dropout rate, 0.1).

    Args:
        dim: Channels of the input and of the state.
        dropout: Rate in training, in ``[0, 1)``.
        gain: Of the orthogonal initialisation (1 in DPC, 0.1 in MemDPC).
    """

    def __init__(self, dim: int, dropout: float = 0.1, gain: float = 1.0) -> None:
        super().__init__()
        self.dim = dim
        self.reset_gate = nn.Conv2d(2 * dim, dim, 1)
        self.update_gate = nn.Conv2d(2 * dim, dim, 1)
        self.out_gate = nn.Conv2d(2 * dim, dim, 1)
        self.dropout = nn.Dropout(dropout)
        for gate in (self.reset_gate, self.update_gate, self.out_gate):
            nn.init.orthogonal_(gate.weight, gain)
            nn.init.zeros_(gate.bias)  # type: ignore[arg-type]

    def step(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """One step: ``x`` and ``state`` are ``(B, D, h, w)``; no state means zeros."""
        if state is None:
            state = torch.zeros_like(x)
        both = torch.cat((x, state), dim=1)  # (B, 2D, h, w)
        update = torch.sigmoid(self.update_gate(both))
        reset = torch.sigmoid(self.reset_gate(both))
        new = torch.tanh(self.out_gate(torch.cat((x, reset * state), dim=1)))
        return self.dropout((1 - update) * state + update * new)

    def forward(self, sequence: Tensor, state: Tensor | None = None) -> Tensor:
        """The state after ``sequence`` ``(B, N, D, h, w)``, as ``(B, D, h, w)``."""
        for x in sequence.unbind(1):
            state = self.step(x, state)
        assert state is not None
        return state


def context_vector(
    features: Tensor, aggregator: ConvGRU, backward_aggregator: ConvGRU | None = None
) -> Tensor:
    """The context of all blocks, averaged over places (thesis 2.4, 3.4).

    Args:
        features: ``(B, N, D, h, w)``, rectified.
        aggregator: Reads the blocks first to last.
        backward_aggregator: Reads them last to first; ``None`` for one direction.

    Returns:
        ``(B, D)``, or ``(B, 2D)``, forward then backward.
    """
    vectors = [aggregator(features).mean((-2, -1))]
    if backward_aggregator is not None:
        vectors.append(backward_aggregator(features.flip(1)).mean((-2, -1)))
    return torch.cat(vectors, 1)
