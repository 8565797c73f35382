"""S3D, the separable inception network of CoCLR (thesis 4.4.2; Xie et al., ECCV 2018), and S3D-G.

Every convolution is followed by batch norm and ReLU and has no bias. A *separable* one is a spatial
kernel ``(1, k, k)`` and then a temporal one ``(k, 1, 1)``, each with its own norm. With ``gating``
each branch of a mixed block is scaled by channel, by what the whole clip says (S3D-G).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError

# Channels of the branches: b0, b1 (reduce, separable), b2 (reduce, separable), b3 after the pool.
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}


class _OverTime(torch.autograd.Function):
    """Convolution of ``(B, C, T, N)`` by ``(O, C, k, 1)``, k odd: stride 1, padded to length T.

    The gradient of the weight is a matrix product for each of its places: half of oneDNN's time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=(weight.shape[2] // 2, 0))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        half, frames = weight.shape[2] // 2, x.shape[2]
        grad_x = F.conv2d(grad, weight.flip(2).transpose(0, 1), padding=(half, 0))  # turned round
        x, grad = (a.permute(0, 2, 3, 1) for a in (x, grad))  # (B, T, N, channels)
        places = []
        for shift in range(-half, half + 1):  # from a frame of the output to one of the input
            to = grad[:, max(0, -shift) : max(0, frames - shift)].flatten(1, 2)
            of = x[:, max(0, shift) : max(0, frames + shift)].flatten(1, 2)
            places.append((to.transpose(1, 2) @ of).sum(0))
        return grad_x, torch.stack(places, 2)[..., None]


