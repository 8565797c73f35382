"""Which frames make a clip: index arithmetic, with no video in sight.

A clip is N blocks of T frames, every ``stride``-th raw frame, blocks side by side (thesis section
2.3.1: 8 blocks of 5 frames at stride 3). Its *span* is N * T * stride raw frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from thesislib.errors import ThesisError

Indices = NDArray[np.int64]


def is_long_enough(n_frames: int, span: int) -> bool:
    """The published filter: a video of exactly ``span`` frames or fewer is too short.

    The start is drawn from ``[0, n_frames - span)``, which is empty at equality.
    """
    return n_frames > span


def block_indices(start: int, num_seq: int, seq_len: int, stride: int) -> Indices:
    """Frame numbers of a clip, (N, T) int64: block n, frame t is start + (n * T + t) * stride."""
    return start + np.arange(num_seq * seq_len, dtype=np.int64).reshape(num_seq, seq_len) * stride


def random_start(n_frames: int, span: int, rng: np.random.Generator) -> int:
    """First frame of a training clip, uniform in ``[0, n_frames - span)``; 0 for a short video."""
    return int(rng.integers(n_frames - span)) if is_long_enough(n_frames, span) else 0


def centre_start(n_frames: int, span: int) -> int:
    """First frame of the clip in the middle of the video; 0 for a short video."""
    return max(0, (n_frames - span) // 2)


def window_starts(n_frames: int, span: int, hop: int) -> Indices:
    """First frames of the windows of test time: 0, hop, 2 hop, ... as long as the window fits.

    A video shorter than the window has one window at 0, which the caller pads.

    Args:
        n_frames: Length of the video.
        span: Length of a window in raw frames.
        hop: Raw frames from one window to the next.
    """
    if hop < 1:
        raise ThesisError(f"The hop between windows must be at least one frame, not {hop}.")
    return np.arange(0, max(n_frames - span, 0) + 1, hop, dtype=np.int64)


def pad_indices(indices: Indices, n_frames: int) -> Indices:
    """Repeats the last frame where a clip runs past the end of its video."""
    return np.minimum(indices, n_frames - 1)
