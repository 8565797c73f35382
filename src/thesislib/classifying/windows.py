"""A stream of frames cut into windows of features, without keeping more than one of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from thesislib.image_text import ImageText

PIECE, BYTES = 64, 1 << 26  # frames that the encoder looks at at a time, and their size at most

Frames = NDArray[np.uint8]
Row = tuple[float, Tensor, Frames]  # seconds, feature (D,), the frame itself


class Window(NamedTuple):
    """Rows that follow one another."""

    first: float  # seconds of the first row
    last: float  # seconds of the last row
    rows: list[Tensor]  # (D,) each


def encoded(frames: Iterable[tuple[float, Frames]], encoder: ImageText) -> Iterator[Row]:
    """Frames with their features; a few are held at a time, fewer where they are large."""
    held: list[tuple[float, Frames]] = []
    for time, frame in frames:
        full = len(held) >= PIECE or len(held) * frame.nbytes >= BYTES
        if held and (full or frame.shape != held[0][1].shape):
            yield from _encode(held, encoder)
            held = []
        held.append((time, frame))
    if held:
        yield from _encode(held, encoder)


def _encode(held: list[tuple[float, Frames]], encoder: ImageText) -> Iterator[Row]:
    features = encoder.encode_frames(np.stack([frame for _, frame in held]))
    for (time, frame), feature in zip(held, features, strict=True):
        yield time, feature, frame


def cut(rows: Iterable[Row], length: int, hop: int) -> Iterator[Window]:
    """Windows of ``length`` rows, ``hop`` apart; the last one ends with the video.

    A video that is shorter is one window.
    """
    held: deque[tuple[float, Tensor]] = deque(maxlen=length)
    count = 0
    for time, feature, _ in rows:
        held.append((time, feature))
        count += 1
        if count >= length and (count - length) % hop == 0:
            yield _window(held)
    if count and (count < length or (count - length) % hop):
        yield _window(held)


def _window(held: Iterable[tuple[float, Tensor]]) -> Window:
    rows = list(held)
    return Window(rows[0][0], rows[-1][0], [feature for _, feature in rows])
