"""Features of frames, kept once: the files that chapters 5 to 8 share.

One safetensors file a video, at the video's own path below the folder of the features:

==============  ===============================================================================
``features``    (N, D) float16 or float32, one row a frame that was looked at
``times``       (N,) float64, seconds from the first frame of the video to that of the row
metadata        ``format``; ``settings``, JSON: model, weights and their hash, preprocessing, width,
                rate, dtype; ``video``, the path in its data set; ``source``, its fingerprint
==============  ===============================================================================

``features.json`` in the folder holds the same settings, the data set and the videos that could not
be read. Files are mapped into memory, so a clip of a long film reads its own rows alone. One file
a video and no packing: a random clip costs 0.1 ms of a core (``benchmarks/features.json``), so ten
thousand of them cost a second, and a stopped extraction goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from thesislib.data.manifest import Video
from thesislib.errors import ThesisError, VideoError, choose
from thesislib.files import derived, replacing, write_json

FORMAT = "thesislib features 1"
NOTE_FILE = "features.json"
SUFFIX = ".features.safetensors"
DTYPES = ("float16", "float32")
ENDS = 1 << 16  # bytes at either end of a video that its fingerprint looks at
AGAIN = "free some space, then run the same command again."

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
        save_file(tensors, partial, metadata=meta)


def is_whole(path: Path) -> bool:
    """Whether there is a file of features that can be read to its end."""
    with suppress(ThesisError):
        return look(path).length > 0
    return False


def look(path: Path) -> FeatureFile:
    """What a file of features says of itself.

    Raises:
        ThesisError: No such file, a damaged one, or one of another format.
    """
    try:
        with safe_open(path, framework="np") as file:
            return _header(path, file)
    except FileNotFoundError:
        raise ThesisError(f"There are no features {path}: extract them first.") from None
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def _header(path: Path, file: Any) -> FeatureFile:
    meta = file.metadata() or {}
    if meta.get("format") != FORMAT or not {"features", "times"} <= set(file.keys()):
        raise ThesisError(f"{path} is no file of features of this version: extract it again.")
    length, width = file.get_slice("features").get_shape()
    return FeatureFile(meta["settings"], meta["video"], meta["source"], length, width)


def _damaged(path: Path, error: Exception) -> ThesisError:
    return ThesisError(
        f"{path} is damaged ({type(error).__name__}): delete it and extract it again."
    )


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
        """Rows of a video, only these being read from the disk.

        Args:
            video: A row of the manifest, or its path there.
            first: Number of the first row.
            last: Number of the row after the last; default: to the end.

        Returns:
            ``features`` (n, D) as they are stored; ``times`` (n,) float64 seconds.

        Raises:
            ThesisError: No such features, a damaged file, or one of other settings.
        """
        path = self.file(video)
        try:
            with safe_open(path, framework="np") as file:
                if (file.metadata() or {}).get("settings") != self._canonical:
                    header = _header(path, file)
                    check_settings(path, self.settings, json.loads(header.settings))
                    raise ThesisError(f"{path} has other settings than its folder: extract again.")
                length = file.get_slice("features").get_shape()[0]
                end = length if last is None else min(last, length)
                features = file.get_slice("features")[first:end]
                return features, file.get_slice("times")[first:end]
        except FileNotFoundError:
            reason = self.skipped.get(video if isinstance(video, str) else video.path)
            why = f"it could not be read: {reason}" if reason else "extract them"
            raise ThesisError(f"There are no features {path}: {why}.") from None
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from None


def read_note(folder: Path) -> dict[str, Any]:
    """What ``features.json`` says.

    Raises:
        ThesisError: There is none, or it cannot be read.
    """
    path = folder / NOTE_FILE
    note: Any = None
    with suppress(OSError, ValueError):
        note = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(note, dict) or note.get("format") != FORMAT:
        what = "cannot be read by this version" if path.is_file() else "is not there"
        raise ThesisError(f"{path} {what}: extract the features of these videos (again).")
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
