"""Optical flow beside the videos: computed once, kept without loss, read like frames.

As the thesis does it (3.5.2, 4.4.2): TV-L1 between neighbouring frames in grey, x and y clipped at
20 pixels and mapped from [-20, 20] to [0, 255]. Field k moves frame k to frame k + 1, so a video
has one field fewer than frames. Flow belongs to the stored video: where a crop of it is resized
later, the vectors are not rescaled (as released).

The files lie beside the videos; see :mod:`thesislib.data.flow_files`.
"""

from __future__ import annotations

import dataclasses
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thesislib.clip_config import FlowConfig
from thesislib.data.checking import in_parallel
from thesislib.data.flow_files import (
    FOLDER,
    FORMAT,
    NOTE_FILE,
    SUFFIX,
    check_note,
    fingerprint,
    flow_file,
    is_whole,
    member,
    read_note,
)
from thesislib.data.manifest import Manifest, Video, sole_writer
from thesislib.data.reader import Frames, open_video
from thesislib.errors import ThesisError, VideoError
from thesislib.files import replacing, write_json, write_text

Vectors = NDArray[np.float32]

README_FILE = "README.md"
PIECE = 256  # frames decoded at a time
LEVEL = 4  # of compression: a third of the time of the usual 6, for files a twentieth larger
AGAIN = "free some space, then run the same command again."
DEPARTURES = {
    "tvl1": "",
    "tvl1_fast": "TV-L1 with 3 scales, 3 warps and epsilon 0.02: a quarter of the time at 64 px",
    "tvl1_quick": "TV-L1 with 3 scales of a half, 2 warps, 2 x 10 iterations and epsilon 0.05: a "
    "twentieth of the time at 64 px, and noisier",
    "farneback": "Farneback's polynomial expansion instead of TV-L1: a fortieth of it",
    "dis": "dense inverse search (medium) instead of TV-L1: a hundredth of the time, and coarse",
}
# Pixels of the shorter side. The finest scale of DIS is a half, one of its patches has 8 pixels:
# below, OpenCV 5.0 raises an error or, at 48x10 say, reads past the end and ends the process.
LEAST = {"dis": 16}


def flow_of(frames: Frames, config: FlowConfig | None = None) -> Frames:
    """Optical flow between neighbouring frames, as it is stored.

    Args:
        frames: (L, H, W, 3) uint8 RGB, L at least 2.
        config: Algorithm and bound; default the thesis's.

    Returns:
        (L - 1, H, W, 2) uint8: x (to the right) and y (down); 0 is -bound, 255 is +bound and zero
        motion is 128, the rounded 127.5.

    Raises:
        ThesisError: Fewer than two frames, or frames that the algorithm cannot work on.
    """
    config = config or FlowConfig()
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) < 2:
        raise ThesisError(
            f"Flow needs two or more frames (L, H, W, 3) uint8, not {frames.dtype} {frames.shape}."
        )
    if reason := _unfit(frames, config.algorithm):
        raise ThesisError(f"{reason[0].upper()}{reason[1:]}.")
    return np.stack([quantise(v, config.bound) for v in _vectors(frames, config.algorithm)])


def quantise(vectors: Vectors, bound: float = 20.0) -> Frames:
    """Pixels to uint8: clip at ``bound``, map [-bound, bound] to [0, 255], round."""
    levels = (np.clip(vectors, -bound, bound).astype(np.float64) + bound) * (255 / (2 * bound))
    return np.rint(levels).astype(np.uint8)


def to_pixels(flow: Frames, bound: float = 20.0) -> Vectors:
    """The inverse of :func:`quantise` to half a level (0.08 pixels at a bound of 20)."""
    return (flow.astype(np.float32) * (2 * bound / 255) - bound).astype(np.float32)


def _vectors(frames: Frames, algorithm: str) -> Iterator[Vectors]:
    """(H, W, 2) float32 pixels for each pair of neighbouring frames."""
    method = _method(algorithm)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    for first, second in pairwise(grey):
        yield method.calc(first, second, None)


