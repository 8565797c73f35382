"""Fixtures of the data tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from video_files import write_video


@pytest.fixture(scope="session")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of three videos of 45 to 50 frames."""
    root = tmp_path_factory.mktemp("good")
    for i in range(6):
        write_video(root / "ab"[i % 2] / f"v{i}.mp4", 45 + i, tone=i)
    return root


@pytest.fixture
def must_end() -> Iterator[None]:
    """Fails a test that hangs."""

    def stop(*_: object) -> None:
        raise TimeoutError("the loader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(240)  # spawned workers import torch anew: slow on a busy machine
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
