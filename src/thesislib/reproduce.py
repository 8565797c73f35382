"""Runs a chapter's notebook with other parameters, by papermill, into ``runs/notebooks/``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thesislib.errors import ThesisError, choose
from thesislib.places import repo_root, runs_root


def notebook(chapter: str) -> Path:
    """The notebook whose name starts with ``chapter``: ``"2"``, ``"02"`` or ``"02_dpc"``.

    Raises:
        ThesisError: No such chapter, or the package is not in a checkout.
    """
    root = repo_root()
    if root is None:
        raise ThesisError("The notebooks are in the repository: clone it and install it with -e.")
    names = {p.stem: p for p in sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    number = chapter.zfill(2)
    for name, path in names.items():
        if chapter == name or number == name[:2]:
            return path
    return names[choose("chapter", chapter, names)]


def reproduce(chapter: str, parameters: Mapping[str, Any]) -> Path:
    """Executes a chapter with these parameters and returns the executed notebook.

    papermill itself only warns of a misspelt parameter; here it is refused. A notebook that fails
    is left, with its traceback, beside the good one under ``.failed.ipynb``.

    Raises:
        ThesisError: An unknown parameter, or a cell that fails.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    source = notebook(chapter)
    known = papermill.inspect_notebook(str(source))
    for name in parameters:
        choose(f"parameter of {source.name}", name, known)
    values = {k: _typed(v, known[k]["inferred_type_name"]) for k, v in parameters.items()}
    label = "-".join(re.sub(r"[^\w.+]+", "_", str(values[k])) for k in sorted(values))
    folder = runs_root() / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{source.stem}-{label}.ipynb"
    working = out.with_suffix(f".{os.getpid()}.ipynb")
    try:
        papermill.execute_notebook(
            str(source), str(working), values, kernel_name="python3", cwd=str(source.parent)
        )
    except PapermillExecutionError as error:
        failed = out.with_suffix(".failed.ipynb")
        os.replace(working, failed)
        raise ThesisError(
            f"{source.name} failed in cell {error.exec_count} ({error.ename}: {error.evalue}): "
            f"the executed notebook is {failed}."
        ) from None
    os.replace(working, out)
    return out


def _typed(value: Any, kind: str) -> Any:
    """Text from the command line as the type of the notebook's default."""
    if not isinstance(value, str):
        return value
    try:
        if kind == "bool":
            return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
        return {"int": int, "float": float}.get(kind, str)(value)
    except (KeyError, ValueError):
        raise ThesisError(f"{value!r} does not fit: {kind} expected.") from None
