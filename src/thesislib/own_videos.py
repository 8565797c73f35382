"""A user's own videos: from a folder to an index, from an index to a page of neighbours.

What ``thesislib features`` and ``thesislib retrieve`` do; the index itself is
:mod:`thesislib.evaluation.index`, the page :mod:`thesislib.viz.gallery`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from thesislib import recipes
from thesislib.data.checking import check_files, printable
from thesislib.data.containers import VideoInfo
from thesislib.data.flow import compute_flow
from thesislib.data.flow_files import check_flow
from thesislib.data.folder import Candidate, find_candidates
from thesislib.data.manifest import MANIFEST_FILE, Manifest, Video, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.index import FeatureIndex, build_index, check_target, join, weights_hash
from thesislib.files import write_text
from thesislib.places import data_root, runs_root
from thesislib.runs import load_run, newest_run
from thesislib.train import placed

Say = Callable[[str], None]
QUERIES = 40  # shown where nobody says how many: a page of at most about 4 MB


def _stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def index_videos(
    source: str,
    runs: Sequence[str] = (),
    out: str | Path | None = None,
    crops: int = 1,
    log: Say = _stderr,
) -> dict[str, Any]:
    """Encodes every video of a data set, whatever its split, and writes an index.

    Args:
        source: Name of a prepared data set, or a folder of videos (or a csv), which is then
            prepared as ``thesislib prepare folder`` does it, under the folder's name.
        runs: Names or folders of pre-training runs, one a stream; default: the newest on this data
            set.
        out: Folder to write; default ``<data set>_index``.
        crops: 1, 5 or 10 views of each window.
        log: Where the log lines go.

    Returns:
        Plain JSON: the index folder, counts, runs, names of the skipped videos.

    Raises:
        ThesisError: There is no such data set or run, or the flow that a run needs is missing.
    """
    manifest = data_set(source, log)
    target = Path(out or f"{manifest.name}_index").expanduser()
    check_target(target)
    names = list(runs) or [newest_run(manifest.name).name]
    loaded = [load_run(name) for name in names]
    for _, config, _ in loaded:  # all of them, before hours are spent on the first
        if config.modality != "rgb":
            check_flow(manifest, config.flow)
    parts = []
    for model, config, run in loaded:
        log(f"{manifest.name}: encoding {len(manifest)} videos with {run.name}")
        name = run.name if run.path.parent == runs_root().resolve() else str(run.path)
        parts.append(build_index(placed(model), manifest, config, crops, name))
    index = join(parts)
    folder = index.save(target)
    for path in index.skipped:
        log(f"skipped: {path}")
    return {
        "index": str(folder),
        "videos": len(index),
        "skipped": list(index.skipped),
        "runs": [stream.run for stream in index.streams],
        "features": [stream.values.shape[1] for stream in index.streams],
    }


def data_set(source: str, log: Say = _stderr) -> Manifest:
    """A prepared data set by its name, or a folder of videos, prepared now if need be."""
    path = Path(source).expanduser()
    # A bare name means the data set first; ./name and a/b mean the folder.
    if source == path.name and (data_root() / source / MANIFEST_FILE).is_file():
        return read_manifest(source)
    if (path / MANIFEST_FILE).is_file() or path.name == MANIFEST_FILE:
        return read_manifest(path.resolve())
    if not path.exists():
        raise ThesisError(
            f"There is no data set and no folder {source!r}: name a folder of videos, or prepare "
            "the data set first."
        )
    name = path.resolve().stem
    log(f"{source} is a folder of videos: it becomes the data set {name!r}")
    return read_manifest(recipes.prepare("folder", path=path, name=name)["name"])


def retrieve(
    folder: str | Path,
    queries: Sequence[str] = (),
    k: int = 5,
    out: str | Path = "gallery.html",
    limit: int = QUERIES,
    log: Say = _stderr,
) -> dict[str, Any]:
    """Looks up the nearest videos and writes them as one self-contained web page.

    Args:
        folder: An index.
        queries: Video files and folders of them, which the runs of the index encode; default: the
            videos of the index, each against all the others.
        k: Neighbours of each query; fewer where there are fewer.
        out: The page.
        limit: At most so many queries, evenly chosen; 0: all.
        log: Where the log lines go.

    Returns:
        Plain JSON: page, its size, counts, and ``results``: each query's ``path`` and
        ``neighbours`` (``path``, ``cosine``, ``label``, ``same_group``).

    Raises:
        ThesisError: There is no index or run any more, a run has changed, or no query can be read.
    """
    from thesislib.viz.gallery import Match, gallery_page, notes_on, thumbnails

    out = Path(out).expanduser()
    if out.is_dir():
        raise ThesisError(f"{out} is a folder: name a file for the page, such as gallery.html.")
    if k < 1 or limit < 0:
        raise ThesisError("Ask for at least one neighbour, and for 0 (all) or more queries.")
    index = FeatureIndex.load(folder)
    asked, skipped = encode(queries, index, limit, log) if queries else (None, [])
    asked = asked or index.select(_evenly(len(index), limit, log))
    known = {video.path: video for video in index.videos}
    # Label and group of a query that the index has are those of the data set.
    asked = replace(asked, videos=tuple(known.get(v.path, v) for v in asked.videos))
    others = len(index) - any(video.path in known for video in asked.videos)
    if others < 1:
        raise ThesisError(f"The index {folder} has one video: there is nothing to compare it with.")
    found = index.search(asked, min(k, others))
    rows = [
        (query, [Match(index.videos[r], float(c)) for r, c in zip(places, cosine, strict=True)])
        for query, places, cosine in zip(asked.videos, found.rows, found.cosine, strict=True)
    ]
    shown = [video for query, matches in rows for video in (query, *(m.video for m in matches))]
    pictures = thumbnails(shown)
    counts = notes_on(rows)
    lines = _notes(index, len(rows), found.rows.shape[1], bool(queries), counts)
    write_text(out, gallery_page(f"Nearest videos in {index.dataset}", lines, rows, pictures))
    missing = [path for path, picture in pictures.items() if picture.reason]
    for path in missing:
        log(f"no picture of {path}: {pictures[path].reason}")
    return {
        "page": str(out),
        "megabytes": round(out.stat().st_size / 1e6, 2),
        "queries": len(rows),
        "videos": len(index),
        **counts,
        "skipped": skipped,
        "results": [
            {
                "path": query.path,
                "label": query.label,
                "neighbours": [
                    {
                        "path": match.video.path,
                        "cosine": round(match.cosine, 4),
                        "label": match.video.label,
                        "same_group": match.same_group(query),
                    }
                    for match in matches
                ],
            }
            for query, matches in rows
        ],
    }


def encode(
    sources: Sequence[str], index: FeatureIndex, limit: int = 0, log: Say = _stderr
) -> tuple[FeatureIndex, list[str]]:
    """Video files and folders of them, encoded as the videos of the index were.

    The flow that a run needs is computed on the way, and not kept.

    Args:
        sources: Files and folders.
        index: Names the runs.
        limit: At most so many videos, evenly chosen; 0: all.
        log: Where the log lines go.

    Returns:
        The queries, and what could not be used, ``path: reason``.

    Raises:
        ThesisError: Nothing can be used, or a run of the index is gone or has changed.
    """
    loaded = [_same_run(stream, index.dataset) for stream in index.streams]
    videos, skipped = _videos(sources)
    for line in skipped:
        log(f"skipped: {line}")
    if not videos:
        raise ThesisError(f"None of the queries is a usable video: {'; '.join(skipped[:3])}.")
    chosen = tuple(videos[i] for i in _evenly(len(videos), limit, log))
    parts = []
    for stream, (model, config) in zip(index.streams, loaded, strict=True):
        with TemporaryDirectory(prefix="thesislib-") as root:
            manifest = Manifest("queries", Path(root), chosen)
            if config.modality != "rgb":
                log(f"computing the optical flow of {len(chosen)} videos")
                compute_flow(manifest, config.flow, progress=False)
            parts.append(build_index(placed(model), manifest, config, stream.crops, stream.run))
    queries = join(parts)
    return queries, skipped + [f"{path}: cannot be read" for path in queries.skipped]


def _same_run(stream: Any, dataset: str) -> tuple[Any, Any]:
    """Model and settings of a stream's run, if they are still those of the index."""
    again = f"make the index again by `thesislib features {dataset}`"
    if not stream.run:
        raise ThesisError(f"The index does not say which run made it: {again}.")
    try:
        model, config, run = load_run(stream.run)
    except ThesisError as error:
        raise ThesisError(f"The run of the index cannot encode queries: {error}") from None
    if config.hash() != stream.settings or weights_hash(model) != stream.weights:
        raise ThesisError(f"{run.name} has changed since it made the index: {again}.")
    return model, config


