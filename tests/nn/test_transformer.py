"""The Transformer block against loops over heads and tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from thesislib.errors import ThesisError
from thesislib.nn.transformer import Block, QuickGELU


def by_hand(block: Block, x: torch.Tensor, allowed: list[list[bool]]) -> torch.Tensor:
    """One item ``(N, D)``; who may look at whom."""
    tokens, dim = x.shape
    heads = block.attention.num_heads
    width = dim // heads
    y = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    y = y * block.norm_1.weight + block.norm_1.bias
    q, k, v = (y @ block.attention.in_proj_weight.T + block.attention.in_proj_bias).chunk(3, 1)
    joined = torch.zeros(tokens, dim)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(tokens):
            seen = [j for j in range(tokens) if allowed[i][j]]
            score = torch.stack([q[i, part] @ k[j, part] / math.sqrt(width) for j in seen])
            for weight, j in zip(score.softmax(0), seen, strict=True):
                joined[i, part] += weight * v[j, part]
    x = x + joined @ block.attention.out_proj.weight.T + block.attention.out_proj.bias
    hidden = block.norm_2(x) @ block.mlp[0].weight.T + block.mlp[0].bias
    hidden = hidden / (1 + torch.exp(-1.702 * hidden))
    return x + hidden @ block.mlp[2].weight.T + block.mlp[2].bias


def test_block_is_loops_over_heads_and_tokens() -> None:
    torch.manual_seed(0)
    block, x = Block(6, 3), torch.randn(2, 4, 6)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    padding = torch.tensor([[False] * 4, [False, False, True, True]])
    everyone = [[True] * 4] * 4
    with torch.no_grad():
        plain, masked, padded = block(x), block(x, mask=causal), block(x, padding=padding)
        added = block(x, mask=torch.zeros(4, 4).masked_fill(causal, -torch.inf))
        want = torch.stack([by_hand(block, item, everyone) for item in x])
        torch.testing.assert_close(plain, want, atol=1e-4, rtol=1e-4)
        want = torch.stack([by_hand(block, item, (~causal).tolist()) for item in x])
        torch.testing.assert_close(masked, want, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(added, want, atol=1e-4, rtol=1e-4)
        want = by_hand(block, x[1], [[True, True, False, False]] * 4)
        torch.testing.assert_close(padded[1], want, atol=1e-4, rtol=1e-4)


def test_counts_and_the_other_activation() -> None:
    with torch.device("meta"):
        block = Block(512, 8)
    assert sum(p.numel() for p in block.parameters()) == 3_152_384
    exact = Block(8, 2, widening=2, activation=nn.GELU)
    assert isinstance(exact.mlp[1], nn.GELU) and exact.mlp[0].out_features == 16
    x = torch.linspace(-4, 4, 200)
    assert 0.01 < float((QuickGELU()(x) - nn.GELU()(x)).abs().max()) < 0.021


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ThesisError, match="heads=3 do not divide features of 8"):
        Block(8, 3)
