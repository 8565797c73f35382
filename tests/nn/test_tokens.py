"""Which tokens are drawn: counts, ranges, tubes, cells, runs."""

from __future__ import annotations

import pytest
import torch

from thesislib.errors import ThesisError
from thesislib.nn.tokens import (
    Drawn,
    count_tokens,
    draw,
    from_mask,
    random_scores,
    run_scores,
    runs_kept,
)
from thesislib.nn.video_vit import by_token

GRID = (8, 14, 14)  # of 16 x 224 x 224
HERE = torch.device("cpu")


@pytest.mark.parametrize(
    ("m", "r", "random", "tube"),
    [
        (0.0, 0.0, (1568, 0), (1568, 0)),
        (0.5, 0.5, (784, 784), (784, 784)),
        (0.75, 0.75, (392, 1176), (392, 1176)),
        (0.75, 0.25, (392, 392), (392, 392)),
        (0.9, 0.9, (156, 1412), (160, 1408)),  # 156.8 and 8 x 19.6 tokens would be left
        (0.9, 0.1, (156, 157), (160, 157)),
        (0.9, 0.0, (156, 0), (160, 0)),
    ],
)
def test_counts_of_table_6_1(
    m: float, r: float, random: tuple[int, int], tube: tuple[int, int]
) -> None:
    assert count_tokens(GRID, m, r) == random == count_tokens(GRID, m, r, "runs")
    assert count_tokens(GRID, m, r, "tube") == tube


def test_equal_visible_tokens_of_longer_videos() -> None:
    """Section 6.5.3: 16, 32 and 64 frames at m = 0.5, 0.75, 0.875."""
    seen = [count_tokens((8 * n, 14, 14), m) for n, m in ((1, 0.5), (2, 0.75), (4, 0.875))]
    assert seen == [(784, 0)] * 3


def test_counts_are_exact_in_tenths() -> None:
    for tenths in range(10):  # 10 (1 - 0.9) is just below 1 in binary
        assert count_tokens((1, 1, 10), tenths / 10, tenths / 10) == (10 - tenths, tenths)


@pytest.mark.parametrize("tubes", [False, True])
@pytest.mark.parametrize("targets", ["random", "cells"])
def test_what_is_drawn_is_ascending_and_apart(tubes: bool, targets: str) -> None:
    torch.manual_seed(0)
    grid = (4, 3, 5)
    seen, wanted = count_tokens(grid, 0.7, 0.3, "tube" if tubes else "random")
    drawn = draw(random_scores(6, grid, tubes, HERE), grid, seen, wanted, targets)
    assert drawn.visible.shape == (6, seen) and drawn.wanted.shape == (6, wanted)
    for visible, target in zip(drawn.visible.tolist(), drawn.wanted.tolist(), strict=True):
        assert visible == sorted(set(visible)) and target == sorted(set(target))
        assert not set(visible) & set(target) and max(visible + target) < 60
        if tubes:
            places = {token % 15 for token in visible}
            assert len(places) * 4 == seen, "a place is seen at all times or never"
    assert len({tuple(row) for row in drawn.visible.tolist()}) > 1, "each item has its own draw"


def test_every_token_has_its_turn() -> None:
    """Over many draws all tokens are seen, and all are wanted, equally often."""
    torch.manual_seed(0)
    grid, rows = (3, 2, 4), 6000
    for targets in ("random", "cells"):
        drawn = draw(random_scores(rows, grid, False, HERE), grid, 6, 6, targets)
        for part in drawn:
            share = part.flatten().bincount(minlength=24) / rows
            assert (share - 0.25).abs().max() < 0.03  # five standard deviations


def test_cells_spread_targets_evenly() -> None:
    torch.manual_seed(0)
    grid = (4, 4, 4)
    scores = torch.full((3, 64), 9.0)
    scores[:, :1] = 0  # one token is visible
    wanted = draw(scores, grid, 1, 16, "cells").wanted
    for row in wanted:
        token = row[row > 0]
        cell = (token // 16) * 4 + token // 4 % 4 // 2 * 2 + token % 4 // 2  # (t, 2 x 2 places)
        assert cell.bincount(minlength=16).tolist().count(1) >= 14, "one in each cell"
        turn = {int(t // 16): int((t // 4 % 2) * 2 + t % 2) for t in token if t // 4 % 4 > 1}
        assert len(set(turn.values())) == 4, "it moves on with time"


def test_runs_keep_what_changes() -> None:
    torch.manual_seed(0)
    still = torch.randn(2, 3, 1, 12, 12).expand(-1, -1, 8, -1, -1).clone()
    still[0, :, 4:, :4, :4] += 1.0  # item 0: place 0 changes at time 2
    still[1, :, 6:, 8:, 4:8] += 0.2  # item 1: place 7 changes a little at time 3
    patches = by_token(still, (2, 4, 4))
    scores, grid = run_scores(patches), (4, 3, 3)
    for item in range(2):
        for t in range(1, 4):
            for h in range(3):
                for w in range(3):
                    x = still[item, :, :, h * 4 : h * 4 + 4, w * 4 : w * 4 + 4]
                    change = (x[:, 2 * t + 1] - x[:, 2 * t - 2]).abs().mean()
                    assert torch.isclose(scores[item, t * 9 + h * 3 + w], -change, atol=1e-6)
    drawn = draw(scores, grid, 10, 0)
    first = list(range(9))
    assert drawn.visible.tolist() == [first + [18], first + [34]]
    assert [runs_kept(scores, threshold) for threshold in (0.1, 0.5, 2.0)] == [10, 10, 9]
    fewer = draw(scores, grid, 5, 0).visible
    assert int(fewer.max()) < 9, "the first time comes before all"


def test_a_mask_of_others() -> None:
    masked = torch.tensor([[True, False, True], [False, True, True]])
    assert [part.tolist() for part in from_mask(masked)] == [[[1], [0]], [[0, 2], [1, 2]]]
    with pytest.raises(ThesisError, match="hide 1 to 2 tokens: hide as many in each"):
        from_mask(torch.tensor([[True, False, False], [True, True, False]]))


@pytest.mark.parametrize(
    ("m", "r", "masking", "message"),
    [
        (1.0, 0.0, "random", "mask_ratio=1.0 is no share of dropped tokens"),
        (-0.1, 0.0, "random", "mask_ratio=-0.1"),
        (0.5, 0.6, "random", "recon_ratio=0.6 of the tokens cannot be reconstructed"),
        (0.5, -0.1, "random", "recon_ratio=-0.1"),
        (0.99, 0.0, "random", "leaves none of 12 tokens"),
        (0.5, 0.0, "tubes", "no masking 'tubes': did you mean 'tube'"),
    ],
)
def test_bad_ratios(m: float, r: float, masking: str, message: str) -> None:
    with pytest.raises(ThesisError, match=message):
        count_tokens((3, 2, 2), m, r, masking)
    with pytest.raises(ThesisError, match="no choice of targets"):
        draw(torch.rand(2, 12), (3, 2, 2), 3, 3, "cell_s")


def test_nothing_wanted_is_empty() -> None:
    drawn = draw(torch.rand(2, 12), (3, 2, 2), 3, 0)
    assert isinstance(drawn, Drawn) and drawn.wanted.shape == (2, 0)
