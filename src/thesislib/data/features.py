"""Features of frames, kept once: the files that chapters 5 to 8 share.

One safetensors file a video, at the video's own path below the folder of the features:

==============  ===============================================================================
``features``    (N, D) float16 or float32, one row a frame that was looked at
``times``       (N,) float64, seconds from the first frame of the video to that of the row
metadata        ``format``; ``settings``, JSON: model, weights and their hash, preprocessing, width,
                rate, dtype; ``video``, the path in its data set; ``source``, its fingerprint;
                ``sha256`` of all of this and of the two arrays (files of before have none)
==============  ===============================================================================

``features.json`` in the folder holds the same settings, the data set and the videos that could not
be read. Files are mapped into memory, so a clip of a long film reads its own rows alone. One file
a video and no packing: a random clip costs 0.1 ms of a core (``benchmarks/features.json``), so ten
thousand of them cost a second, and a stopped extraction goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from thesislib.checksums import checksum
from thesislib.data.manifest import Video
from thesislib.errors import ThesisError, VideoError, choose
from thesislib.files import derived, read_json, reading, replacing, write_json

FORMAT = "thesislib features 1"
NOTE_FILE = "features.json"
SUFFIX = ".features.safetensors"
DTYPES = ("float16", "float32")
ENDS = 1 << 16  # bytes at either end of a video that its fingerprint looks at
AGAIN = "free some space, then run the same command again."
NEW = "extract the features of these videos again with --force."
DAMAGED = "delete it and extract it again."

Rows = NDArray[np.floating[Any]]
Times = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureFile:
    """What a file says of itself, without its rows."""

    settings: str  # canonical JSON, see canonical()
    video: str
    source: str
    length: int
    width: int


def canonical(settings: Mapping[str, Any]) -> str:
    """Settings as JSON that is equal where they are."""
    return json.dumps(settings, sort_keys=True)


def fingerprint(path: Path) -> str:
    """Of a video file: its length and 64 KiB at either end, 32 hex digits.

    A whole film is not read for it; both ends of a container tell of every frame in between.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    whole = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        whole.update(file.read(ENDS))
        file.seek(max(0, size - ENDS))
        whole.update(file.read(ENDS))
    return whole.hexdigest()[:32]


def feature_file(folder: Path, video: str) -> Path:
    """Where the features of a video lie, also of one outside the data set's folder."""
    parts = [p for p in PurePosixPath(Path(video).as_posix()).parts if p != "/"]
    inside = [p.replace(":", "_") if p != ".." else "__" for p in parts]
    return folder.joinpath(*inside[:-1], derived(inside[-1], SUFFIX))


def write_features(
    path: Path, features: Rows, times: Times, settings: Mapping[str, Any], video: str, source: str
) -> None:
    """Writes the features of one video, whole or not at all.

    Args:
        path: See :func:`feature_file`.
        features: (N, D); kept as ``settings["dtype"]``.
        times: (N,) seconds.
        settings: Of the extraction.
        video: Path in its data set.
        source: Fingerprint of the video file.

    Raises:
        VideoError: Values that are not finite in that type.
        ThesisError: Rows and times differ in number, or the file cannot be written.
    """
    dtype = choose("type of features", settings["dtype"], DTYPES)
    with np.errstate(over="ignore"):
        kept = np.ascontiguousarray(features, dtype=dtype)
    if kept.ndim != 2 or times.shape != kept.shape[:1] or len(kept) == 0:
        raise ThesisError(
            f"Features {kept.shape} and times {times.shape} of {video} do not fit: give (N, D) and "
            "(N,), N at least 1."
        )
    if not np.isfinite(kept).all():
        raise VideoError(video, f"its features are not all finite in {dtype}")
    meta = {"format": FORMAT, "settings": canonical(settings), "video": video, "source": source}
    tensors = {"features": kept, "times": np.ascontiguousarray(times, np.float64)}
    with replacing(path, AGAIN) as partial:
        save_file(tensors, partial, metadata={**meta, "sha256": checksum(canonical(meta), tensors)})


def is_whole(path: Path) -> bool:
    """Whether there is a file of features whose numbers are those that were written."""
    with suppress(ThesisError), _opened(path) as file:
        _check_numbers(file)
        return _header(path, file).length > 0
    return False


def look(path: Path) -> FeatureFile:
    """What a file of features says of itself.

    Raises:
        ThesisError: No such file, a damaged one, or one of another format.
    """
    with _opened(path) as file:
        return _header(path, file)


@contextmanager
def _opened(path: Path, otherwise: str = "extract them first") -> Iterator[Any]:
    """The file; within, whatever is wrong with it is one sentence."""
    if not path.is_file():
        raise ThesisError(f"There are no features {path}: {otherwise}.")
    with reading(path, DAMAGED), safe_open(path, framework="np") as file:
        yield file


