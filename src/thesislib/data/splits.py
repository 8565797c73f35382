"""Train, validation and test by whole groups, for data that come without an official split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

import numpy as np

from thesislib.data.manifest import SPLITS
from thesislib.errors import ThesisError

# v_SoccerJuggling_g23_c01: clip 1 of the source video g23 of its class (UCF101's names).
_UCF_NAME = re.compile(r"(?P<group>.+_g\d+)_c\d+$")


def group_of(path: str) -> str:
    """The source a clip was cut from: UCF101's ``..._gNN`` if the name has one, else the path."""
    match = _UCF_NAME.match(PurePath(path).stem)
    return match["group"] if match else path


def draw_splits(
    members: Sequence[tuple[str, str]],
    *,
    val: float,
    test: float,
    seed: int,
    fixed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Gives every group one split.

    Each class is divided on its own; classes with fewer than three groups are pooled first, so that
    a handful of videos still yields all three splits. Three groups give one each.

    Args:
        members: (group, label) of every video.
        val: Share of the groups for validation, in [0, 1).
        test: Share for testing, in [0, 1).
        seed: Of the draw; the order of ``members`` has no effect.
        fixed: Groups whose split is given.

    Returns:
        group -> split.

    Raises:
        ThesisError: The shares leave nothing to train on.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise ThesisError(
            f"val={val} and test={test} leave nothing to train on: their sum must stay below 1."
        )
    label_of: dict[str, str] = {}
    for group, label in sorted(members):
        label_of.setdefault(group, label)
    splits = {group: split for group, split in (fixed or {}).items() if group in label_of}
    strata: dict[str, list[str]] = {}
    for group, label in label_of.items():
        if group not in splits:
            strata.setdefault(label, []).append(group)
    small = sorted(label for label, groups in strata.items() if len(groups) < 3)
    pooled = [group for label in small for group in strata.pop(label)]
    if pooled:
        strata["\0pooled"] = sorted(pooled)
    for label in sorted(strata):
        groups = strata[label]
        rng = np.random.default_rng([seed, *label.encode()])
        sizes = _sizes(len(groups), val, test)
        order = rng.permutation(len(groups))
        for split, numbers in zip(SPLITS, np.split(order, np.cumsum(sizes)[:2]), strict=True):
            splits |= {groups[i]: split for i in numbers}
    return splits


def _sizes(count: int, val: float, test: float) -> tuple[int, int, int]:
    """Groups for train, val, test: rounded shares, at least one each if asked for and possible."""
    wanted = {"test": test, "val": val}
    sizes = {"test": 0, "val": 0}
    left = count
    for split in ("test", "val"):  # two groups: train and test
        if wanted[split] > 0 and left > 1:
            later = 1 if split == "test" and val > 0 and count > 2 else 0
            sizes[split] = min(max(1, round(count * wanted[split])), left - 1 - later)
            left -= sizes[split]
    return left, sizes["val"], sizes["test"]
