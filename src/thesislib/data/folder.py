"""A user's own videos as a data set: ``<class>/<video>``, a flat folder, or a csv."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from thesislib.data.checking import check_files, printable
from thesislib.data.containers import VideoInfo
from thesislib.data.contents import contents_of, later_edition, mark_of
from thesislib.data.manifest import (
    INFO_FILE,
    MANIFEST_FILE,
    Manifest,
    Video,
    read_info,
    sole_writer,
    write_manifest,
)
from thesislib.data.scan import Candidate, find_candidates
from thesislib.data.splits import draw_splits, group_of
from thesislib.errors import ThesisError
from thesislib.files import replacing
from thesislib.places import data_root, inside, user_path

NOTES_FILE = "checked.jsonl"
SHOWN = 30  # skipped files named on the screen; all are named in dataset.json


def prepare_folder(
    path: str | Path,
    name: str,
    *,
    root: str | Path | None = None,
    full_check: bool = True,
    val: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    copy: bool = False,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Lists a user's videos, checks each one, and writes a manifest.

    How a folder or a csv gives classes and splits is told by
    :func:`thesislib.data.scan.find_candidates`. Files that cannot be used are named with their
    reason, left out and counted.

    Args:
        path: Folder or csv.
        name: Name of the data set.
        root: Folder of the data sets; default :func:`thesislib.places.data_root`.
        full_check: Decode every frame once. It finds truncated files, which a look at the header
            does not always do.
        val: Share of the groups for validation.
        test: Share of the groups for testing.
        seed: Of the draw of splits.
        copy: Copy the videos into the data set (paths relative to it); otherwise they stay where
            they are and the manifest holds absolute paths.
        jobs: Threads; default one a core.
        progress: Show a bar on stderr.
        force: Replace a data set of this name that came from elsewhere.

    Returns:
        The manifest, also written to ``<root>/<name>/``.

    Raises:
        ThesisError: Nothing usable is there, the csv cannot be read, or the name is taken.
    """
    source = user_path(path, "the folder of videos").resolve()
    candidates, others = find_candidates(source)
    return write_checked(
        candidates,
        name,
        root=root,
        info={"recipe": "folder", "source": str(source), "other_files": others},
        full_check=full_check,
        val=val,
        test=test,
        seed=seed,
        copy=copy,
        jobs=jobs,
        progress=progress,
        force=force,
    )


def write_checked(
    candidates: list[Candidate],
    name: str,
    *,
    root: str | Path | None,
    info: dict[str, Any],
    full_check: bool,
    val: float,
    test: float,
    seed: int,
    copy: bool = False,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
    beside: Callable[[Manifest], None] = lambda manifest: None,
) -> Manifest:
    """Checks candidates, draws the missing splits, writes the manifest, says what was left out.

    The arguments are those of :func:`prepare_folder`; ``info`` goes to ``dataset.json``. What a
    data set has besides its manifest is written by ``beside``, before the manifest: where that
    exists, the data set is whole.
    """
    target = claim(name, root, info, force)
    with sole_writer(target, "free some space, or choose another folder with --root."):
        good, skipped = _checked(candidates, target, full_check, jobs, progress)
        _say_skipped(name, len(good), skipped, info.get("other_files", {}))
        if not good:
            raise ThesisError(
                f"None of the {len(candidates)} files of {info.get('source', name)} is a usable "
                "video: see the reasons above, or name another folder."
            )
        groups = [c.group or group_of(c.name) for c, _ in good]
        splits = _splits(good, groups, val, test, seed)
        paths = [_copied(c, target) if copy else c.path.as_posix() for c, _ in good]
        videos = [
            Video.of(path, c.label, split, group, found)
            for (c, found), path, group, split in zip(good, paths, groups, splits, strict=True)
        ]
        contents = contents_of({video.path: target / video.path for video in videos})
        with suppress(ThesisError):  # a damaged one is replaced
            if later := later_edition(target, contents, read_info(target).get("edition", "")):
                info = {**info, "edition": later}
        options = {"full_check": full_check, "val": val, "test": test, "seed": seed, "copy": copy}
        counts = dict(sorted(Counter(s["reason"].split(":")[0] for s in skipped).items()))
        manifest = Manifest(
            name=name,
            root=target,
            videos=tuple(sorted(videos, key=lambda v: v.path)),
            info={
                "licence": "not stated: these are your own files",
                "options": options,
                "skipped": skipped,
                "skipped_reasons": counts,
                "paths": "relative to this folder" if copy else "absolute",
                **info,
            },
        )
        beside(manifest)
        write_manifest(manifest, contents)
        return manifest


