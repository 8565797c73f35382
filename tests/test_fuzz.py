"""A bounded part of ``benchmarks/fuzz_readers.py``: nothing but named problems escapes a reader."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import fuzz_readers
import fuzz_subjects
from fuzz_readers import Subject, attack

pytestmark = pytest.mark.skipif(find_spec("open_clip") is None, reason="the extra models")
EACH = 30


def test_every_damaged_file_is_read_or_named(tmp_path: Path) -> None:
    subjects = fuzz_subjects.subjects(tmp_path)
    assert len(subjects) > 55
    escaped: dict[str, dict[str, str]] = {}
    read = named = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, (name, subject) in enumerate(subjects.items()):
            found = attack(subject, max(1, EACH // subject.cost), [7, i])
            read, named = read + found.read, named + found.named
            if found.escaped:
                escaped[name] = found.first
    assert not escaped, "\n".join(next(iter(first.values())) for first in escaped.values())
    assert read > 100 and named > 600  # the damage is neither none nor all


def test_the_attack_sees_what_escapes(tmp_path: Path) -> None:
    (path := tmp_path / "number").write_bytes(b"123456")
    found = attack(Subject(path, lambda: int(path.read_bytes().decode("ascii"))), 100, 0)
    assert 0 < found.escaped < 100 and found.read + found.escaped == 100
    assert any("ValueError" in where for where in found.first)
    assert path.read_bytes() == b"123456"


def test_the_same_seed_gives_the_same_damage() -> None:
    def some(seed: int) -> list[bytes]:
        rng = fuzz_readers.np.random.default_rng(seed)
        return [fuzz_readers.mutated(b'{"a": [1, 2.5, "x"]}\n', rng) for _ in range(50)]

    assert some(1) == some(1) != some(2)
