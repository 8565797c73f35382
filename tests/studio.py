"""A tiny simulated data set, filmed once a session and shared by the tests that train."""

from __future__ import annotations

from pathlib import Path

import pytest

from thesislib.data.manifest import Manifest
from thesislib.synthetic import World, prepare

SMALL = {
    "num_workers": 0,
    "min_clips": 0,
    "width": 4,
    "size": 32,
    "num_seq": 4,
    "seq_len": 3,
    "stride": 1,
    "pred_step": 2,
    "batch_size": 4,
    "epochs": 2,
}
# Chapter 4 needs longer clips for its network, a queue, and flow.
COCLR = {
    "dataset": "synthetic", "num_workers": 0, "min_clips": 0, "size": 32, "num_seq": 1,
    "seq_len": 8, "stride": 1, "batch_size": 8, "epochs": 1, "width": 0.02, "mixed": ("3b", "5b"),
    "dim": 8, "queue": 16, "bn_splits": 2, "topk": 2, "cycles": 1, "cycle_epochs": 2,
    "flow.algorithm": "dis", "flow.bound": 5.0,
}  # fmt: skip
TUNE = {
    "num_workers": 0,
    "min_clips": 0,
    "size": 32,
    "num_seq": 2,
    "seq_len": 3,
    "stride": 1,
    "batch_size": 4,
    "epochs": 1,
    "per_class": 2,
}


def use_folders(patch: pytest.MonkeyPatch, root: Path) -> None:
    """Data, runs and ledger below ``root``, as long as the patch holds."""
    for name in ("data", "runs", "results"):
        patch.setenv(f"THESISLIB_{name.upper()}", str(root / name))


def tiny(root: Path) -> Manifest:
    """Forty videos of four actions, 32 pixels, 20 frames."""
    world = World(actions=("wave", "squat", "sit_down", "stand_up"), actions_per_group=4)
    return prepare(
        "synthetic", root=root, clips=40, seed=0, world=world, size=32, frames=20, jobs=1,
        progress=False,
    )  # fmt: skip