def _check_numbers(file: Any) -> None:
    meta = file.metadata() or {}
    if told := meta.pop("sha256", ""):
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if checksum(canonical(meta), tensors) != told:
            raise ValueError("it has changed since it was written")


def _header(path: Path, file: Any) -> FeatureFile:
    meta = file.metadata() or {}
    if meta.get("format") != FORMAT or not {"features", "times"} <= set(file.keys()):
        raise ThesisError(f"{path} is no file of features of this version: extract it again.")
    length, width = file.get_slice("features").get_shape()
    return FeatureFile(meta["settings"], meta["video"], meta["source"], length, width)


class FeatureStore:
    """The features of a data set, read by video.

    Args:
        folder: Where they lie.
        wanted: Settings that they must have (any part of them); default: whatever they have.

    Attributes:
        settings: Of the extraction.
        skipped: Videos without features, with the reason.

    Raises:
        ThesisError: No features there, or of other settings.
    """

    def __init__(self, folder: str | Path, wanted: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder).expanduser()
        note = read_note(self.folder)
        self.settings: dict[str, Any] = note["settings"]
        self.skipped: dict[str, str] = note.get("skipped", {})
        self.dataset = str(note.get("dataset", ""))
        check_settings(self.folder, self.settings, wanted or {})
        self._canonical = canonical(self.settings)
        self._lengths: dict[str, int] = {}
        self._sound: set[str] = set()  # whose numbers were found to be those that were written

    @property
    def width(self) -> int:
        """Numbers D of a row."""
        return int(self.settings["width"])

    @property
    def fingerprint(self) -> str:
        """Of the settings, 16 hex digits: a run that reads features names it beside its data."""
        return hashlib.sha256(self._canonical.encode()).hexdigest()[:16]

    def file(self, video: Video | str) -> Path:
        """Where the features of a video lie."""
        return feature_file(self.folder, video if isinstance(video, str) else video.path)

    def has(self, video: Video | str) -> bool:
        """Whether there are features of a video."""
        return self.file(video).is_file()

    def length(self, video: Video | str) -> int:
        """Rows N of a video; the file is looked into once."""
        key = video if isinstance(video, str) else video.path
        if key not in self._lengths:
            self._lengths[key] = look(self.file(key)).length
        return self._lengths[key]

    def read(
        self, video: Video | str, first: int = 0, last: int | None = None
    ) -> tuple[Rows, Times]:
        """Rows of a video, only these being read from the disk; the first time, all are checked.

        Args:
            video: A row of the manifest, or its path there.
            first: Number of the first row.
            last: Number of the row after the last; default: to the end.

        Returns:
            ``features`` (n, D) as they are stored; ``times`` (n,) float64 seconds.

        Raises:
            ThesisError: No such features, a damaged file, or one of other settings.
        """
        key = video if isinstance(video, str) else video.path
        reason = self.skipped.get(key)
        why = f"it could not be read: {reason}" if reason else "extract them"
        with _opened(path := self.file(key), why) as file:
            if (file.metadata() or {}).get("settings") != self._canonical:
                header = _header(path, file)
                check_settings(path, self.settings, json.loads(header.settings))
                raise ThesisError(f"{path} has other settings than its folder: extract again.")
            if key not in self._sound:
                _check_numbers(file)
                self._sound.add(key)
            length = file.get_slice("features").get_shape()[0]
            end = length if last is None else min(last, length)
            features = file.get_slice("features")[first:end]
            return features, file.get_slice("times")[first:end]


def read_note(folder: Path) -> dict[str, Any]:
    """What ``features.json`` says.

    Raises:
        ThesisError: There is none, or it cannot be read.
    """
    path = folder / NOTE_FILE
    if not path.is_file():
        raise ThesisError(f"{path} is not there: extract the features of these videos.")
    note: dict[str, Any] = read_json(path, NEW)
    settings, skipped = note.get("settings"), note.get("skipped", {})
    if (
        note.get("format") != FORMAT
        or not isinstance(settings, dict)
        or not isinstance(settings.get("width"), int)
        or not isinstance(skipped, dict)
    ):
        raise ThesisError(f"{path} cannot be read by this version: {NEW}")
    return note


def write_note(folder: Path, note: Mapping[str, Any]) -> None:
    """Writes ``features.json``."""
    write_json(folder / NOTE_FILE, {"format": FORMAT, **note})


def check_settings(place: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuses features of other settings, naming the first that differs."""
    for key in differing(there, wanted):
        raise ThesisError(
            f"The features in {place} have {key} {there.get(key)}, but {wanted[key]} is wanted: "
            "name another folder, or replace them with force."
        )


def differing(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterable[str]:
    """The settings in which two extractions differ, as JSON has them."""
    for key, value in wanted.items():
        if json.dumps(value, sort_keys=True) != json.dumps(there.get(key), sort_keys=True):
            yield key
