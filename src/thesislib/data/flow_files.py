"""The files of a data set's optical flow: where they lie, whether they fit, how they are read.

One ``.npz`` a video, one compressed member a field, in ``<data set>/flow/``; ``flow.json`` there
says how they were made; :mod:`thesislib.data.flow` writes them. Measured (benchmarks/README.md): a
sixth to an eighth of plain arrays (UCF101, by one of its clips: about 50 GB against 380), read at
about the speed of the frames themselves, and nothing is lost. The authors' JPEG is no smaller at
64 pixels and 0.6 at 240 lines, and loses; PNG is no smaller either, and slower at 240 lines.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thesislib.clip_config import FlowConfig
from thesislib.data.manifest import Manifest, Video
from thesislib.data.reader import Frames
from thesislib.errors import ThesisError
from thesislib.files import derived, read_json, reading

FOLDER = "flow"
NOTE_FILE = "flow.json"
SUFFIX = ".flow.npz"  # so long that no file of somebody else is taken for ours
FORMAT = 1


def flow_file(manifest: Manifest, video: Video) -> Path:
    """Where the flow of a video lies, also for a video outside the data set's folder."""
    parts = [p for p in PurePosixPath(Path(video.path).as_posix()).parts if p != "/"]
    inside = [p.replace(":", "_") if p != ".." else "__" for p in parts]
    return manifest.root.joinpath(FOLDER, *inside[:-1], derived(inside[-1], SUFFIX))


def member(k: int) -> str:
    """Name of field k inside a file."""
    return f"{k:05d}"


def is_whole(path: Path, video: Video) -> bool:
    """Whether there is a file with as many fields as the video needs."""
    with suppress(ThesisError), reading(path, ""), zipfile.ZipFile(path) as archive:
        return len(archive.namelist()) == video.n_frames - 1
    return False


def fingerprint(manifest: Manifest) -> str:
    """That of the whole data set: a split of it has the flow of the whole."""
    return str(manifest.info.get("fingerprint", manifest.fingerprint))


def remedy(manifest: Manifest, settings: Mapping[str, Any] | None = None) -> str:
    """The command that makes flow of these settings; default those of the folder."""
    if settings is None:
        with suppress(ThesisError):
            settings = read_note(manifest)["settings"]
    usual = dataclasses.asdict(FlowConfig())
    options = [f" --{k} {v}" for k, v in (settings or {}).items() if v != usual.get(k)]
    return f"thesislib flow {manifest.name}{''.join(options)}"


