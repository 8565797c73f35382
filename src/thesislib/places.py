"""Where things lie: the checkout, and the roots of data sets, runs and results."""

from __future__ import annotations

import os
from pathlib import Path


def repo_root() -> Path | None:
    """The checkout this package is imported from, or ``None`` for an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def _root(variable: str, folder: str) -> Path:
    if value := os.environ.get(variable):
        return Path(value).expanduser().resolve()
    # Never the working directory: papermill runs in the caller's folder, nbval in the notebook's.
    return (repo_root() or Path.home() / ".thesislib") / folder


def data_root() -> Path:
    """Folder of the data sets: ``$THESISLIB_DATA`` or ``data/`` in the checkout."""
    return _root("THESISLIB_DATA", "data")


def runs_root() -> Path:
    """Folder of the runs: ``$THESISLIB_RUNS`` or ``runs/`` in the checkout."""
    return _root("THESISLIB_RUNS", "runs")


def results_root() -> Path:
    """Folder of the ledger: ``$THESISLIB_RESULTS`` or ``results/`` in the checkout."""
    return _root("THESISLIB_RESULTS", "results")
