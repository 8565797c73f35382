"""Means of what models log, over the items of a data set."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader

from thesislib.data.loader import items_in
from thesislib.errors import ThesisError

REMEDY = "lower lr; the last checkpoint is kept."


class Mean:
    """Weighted means of named scalars; one that a batch leaves out has its mean over the others."""

    def __init__(self, sums: Mapping[str, list[float]] | None = None) -> None:
        self.sums = {k: list(v) for k, v in (sums or {}).items()}

    def add(self, logs: Mapping[str, Tensor | float], weight: int) -> None:
        """Counts the values of ``logs``, scalars, ``weight`` times."""
        for name, value in logs.items():
            pair = self.sums.setdefault(name, [0.0, 0.0])
            pair[0] += float(value) * weight
            pair[1] += weight

    def result(self) -> dict[str, float]:
        """The means.

        Raises:
            ThesisError: One is not finite: a comparison with such a number would look like a score.
        """
        means = {name: total / weight for name, (total, weight) in self.sums.items()}
        if odd := [name for name, mean in means.items() if not math.isfinite(mean)]:
            raise ThesisError(f"The training went wrong, {odd[0]} became {means[odd[0]]}: {REMEDY}")
        return means


def check_loss(loss: float, what: str) -> None:
    """Refuses a loss that is not finite; ``what`` says which one it is."""
    if not math.isfinite(loss):
        raise ThesisError(f"The loss became {loss} {what}: {REMEDY}")


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """``module`` in evaluation mode, without gradients, and as it was at the end."""
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        module.train(training)


def evaluate(module: nn.Module, loader: DataLoader[Any]) -> dict[str, float]:
    """Mean logs of ``module`` over the batches of ``loader`` in evaluation mode.

    Raises:
        ThesisError: A loss or one of the means is not finite.
    """
    device = next(module.parameters()).device
    mean = Mean()
    with evaluating(module):
        for batch in loader:
            batch = send_to_device(batch, device)
            loss, logs = module(batch)
            check_loss(float(loss), "on the validation set")
            mean.add(logs, items_in(batch))
    return mean.result()
