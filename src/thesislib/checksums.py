"""Checksums of files and of arrays, by which a changed bit is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def checksum(note: str, tensors: Mapping[str, Any]) -> str:
    """Of a note and of arrays with their names, kinds, shapes and numbers, 64 hex digits."""
    digest = hashlib.sha256(note.encode())
    for name, values in sorted(tensors.items()):
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
