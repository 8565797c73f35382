"""What is said of the videos of a data set: its side file of captions.

``captions.csv`` lies beside ``manifest.csv`` and has the columns ``path`` (as in the manifest) and
``caption``; a video may have several rows, or none. ``dataset.json`` may hold the checksum of the
file under ``captions_sha256``; then another file is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from thesislib.data.manifest import Manifest
from thesislib.data.side_files import read_side_file, write_side_file
from thesislib.errors import ThesisError
from thesislib.files import csv_text, read_table

CAPTIONS_FILE = "captions.csv"
REMEDY = "write it with the columns path,caption, and quote a caption that holds a comma."


def write_captions(manifest: Manifest, captions: Iterable[tuple[str, str]]) -> None:
    """Writes the captions into the data set's folder, and their checksum into ``manifest.info``.

    Args:
        manifest: The data set; write it afterwards.
        captions: Path of a video and what is said of it, in the order to keep.
    """
    write_side_file(manifest, CAPTIONS_FILE, csv_text(("path", "caption"), captions))


def read_captions(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """The captions of each video of ``manifest`` that has one, in the manifest's order.

    Raises:
        ThesisError: No such file, not the one that was written, an unreadable line, or no caption
            of these videos.
    """
    path = manifest.root / CAPTIONS_FILE
    if not path.is_file():
        raise ThesisError(
            f"Nothing is said of the videos of {manifest.name!r}: write {path} with the columns "
            "path,caption, or take the data set of `thesislib prepare synthetic_captions`."
        )
    text = read_side_file(manifest, CAPTIONS_FILE)
    found: dict[str, list[str]] = {video.path: [] for video in manifest.videos}
    for line, row in read_table(path, ("path", "caption"), REMEDY, text=text):
        caption = row["caption"].strip()
        if not row["path"] or not caption:
            raise ThesisError(f"{path}, line {line}, lacks a path or a caption: {REMEDY}")
        if row["path"] in found:  # else of another split
            found[row["path"]].append(caption)
    if not any(found.values()):
        raise ThesisError(f"{path} says nothing of the videos of this selection.")
    return {video: tuple(texts) for video, texts in found.items() if texts}
