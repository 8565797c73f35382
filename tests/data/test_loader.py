"""The order of an epoch, shared among processes."""

from __future__ import annotations

from thesislib.data.loader import EpochSampler


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
