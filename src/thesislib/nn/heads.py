"""Small heads on feature maps."""

from __future__ import annotations

from torch import nn


def pointwise_mlp(dim: int, out: int, gain: float = 1.0) -> nn.Sequential:
    """phi of thesis 2.3.1 and 3.3.1: two 1 x 1 convolutions with a ReLU between, linear output.

    Args:
        dim: Channels of the input and between the layers.
        out: Channels of the output.
        gain: Of the orthogonal initialisation (1 in DPC, 0.1 in MemDPC); biases are zero.

    Shapes:
        ``(B, dim, h, w)`` to ``(B, out, h, w)``.
    """
    layers = nn.Conv2d(dim, dim, 1), nn.ReLU(), nn.Conv2d(dim, out, 1)
    for layer in (layers[0], layers[2]):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has a bias
    return nn.Sequential(*layers)
