"""The list of videos of a data set: one csv, read and written in one place.

A data set is a folder ``<data_root>/<name>/`` with ``manifest.csv`` (one row a video, the header is
the field names of :class:`Video`) and ``dataset.json`` (where it came from, under which licence,
with which options, and how many files were skipped for which reason).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thesislib import locks
from thesislib.data.containers import VideoInfo
from thesislib.data.contents import Content, changed_files, write_contents
from thesislib.errors import ThesisError, of_the_system
from thesislib.files import csv_text, read_json, read_table, sweep, write_json, write_text
from thesislib.places import data_root

SPLITS = ("train", "val", "test")
MANIFEST_FILE = "manifest.csv"
INFO_FILE = "dataset.json"
LOCK_FILE = ".lock"
LARGEST = 1 << 31  # above every length and size of a video
AGAIN = "prepare the data set again with --force."


@dataclass(frozen=True)
class Video:
    """One row of a manifest.

    Attributes:
        path: Posix path, relative to the manifest's root, or absolute (a user's own files).
        label: Class name; empty = no label.
        split: ``train``, ``val`` or ``test``.
        group: Videos of one group (one actor and scene, one film part) never cross a split.
        n_frames: Frames that decode.
        fps: Nominal frames a second. For a variable rate read the reader's time stamps.
        width: Pixels.
        height: Pixels.
    """

    path: str
    label: str
    split: str
    group: str
    n_frames: int
    fps: float
    width: int
    height: int

    @classmethod
    def of(cls, path: str, label: str, split: str, group: str, file: VideoInfo) -> Video:
        """The row of a file that was looked into."""
        fps = round(file.fps, 4)
        return cls(path, label, split, group, file.n_frames, fps, file.width, file.height)


FIELDS = tuple(f.name for f in dataclasses.fields(Video))


@dataclass(frozen=True)
class Manifest:
    """The videos of a data set, in a fixed order.

    Attributes:
        name: Name of the data set.
        root: Folder that relative paths start from.
        videos: The rows.
        info: Plain JSON: licence, recipe, options, skipped files with reasons.
        class_names: Set by :meth:`select`, so that a subset keeps the class numbers of the whole.
    """

    name: str
    root: Path
    videos: tuple[Video, ...]
    info: dict[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted class names; the place in this tuple is the class number everywhere."""
        if self.class_names is not None:
            return self.class_names
        return tuple(sorted({v.label for v in self.videos if v.label}))

    @property
    def fingerprint(self) -> str:
        """sha256 of the rows, 64 hex digits. It names the data that a run has seen.

        Files that were replaced under the same names make another ``edition`` of the data set.
        """
        text = str(self.info.get("edition", "")) + _rows_as_text(self.videos)
        return hashlib.sha256(text.encode()).hexdigest()

    def file(self, video: Video) -> Path:
        """Where the video lies on this machine."""
        return self.root / video.path

    def select(
        self,
        split: str | None = None,
        per_class: int | None = None,
        seed: int = 0,
        share: float | None = None,
    ) -> Manifest:
        """A subset that keeps the order of rows and the class numbers.

        Args:
            split: Keep this split only.
            per_class: Keep at most so many videos of each class, drawn by ``seed``.
            seed: The draw does not depend on the order of classes or on other classes. Draws of
                one seed are nested: the fewer videos are among the more.
            share: Keep this share of the videos of each class, in ``(0, 1]``, rounded to the
                nearest number (half up) and at least one.

        Raises:
            ThesisError: Nothing is left, there is no such split, or the share is out of range.
        """
        if split is not None and split not in SPLITS:
            raise ThesisError(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
        keep = [v for v in self.videos if split is None or v.split == split]
        if share is not None:
            if not 0 < share <= 1:
                raise ThesisError(f"share={share} of the videos: give a number above 0, at most 1.")
            keep = _balanced(keep, lambda n: max(1, math.floor(share * n + 0.5)), seed)
        if per_class is not None:
            keep = _balanced(keep, lambda n: per_class, seed)
        if not keep:
            what = f"split {split!r}" if split else "this selection"
            raise ThesisError(
                f"The data set {self.name!r} has no video in {what}: "
                f"run `thesislib doctor {self.name}` to see what each split holds."
            )
        return dataclasses.replace(self, videos=tuple(keep), class_names=self.classes)

    def with_labels(self, share: float, seed: int = 0) -> Manifest:
        """With a share of its training videos (see :meth:`select`); the other splits stay whole."""
        kept = {video.path for video in self.select("train", share=share, seed=seed).videos}
        videos = tuple(v for v in self.videos if v.split != "train" or v.path in kept)
        return dataclasses.replace(self, videos=videos, class_names=self.classes)


def _balanced(videos: list[Video], count: Callable[[int], int], seed: int) -> list[Video]:
    """``count(n)`` of the n videos of each class."""
    members: dict[str, list[int]] = {}
    for i, video in enumerate(videos):
        members.setdefault(video.label, []).append(i)
    chosen: set[int] = set()
    for label, indices in members.items():
        rng = np.random.default_rng([seed, *label.encode()])
        chosen.update(indices[i] for i in rng.permutation(len(indices))[: count(len(indices))])
    return [v for i, v in enumerate(videos) if i in chosen]


def _rows_as_text(videos: Iterable[Video]) -> str:
    rows = (
        (v.path, v.label, v.split, v.group, v.n_frames, f"{v.fps:.6g}", v.width, v.height)
        for v in videos
    )
    return csv_text(FIELDS, rows)


@contextlib.contextmanager
def sole_writer(folder: Path, remedy: str) -> Iterator[None]:
    """Makes the folder if need be and holds its lock, see :func:`thesislib.locks.held`.

    Raises:
        ThesisError: Another process holds it, or something in it cannot be written; then it ends
            with ``remedy``.
    """

    def busy(holder: str) -> None:
        raise ThesisError(f"{folder} is being written by {holder}: wait until it has finished.")

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locks.held(folder / LOCK_FILE, busy):
            sweep(folder)
            yield
    except OSError as error:
        raise of_the_system(error, folder, "written", remedy) from error


def write_manifest(manifest: Manifest, contents: Mapping[str, Content] | None = None) -> Path:
    """Writes ``manifest.csv`` and ``dataset.json`` to the manifest's root, and ``contents.csv``.

    ``manifest.csv`` is replaced last: where it exists, the data set is whole.

    Returns:
        The path of the csv.

    Raises:
        ThesisError: A row has an unknown split, or two rows have the same path.
    """
    seen: set[str] = set()
    for video in manifest.videos:
        if video.split not in SPLITS:
            raise ThesisError(f"{video.path} has the unknown split {video.split!r}.")
        if video.path in seen:
            raise ThesisError(f"{video.path} is listed twice in the data set {manifest.name!r}.")
        seen.add(video.path)
    info = {**manifest.info, "name": manifest.name, "fingerprint": manifest.fingerprint}
    info["info_sha256"] = _sha256(info)
    write_json(manifest.root / INFO_FILE, info, sort_keys=True)
    if contents is not None:  # after the info, that a kill between them cannot hide an edition
        write_contents(manifest.root, contents)
    path = manifest.root / MANIFEST_FILE
    write_text(path, _rows_as_text(manifest.videos))
    return path


def read_manifest(
    name_or_path: str | Path, root: str | Path | None = None, *, checked: bool = True
) -> Manifest:
    """Reads a data set by its name, its folder, or its ``manifest.csv``.

    Args:
        name_or_path: ``"synthetic"``, or the path of the folder or of the csv.
        root: Folder that holds the data sets; default :func:`thesislib.places.data_root`.
        checked: Refuse videos that have changed since the data set was prepared.

    Raises:
        ThesisError: It is not there (the remedy is named), a row cannot be read, the rows are not
            those that were prepared, or videos have changed since.
    """
    base = Path(root).expanduser() if root is not None else data_root()
    candidates = [base / name_or_path, Path(name_or_path).expanduser()]
    for folder in candidates:
        folder = folder.parent if folder.name == MANIFEST_FILE else folder
        if (folder / MANIFEST_FILE).is_file():
            folder = folder.resolve()
            info = read_info(folder)
            manifest = Manifest(
                name=str(info.get("name", folder.name)),
                root=folder,
                videos=tuple(_read_rows(folder / MANIFEST_FILE)),
                info=info,
            )
            _check(manifest, checked)
            return manifest
    name = Path(name_or_path).name
    raise ThesisError(
        f"There is no data set {str(name_or_path)!r} in {base}: "
        f"run `thesislib prepare {name}` first, or name the folder with --root."
    )


def read_info(folder: Path) -> dict[str, Any]:
    """What ``dataset.json`` says; empty where there is none.

    Raises:
        ThesisError: It is damaged, or not as it was prepared.
    """
    info: dict[str, Any] = read_json(path, AGAIN) if (path := folder / INFO_FILE).is_file() else {}
    if (told := info.pop("info_sha256", "")) and told != _sha256(info):
        raise ThesisError(
            f"{path} is not as it was prepared (its checksum is another): {AGAIN[:-1]}; or, if you "
            'edited it yourself, delete the line "info_sha256" in it.'
        )
    return info


def _sha256(info: Mapping[str, Any]) -> str:  # the fingerprint is held against the rows
    told = json.dumps({**info, "fingerprint": ""}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _check(manifest: Manifest, contents: bool) -> None:
    """Refuses rows that nobody prepared, and files that have changed since."""
    wanted = manifest.info.get("fingerprint")
    if wanted and wanted != manifest.fingerprint:
        raise ThesisError(
            f"{manifest.root / MANIFEST_FILE} is not as it was prepared (its rows have another "
            f"fingerprint than {INFO_FILE} says): {AGAIN[:-1]}; or, if you edited it yourself, "
            f'delete the line "fingerprint" in {INFO_FILE}.'
        )
    files = {video.path: manifest.file(video) for video in manifest.videos}
    if contents and (changed := changed_files(manifest.root, files)):
        some = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        raise ThesisError(
            f"{len(changed)} of the {len(manifest)} videos of {manifest.name!r} hold something "
            f"else than when it was prepared ({some}): put them back, or run "
            f"`{_again(manifest)}`."
        )


def _again(manifest: Manifest) -> str:
    """The command that prepares a user's files again."""
    info = manifest.info
    source = shlex.quote(str(info.get("source", "PATH")))
    name = shlex.quote(manifest.name)
    return f"thesislib prepare {info.get('recipe', 'folder')} {source} --name {name} --force"


def _read_rows(path: Path) -> list[Video]:
    rows = [_parse_row(path, line, row) for line, row in read_table(path, FIELDS, AGAIN)]
    paths = {video.path for video in rows}
    if len(paths) < len(rows):
        raise ThesisError(f"{path} lists a video twice: {AGAIN}")
    return rows


def _parse_row(path: Path, line: int, row: Mapping[str, str]) -> Video:
    try:
        video = Video(
            path=row["path"],
            label=row["label"],
            split=row["split"],
            group=row["group"],
            n_frames=int(row["n_frames"]),
            fps=float(row["fps"]),
            width=int(row["width"]),
            height=int(row["height"]),
        )
    except ValueError:
        raise ThesisError(f"{path}, line {line}, cannot be read: {AGAIN}") from None
    wrong = [name for name in ("n_frames", "fps", "width", "height") if not _is_size(video, name)]
    wrong += ["split"] * (video.split not in SPLITS) + ["path"] * (not video.path)
    if wrong:
        value = getattr(video, wrong[0])
        raise ThesisError(f"{path}, line {line}: {value!r} cannot be its {wrong[0]}: {AGAIN}")
    return video


def _is_size(video: Video, name: str) -> bool:
    """0 stands for unknown: of a video that lists alone describe."""
    return bool(0 <= getattr(video, name) < LARGEST)
