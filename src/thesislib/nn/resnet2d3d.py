"""The 2D3D-ResNet of DPC and MemDPC (thesis 2.3.4): early stages in space, late in space-time.

The stem and the stages res2 and res3 have kernels (1, k, k). They are written here as 2-D
convolutions over frames, which is the same function and, on a CPU, half the time; res4 and res5
are 3-D. The authors' checkpoints hold the 2-D weights with a time axis of length one
(:mod:`thesislib.authors` removes it).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Channels of a oneDNN block at the most. Channels last, its gradient of a 1 x 1 convolution with a
# stride writes past its memory where the input has fewer (oneDNN issue 6035, torch 2.13): the
# process dies, or goes on with wrong weights.
BLOCK = 16
LAYERS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


class FewFrames(nn.Conv3d):
    """A 3-D convolution of width 3 (or 1) that is quick where one or two frames are left.

    There it is a 2-D one over the frames side by side in the channels: the same function, and in
    training on a CPU half the time.
    """

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[2]
        if x.is_cuda or not self.training or self.kernel_size[0] != 3 or frames > 2:
            return super().forward(x)
        places = range(0, frames, self.stride[0])
        rows = [[self.weight[:, :, 1 + i - at] for i in range(frames)] for at in places]
        weight = torch.cat([torch.cat(row, 1) for row in rows])  # (T' * O, T * C, 3, 3)
        y = F.conv2d(x.transpose(1, 2).flatten(1, 2), weight, None, self.stride[1:], 1)
        return y.unflatten(1, (len(places), -1)).transpose(1, 2)


class Block(nn.Module):
    """Residual block: basic (two 3-wide convolutions) or bottleneck (1, 3, 1; expansion 4).

    Args:
        dims: 2 (over frames, ``(M, C, H, W)``) or 3 (over clips, ``(M, C, T, H, W)``).
        in_channels: Width of the input.
        channels: Width of the 3-wide convolutions; the output has ``channels * expansion``.
        stride: Of the first 3-wide convolution, on every axis.
        bottleneck: Which of the two.
        running_stats: Whether batch norm keeps running statistics.
        final_relu: Off in the last block of the network, whose features are signed.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        channels: int,
        stride: int,
        *,
        bottleneck: bool = False,
        running_stats: bool = True,
        final_relu: bool = True,
    ) -> None:
        super().__init__()
        conv: Any = {2: nn.Conv2d, 3: FewFrames}[dims]
        norm: Any = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims]
        out = channels * (4 if bottleneck else 1)
        widths = (channels, channels, out) if bottleneck else (channels, out)
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        width = in_channels
        for i, (w, k, s) in enumerate(zip(widths, kernels, strides, strict=True), start=1):
            self.add_module(f"conv{i}", conv(width, w, k, s, k // 2, bias=False))
            self.add_module(f"bn{i}", norm(w, track_running_stats=running_stats))
            width = w
        self.depth = len(widths)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out:
            self.downsample = nn.Sequential(
                conv(in_channels, out, 1, stride, bias=False),
                norm(out, track_running_stats=running_stats),
            )
        self.final_relu = final_relu

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x))
            if i < self.depth:
                x = torch.relu_(x)  # in place: batch norm does not need its output again
        x = x + shortcut
        return torch.relu_(x) if self.final_relu else x


def feature_shape(
    clip: tuple[int, ...], network: str = "resnet18", width: int = 64, stem_pool: bool = True
) -> tuple[int, ...]:
    """Shape ``(D, T', H', W')`` of the features of one clip of shape ``(3, T, H, W)``.

    It comes from running an empty clip through an empty encoder, not from a formula.
    """
    with torch.device("meta"):
        encoder = ResNet2D3D(network, width, stem_pool=stem_pool).eval()
        return tuple(encoder(torch.empty(1, *clip)).shape[1:])


class ResNet2D3D(nn.Module):
    """Encoder f of thesis equation 2.1.

    Args:
        network: ``resnet18``, ``resnet34`` or ``resnet50``.
        width: Channels of the stem; the thesis has 64. The stages have 1, 2, 4 and 4 times as many
            (not 8: the last stage is as wide as the one before).
        running_stats: Whether batch norm keeps running statistics. The released pre-training code
            does not, and normalises by the batch at test time too.
        stem_pool: Whether a max-pool follows the stem, as in the thesis. Off, small inputs keep a
            feature map twice as large.

    Shapes:
        Input ``(M, 3, T, H, W)`` float, normalised. Output ``(M, D, ceil(T/4), H/32, W/32)``,
        signed, with ``D = feature_dim`` (256 for the thesis's ResNet-18): 5 frames of 128 x 128
        give ``(M, 256, 2, 4, 4)``.
    """

    def __init__(
        self,
        network: str = "resnet18",
        width: int = 64,
        running_stats: bool = True,
        stem_pool: bool = True,
    ) -> None:
        super().__init__()
        bottleneck = network == "resnet50"
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width, track_running_stats=running_stats)
        self.pool = nn.MaxPool2d(3, 2, 1) if stem_pool else nn.Identity()
        channels = width
        for stage, (count, factor) in enumerate(zip(LAYERS[network], (1, 2, 4, 4), strict=True), 1):
            blocks: list[nn.Module] = []
            for i in range(count):
                blocks.append(
                    Block(
                        2 if stage <= 2 else 3,
                        channels,
                        width * factor,
                        stride=2 if i == 0 and stage > 1 else 1,
                        bottleneck=bottleneck,
                        running_stats=running_stats,
                        final_relu=not (stage == 4 and i == count - 1),
                    )
                )
                channels = width * factor * (4 if bottleneck else 1)
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.feature_dim = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        clips, _, frames = x.shape[:3]
        x = x.transpose(1, 2).flatten(0, 1)  # (M*T, 3, H, W)
        if self.training and self.conv1.out_channels >= BLOCK:
            # A quarter faster on a CPU; but its batch norm adds in another order, which costs a
            # digit, so evaluation keeps the plain order.
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.pool(torch.relu_(self.bn1(self.conv1(x))))
        x = self.get_submodule("layer2")(self.get_submodule("layer1")(x))
        x = x.unflatten(0, (clips, frames)).transpose(1, 2)  # (M, C, T, H, W)
        return self.get_submodule("layer4")(self.get_submodule("layer3")(x))
