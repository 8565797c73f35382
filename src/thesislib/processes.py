"""Processes that train: how several meet, one a GPU or a core, what a batch is, their memory."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

import torch
from accelerate import PartialState

from thesislib.config import RunConfig


def meet() -> None:
    """Lets the processes that torchrun started train together, on processors too.

    Without a GPU accelerate would not look for the others, and each would train on everything.
    """
    if "LOCAL_RANK" in os.environ and not torch.cuda.is_available():
        PartialState(cpu=True)


def note() -> dict[str, Any]:
    """What a result says of them, as the settings do not: nothing where there is one process."""
    count = PartialState().num_processes
    return {"processes": count} if count > 1 else {}


def batch_text(each: int, config: RunConfig) -> str:
    """How many items a batch has, over all processes: ``each`` on one of them."""
    count = PartialState().num_processes
    shared = f"{count} processes x {each} = " if count > 1 else ""
    steps = f", {config.accumulate} batches a step" if config.accumulate > 1 else ""
    return f"batches of {shared}{count * each}{steps}"


def keep_memory() -> None:
    """Lets glibc keep what is freed: it gives it back, and every step finds fresh pages to fill.

    A sixth of a step of large clips on a CPU, for about a third more memory.
    """
    if platform.libc_ver()[0] == "glibc":
        for option, size in ((-1, 2**31 - 1), (-2, 2**26), (-3, 2**30)):  # trim, top pad, mmap
            ctypes.CDLL(None).mallopt(option, size)
