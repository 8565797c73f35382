"""What all tests share: one thread, no network, folders of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch, OpenCV or a tokenizer is imported anywhere: two cores are shared by many workers,
# and a number must not depend on how many threads a machine has.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"

REPO = Path(__file__).resolve().parents[1]


def shared_folder() -> Path | None:
    """The folder of reference numbers and real clips: $THESISLIB_SHARED, or beside or in here."""
    named = os.environ.get("THESISLIB_SHARED")
    places = [Path(named)] if named else [REPO.parent / "shared", REPO / "shared"]
    return next((place.resolve() for place in places if (place / "golden").is_dir()), None)


@pytest.fixture(scope="session")
def repo() -> Path:
    """Root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder; the test is skipped where a checkout stands without it."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("no folder 'shared' beside the checkout (THESISLIB_SHARED names another place)")
    return folder


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """No decoded video of an earlier test."""
    from thesislib.data.video_dataset import KEPT

    KEPT.clear()


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for data, runs and results; returns their parent."""
    for name in ("data", "runs", "results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"THESISLIB_{name.upper()}", str(tmp_path / name))
    return tmp_path
