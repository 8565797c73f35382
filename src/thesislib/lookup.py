"""From an index to the nearest videos: a web page, a csv, plain data, as ``thesislib retrieve``.

The index is :mod:`thesislib.evaluation.index`, the page :mod:`thesislib.viz.gallery`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from thesislib.data.checking import check_files, printable
from thesislib.data.containers import VideoInfo
from thesislib.data.flow import compute_flow
from thesislib.data.manifest import Manifest, Video, read_manifest
from thesislib.data.scan import named
from thesislib.errors import ThesisError
from thesislib.evaluation.index import FeatureIndex, Stream, join
from thesislib.evaluation.indexing import build_index, weights_hash
from thesislib.files import sheet_text, write_text
from thesislib.own_videos import IMAGENET, Say, encoder, output_file, to_stderr
from thesislib.train import placed
from thesislib.viz.gallery import Match, Shot, Thumbnail, gallery_page, notes_on, thumbnails

SPAN = ("start", "end")  # seconds of a moment in its video
QUERIES = 40  # shown where nobody says how many: a page of at most about 4 MB


def retrieve(
    folder: str | Path,
    queries: Sequence[str] = (),
    k: int = 5,
    out: str | Path = "gallery.html",
    limit: int = QUERIES,
    log: Say = to_stderr,
    *,
    above: float | None = None,
    table: str | Path | None = None,
    dataset: str | Path | None = None,
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
        above: Only neighbours of this cosine or more, in [-1, 1], and only queries that have one:
            near 1 these are copies. Every query is looked up; ``limit`` is of those on the page.
        table: Also write what was found as csv, a line a neighbour.
        dataset: Name, folder or manifest of the data set on this machine whose videos the page
            shows; default: the one that the index names. An index may come from somebody else,
            so no other video that it names is opened.

    Returns:
        Plain JSON: page ("" where nothing is near enough), its size, counts, and ``results``: each
        query's ``path`` and ``neighbours`` (``path``, ``cosine``, ``label``, ``same_group``). Of
        an index of moments these also have ``start`` and ``end``, seconds in the video. A query
        from outside is looked up as a whole: one vector, the mean over its length.

    Raises:
        ThesisError: There is no index or run any more, a run has changed, or no query can be read.
    """
    out = output_file(out, "gallery.html")
    table = None if table is None else output_file(table, "near.csv")
    if k < 1 or limit < 0:
        raise ThesisError("Ask for at least one neighbour, and for 0 (all) or more queries.")
    if above is not None and not -1 <= above <= 1:
        raise ThesisError(f"{above} is no cosine: give -1 to 1.")
    index = FeatureIndex.load(folder)
    first = limit if above is None else 0
    asked, skipped = encode(queries, index, first, log) if queries else (None, [])
    asked = asked or index.select(_evenly(len(index), first, log))
    rows = _found(index, asked, k, above)
    shown = [rows[i] for i in _evenly(len(rows), limit, log)]
    if shown:
        own = own_files(dataset or index.dataset, log) | {v.path for v in asked.videos if queries}
        page = _page(index, shown, out, own, bool(queries), above, log)
    else:
        page = {"page": ""}
    results = [_result(query, matches) for query, matches in rows]
    if table is not None:
        write_text(table, as_table(results))
        page["table"] = str(table)
    return {**page, "queries": len(asked), "videos": len(index), "skipped": skipped} | {
        "results": results
    }


def _found(
    index: FeatureIndex, asked: FeatureIndex, k: int, above: float | None
) -> list[tuple[Shot, list[Match]]]:
    """Each query with its neighbours; without those that are not near enough."""
    known = {video.path: video for video in index.videos}
    # Label and group of a query that the index has are those of the data set.
    asked = replace(asked, videos=tuple(known.get(v.path, v) for v in asked.videos))
    others, what = len(index), "video" if index.moments is None else "moment"
    if index.moments is None:
        others -= any(video.path in known for video in asked.videos)
    found = index.search(asked, min(k, others)) if others else None
    if found is None or (found.rows < 0).all():
        raise ThesisError(f"The index {index.dataset} has one {what}: there is nothing to compare.")
    least = -2.0 if above is None else above
    rows = [
        (
            Shot(query, asked.moment(place)),
            [
                Match(Shot(index.videos[r], index.moment(r)), float(c))
                for r, c in zip(found.rows[place].tolist(), found.cosine[place], strict=True)
                if r >= 0 and c >= least
            ],
        )
        for place, query in enumerate(asked.videos)
    ]
    return [(query, matches) for query, matches in rows if matches]


def _page(
    index: FeatureIndex,
    rows: list[tuple[Shot, list[Match]]],
    out: Path,
    own: set[str],
    outside: bool,
    above: float | None,
    log: Say,
) -> dict[str, Any]:
    """Writes the page of some queries; says how large it is and what can be counted on it."""
    shots = [shot for query, found in rows for shot in (query, *(m.shot for m in found))]
    opened = thumbnails(shot for shot in shots if shot.video.path in own)
    strange = Thumbnail(reason=f"not in the data set {index.dataset} of this machine")
    pictures = {shot: opened.get(shot, strange) for shot in shots}
    counts = notes_on(rows)
    most = max(len(matches) for _, matches in rows)
    lines = _notes(index, len(rows), most, outside, above, counts)
    kind = "videos" if index.moments is None else "moments"
    write_text(out, gallery_page(f"Nearest {kind} in {index.dataset}", lines, rows, pictures))
    missing = {shot.video.path: one.reason for shot, one in pictures.items() if one.reason}
    for path, reason in missing.items():
        log(f"no picture of {path}: {reason}")
    return {"page": str(out), "megabytes": round(out.stat().st_size / 1e6, 2), **counts}


