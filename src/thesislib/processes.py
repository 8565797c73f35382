"""Processes that train together, one a GPU or one a core: how they meet and what a batch is."""

from __future__ import annotations

import os
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
