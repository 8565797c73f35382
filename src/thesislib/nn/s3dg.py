"""S3D-G as MIL-NCE published it (Miech et al., CVPR 2020): the features under TAN (thesis 7.3.1).

The mixed blocks are those of :mod:`thesislib.nn.s3d`. Other are the stem, which folds cubes of
2 x 2 x 2 pixels into channels, the gate after it, and the pools, which pad at the far ends alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.nn.s3d import S3D, Gate, Separable
from thesislib.nn.word_text import WordText


class FoldedStem(nn.Module):
    """``(B, 3, T, H, W)`` to ``(B, C, T/2, H/2, W/2)``, for even T, H and W.

    Channels of the fold are in the order (time, row, column, colour).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(24, channels, (2, 4, 4), padding=(1, 2, 2), bias=False)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = rearrange(x, "b c (t i) (h j) (w k) -> b (i j k c) t h w", i=2, j=2, k=2)
        return torch.relu_(self.bn(self.conv(x)))[:, :, 1:, 1:, 1:]


class SamePool(nn.Module):
    """Max pool of a rectified input, padded at the far ends as TensorFlow does."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.pad: list[int] = []
        for k, s in zip(reversed(kernel), reversed(stride), strict=True):
            whole = max(0, k - s)
            self.pad += [whole // 2, whole - whole // 2]

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(F.pad(x, self.pad), self.kernel, self.stride, ceil_mode=True)


class GatedSeparable(Separable):
    """A separable convolution whose channels are scaled by what the whole clip says."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels)
        self.gate = Gate(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(super().forward(x))


class S3DG(S3D):
    """MIL-NCE's encoder.

    Shapes:
        Input ``(B, 3, T, H, W)`` float in ``[0, 1]``, neither centred nor scaled; T, H and W even.
        Output as of :class:`~thesislib.nn.s3d.S3D`, but all strides round up.

    Raises:
        ThesisError: An odd number of frames, rows or columns, or fewer than S3D takes.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width, gating=True)
        stem, middle = (max(4, round(width * channels)) for channels in (64, 192))
        self.conv_1a = FoldedStem(stem)
        self.conv_2c = GatedSeparable(stem, middle)
        self.pool_2a = self.pool_3a = SamePool((1, 3, 3), (1, 2, 2))
        self.pool_4a = SamePool((3, 3, 3), (2, 2, 2))
        self.pool_5a = SamePool((2, 2, 2), (2, 2, 2))
        for part in (self.conv_1a, self.conv_2c):
            for layer in part.modules():
                if isinstance(layer, nn.Conv3d):
                    nn.init.normal_(layer.weight, std=0.01)

    def stages(self, x: Tensor) -> list[Tensor]:
        if any(side % 2 for side in x.shape[2:]):
            frames, height, width = x.shape[2:]
            raise ThesisError(
                f"Clips of {frames} frames of {width}x{height} pixels cannot be folded in two: "
                "make all three even."
            )
        return super().stages(x)


class MilNce(nn.Module):
    """Clips and sentences in one space.

    Args:
        width: Of the encoder; published: 1.
        words: Rows of the table of words.
        dim: Of the common space.

    Shapes:
        Clips as of :class:`S3DG`; sentences int64 ``(B, L)``.
    """

    def __init__(self, width: float = 1.0, words: int = 66_250, dim: int = 512) -> None:
        super().__init__()
        self.network = S3DG(width)
        self.project = nn.Linear(self.network.feature_dim, dim)
        self.text = WordText(words, out=dim, mask=False)

    def features(self, clip: Tensor) -> Tensor:
        """``(B, D)``, 1024 numbers as published: what TAN reads, one clip of 16 frames a second."""
        return self.network(clip).mean((2, 3, 4))

    def encode_video(self, clip: Tensor) -> Tensor:
        """``(B, dim)``, to be compared with sentences by plain products."""
        return self.project(self.features(clip))

    def encode_text(self, words: Tensor) -> Tensor:
        """``(B, dim)``."""
        return self.text(words)
