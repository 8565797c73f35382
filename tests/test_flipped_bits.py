"""A bounded part of ``benchmarks/flipped_bits.py``: no changed bit is read in silence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import flipped_bits
from flipped_bits import Subject, flip


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    return flipped_bits.subjects(tmp_path_factory.mktemp("bits"))


def test_a_changed_bit_is_refused_or_changes_nothing(subjects: dict[str, Subject]) -> None:
    assert len(subjects) == 7
    for name, subject in subjects.items():
        found = flip(subject, 60, [3, len(name)])
        assert found.counts["refused"] + found.counts["equal"] == 60, (name, found)
        assert found.counts["refused"] > 40, (name, found)


def test_the_campaign_sees_what_is_read_in_silence(tmp_path: Path) -> None:
    (path := tmp_path / "x").write_bytes(b"abcdef")
    found = flip(Subject((path,), lambda: path.read_bytes().decode("latin-1")), 50, 0)
    assert found.counts == {"silently different": 50} and path.read_bytes() == b"abcdef"
