"""Features of every video of a data set: in parallel, to be gone on with, one bad file no harm."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from thesislib.data.checking import in_parallel
from thesislib.data.features import (
    AGAIN,
    DTYPES,
    NOTE_FILE,
    SUFFIX,
    Rows,
    Times,
    canonical,
    check_settings,
    feature_file,
    fingerprint,
    is_whole,
    look,
    read_note,
    write_features,
    write_note,
)
from thesislib.data.manifest import Manifest, Video, sole_writer
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError, VideoError, choose

PIECE = 256  # frames decoded at a time
FOLDER = "features"


class FrameEncoder(Protocol):
    """What looks at frames: an :class:`thesislib.image_text.ImageText`, or any other network."""

    def encode_frames(self, frames: NDArray[np.uint8]) -> Any:
        """(N, H, W, 3) uint8 RGB to (N, D) numbers, a tensor or an array."""

    def describe(self) -> dict[str, Any]:
        """What decides the numbers: model, weights_hash, preprocess, width."""


@dataclasses.dataclass(frozen=True)
class FeatureReport:
    """What an extraction did."""

    folder: Path
    videos: int
    computed: int
    present: int  # from an earlier call
    skipped: dict[str, str]  # path to reason

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**dataclasses.asdict(self), "folder": str(self.folder)}


def feature_folder(manifest: Manifest, name: str) -> Path:
    """Where the features of a data set by one model lie if nobody says otherwise."""
    return manifest.root / FOLDER / "".join(c if c.isalnum() or c in "-_." else "-" for c in name)


def row_frames(times: Times, rate: float | None) -> NDArray[np.int64]:
    """Which frames are looked at.

    Args:
        times: (n,) seconds of the frames, rising.
        rate: Rows a second: the frame nearest to each of 0, 1 / rate, 2 / rate, ... up to the last
            frame, the earlier of two as near; a rate above the video's own repeats frames.
            ``None``: every frame.

    Returns:
        (N,) int64 numbers of frames.
    """
    if rate is None:
        return np.arange(len(times), dtype=np.int64)
    count = int(np.floor(times[-1] * rate + 1e-6)) + 1
    goals = np.arange(count) / rate
    after = np.searchsorted(times, goals).clip(1, max(1, len(times) - 1))
    after = np.minimum(after, len(times) - 1)
    before = np.maximum(after - 1, 0)
    nearer = goals - times[before] <= times[after] - goals + 1e-9
    return np.where(nearer, before, after).astype(np.int64)


def extract_features(
    manifest: Manifest,
    encoder: FrameEncoder,
    folder: str | Path | None = None,
    *,
    rate: float | None = None,
    dtype: str = "float16",
    jobs: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> FeatureReport:
    """Extracts what is missing; a killed call is simply repeated.

    Args:
        manifest: The videos.
        encoder: Looks at the frames; threads share it.
        folder: Where the files go; default: ``features/<model>`` in the data set.
        rate: Rows a second, see :func:`row_frames`; default: every frame.
        dtype: ``float16`` or ``float32``.
        jobs: Videos at a time (threads: decoders and torch release the interpreter); default one
            a core.
        force: Throw away what is there, of whatever settings.
        progress: Show a bar on stderr.

    Raises:
        ThesisError: The folder holds features of other settings or of other videos, is in use or
            cannot be written; or not one video can be read.
    """
    if rate is not None and not 0 < rate < float("inf"):
        raise ThesisError(f"rate={rate} rows a second: give a number above 0, or none.")
    if jobs is not None and jobs < 1:
        raise ThesisError(f"jobs={jobs}: give 1 or more threads.")
    settings = encoder.describe() | {"rate": rate, "dtype": choose("type", dtype, DTYPES)}
    goal = feature_folder(manifest, settings["model"]) if folder is None else Path(folder)
    goal = goal.expanduser()
    with sole_writer(goal, AGAIN):
        before = _claim(goal, manifest, settings, force)
        return _fill(goal, manifest, encoder, settings, jobs, progress, before)


def _claim(
    goal: Path, manifest: Manifest, settings: Mapping[str, Any], force: bool
) -> dict[str, str]:
    """Makes the folder these settings', or refuses; returns the videos skipped before."""
    note = {"dataset": manifest.name, "settings": settings, "skipped": {}}
    if (goal / NOTE_FILE).is_file() and not force:
        there = read_note(goal)
        check_settings(goal, there, {"dataset": manifest.name})
        check_settings(goal, there["settings"], settings)
        return dict(there.get("skipped", {}))
    # The note goes first and comes last: no old file may stand under a new note.
    (goal / NOTE_FILE).unlink(missing_ok=True)
    for old in goal.rglob(f"*{SUFFIX}"):
        old.unlink()
    write_note(goal, note)
    return {}


