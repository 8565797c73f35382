"""Numbers of the ledger as text."""

from __future__ import annotations

import math

from thesislib.claims import NOT_RUN
from thesislib.ledger import Summary
from thesislib.published import Metric


def percent(found: Summary) -> str:
    """A share over seeds as text: mean, and half of its interval where there is one."""
    return _over_seeds(found, 100.0, 1)


def in_unit(found: Summary, metric: Metric) -> str:
    """The same of any metric, in its unit."""
    decimals = 1 if metric.unit == "%" else digits(found["mean"])
    return _over_seeds(found, metric.factor, decimals)


def _over_seeds(found: Summary, factor: float, decimals: int) -> str:
    if found["mean"] is None:
        return NOT_RUN
    half = found["half_width"]
    more = "" if half is None else f" ± {factor * half:.{decimals}f}"
    return f"{factor * found['mean']:.{decimals}f}{more}"


def digits(value: float | None, decimals: int = 1) -> int:
    """Digits after the point that show two of a small number: 3 of 0.086."""
    if value is None or not 0 < abs(value) < 1:
        return decimals
    return max(decimals, 1 - math.floor(math.log10(abs(value))))
