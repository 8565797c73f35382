"""The 2D3D-ResNet: its quick 3-D convolution against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from thesislib.nn.resnet2d3d import BLOCK, FewFrames, ResNet2D3D


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_few_frames_are_convolved_as_torch_does(frames: int, stride: int, kernel: int) -> None:
    """Values and both gradients, in training and in evaluation."""
    torch.manual_seed(frames)
    layer = FewFrames(3, 4, kernel, stride, kernel // 2, bias=False).double()
    x = torch.randn(2, 3, frames, 5, 4, dtype=torch.float64)

    def through(forward: object) -> tuple[Tensor, Tensor, Tensor]:
        seen = x.clone().requires_grad_()
        y = forward(layer, seen)  # type: ignore[operator]
        grads = torch.autograd.grad(
            (y * torch.arange(y.numel()).view(y.shape)).sum(), [seen, layer.weight]
        )
        return y.detach(), *grads

    expected = through(nn.Conv3d.forward)
    for mode in (True, False):
        layer.train(mode)
        for got, want in zip(through(FewFrames.forward), expected, strict=True):
            assert torch.allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("width", [4, BLOCK - 1, BLOCK])
def test_narrow_networks_keep_away_from_a_fault_of_onednn(width: int) -> None:
    """Channels last, what shortens a narrow stage writes past its memory on some processors."""
    torch.manual_seed(width)
    net, orders = ResNet2D3D(width=width), []
    for layer in (net.layer2[0].downsample[0], net.layer3[0].downsample[0]):
        layer.register_forward_pre_hook(lambda layer, given: orders.append(given[0].stride(1)))
    for _ in range(20):  # before, the heap was damaged within these on AVX2
        net(torch.randn(4, 3, 3, 48, 48)).square().mean().backward()
    assert len(orders) == 20 * 2 and {order == 1 for order in orders} == {width >= BLOCK}
