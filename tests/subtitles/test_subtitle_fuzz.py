"""Mutated files of every kind: nothing but a named problem escapes, and no cue is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def test_mutated_files(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repo / "benchmarks"))
    import fuzz_subtitles

    found = fuzz_subtitles.fuzz(1500, seed=1, seconds=4.0)
    assert {"srt", "vtt", "ass", "ttml", "youtube", "json", "refused"} == set(found)
    assert found["refused"] < sum(found.values()) * 0.6  # JSON and XML, mostly
    del sys.modules["fuzz_subtitles"]
