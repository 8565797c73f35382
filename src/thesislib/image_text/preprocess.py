"""From frames to what an image tower wants: size, crop, mean and deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from thesislib.errors import ThesisError, choose

RESIZES = ("shortest", "squash")
FILTERS = ("bicubic", "bilinear")
CHANNELS = ("rgb", "bgr")


@dataclass(frozen=True)
class Preprocess:
    """What is done to a frame before the image tower sees it; part of every feature file.

    The same as open_clip's own transform, on tensors instead of Pillow's pictures: to one of 255
    levels where a frame is resized (noise near black and white aside, whose overshoot is cut
    between two passes in another order), exactly where it is not.
    """

    size: int  # pixels, side of the square that the tower wants
    mean: tuple[float, ...]  # of the channels, of values in [0, 1]
    std: tuple[float, ...]
    interpolation: str = "bicubic"  # or bilinear; both with antialiasing
    resize: str = "shortest"  # the short side becomes ``size``, then a centre crop; or squash
    channels: str = "rgb"  # bgr: red and blue exchanged, as in the features released for chapter 5

    def __post_init__(self) -> None:
        choose("interpolation", self.interpolation, FILTERS)
        choose("way to resize", self.resize, RESIZES)
        choose("order of channels", self.channels, CHANNELS)
        for name in ("mean", "std"):
            values = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if len(values) != 3:
                raise ThesisError(f"{name}={values}: give a value for each of three channels.")

    @classmethod
    def of(cls, settings: Mapping[str, Any], channels: str = "rgb") -> Preprocess:
        """From the settings of open_clip: ``size``, ``mean``, ``std``, ``resize_mode``.

        What they do not say is as OpenAI's models have it.
        """
        from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

        size = settings["size"]
        sides = {int(side) for side in size} if isinstance(size, (list, tuple)) else {int(size)}
        if len(sides) != 1:
            raise ThesisError(
                f"Pictures of {size} pixels are not square: choose a model of square pictures."
            )
        return cls(
            sides.pop(),
            settings.get("mean") or OPENAI_DATASET_MEAN,
            settings.get("std") or OPENAI_DATASET_STD,
            settings.get("interpolation") or "bicubic",
            settings.get("resize_mode") or "shortest",
            channels,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def __call__(self, frames: NDArray[np.uint8] | Tensor) -> Tensor:
        """Pictures for the tower.

        Args:
            frames: (N, H, W, 3) uint8 RGB.

        Returns:
            (N, 3, size, size) float32, normalised.
        """
        x = torch.as_tensor(frames)
        if x.ndim != 4 or x.shape[-1] != 3 or x.dtype != torch.uint8:
            raise ThesisError(
                f"Frames are (N, H, W, 3) uint8, not {tuple(x.shape)} {x.dtype}: read them by "
                "thesislib.data.reader."
            )
        x = self._square(x.permute(0, 3, 1, 2))
        if self.channels == "bgr":
            x = x.flip(1)
        mean, std = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (self.mean, self.std))
        return (x.to(torch.float32) / 255 - mean) / std

    def _square(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 to (N, 3, size, size) uint8."""
        height, width = x.shape[2:]
        goal = (self.size, self.size)
        if self.resize == "shortest":
            short = min(height, width)  # the long side is rounded down, as torchvision does it
            goal = (self.size * height // short, self.size * width // short)
        if goal != (height, width):
            if x.device.type != "cpu":  # there no kernel takes bytes
                x = x.float()
            x = F.interpolate(x, goal, mode=self.interpolation, antialias=True)
            x = x.round().clamp(0, 255).to(torch.uint8) if x.is_floating_point() else x
        # torchvision's centre crop, to the pixel: half up of an odd margin, to even as Python does
        top, left = (round((side - self.size) / 2) for side in goal)
        return x[:, :, top : top + self.size, left : left + self.size]
