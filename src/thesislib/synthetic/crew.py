"""Processes that film side by side."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from thesislib.errors import ThesisError

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def shared_out(
    work: Callable[[T], R], items: Sequence[T], jobs: int | None, what: str, chunk: int = 4
) -> Iterator[R]:
    """The work on each item, in their order, by this process or by ``jobs`` fresh ones.

    Args:
        work: A function of a module, or a ``partial`` of one.
        items: What to work on.
        jobs: Processes; default one a core, never more than items.
        what: What they do, for the message.
        chunk: Items that a process takes at a time.

    Raises:
        ThesisError: A process ended, or ``jobs`` is below 1.
    """
    if jobs is not None and jobs < 1:
        raise ThesisError(f"jobs={jobs}: give 1 or more processes.")
    jobs = max(1, min(jobs or cores(), len(items)))
    if jobs == 1:
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")  # forking beside torch's threads may hang
    pool = ProcessPoolExecutor(jobs, context, end_with_parent, (os.getpid(),))
    try:
        yield from pool.map(work, items, chunksize=chunk)
    except BrokenProcessPool:
        raise ThesisError(
            f"A worker process ended while {what}: run the same command again, with "
            "jobs=1 if memory is short or the calling script has no `if __name__ == '__main__'`."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def end_with_parent(parent: int) -> None:
    """Lets a worker end when the process that started it is killed, instead of waiting forever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