def _checked(
    candidates: list[Candidate], target: Path, full: bool, jobs: int | None, progress: bool
) -> tuple[list[tuple[Candidate, VideoInfo]], list[dict[str, str]]]:
    """The candidates that can be used, and the others with their reasons."""
    files = [c.path for c in candidates]
    findings = check_files(files, target / NOTES_FILE, full=full, jobs=jobs, progress=progress)
    good: list[tuple[Candidate, VideoInfo]] = []
    skipped: list[dict[str, str]] = []
    for candidate, finding in zip(candidates, findings, strict=True):
        if isinstance(finding, str):
            skipped.append({"path": printable(candidate.name), "reason": finding})
        else:
            good.append((candidate, finding))
    return good, skipped


def _splits(
    good: list[tuple[Candidate, VideoInfo]], groups: list[str], val: float, test: float, seed: int
) -> list[str]:
    """A split for each video: its own if it has one, else its group's."""
    fixed = {g: c.split for (c, _), g in zip(good, groups, strict=True) if c.split}
    members = [(g, c.label) for (c, _), g in zip(good, groups, strict=True)]
    drawn = draw_splits(members, val=val, test=test, seed=seed, fixed=fixed)
    return [c.split or drawn[g] for (c, _), g in zip(good, groups, strict=True)]


def claim(name: str, root: str | Path | None, info: dict[str, Any], force: bool) -> Path:
    """Folder of the new data set; refuses a name that another source has taken."""
    folder = Path(root).expanduser() if root is not None else data_root()
    target = inside(folder.resolve(), name, "a data set")
    taken = (target / MANIFEST_FILE).is_file() or (target / INFO_FILE).is_file()
    if taken and not force:
        before = read_info(target) if (target / MANIFEST_FILE).is_file() else {}
        keys = [key for key in ("recipe", "source", "official_split") if key in info]
        same = all(before.get(key) == info[key] for key in keys)
        if before and not same:
            raise ThesisError(
                f"The name {name!r} is taken by a data set from {before.get('source', target)}: "
                f"run `thesislib prepare {info.get('recipe', 'folder')} PATH --name ANOTHER`, or "
                "with --force to replace its manifest."
            )
    return target


def _copied(candidate: Candidate, target: Path) -> str:
    """Copies a video into the data set; returns its path relative to it."""
    relative = Path(candidate.name)
    if relative.is_absolute() or ".." in relative.parts:
        mark = hashlib.sha256(candidate.name.encode()).hexdigest()[:8]
        relative = Path(f"{mark}-{relative.name}")
    goal = target / "videos" / relative
    if not goal.is_file() or mark_of(goal) != mark_of(candidate.path):
        with replacing(goal) as partial:
            shutil.copyfile(candidate.path, partial)
    return (Path("videos") / relative).as_posix()


def _say_skipped(
    name: str, good: int, skipped: list[dict[str, str]], others: Mapping[str, int]
) -> None:
    lines = [f"{name}: {good} videos can be used, {len(skipped)} skipped"]
    lines += [f"  {s['path']}: {s['reason']}" for s in skipped[:SHOWN]]
    if len(skipped) > SHOWN:
        lines.append(f"  ... and {len(skipped) - SHOWN} more, all named in {INFO_FILE}")
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.items())
        lines.append(f"  not looked at, for they are no videos by their names: {kinds}")
    sys.stderr.write("\n".join(lines) + "\n")
