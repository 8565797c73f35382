"""The authors' models for weights and inputs made from names alone (tests/golden)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).parent / "golden"
sys.path.insert(0, str(GOLDEN))
from golden_fill import compare, fill_state, make_input, make_mask  # noqa: E402

CLEAR_PASS, GRADIENT = 1e-5, 2e-2  # relative to the largest value; the folder's own advice


def state(schema: str) -> dict[str, torch.Tensor]:
    """The filled state dict of a schema, in the authors' names."""
    filled = fill_state(GOLDEN / "schemas" / f"{schema}.json", "A", aliases=True)
    return {k: torch.from_numpy(np.asarray(v)) for k, v in filled.items()}


def golden_clip(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """An input of kind video."""
    return torch.from_numpy(make_input(name, shape, "A", kind="video"))


def golden_numbers(name: str, count: int, high: int) -> torch.Tensor:
    """An input of kind int, from 0 to high - 1."""
    return torch.from_numpy(make_input(name, (count,), "A", kind="int", low=0, high=high))


def golden_mask(name: str, rows: int, tokens: int, visible: int) -> torch.Tensor:
    """bool ``(rows, tokens)``, True where hidden."""
    return torch.from_numpy(make_mask(name, rows, tokens, visible, "A"))


def close(case: str, outputs: dict[str, torch.Tensor], tolerance: float) -> None:
    """Asserts that every output is that of the authors' model."""
    arrays = {k: v.detach().numpy() for k, v in outputs.items()}
    for key, (difference, size) in compare(GOLDEN / "A" / f"{case}.npz", arrays).items():
        assert difference <= tolerance * max(size, 1e-12), f"{case} {key}: {difference} of {size}"
