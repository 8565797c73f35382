"""Frames that are kept in memory, no larger than the crops of training need.

A kept frame of 640 x 480 is a hundred times what a network of 48 pixels sees of it. Where even the
smallest crop that may be drawn has more than twice the pixels of the network's input, frames are
shrunk once, so that it has just as many. Then every crop is still shrunk, never enlarged, and all
draws (place, share of the area, aspect, mirror, colours) are as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from thesislib.clip_config import Augment
from thesislib.data.clips import Indices
from thesislib.data.reader import Frames

WORTH = 0.5  # smaller frames, such as those of the studio, stay as they are
PIECE = 64  # whole fields that are read at a time


def scale_of(height: int, width: int, augment: Augment, size: int) -> float:
    """By how much frames of ``height`` x ``width`` may be shrunk before they are cropped.

    Returns:
        A factor of their sides up to ``WORTH``; 1 where they stay as they are. So do those whose
        crops are counted in pixels or take single pixels (``nearest``).
    """
    if augment.crop_size or augment.interpolation == "nearest":
        return 1.0
    side: float = min(height, width)
    if augment.crop == "resized":
        narrow, wide = augment.crop_aspect
        least = height * width * augment.crop_area[0] * min(narrow, 1 / wide)
        side = min(side, math.sqrt(least))
    scale = size / side if side > 0 else 1.0
    return scale if scale <= WORTH else 1.0


def read_shrunk(read: Callable[[Indices], Frames], scale: float, indices: Indices) -> Frames:
    """Fields of flow with sides ``scale`` times as long, few of them whole at a time.

    Frames of a video are shrunk as they are decoded: :func:`thesislib.data.passage.read_small`.

    Args:
        read: Gives whole ones by number, (L, H, W, C) uint8.
        scale: Below 1.
        indices: Which.

    Returns:
        (L, h, w, C) uint8, each pixel the mean of its area.
    """
    small = []
    for first in range(0, len(indices), PIECE):
        whole = read(indices[first : first + PIECE])
        height, width = (max(1, round(side * scale)) for side in whole.shape[1:3])
        small += [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in whole]
    return np.stack(small)
