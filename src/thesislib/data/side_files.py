"""Text files beside a manifest, whose checksums its info holds, so that other files are refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError
from thesislib.files import write_text


def checksum_key(name: str) -> str:
    """Where the info holds the checksum of a file: ``captions_sha256`` for ``captions.csv``."""
    return f"{Path(name).stem}_sha256"


def write_side_file(manifest: Manifest, name: str, text: str) -> None:
    """Writes a file into the data set's folder, and its checksum into ``manifest.info``."""
    manifest.info[checksum_key(name)] = hashlib.sha256(text.encode()).hexdigest()
    write_text(manifest.root / name, text)


def read_side_file(manifest: Manifest, name: str) -> str:
    """The text of a file of the data set's folder; it must be there.

    Raises:
        ThesisError: It is not the one that was written, or not UTF-8.
    """
    path = manifest.root / name
    data = path.read_bytes()
    wanted = manifest.info.get(checksum_key(name))
    if wanted and hashlib.sha256(data).hexdigest() != wanted:
        raise ThesisError(
            f"{path} is not the file that was prepared (its checksum differs from the one in "
            "dataset.json): prepare the data set again."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ThesisError(f"{path} is not UTF-8: save it as UTF-8.") from None
