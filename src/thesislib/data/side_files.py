"""Text files beside a manifest, whose checksums its info holds, so that other files are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

from thesislib.checksums import sha256
from thesislib.data.manifest import INFO_FILE, Manifest
from thesislib.errors import ThesisError
from thesislib.files import read_text, reading, write_text

AGAIN = "prepare the data set again."


def checksum_key(name: str) -> str:
    """Where the info holds the checksum of a file: ``captions_sha256`` for ``captions.csv``."""
    return f"{Path(name).stem}_sha256"


def write_side_file(manifest: Manifest, name: str, text: str) -> None:
    """Writes a file into the data set's folder, and its checksum into ``manifest.info``."""
    manifest.info[checksum_key(name)] = hashlib.sha256(text.encode()).hexdigest()
    write_text(manifest.root / name, text)


def check_side_file(manifest: Manifest, name: str) -> None:
    """Refuses a file of the data set's folder that is not the one that was written.

    Raises:
        ThesisError: It is another, or cannot be read.
    """
    path = manifest.root / name
    with reading(path, AGAIN):
        there = sha256(path)
    if there != manifest.info.get(checksum_key(name), there):
        raise ThesisError(
            f"{path} is not the file that was prepared (its checksum differs from the one in "
            f"{INFO_FILE}): {AGAIN}"
        )


def read_side_file(manifest: Manifest, name: str) -> str:
    """The text of a file of the data set's folder; it must be there.

    Raises:
        ThesisError: It is not the one that was written, or not text.
    """
    check_side_file(manifest, name)
    return read_text(manifest.root / name, AGAIN)
