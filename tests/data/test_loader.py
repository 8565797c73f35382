"""The order of an epoch, shared among processes, and how items become a batch."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from thesislib.data.loader import EpochSampler, Key, collate, items_in, make_loader
from thesislib.errors import ThesisError, VideoError


def test_processes_share_an_epoch_without_overlap() -> None:
    whole = EpochSampler(10, shuffle=True, seed=3)
    whole.set_epoch(2, skip=3)
    parts = []
    for rank in range(3):
        part = EpochSampler(10, shuffle=True, seed=3, share=(rank, 3))
        part.set_epoch(2, skip=3)
        parts.append(list(part))
    order = list(whole)
    assert [len(p) for p in parts] == [2, 2, 2], "the same number of steps in each process"
    assert [key for step in zip(*parts, strict=True) for key in step] == order[:6]


class Talks(Dataset[Any]):
    """Films of unequal length with sentences and times, as temporal alignment has them."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, key: int | Key) -> dict[str, Any]:
        epoch, i = key if isinstance(key, tuple) else (0, key)
        return {
            "film": torch.full((3, 2), float(i)),
            "words": torch.full((1 + i, 2), float(i)),
            "label": torch.tensor(i),
            "text": f"sentence {i}",
            "times": [(0.5, i + 1.0)],
            "count": i,
            "nothing": None,
            "place": {"epoch": torch.tensor(epoch), "name": f"v{i}", "deep": {"i": torch.ones(i)}},
        }


def test_tensors_of_one_shape_are_stacked_and_the_rest_is_listed() -> None:
    items = [Talks()[2, i] for i in (3, 0, 4)]
    batch = collate(items)
    assert list(batch) == list(items[0]), "the names in their order"
    assert torch.equal(batch["film"], torch.tensor([3.0, 0, 4])[:, None, None].expand(3, 3, 2))
    assert batch["film"].dtype == torch.float32
    assert batch["label"].tolist() == [3, 0, 4] and batch["label"].dtype == torch.int64
    assert isinstance(batch["words"], list), "unequal lengths stay as they are"
    assert all(a is item["words"] for a, item in zip(batch["words"], items, strict=True))
    assert batch["text"] == ["sentence 3", "sentence 0", "sentence 4"]
    assert batch["times"] == [[(0.5, 4.0)], [(0.5, 1.0)], [(0.5, 5.0)]]
    assert batch["count"] == [3, 0, 4] and batch["nothing"] == [None] * 3


def test_dictionaries_are_collated_at_any_depth() -> None:
    place = collate([Talks()[7, i] for i in (1, 2)])["place"]
    assert torch.equal(place["epoch"], torch.tensor([7, 7]))
    assert place["name"] == ["v1", "v2"]
    assert [len(row) for row in place["deep"]["i"]] == [1, 2]
    alike = collate([Talks()[0, 2]] * 2)["place"]["deep"]["i"]
    assert torch.equal(alike, torch.ones(2, 2))


def test_one_item_is_a_batch_of_one() -> None:
    batch = collate([Talks()[0, 4]])
    assert batch["film"].shape == (1, 3, 2) and batch["words"].shape == (1, 5, 2)
    assert batch["text"] == ["sentence 4"]


@pytest.mark.parametrize("first", ["film", "words", "text", "count", "place"])
def test_items_are_counted_by_whatever_stands_first(first: str) -> None:
    items = [Talks()[0, i] for i in range(3)]
    batch = collate([{first: item[first], **item} for item in items])
    assert next(iter(batch)) == first
    assert items_in(batch) == 3


@pytest.mark.usefixtures("must_end")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_collates_what_it_loads(workers: int) -> None:
    loader = make_loader(Talks(), 2, shuffle=False, num_workers=workers)
    loader.sampler.set_epoch(4)  # type: ignore[attr-defined]
    batches = list(loader)
    assert [items_in(batch) for batch in batches] == [2, 2, 1]
    assert [batch["label"].tolist() for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [batch["place"]["epoch"].tolist() for batch in batches] == [[4, 4], [4, 4], [4]]
    assert [len(words) for words in batches[1]["words"]] == [3, 4]
    assert batches[1]["text"] == ["sentence 2", "sentence 3"]


class Padded(Talks):
    """Makes its own batches: what is unequal is filled up."""

    def collate(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        words = [item["words"] for item in items]
        return {"words": torch.nn.utils.rnn.pad_sequence(words, True, -1.0), "own": len(items)}


@pytest.mark.usefixtures("must_end")
@pytest.mark.parametrize("workers", [0, 1])
def test_the_data_sets_own_collate_wins(workers: int) -> None:
    (batch,) = make_loader(Padded(), 8, shuffle=False, num_workers=workers)
    assert set(batch) == {"words", "own"} and batch["own"] == 5
    assert batch["words"].shape == (5, 5, 2)
    assert (batch["words"][1, 2:] == -1).all() and (batch["words"][4] == 4).all()


class Broken(Talks):
    """Raises at its third item."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def __getitem__(self, key: Key) -> dict[str, Any]:
        if key[1] != 2:
            return {"index": key[1]}
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        assert self.error is not None
        raise self.error


@pytest.mark.usefixtures("must_end")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ThesisError("The flow is damaged: make it again."), "The flow is damaged: make it again."),
        (VideoError("a.mp4", "audio only"), "a.mp4: audio only"),
        (OSError(24, "Too many open files", "b.mp4"), "b.mp4 cannot be read (Too many open files)"),
        (MemoryError(), "Something cannot be read (MemoryError): end what else runs"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_the_same_sentence(
    error: Exception, said: str, workers: int
) -> None:
    batches = iter(make_loader(Broken(error), 2, shuffle=False, num_workers=workers))
    assert next(batches)["index"] == [0, 1]
    with pytest.raises(ThesisError) as caught:
        next(batches)
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)
    assert type(caught.value) is (VideoError if isinstance(error, VideoError) else ThesisError)


@pytest.mark.usefixtures("must_end")
def test_a_worker_that_is_killed_is_one_sentence() -> None:
    with pytest.raises(ThesisError, match=r"has ended .*unexpectedly.*num_workers=0") as caught:
        list(make_loader(Broken(None), 2, shuffle=False, num_workers=1))
    assert "\n" not in str(caught.value)