def read_note(manifest: Manifest, wanted: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``flow.json`` says.

    Args:
        manifest: The data set.
        wanted: Settings of the flow that is asked for; the error names the command for them.

    Raises:
        ThesisError: There is none, or it cannot be read.
    """
    path = manifest.root / FOLDER / NOTE_FILE
    if not path.is_file():
        faster = ""
        if (wanted or {}).get("algorithm") == FlowConfig().algorithm:
            faster = " (with --algorithm dis in a hundredth of the time, and coarser)"
        raise ThesisError(
            f"{manifest.name!r} has no optical flow: run `{remedy(manifest, wanted or {})}` first"
            f"{faster}."
        )
    again = f"run `thesislib flow {manifest.name} --force`."
    note: dict[str, Any] = read_json(path, again)
    said = (note.get("settings"), note.get("skipped"))
    if note.get("format") != FORMAT or not all(isinstance(one, dict) for one in said):
        raise ThesisError(f"{path} cannot be read by this version: {again}")
    return note


def check_note(manifest: Manifest, config: FlowConfig) -> dict[str, Any]:
    """The note, if the flow was made with these settings from these videos."""
    wanted = dataclasses.asdict(config)
    note = read_note(manifest, wanted)
    if note["settings"] != wanted:
        there, here = (
            ", ".join(f"{k} {v}" for k, v in settings.items())
            for settings in (note["settings"], wanted)
        )
        raise ThesisError(
            f"The flow of {manifest.name!r} was made with {there}, but {here} is wanted: ask for "
            f"what is there, or replace it by `{remedy(manifest, wanted)} --force`."
        )
    if note.get("fingerprint") != fingerprint(manifest):
        raise ThesisError(
            f"The flow of {manifest.name!r} was made from another version of its videos: replace "
            f"it by `{remedy(manifest)} --force`."
        )
    return note


def check_flow(manifest: Manifest, config: FlowConfig) -> dict[str, str]:
    """Makes sure, before a run, that every video has its flow.

    Returns:
        Videos whose file could not be read when the flow was computed, with the reason.

    Raises:
        ThesisError: There is no flow, it has other settings or is of other videos, or files of it
            are missing.
    """
    skipped: dict[str, str] = check_note(manifest, config)["skipped"]
    if missing := _without_flow(manifest, skipped):
        some = missing[0].path + (", ..." if len(missing) > 1 else "")
        raise ThesisError(
            f"{len(missing)} of {len(manifest)} videos of {manifest.name!r} have no flow ({some}): "
            f"run `{remedy(manifest)}`, it goes on from there."
        )
    return skipped


def _without_flow(manifest: Manifest, skipped: Mapping[str, str]) -> list[Video]:
    videos = [v for v in manifest.videos if v.path not in skipped]
    return [v for v in videos if not flow_file(manifest, v).is_file()]


def flow_report(manifest: Manifest) -> dict[str, Any]:
    """For ``thesislib doctor``: the state of a data set's flow.

    Returns:
        Plain JSON: ``settings`` and ``departure`` (absent without flow), ``videos`` with flow,
        ``missing`` (how many), ``wrong_length`` (paths), ``skipped`` (path and reason),
        ``problems`` (one sentence each).
    """
    if not (manifest.root / FOLDER / NOTE_FILE).is_file():
        return {"videos": 0, "problems": []}
    try:
        note = read_note(manifest)
        missing = _without_flow(manifest, note["skipped"])
        present = [v for v in manifest.videos if flow_file(manifest, v).is_file()]
        wrong = [v.path for v in present if not is_whole(flow_file(manifest, v), v)]
        problems = []
        if missing or wrong:
            problems.append(
                f"Of {len(manifest)} videos {len(missing)} have no flow and {len(wrong)} have flow "
                f"of another length: run `{remedy(manifest)}`."
            )
        state = {
            "settings": note["settings"],
            "departure": note.get("departure", ""),
            "videos": len(present),
            "missing": len(missing),
            "wrong_length": wrong,
            "skipped": note["skipped"],
            "problems": problems,
        }
        with reading(manifest.root / FOLDER / NOTE_FILE, f"run `{remedy(manifest)} --force`."):
            check_note(manifest, FlowConfig(**note["settings"]))
    except ThesisError as error:
        return {"videos": 0, "problems": [str(error)]}
    return state


def read_flow(
    manifest: Manifest, video: Video, indices: Sequence[int] | NDArray[np.int64]
) -> Frames:
    """Fields by number, in the order given, repeats allowed.

    Each has a checksum in the archive, which is held against it: it is read to its end first, since
    a damaged head could name fewer numbers than there are.

    Args:
        manifest: The data set.
        video: One of its rows.
        indices: T numbers from 0 to ``n_frames`` - 2.

    Returns:
        (T, H, W, 2) uint8, as :func:`flow_of` gives them.

    Raises:
        ThesisError: The file is missing, damaged, or not as long as its video.
    """
    path = flow_file(manifest, video)
    unique, inverse = np.unique(np.asarray(indices), return_inverse=True)
    if not path.is_file():
        raise ThesisError(f"{path} is missing: run `{remedy(manifest)}`.")
    with (
        reading(path, f"delete it and run `{remedy(manifest)}`."),
        zipfile.ZipFile(path) as archive,
    ):
        count = len(archive.namelist())
        if count == video.n_frames - 1:
            return np.stack([_field(archive, int(k)) for k in unique])[inverse]
    raise ThesisError(
        f"{path} has {count} fields, but its video has {video.n_frames} frames and needs "
        f"{video.n_frames - 1}: run `{remedy(manifest)}`, it computes this one anew."
    )


def _field(archive: zipfile.ZipFile, k: int) -> NDArray[np.uint8]:
    data = io.BytesIO(archive.read(member(k) + ".npy"))
    field: NDArray[np.uint8] = np.lib.format.read_array(data, allow_pickle=False)
    if field.dtype != np.uint8 or field.ndim != 3:
        raise ValueError(f"field {k} is {field.dtype} {field.shape}")
    return field