def _videos(sources: Sequence[str]) -> tuple[list[Video], list[str]]:
    """Usable videos with absolute paths, each once, and ``path: reason`` of the others."""
    found: dict[Path, Candidate] = {}
    for source in sources:
        path = Path(source).expanduser()
        # As in a manifest, so that a video of the index is known again: links to files stay.
        if path.is_dir():
            files = find_candidates(path.resolve())[0]
        else:
            files = [Candidate(path.parent.resolve() / path.name, source)]
        found |= {candidate.path: candidate for candidate in files}
    videos, skipped = [], []
    findings = check_files(list(found), progress=False)
    for candidate, what in zip(found.values(), findings, strict=True):
        if isinstance(what, VideoInfo):
            # No group: groups are known inside one data set only.
            videos.append(Video.of(str(candidate.path), candidate.label, "test", "", what))
        else:
            skipped.append(f"{printable(candidate.name)}: {what}")
    return videos, skipped


def _evenly(count: int, limit: int, log: Say) -> list[int]:
    """At most ``limit`` of ``count`` places, evenly spread; 0: all."""
    if not limit or limit >= count:
        return list(range(count))
    log(f"{limit} of {count} videos are queries, evenly chosen; --queries 0 takes all")
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]


def _notes(
    index: FeatureIndex, queries: int, k: int, outside: bool, counts: dict[str, Any]
) -> list[str]:
    """What stands above the rows."""
    nearest = f"{k} nearest videos" if k > 1 else "nearest video"
    if outside:
        first = f"{queries} queries, and to each the {nearest} of {len(index)}."
    elif queries < len(index):
        first = f"{queries} of {len(index)} videos, evenly chosen, and to each the {nearest}."
    else:
        first = f"Each of {len(index)} videos, and the {nearest} among the others."
    encoders = " and ".join(
        f"{Path(s.run).name or 'a model without a run'} ({s.preprocessing['modality']}, "
        f"{s.preprocessing['frames_per_window']} frames {s.preprocessing['stride_raw_frames']} "
        f"apart, {s.preprocessing['size_pixels']} pixels)"
        for s in index.streams
    )
    lines = [
        first,
        f"Encoded without labels by {encoders}. The number is the cosine of the features less the "
        "mean of the index" + (", averaged over both." if len(index.streams) > 1 else "."),
    ]
    if counts["labelled"]:
        lines.append(
            f"The nearest video has the query's class (✓) in {counts['right']} of "
            f"{counts['labelled']} cases. All splits are in the index: this is a look, not a "
            "benchmark."
        )
    if counts["same_group"]:
        lines.append(
            f"{counts['same_group']} of {counts['neighbours']} neighbours belong to the group of "
            "their query (same recording, or same actor and scene) and are easy to find: they are "
            "marked."
        )
    if index.skipped:
        lines.append(f"{len(index.skipped)} videos could not be read and are not in the index.")
    return lines
