"""Small models that ship with the package: weights, model card, and the recipe that makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thesislib.errors import choose
from thesislib.pretrained import coclr
from thesislib.train import Log

HERE = Path(__file__).parent
MODELS = {
    "image-text": HERE / "image_text",
    "language": HERE / "language_model",
    **coclr.FOLDERS,
}  # name to folder
SCORES_FILE = "scores.json"


def shipped() -> dict[str, dict[str, Any]]:
    """The models that are here: folder, size, hash and scores of each, as their recipe wrote it."""
    found = {}
    for name, folder in MODELS.items():
        path = folder / SCORES_FILE
        if path.is_file():
            note = json.loads(path.read_text(encoding="utf-8"))
            facts = {key: note[key] for key in ("parameters", "bytes", "weights_hash")}
            found[name] = {"folder": str(folder), **facts, **note["scores"]}
    return found


def make(
    name: str,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    jobs: int | None = None,
    log: Log = print,
) -> dict[str, Any]:
    """Makes a model again by its recipe.

    Args:
        name: One of ``MODELS``.
        out: Folder of the new model; default: in the runs.
        settings: Changes of the recipe, by name.
        jobs: Processes that make its data; default one a core.
        log: Where the log lines go.

    Raises:
        ThesisError: No such model, or a setting that does not fit.
    """
    if choose("model that ships", name, MODELS) in coclr.FOLDERS:
        from thesislib.pretrained.coclr import recipe as of_coclr

        return of_coclr.make(name, out, settings, log=log)
    if name == "language":
        from thesislib.pretrained.language_model import recipe as of_language

        return of_language.make(out, settings, log=log)
    from thesislib.pretrained.image_text import recipe

    return recipe.make(out, settings, jobs=jobs, log=log)
