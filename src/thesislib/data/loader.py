"""Batches in an order that can be restarted: a sampler of ``(epoch, index)`` keys, a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from thesislib.data.composition import Composition
from thesislib.errors import ThesisError, of_the_system

Key = tuple[int, int]


class EpochSampler(Sampler[Key]):
    """Yields ``(epoch, index)`` keys; the order of an epoch depends on seed and epoch alone.

    Args:
        length: Number of items.
        shuffle: Draw the order, or keep it.
        seed: Of the order.
        share: ``(rank, count)``: which process of how many this one is. All draw the same order
            and each takes every ``count``-th key of it.
        composition: Draws the order in the place of a permutation, with a length of its own.
    """

    def __init__(
        self,
        length: int,
        shuffle: bool,
        seed: int = 0,
        share: tuple[int, int] = (0, 1),
        composition: Composition | None = None,
    ) -> None:
        self.composition = composition
        self.length = length if composition is None else len(composition)
        self.shuffle = shuffle
        self.seed = seed
        self.rank, self.count = share
        self.epoch = 0
        self.skip = 0

    def set_epoch(self, epoch: int, skip: int = 0) -> None:
        """Chooses the epoch of the next pass.

        Args:
            epoch: From 0.
            skip: Leave out so many first items (of all processes), to go on within an epoch.
        """
        self.epoch, self.skip = epoch, skip

    def __len__(self) -> int:
        return max(self.length - self.skip, 0) // self.count

    def __iter__(self) -> Iterator[Key]:
        order, rng = np.arange(self.length), np.random.default_rng([self.seed, self.epoch])
        if self.composition is not None:
            order = self.composition.order(rng)
        elif self.shuffle:
            order = rng.permutation(self.length)
        last = self.skip + len(self) * self.count  # the same number of items for each process
        for index in order[self.skip + self.rank : last : self.count].tolist():
            yield self.epoch, index


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch of items: tensors of one shape are stacked, dictionaries collated, the rest listed.

    So features of unequal lengths, sentences and times stay as they are, one entry an item.
    """
    batch: dict[str, Any] = {}
    for name, first in items[0].items():
        values = [item[name] for item in items]
        if isinstance(first, Mapping):
            batch[name] = collate(values)
        elif all(isinstance(v, Tensor) and v.shape == first.shape for v in values):
            batch[name] = default_collate(values)  # into shared memory, from a worker
        else:
            batch[name] = values
    return batch


def items_in(batch: Mapping[str, Any]) -> int:
    """How many items a batch has, by its first value."""
    first = next(iter(batch.values()))
    return items_in(first) if isinstance(first, Mapping) else len(first)


class _Batches(Dataset[Any]):
    """Hands out batches whole, and a problem in the place of one.

    What is raised in a worker process would come out of torch as a text with its traceback.
    """

    def __init__(
        self, dataset: Dataset[Any], collate: Callable[[Sequence[Any]], dict[str, Any]]
    ) -> None:
        self.dataset, self.collate = dataset, collate

    def __getitems__(self, keys: Sequence[Key]) -> dict[str, Any] | ThesisError:
        try:
            return self.collate([self.dataset[key] for key in keys])
        except ThesisError as error:
            return error
        except (OSError, MemoryError) as error:
            return of_the_system(error, cannot="read")


class Loader(DataLoader[Any]):
    """A loader out of whose workers a named problem comes as it is.

    Raises:
        ThesisError: An item cannot be made, or a worker was ended from outside.
    """

    # torch declares a private class of iterators.
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            for batch in super().__iter__():
                if isinstance(batch, ThesisError):
                    raise batch
                yield batch
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            why = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
            raise ThesisError(
                f"A process that reads videos has ended ({why}): free some memory, or take fewer "
                "of them with --set num_workers=0."
            ) from None


def _as_it_is(batch: Any) -> Any:
    return batch


def make_loader(
    dataset: Dataset[Any],
    batch_size: int,
    *,
    shuffle: bool,
    num_workers: int = 0,
    seed: int = 0,
    drop_last: bool | None = None,
    context: str | None = None,
    share: tuple[int, int] = (0, 1),
) -> Loader:
    """A loader whose ``sampler`` takes :meth:`EpochSampler.set_epoch`.

    Args:
        dataset: Its items are dictionaries, see :func:`collate`; a ``collate`` of its own wins, and
            so does a ``composition(batch_size, processes)`` of shuffled batches, if it has one.
        batch_size: Lowered to this process's share of the data set, so that a tiny one gives one
            batch; not where a composition fills it.
        shuffle: Draw the order anew each epoch.
        num_workers: Processes that decode; they live as long as the loader. 0: none.
        seed: Of the order.
        drop_last: Leave out the last, smaller batch; default: when shuffling.
        context: ``fork`` or ``spawn``; default: the platform's.
        share: See :class:`EpochSampler`.
    """
    length = len(dataset)  # type: ignore[arg-type]  # torch's Dataset does not declare it
    compose = getattr(dataset, "composition", None) if shuffle else None
    composition = compose(batch_size, share[1]) if compose else None
    return Loader(
        _Batches(dataset, getattr(dataset, "collate", collate)),
        batch_size=batch_size if composition else max(1, min(batch_size, length // share[1])),
        sampler=EpochSampler(length, shuffle, seed, share, composition),
        num_workers=num_workers,
        drop_last=shuffle if drop_last is None else drop_last,
        persistent_workers=num_workers > 0,
        worker_init_fn=_start_worker,
        multiprocessing_context=context if num_workers else None,
        prefetch_factor=2 if num_workers else None,
        collate_fn=_as_it_is,
        pin_memory=torch.cuda.is_available(),  # copies to a GPU then run beside the computation
    )


def _start_worker(worker: int) -> None:
    """One thread a worker: a forked thread pool hangs, and the workers are the parallelism."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