class Temporal(nn.Conv3d):
    """Convolution of kernel ``(k, 1, 1)``, k odd, padded by half of it.

    On a CPU, where channels lie last, it is a 2-D one of the same view of memory, for which PyTorch
    is faster, on one thread by far (not so with a stride).
    """

    def __init__(self, in_channels: int, channels: int, kernel: int = 1, stride: int = 1) -> None:
        k, s, p = (kernel, 1, 1), (stride, 1, 1), (kernel // 2, 0, 0)
        super().__init__(in_channels, channels, k, s, p, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        last = x.is_cpu and x.is_contiguous(memory_format=torch.channels_last_3d)
        if not last or self.stride[0] > 1:
            return super().forward(x)
        flat, weight = x.flatten(3), self.weight.squeeze(4)  # (B, C, T, H * W), (O, C, k, 1)
        if x.dtype.itemsize < 4 or torch.is_autocast_enabled("cpu"):
            # In bfloat16 oneDNN is the faster one, and adds in float32.
            y = F.conv2d(flat, weight, padding=(weight.shape[2] // 2, 0))
        else:
            y = _OverTime.apply(flat, weight)
        return y.unflatten(3, x.shape[3:])


class Pool(nn.MaxPool3d):
    """Max pool by its other name, under which autocast leaves bfloat16 as it is: no copies."""

    def forward(self, x: Tensor) -> Tensor:
        window = self.kernel_size, self.stride, self.padding
        return F.max_pool3d(x, *window, return_indices=True)[0]


class Unit(nn.Module):
    """1 x 1 x 1 convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = Temporal(in_channels, channels)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.bn(self.conv(x)))


class Separable(nn.Module):
    """Spatial, then temporal convolution of width ``kernel``, each with batch norm and ReLU."""

    def __init__(self, in_channels: int, channels: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        k, s, p = kernel, stride, kernel // 2
        self.conv1 = nn.Conv3d(in_channels, channels, (1, k, k), (1, s, s), (0, p, p), bias=False)
        self.bn1 = nn.BatchNorm3d(channels)
        self.conv2 = Temporal(channels, channels, kernel, stride)
        self.bn2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(x)))


class Gate(nn.Module):
    """Scales channels by a sigmoid of a linear map of the clip's mean (S3D-G)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        weight = torch.sigmoid(self.fc(x.mean((2, 3, 4))))
        return x * weight[:, :, None, None, None]


class Mixed(nn.Module):
    """Inception block of four branches, side by side in the channels."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], gating: bool = False) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3 = widths
        self.branch0 = nn.Sequential(Unit(in_channels, b0))
        self.branch1 = nn.Sequential(Unit(in_channels, b1a), Separable(b1a, b1b))
        self.branch2 = nn.Sequential(Unit(in_channels, b2a), Separable(b2a, b2b))
        self.branch3 = nn.Sequential(Pool(3, 1, 1), Unit(in_channels, b3))
        outputs = (b0, b1b, b2b, b3)
        self.gates = nn.ModuleList(Gate(c) for c in outputs) if gating else None
        self.out_channels = sum(outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = [b(x) for b in (self.branch0, self.branch1, self.branch2, self.branch3)]
        if self.gates is not None:
            parts = [gate(part) for gate, part in zip(self.gates, parts, strict=True)]
        return torch.cat(parts, 1)


class S3D(nn.Module):
    """Encoder f of thesis chapter 4.

    Args:
        width: All widths are multiplied by it; the thesis has 1. Branches get 4 channels at least.
        gating: S3D-G: self-gating after each branch.
        mixed: Which of the nine mixed blocks there are; the thesis has all. Fewer make a shallower
            network for small clips.

    Shapes:
        Input ``(B, 3, T, H, W)`` float, normalised. Output ``(B, D, T/8, H/32, W/32)``, rectified,
        ``D = feature_dim`` (1024 at width 1): 32 frames of 128 x 128 give ``(B, 1024, 4, 4, 4)``.
        Smaller inputs are rounded up at each stride but the last, which rounds down.

    Raises:
        ThesisError: Fewer than 8 frames or 17 pixels.
    """

    # 5 frames would be enough for the strides. But with 5 to 7, PyTorch 2.13 on a CPU with AVX-512
    # crashes, or gets a wrong gradient of the first temporal kernel without a word (oneDNN 3.12).
    least = (8, 17, 17)
    # Half the time on a CPU, and in training anywhere. Batch norm then adds in another order, which
    # costs a digit of a training step (none in evaluation, which adds nothing).
    channels_last = True

    def __init__(
        self, width: float = 1.0, gating: bool = False, mixed: Sequence[str] = tuple(MIXED)
    ) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return max(4, round(width * channels))

        stem, middle = scaled(64), scaled(192)
        self.conv_1a: nn.Module = Separable(3, stem, 7, 2)
        self.pool_2a: nn.Module = Pool((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.conv_2b = Unit(stem, stem)
        self.conv_2c: nn.Module = Separable(stem, middle)
        self.pool_3a: nn.Module = Pool((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.pool_4a: nn.Module = Pool(3, 2, 1)
        self.pool_5a: nn.Module = Pool(2, 2)
        channels = middle
        self.mixed = tuple(name for name in MIXED if name in mixed)  # always in this order
        for name in self.mixed:
            widths = MIXED[name]
            block = Mixed(channels, tuple(scaled(w) for w in widths), gating)
            self.add_module(f"mixed_{name}", block)
            channels = block.out_channels
        self.feature_dim = channels
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.normal_(module.weight, std=0.01)

    def stages(self, x: Tensor) -> list[Tensor]:
        """The outputs of the five stages, the last of which is :meth:`forward`'s."""
        frames, height, width = x.shape[2:]
        if any(have < need for have, need in zip(x.shape[2:], self.least, strict=True)):
            raise ThesisError(
                f"Clips of {frames} frames of {width}x{height} pixels are too small for S3D: "
                f"make them {self.least[0]} frames and {self.least[1]} pixels at least."
            )
        if self.channels_last and (self.training or x.is_cpu):
            x = x.contiguous(memory_format=torch.channels_last_3d)
        outputs = [self.conv_1a(x)]
        outputs.append(self.conv_2c(self.conv_2b(self.pool_2a(outputs[-1]))))
        for number, pool in ((3, self.pool_3a), (4, self.pool_4a), (5, self.pool_5a)):
            x = pool(outputs[-1])
            for name in self.mixed:
                if name.startswith(str(number)):
                    x = self.get_submodule(f"mixed_{name}")(x)
            outputs.append(x)
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)[-1]
