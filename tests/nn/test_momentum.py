"""Queue, momentum, shuffled batch norm: against lists and loops. Two processes: methods/."""

from __future__ import annotations

from itertools import count

import pytest
import torch
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.nn.momentum import FeatureQueue, momentum_update, shuffled_encode, split_encode

SIZE, DIM = 7, 3


def samples(number: count[int], batch: int, streams: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, sources and labels that say which sample they are."""
    ids = torch.tensor([next(number) for _ in range(batch)])
    features = ids[None, :, None] + 0.25 * torch.arange(streams)[:, None, None]
    return features.expand(streams, batch, DIM).float(), ids, ids % 4


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("batches", [[3, 3, 3, 3], [7, 7], [5, 4, 1, 6], [2, 10, 3], [7]])
def test_first_in_first_out(batches: list[int], streams: int) -> None:
    queue, number = FeatureQueue(SIZE, DIM, streams), count()
    slots: list[int | None] = [None] * SIZE
    place = 0
    for batch in batches:
        features, source, label = samples(number, batch, streams)
        queue.enqueue(features, source, label)
        for one in source.tolist()[-SIZE:]:
            slots[place] = one
            place = (place + 1) % SIZE
        assert queue.source.tolist() == [-1 if s is None else s for s in slots]
        assert queue.label.tolist() == [-1 if s is None else s % 4 for s in slots]
        assert int(queue.pointer) == place
        assert queue.full == (None not in slots)
        for i, s in enumerate(slots):
            for stream in range(streams):
                if s is not None:
                    assert queue.features[stream, i].tolist() == [s + 0.25 * stream] * DIM


def test_an_empty_queue_holds_random_unit_vectors() -> None:
    queue = FeatureQueue(200, 16, streams=2)
    torch.testing.assert_close(queue.features.norm(dim=2), torch.ones(2, 200))
    assert queue.features.mean(1).abs().max() < 0.15, "in all directions"
    assert not queue.full and not list(queue.parameters())


def test_the_queue_is_part_of_a_checkpoint() -> None:
    queue, other = FeatureQueue(SIZE, DIM, 2), FeatureQueue(SIZE, DIM, 2)
    queue.enqueue(*samples(count(), 5, 2))
    other.load_state_dict(queue.state_dict())
    more = samples(count(50), 4, 2)
    for one in (queue, other):
        one.enqueue(*more)
    assert queue.state_dict().keys() == {"features", "source", "label", "pointer"}
    for key, value in queue.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])


def test_momentum_update_moves_parameters_and_leaves_statistics() -> None:
    torch.manual_seed(0)
    query, key = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2))
    query(torch.randn(5, 3))
    before = {k: v.clone() for k, v in key.state_dict().items()}
    momentum_update(key, query, 0.9)
    for name, value in key.state_dict().items():
        if name.partition(".")[2] in ("weight", "bias"):
            expected = 0.9 * before[name] + 0.1 * query.state_dict()[name]
            torch.testing.assert_close(value, expected)
        else:
            assert torch.equal(value, before[name]), f"{name} is the key's own"


def centred(x: Tensor) -> Tensor:
    """A stand-in for batch norm: takes off the mean of the part."""
    return x - x.mean(0)


@pytest.mark.parametrize(("batch", "splits"), [(8, 1), (8, 2), (8, 4), (10, 4), (7, 3)])
def test_parts_of_a_batch_have_statistics_of_their_own(batch: int, splits: int) -> None:
    clips = torch.randn(batch, 3)
    expected, begin = [], 0
    for part in range(splits):
        length = batch // splits + (part < batch % splits)
        members = clips[begin : begin + length]
        expected += [row - sum(members) / length for row in members]
        begin += length
    torch.testing.assert_close(split_encode(centred, clips, splits), torch.stack(expected))


def test_shuffled_keys_come_back_in_order() -> None:
    torch.manual_seed(3)
    clips = torch.randn(12, 3)
    assert torch.equal(shuffled_encode(lambda x: 2 * x, clips, splits=3), 2 * clips)


def test_shuffled_keys_share_statistics_with_others_than_their_queries() -> None:
    clips = torch.randn(8, 3)
    torch.manual_seed(5)
    found = shuffled_encode(centred, clips, splits=2)
    torch.manual_seed(5)
    order = torch.randperm(8).tolist()
    assert set(order[:4]) != set(range(4)), "the draw must mix the parts"
    for members in (order[:4], order[4:]):
        mean = sum(clips[i] for i in members) / 4
        for i in members:
            torch.testing.assert_close(found[i], clips[i] - mean)
    assert not torch.allclose(found, split_encode(centred, clips, 2))


def test_keys_get_no_gradient() -> None:
    layer = nn.Linear(3, 2)
    assert not shuffled_encode(layer, torch.randn(4, 3), splits=2).requires_grad
    assert split_encode(layer, torch.randn(4, 3), splits=2).requires_grad


def test_a_batch_too_small_for_its_parts_is_refused() -> None:
    with pytest.raises(ThesisError, match="5 clips makes no 3 parts"):
        split_encode(centred, torch.randn(5, 3), 3)
