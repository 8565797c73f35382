"""The pyramid over time: where its points stand, and what padding and position may not change."""

from __future__ import annotations

import pytest
import torch

from thesislib.nn.feature_pyramid import (
    AnchorFreeHead,
    FeaturePyramid,
    convolved,
    pyramid_points,
)

DIM, WIDTH, LEVELS = 6, 8, 3


def network(refine: bool = False, layers: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(0)
    pyramid = FeaturePyramid(DIM, WIDTH, LEVELS, layers=layers, rows=64)
    return torch.nn.ModuleList([pyramid, AnchorFreeHead(WIDTH, LEVELS, refine=refine)]).eval()


def run(net: torch.nn.ModuleList, x: torch.Tensor, valid: torch.Tensor | None = None):
    with torch.no_grad():
        return net[1](
            net[0](x, torch.ones(x.shape[:2], dtype=torch.bool) if valid is None else valid)
        )


def test_points_stand_in_the_middle_of_their_rows() -> None:
    points, strides = pyramid_points(8, 3)
    assert points.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 1, 3, 5, 7, 2, 6]
    assert strides.tolist() == [1] * 8 + [2] * 4 + [4] * 2


@pytest.mark.parametrize("refine", [False, True])
def test_shapes_and_order(refine: bool) -> None:
    found = run(network(refine), torch.randn(2, 32, DIM))
    points, _ = pyramid_points(32, LEVELS)
    assert found.actionness.shape == found.centreness.shape == found.valid.shape == (2, len(points))
    assert found.coarse.shape == found.segments.shape == (2, len(points), 2)
    assert (found.coarse[..., 0] < points).all() and (found.coarse[..., 1] > points).all()
    assert (found.segments[..., 0] < found.segments[..., 1]).all()
    torch.testing.assert_close(found.segments, found.coarse)  # an untrained refinement stays put


def test_refinement_keeps_the_order_of_the_boundaries_and_looks_around_them() -> None:
    net = network(refine=True)
    torch.nn.init.normal_(net[1].refine.shift.weight, std=20)
    x = torch.randn(1, 32, DIM)
    found = run(net, x)
    length = found.segments[..., 1] - found.segments[..., 0]
    assert (length > -1e-5).all()  # pushed as far as can be they meet
    assert not torch.allclose(found.segments, found.coarse)


@pytest.mark.parametrize(("refine", "layers"), [(False, 0), (True, 0), (False, 1)])
def test_padding_changes_nothing(refine: bool, layers: int) -> None:
    """A video of 24 rows gives the same in a window of 24 and, padded by anything, in one of 32."""
    net, x = network(refine, layers), torch.randn(1, 32, DIM)
    valid = torch.arange(32)[None] < 24
    short, long = run(net, x[:, :24]), run(net, x, valid)
    assert int(long.valid.sum()) == short.valid.numel()
    keep = long.valid[0]
    for one, other in ((short.actionness, long.actionness), (short.coarse, long.coarse)):
        torch.testing.assert_close(one[0], other[0, keep], rtol=1e-4, atol=1e-5)


def test_what_comes_later_moves_the_answer_along() -> None:
    net, x = network(), torch.zeros(1, 64, DIM)
    x[:, 20:28] = torch.randn(8, DIM)
    moved = x.roll(16, 1)
    one, other = run(net, x), run(net, moved)
    torch.testing.assert_close(one.actionness[0, 16:40], other.actionness[0, 32:56])
    torch.testing.assert_close(one.coarse[0, 16:40] + 16, other.coarse[0, 32:56])


def test_each_tower_has_its_task() -> None:
    """Centreness is about boundaries: it comes from the tower of the distances."""
    for name, tower in (("actionness", "what"), ("centreness", "where"), ("coarse", "where")):
        net = network()
        getattr(
            net[1](net[0](torch.randn(1, 32, DIM), torch.ones(1, 32) > 0)), name
        ).sum().backward()
        moved = {t for t in ("what", "where") if getattr(net[1], t)[0].conv.weight.grad is not None}
        assert moved == {tower}


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2)])
@pytest.mark.parametrize("rows", [2, 6, 32])
def test_convolution_without_gradients_is_the_same(kernel: int, stride: int, rows: int) -> None:
    torch.manual_seed(rows)
    conv, x = torch.nn.Conv1d(DIM, 5, kernel, stride, padding=1), torch.randn(3, DIM, rows)
    with torch.no_grad():
        for seen in (x, x.transpose(1, 2).contiguous().transpose(1, 2), x[..., : rows // 2 * 2]):
            torch.testing.assert_close(convolved(conv, seen), conv(seen), rtol=1e-5, atol=1e-5)
    assert convolved(conv, x).requires_grad
    torch.testing.assert_close(convolved(conv, x), conv(x), rtol=0, atol=0)


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize("seen", [64, 50])
def test_looking_is_the_same_as_learning(layers: int, seen: int) -> None:
    """The quick ways without gradients change nothing."""
    net, x = network(True, layers), torch.randn(2, 64, DIM)
    torch.nn.init.normal_(net[1].refine.shift.weight)
    valid = (torch.arange(64) < torch.tensor([[64], [seen]])).expand(2, 64)
    quick, plain = run(net, x, valid), net[1](net[0](x, valid))
    for one, other in zip(quick, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("span", [(16, 48), (0, 48), (16, 64), (24, 28), (0, 64)])
def test_some_points_are_what_they_are_among_all(span: tuple[int, int]) -> None:
    net, x = network(True), torch.randn(2, 64, DIM)
    torch.nn.init.normal_(net[1].refine.shift.weight)
    valid = (torch.arange(64) < torch.tensor([[64], [40]])).expand(2, 64)
    with torch.no_grad():
        pyramid = net[0](x, valid)
        every, some = net[1](pyramid), net[1](pyramid, span)
    points, _ = pyramid_points(64, LEVELS)
    asked = (points > span[0]) & (points < span[1])
    for one, other in zip(every, some, strict=True):
        torch.testing.assert_close(one[:, asked], other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_the_best_points_are_those_of_all_in_order(most: int) -> None:
    net, x = network(True), torch.randn(2, 64, DIM)
    torch.nn.init.normal_(net[1].refine.shift.weight)
    valid = (torch.arange(64) < torch.tensor([[64], [40]])).expand(2, 64)
    with torch.no_grad():
        pyramid = net[0](x, valid)
        every, best = net[1](pyramid), net[1](pyramid, most=most)
    for b in range(2):
        order = sorted(range(every.score.shape[1]), key=lambda p: -every.score[b, p])[:most]
        for one, other in zip(every, best, strict=True):
            torch.testing.assert_close(one[b, order], other[b], rtol=1e-5, atol=1e-6)