def _result(query: Shot, matches: list[Match]) -> dict[str, Any]:
    """A query and its neighbours as plain JSON."""
    neighbours = [
        {
            "path": match.shot.video.path,
            **_seconds(match.shot),
            "cosine": round(match.cosine, 4),
            "label": match.shot.video.label,
            "same_group": match.same_group(query.video),
        }
        for match in matches
    ]
    video = query.video
    return {"path": video.path, **_seconds(query), "label": video.label, "neighbours": neighbours}


def _seconds(shot: Shot) -> dict[str, float]:
    """Where a moment lies in its video; nothing of a whole one."""
    return dict(zip(SPAN, (round(s, 3) for s in shot.span or ()), strict=False))


def as_table(results: Sequence[Mapping[str, Any]]) -> str:
    """What :func:`retrieve` found as csv, a line a neighbour."""
    timed = any(SPAN[0] in near for one in results for near in one["neighbours"])
    head: tuple[str, ...] = (
        "query",
        "label",
        "rank",
        "neighbour",
        "its_label",
        "cosine",
        "same_group",
    )
    head += ("start", "end", "its_start", "its_end") if timed else ()
    rows = []
    for one in results:
        for rank, near in enumerate(one["neighbours"], 1):
            words = (printable(one["path"]), one["label"], rank, printable(near["path"]))
            when = [side.get(key, "") for side in (one, near) for key in SPAN] if timed else []
            rows.append((*words, near["label"], near["cosine"], near["same_group"], *when))
    return sheet_text(head, rows)


def pairs(results: Sequence[Mapping[str, Any]]) -> list[tuple[float, str, str]]:
    """What :func:`retrieve` found: ``(cosine, path, path)``, nearest first, each pair once."""
    found = {
        tuple(sorted((_place(one), _place(near)))): near["cosine"]
        for one in results
        for near in one["neighbours"]
    }
    return sorted(((c, a, b) for (a, b), c in found.items()), key=lambda pair: (-pair[0], pair[1:]))


def _place(one: Mapping[str, Any]) -> str:
    """A path, and where in the video."""
    return one["path"] + (f" {one['start']:.2f}-{one['end']:.2f} s" if SPAN[0] in one else "")


def own_files(dataset: str | Path, log: Say = to_stderr) -> set[str]:
    """Absolute paths of the videos of a data set of this machine; none where there is none."""
    try:
        manifest = read_manifest(dataset)
    except ThesisError as error:
        log(f"the page is without pictures: {error}")
        return set()
    return {os.path.abspath(manifest.file(video)) for video in manifest.videos}


def encode(
    sources: Sequence[str], index: FeatureIndex, limit: int = 0, log: Say = to_stderr
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
    loaded = [_same_encoder(stream, index.dataset) for stream in index.streams]
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


def _same_encoder(stream: Stream, dataset: str) -> tuple[Any, Any]:
    """Model and settings of a stream, if they are still those of the index."""
    again = f"make the index again by `thesislib features {dataset}`"
    if not stream.run:
        raise ThesisError(f"The index does not say which run made it: {again}.")
    try:
        model, config, name = encoder(stream.run)
    except ThesisError as error:
        raise ThesisError(f"The run of the index cannot encode queries: {error}") from None
    if config.hash() != stream.settings or weights_hash(model) != stream.weights:
        raise ThesisError(f"{Path(name).name} has changed since it made the index: {again}.")
    return model, config


def _videos(sources: Sequence[str]) -> tuple[list[Video], list[str]]:
    """Usable videos with absolute paths, each once, and ``path: reason`` of the others."""
    found = {candidate.path: candidate for candidate in named(sources)}
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
    log(f"{limit} of {count} are queries, evenly chosen; --queries 0 takes all")
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]


def _notes(
    index: FeatureIndex,
    queries: int,
    k: int,
    outside: bool,
    above: float | None,
    counts: dict[str, Any],
) -> list[str]:
    """What stands above the rows."""
    what = "video" if index.moments is None else "moment"
    nearest = f"{k} nearest {what}s" if k > 1 else f"nearest {what}"
    if above is not None:
        those = f"those of {len(index)} at a cosine of {above:g} or more"
        first = f"{queries} {what}s, and to each {those}."
    elif outside:
        first = f"{queries} queries, and to each the {nearest} of {len(index)}."
    elif queries < len(index):
        first = f"{queries} of {len(index)} {what}s, evenly chosen, and to each the {nearest}."
    else:
        first = f"Each of {len(index)} {what}s, and the {nearest} among the others."
    if index.moments is not None:
        first += " No two of a row overlap."
    encoders = " and ".join(_who(stream) for stream in index.streams)
    lines = [
        first,
        f"Encoded by {encoders}. The number is the cosine of the features less the "
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
            "their query (same recording, or same actor and scene) and are easy to find"
            + (": they are marked." if index.moments is None else ".")
        )
    if index.skipped:
        lines.append(f"{len(index.skipped)} videos could not be read and are not in the index.")
    return lines


def _who(stream: Stream) -> str:
    """An encoder, how it learnt, and what it saw."""
    seen = stream.preprocessing
    frames, hop = seen["frames_per_window"], seen["raw_frames_between_windows"]
    saw = f"{frames} frames {seen['stride_raw_frames']} apart"
    saw = f"{saw if frames > 1 else f'one frame in {hop}'}, {seen['size_pixels']} pixels"
    if stream.run == IMAGENET:
        return f"EfficientNet-Lite0, which learnt the labels of ImageNet's photographs ({saw})"
    name = Path(stream.run).name or "a model without a run"
    return f"{name}, which was told no labels ({seen['modality']}, {saw})"