def _unfit(frames: Frames, algorithm: str) -> str:
    """Why an algorithm cannot work on frames of this size, asked before: OpenCV would crash."""
    height, width = frames.shape[1:3]
    if min(width, height) >= LEAST.get(algorithm, 1):
        return ""
    return (
        f"frames of {width}x{height} pixels are too small for {algorithm}, which needs "
        f"{LEAST[algorithm]} a side: take farneback or tvl1"
    )


def _method(algorithm: str) -> Any:
    """A fresh OpenCV object: it keeps buffers, so every thread has its own."""
    if algorithm == "farneback":
        return cv2.FarnebackOpticalFlow.create()
    if algorithm == "dis":
        return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method = cv2.optflow.DualTVL1OpticalFlow.create()
    if algorithm == "tvl1_fast":
        method.setScalesNumber(3)
        method.setWarpingsNumber(3)
        method.setEpsilon(0.02)
    if algorithm == "tvl1_quick":
        method.setScalesNumber(3)
        method.setScaleStep(0.5)  # reaches as coarse as seven scales of 0.8, in half the pixels
        method.setWarpingsNumber(2)
        method.setOuterIterations(2)
        method.setInnerIterations(10)
        method.setEpsilon(0.05)
    return method


def compute_flow(
    manifest: Manifest,
    config: FlowConfig | None = None,
    *,
    jobs: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Computes the flow of every video that has none yet; a killed call is simply repeated.

    Args:
        manifest: The data set; its ``flow`` folder is filled.
        config: Algorithm and bound; default the thesis's.
        jobs: Videos at a time (threads: OpenCV releases the interpreter); default one a core.
        force: Throw away what is there, of whatever settings, and compute all anew.
        progress: Show a bar with the time left on stderr.

    Returns:
        Plain JSON: ``folder``, ``settings``, ``departure``, ``videos``, ``computed``, ``present``
        (from an earlier call), ``skipped`` (path and reason), ``megabytes``.

    Raises:
        ThesisError: The folder holds flow of other settings, is in use or cannot be written.
    """
    config = config or FlowConfig()
    if jobs is not None and jobs < 1:
        raise ThesisError(f"jobs={jobs}: give 1 or more threads.")
    folder = manifest.root / FOLDER
    with sole_writer(folder, AGAIN):
        note = _claim(manifest, config, force)
        return _fill(manifest, config, note, jobs, progress)


def _claim(manifest: Manifest, config: FlowConfig, force: bool) -> dict[str, Any]:
    """Makes the folder these settings', or refuses; returns what ``flow.json`` says."""
    folder = manifest.root / FOLDER
    note = _describe(manifest, config)
    if (folder / NOTE_FILE).is_file() and not force:
        check_note(manifest, config)
        return note
    # Without a note nobody knows what the files are. It goes first and comes last, so that a kill
    # in between leaves no old file under a new note.
    (folder / NOTE_FILE).unlink(missing_ok=True)
    for old in folder.rglob(f"*{SUFFIX}"):
        old.unlink()
    write_text(folder / README_FILE, _readme(note))
    _write_note(folder, note)
    return note


def _write_note(folder: Path, note: Mapping[str, Any]) -> None:
    write_json(folder / NOTE_FILE, note)


def _fill(
    manifest: Manifest, config: FlowConfig, note: dict[str, Any], jobs: int | None, progress: bool
) -> dict[str, Any]:
    """Computes what is missing."""
    folder = manifest.root / FOLDER
    todo = [v for v in manifest.videos if not is_whole(flow_file(manifest, v), v)]
    stop = Event()

    def work(video: Video) -> tuple[Video, str]:
        try:
            _compute_one(manifest, video, config, stop)
        except VideoError as error:
            return video, error.reason
        return video, ""

    pairs = sum(v.n_frames - 1 for v in manifest.videos)
    left = sum(v.n_frames - 1 for v in todo)
    bar = tqdm(
        desc=f"flow of {manifest.name}", total=pairs, initial=pairs - left, unit="pair",
        disable=None if progress else True, mininterval=0.5,
    )  # fmt: skip
    skipped: dict[str, str] = {}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a second one does not help inside a pair: the videos are the parallelism
    try:
        with bar:
            for video, reason in in_parallel(work, todo, jobs, stop):
                bar.update(video.n_frames - 1)
                if reason:
                    skipped[video.path] = reason
                    bar.write(f"skipped: {video.path}: {reason}", file=sys.stderr)
    finally:
        cv2.setNumThreads(threads)
    # A subset of the data set says nothing of the videos outside of it.
    names = {v.path for v in manifest.videos}
    before = read_note(manifest).get("skipped", {})
    others = {path: reason for path, reason in before.items() if path not in names}
    _write_note(folder, {**note, "skipped": others | skipped})
    sizes = [f.stat().st_size for f in folder.rglob(f"*{SUFFIX}")]
    return {
        "folder": str(folder),
        "settings": dataclasses.asdict(config),
        "departure": note["departure"],
        "videos": len(manifest),
        "computed": len(todo) - len(skipped),
        "present": len(manifest) - len(todo),
        "skipped": skipped,
        "megabytes": round(sum(sizes) / 1e6, 1),
    }


def _compute_one(manifest: Manifest, video: Video, config: FlowConfig, stop: Event) -> None:
    """Writes the flow of one video, whole or not at all."""
    goal = flow_file(manifest, video)
    reader = open_video(manifest.file(video))
    with replacing(goal, AGAIN) as partial:
        # What np.savez_compressed writes, member by member, so that a film needs no more memory
        # than one piece of it.
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
            for first in range(0, video.n_frames - 1, PIECE - 1):
                if stop.is_set():
                    break
                last = min(first + PIECE, video.n_frames)
                frames = reader.frames(np.arange(first, last))
                if reason := _unfit(frames, config.algorithm):
                    raise VideoError(manifest.file(video), reason)
                for k, vectors in enumerate(_vectors(frames, config.algorithm), first):
                    if stop.is_set():
                        break
                    with archive.open(member(k) + ".npy", "w") as file:
                        field = quantise(vectors, config.bound)
                        np.lib.format.write_array(file, field, allow_pickle=False)
        if stop.is_set():  # half a film
            partial.unlink()


def _describe(manifest: Manifest, config: FlowConfig) -> dict[str, Any]:
    """The content of ``flow.json``."""
    method = _method(config.algorithm)
    names = [n for n in dir(method) if n.startswith("get") and n != "getDefaultName"]
    versions = {}
    for package in ("opencv-contrib-python-headless", "numpy", "thesislib"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return {
        "format": FORMAT,
        "dataset": manifest.name,
        "fingerprint": fingerprint(manifest),
        "settings": dataclasses.asdict(config),
        # OpenCV keeps float32: 0.01 comes back as 0.00999...
        "parameters": {n.removeprefix("get"): _short(getattr(method, n)()) for n in names},
        "departure": DEPARTURES[config.algorithm],
        "direction": "field k moves frame k to frame k + 1",
        "rate": "one field a frame at the video's own rate, one field fewer than frames",
        "channels": ["x, positive to the right", "y, positive downwards"],
        "scale": f"value = round((clip(pixels, -{config.bound:g}, {config.bound:g}) + "
        f"{config.bound:g}) * 255 / {2 * config.bound:g}); zero motion is 128",
        "resolution": "of the stored video, in its pixels",
        "versions": versions,
        "skipped": {},
    }


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _readme(note: Mapping[str, Any]) -> str:
    algorithm, departure = note["settings"]["algorithm"], note["departure"]
    thesis = f"a departure from the thesis: {departure}" if departure else "as in the thesis"
    values = "\n".join(f"  - {k}: {v}" for k, v in note["parameters"].items())
    channels = "; ".join(note["channels"])
    return f"""# Optical flow of {note["dataset"]}

Written by `thesislib flow`; the same facts for programs are in `{NOTE_FILE}`.

- Algorithm: {algorithm} of OpenCV on grey frames, {thesis}. Its settings:
{values}
- Direction: {note["direction"]}.
- Rate: {note["rate"]}.
- Scale: uint8, {note["scale"]}.
- Channels: {channels}. The third channel of the thesis is added on reading.
- Resolution: {note["resolution"]}. Vectors are not rescaled when a crop is resized.
- Files: `<video>{SUFFIX}`, one array (height, width, 2) for each field, named by its number:
  `numpy.load(path)["{member(7)}"]` is field 7. Nothing is lost in them.
"""
