"""Is a data set fit to train on? Counts, lengths, leaks, and files that cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thesislib.data.checking import check_files
from thesislib.data.clips import is_long_enough
from thesislib.data.containers import VideoInfo
from thesislib.data.contents import changed_files, read_contents
from thesislib.data.flow_files import flow_report
from thesislib.data.manifest import SPLITS, Manifest, Video

# Blocks, frames a block, stride: the 8 x 5 of chapters 2 and 3 at strides 1 to 5, and half as many
# blocks; the 32 frames of chapter 4; the clips of the small profile.
CHOICES = (
    *((8, 5, 1), (8, 5, 2), (8, 5, 3), (8, 5, 5), (4, 5, 1), (4, 5, 3)),
    *((1, 32, 1), (8, 3, 2), (1, 8, 3)),
)
SHOWN = 5


def doctor(
    manifest: Manifest,
    *,
    full: bool = False,
    choices: Sequence[tuple[int, int, int]] = CHOICES,
    jobs: int | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Health report of a data set.

    Args:
        manifest: The data set.
        full: Decode every frame, instead of reading the containers only.
        choices: (num_seq, seq_len, stride) of which to say how many videos they would drop.
        jobs: Threads; default one a core.
        progress: Show a bar on stderr.

    Returns:
        Plain JSON: ``videos``, ``splits`` (videos and labelled videos of each), ``classes`` (videos
        of each class in each split), ``frames`` (shortest, median, longest), ``fps``, ``sizes``,
        ``dropped`` (by choice, split), ``missing``, ``unreadable`` (path and reason), ``changed``
        (files that hold something else than when prepared), ``leaks`` (groups in more than one
        split), ``twins`` (lists of files of one content in several splits), ``skipped`` (when it
        was prepared), ``flow`` (see :func:`thesislib.data.flow_files.flow_report`), ``problems``
        (one sentence each; empty = healthy).
    """
    videos = manifest.videos
    lengths = np.array([v.n_frames for v in videos] or [0])
    splits = {s: [v for v in videos if v.split == s] for s in SPLITS}
    files = [manifest.file(v) for v in videos]
    findings = check_files(files, full=full, jobs=jobs, progress=progress)
    missing = [v.path for v, f in zip(videos, findings, strict=True) if f == "no such file"]
    unreadable = [
        {"path": v.path, "reason": f}
        for v, f in zip(videos, findings, strict=True)
        if isinstance(f, str) and f != "no such file"
    ]
    shorter = [
        v.path
        for v, f in zip(videos, findings, strict=True)
        if isinstance(f, VideoInfo) and f.n_frames < v.n_frames
    ]
    report: dict[str, Any] = {
        "name": manifest.name,
        "fingerprint": manifest.fingerprint,
        "videos": len(videos),
        "splits": {
            s: {"videos": len(rows), "labelled": sum(bool(v.label) for v in rows)}
            for s, rows in splits.items()
        },
        "classes": {
            name: {s: sum(v.label == name for v in rows) for s, rows in splits.items()}
            for name in manifest.classes
        },
        "frames": {
            "shortest": int(lengths.min()),
            "median": float(np.median(lengths)),
            "longest": int(lengths.max()),
        },
        "fps": _counted(f"{v.fps:.3g}" for v in videos),
        "sizes": _counted(f"{v.width}x{v.height}" for v in videos),
        "dropped": {
            f"{n}x{t} stride {stride}": {
                s: sum(not is_long_enough(v.n_frames, n * t * stride) for v in rows)
                for s, rows in splits.items()
            }
            for n, t, stride in choices
        },
        "checked": "every frame decoded" if full else "containers read",
        "missing": missing,
        "unreadable": unreadable,
        "shorter_than_listed": shorter,
        "changed": changed_files(manifest.root, {v.path: manifest.file(v) for v in videos}),
        "leaks": group_leaks(manifest),
        "twins": content_leaks(manifest),
        "skipped": manifest.info.get("skipped_reasons", {}),
        "flow": flow_report(manifest),
    }
    report["problems"] = _problems(manifest, report) + report["flow"].pop("problems")
    return report


def group_leaks(manifest: Manifest) -> dict[str, list[str]]:
    """Groups that lie in more than one split, with those splits."""
    places: dict[str, set[str]] = {}
    for video in manifest.videos:
        places.setdefault(video.group, set()).add(video.split)
    return {g: sorted(s) for g, s in sorted(places.items()) if g and len(s) > 1}


def content_leaks(manifest: Manifest) -> list[list[str]]:
    """Files of the same content that lie in more than one split, each content a list of paths."""
    marks = {path: content.mark for path, content in read_contents(manifest.root).items()}
    same: dict[str, list[Video]] = {}
    for video in manifest.videos:
        if mark := marks.get(video.path):
            same.setdefault(mark, []).append(video)
    return [[v.path for v in some] for some in same.values() if len({v.split for v in some}) > 1]


def _counted(values: Any) -> dict[str, int]:
    """The most frequent values first."""
    return dict(Counter(values).most_common(10))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _problems(manifest: Manifest, report: dict[str, Any]) -> list[str]:
    """What to mend, one sentence each."""
    problems: list[str] = []
    if not manifest.videos:
        return ["The manifest lists no video: prepare the data set again."]
    if missing := report["missing"]:
        problems.append(
            f"{len(missing)} files are missing ({_some(missing)}): put them back, or prepare again."
        )
    if bad := [f"{u['path']}: {u['reason']}" for u in report["unreadable"]]:
        problems.append(f"{len(bad)} files cannot be read ({_some(bad)}): they will be skipped.")
    if shorter := report["shorter_than_listed"]:
        problems.append(
            f"{len(shorter)} files hold fewer frames than listed ({_some(shorter)}): prepare again."
        )
    if leaks := report["leaks"]:
        problems.append(
            f"{len(leaks)} groups lie in more than one split ({_some(list(leaks))}): test numbers "
            "would be too good."
        )
    if changed := report["changed"]:
        problems.append(
            f"{len(changed)} files hold something else than when the set was prepared "
            f"({_some(changed)}): put them back, or prepare again with --force."
        )
    if twins := report["twins"]:
        named = [" = ".join(Path(path).name for path in some) for some in twins]
        problems.append(
            f"{len(twins)} videos lie in more than one split under several names "
            f"({_some(named)}): delete the copies and prepare again."
        )
    counts = {s: rows["videos"] for s, rows in report["splits"].items()}
    for split in SPLITS:
        if not counts[split]:
            problems.append(f"The split {split!r} is empty.")
    untrained = [c for c, rows in report["classes"].items() if rows["test"] and not rows["train"]]
    if untrained:
        problems.append(
            f"{len(untrained)} classes have test videos but none to train on ({_some(untrained)})."
        )
    if counts["train"]:
        empty = [c for c, rows in report["dropped"].items() if rows["train"] == counts["train"]]
        if empty:
            whole = [c for c, rows in report["dropped"].items() if not rows["train"]]
            fits = f" Clips of {_some(whole)} fit into all of them." if whole else ""
            problems.append(
                f"Every training video is too short for clips of {_some(empty)}: take fewer "
                f"blocks, a smaller stride, or short='pad'.{fits}"
            )
    return problems
