"""The small networks of chapter 4 as they ship: one that sees frames, one that sees optical flow.

``CoCLR.from_pretrained(FOLDERS["small-coclr-rgb"])`` reads one, and so does :func:`load`.
:mod:`thesislib.pretrained.coclr.recipe` makes them again.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from thesislib.errors import choose
from thesislib.files import reading

HERE = Path(__file__).parent
FOLDERS = {name: HERE / name.replace("-", "_") for name in ("small-coclr-rgb", "small-coclr-flow")}


def load(name: str | Path) -> tuple[Any, Any]:
    """A network that ships, or a folder like theirs.

    Args:
        name: One of ``FOLDERS``, or a path.

    Returns:
        The model on the CPU in evaluation mode, and its settings.

    Raises:
        ThesisError: There is no such network, or its files are damaged.
    """
    from thesislib.methods.coclr import CoCLR

    folder = name if isinstance(name, Path) else FOLDERS[choose("network", name, FOLDERS)]
    said = contextlib.redirect_stdout(io.StringIO())  # the hub's word on where it reads
    with reading(folder, "install thesislib again."), said:
        # All tensors, or it raises: the hub's own default leaves what is missing at random.
        model = CoCLR.from_pretrained(folder, strict=True)
    return model.eval(), model.config
