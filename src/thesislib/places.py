"""Where things lie: the checkout, and the roots of data sets, runs and results."""

from __future__ import annotations

import os
from pathlib import Path

from thesislib.errors import ThesisError


def repo_root() -> Path | None:
    """The checkout this package is imported from, or ``None`` for an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def user_path(path: str | Path, what: str = "the path") -> Path:
    """A path as somebody has typed it; ``~`` and ``~name`` are the folders of people.

    Args:
        path: What was typed.
        what: What it names, for the message: ``"the path in line 3 of list.csv"``.

    Raises:
        ThesisError: It is empty, names nobody's folder, or holds a sign that no path can hold.
    """
    text, what = str(path), what[:1].upper() + what[1:]
    if not text.strip():
        raise ThesisError(f"{what} is empty: name a file or folder.")
    if "\0" in text:
        raise ThesisError(f"{what} {text!r} holds a NUL: write it anew.")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ThesisError(
            f"{what} {text} begins with the home of somebody whom this machine does not know: "
            "write the path out, or ./~ for a name that begins so."
        ) from None


def inside(root: Path, name: str, what: str) -> Path:
    """``root / name``, where the name leads nowhere else.

    Args:
        root: A folder.
        name: Of a file or folder in it.
        what: What it is the name of, for the message: ``"a data set"``.

    Raises:
        ThesisError: It is empty, hidden, or holds a slash or a sign that no path can hold.
    """
    if not name or name.startswith(".") or any(sign in name for sign in "/\\\0"):
        raise ThesisError(f"{name!r} cannot be the name of {what}: use letters, digits, - and _.")
    return root / name


def _root(variable: str, folder: str) -> Path:
    if value := os.environ.get(variable):
        return user_path(value, variable).resolve()
    # Never the working directory: papermill runs in the caller's folder, nbval in the notebook's.
    if (checkout := repo_root()) is not None:
        return checkout / folder
    try:
        return Path.home() / ".thesislib" / folder
    except RuntimeError:
        raise ThesisError(f"You have no home folder here: set {variable} to a folder.") from None


def data_root() -> Path:
    """Folder of the data sets: ``$THESISLIB_DATA`` or ``data/`` in the checkout."""
    return _root("THESISLIB_DATA", "data")


def runs_root() -> Path:
    """Folder of the runs: ``$THESISLIB_RUNS`` or ``runs/`` in the checkout."""
    return _root("THESISLIB_RUNS", "runs")


def results_root() -> Path:
    """Folder of the ledger: ``$THESISLIB_RESULTS`` or ``results/`` in the checkout."""
    return _root("THESISLIB_RESULTS", "results")