def _fill(
    goal: Path,
    manifest: Manifest,
    encoder: FrameEncoder,
    settings: Mapping[str, Any],
    jobs: int | None,
    progress: bool,
    before: Mapping[str, str],
) -> FeatureReport:
    stop = Event()
    text = canonical(settings)

    def work(video: Video) -> tuple[Video, str, bool]:
        """The video, why it was skipped, and whether it was there already."""
        try:
            source = fingerprint(manifest.file(video))
            path = feature_file(goal, video.path)
            if is_whole(path):
                _check_present(path, text, source)
                return video, "", True
            features, times = _rows_of(manifest, video, encoder, settings, stop)
            if not stop.is_set():
                write_features(path, features, times, settings, video.path, source)
        except VideoError as error:
            return video, error.reason, False
        except FileNotFoundError:
            return video, "no such file", False
        return video, "", False

    skipped: dict[str, str] = {}
    present, threads = 0, torch.get_num_threads()
    if jobs != 1:
        torch.set_num_threads(1)  # the videos are the parallelism
    bar = tqdm(
        desc=f"features of {manifest.name}", total=len(manifest), unit="video",
        disable=None if progress else True, mininterval=0.5,
    )  # fmt: skip
    try:
        with bar:
            for video, reason, found in in_parallel(work, manifest.videos, jobs, stop):
                bar.update()
                present += found
                if reason:
                    skipped[video.path] = reason
                    bar.write(f"skipped: {video.path}: {reason}", file=sys.stderr)
    finally:
        torch.set_num_threads(threads)
    names = {video.path for video in manifest.videos}
    others = {path: reason for path, reason in before.items() if path not in names}
    note = {"dataset": manifest.name, "settings": settings, "skipped": others | skipped}
    write_note(goal, note)
    if len(skipped) == len(manifest):
        raise ThesisError(
            f"Not one video of {manifest.name!r} can be read (the first: "
            f"{next(iter(skipped.values()), 'none is listed')}): run `thesislib doctor "
            f"{manifest.name}`."
        )
    computed = len(manifest) - present - len(skipped)
    return FeatureReport(goal, len(manifest), computed, present, skipped)


def _check_present(path: Path, settings: str, source: str) -> None:
    """Refuses a file of other settings or of another version of its video."""
    header = look(path)
    if header.settings != settings:
        raise ThesisError(
            f"{path} was extracted with other settings than are asked for: replace the features "
            "with force."
        )
    if header.source != source:
        raise ThesisError(
            f"{header.video} has changed since its features were extracted: delete {path}, or "
            "replace all with force."
        )


def _rows_of(
    manifest: Manifest,
    video: Video,
    encoder: FrameEncoder,
    settings: Mapping[str, Any],
    stop: Event,
) -> tuple[Rows, Times]:
    """Features (N, D) and times (N,) of one video, a piece at a time."""
    reader = open_video(manifest.file(video))
    times = reader.timestamps()
    numbers = row_frames(times, settings["rate"])
    rows = [np.zeros((0, settings["width"]), np.float32)]
    for first in range(0, len(numbers), PIECE):
        if stop.is_set():
            break
        piece = encoder.encode_frames(reader.frames(numbers[first : first + PIECE]))
        rows.append(np.asarray(piece, dtype=np.float32))
    return np.concatenate(rows), times[numbers]
