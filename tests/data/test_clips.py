from __future__ import annotations

import numpy as np
import pytest

from thesislib.clip_config import ClipConfig
from thesislib.data import clips
from thesislib.errors import ThesisError


@pytest.mark.parametrize(("start", "n", "t", "stride"), [(0, 8, 5, 3), (7, 2, 4, 1), (3, 1, 1, 5)])
def test_blocks_lie_side_by_side(start: int, n: int, t: int, stride: int) -> None:
    frames = iter(range(start, 10**6, stride))
    expected = [[next(frames) for _ in range(t)] for _ in range(n)]
    got = clips.block_indices(start, n, t, stride)
    assert got.dtype == np.int64
    assert got.tolist() == expected
    # The clip stays inside its span, and the next clip could start right after it.
    span = ClipConfig(num_seq=n, seq_len=t, stride=stride).span
    assert got.max() + stride == start + span


def test_the_start_is_uniform_over_the_published_range() -> None:
    # Published: randint(0, n_frames - span) with the upper end left out.
    rng = np.random.default_rng(0)
    starts = [clips.random_start(50, 40, rng) for _ in range(5000)]
    counts = np.bincount(starts)
    assert len(counts) == 10
    assert counts.min() > 400
    assert counts.max() < 600


def test_a_video_as_long_as_the_clip_is_short() -> None:
    assert not clips.is_long_enough(40, 40)
    assert clips.is_long_enough(41, 40)
    assert clips.random_start(40, 40, np.random.default_rng(0)) == 0
    assert clips.random_start(3, 40, np.random.default_rng(0)) == 0
    assert clips.centre_start(3, 40) == 0
    assert clips.centre_start(50, 40) == 5


@pytest.mark.parametrize("n_frames", [1, 39, 40, 41, 59, 60, 61, 200])
@pytest.mark.parametrize("hop", [1, 20, 59])
def test_windows_against_a_loop(n_frames: int, hop: int) -> None:
    expected, start = [], 0
    while start + 40 <= n_frames:
        expected.append(start)
        start += hop
    assert clips.window_starts(n_frames, 40, hop).tolist() == (expected or [0])


def test_no_hop_is_a_named_problem() -> None:
    with pytest.raises(ThesisError, match="at least one frame"):
        clips.window_starts(100, 40, 0)


def test_padding_repeats_the_last_frame() -> None:
    indices = clips.block_indices(0, 2, 3, 2)
    assert clips.pad_indices(indices, 5).tolist() == [[0, 2, 4], [4, 4, 4]]
