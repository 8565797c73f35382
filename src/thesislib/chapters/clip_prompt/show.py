"""What chapter 5 shows besides what all pages do: localisation, retrieval, doubts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thesislib import published, viz
from thesislib.chapters import compare, pages, run
from thesislib.chapters.clip_prompt import frames, retrieval, sceptic
from thesislib.chapters.clip_prompt.few_shot import CURVE, METRIC
from thesislib.chapters.clip_prompt.lists import class_words
from thesislib.chapters.clips import labelled
from thesislib.chapters.pages import Page, grid
from thesislib.chapters.row import Job
from thesislib.data.manifest import Manifest, Video, read_manifest
from thesislib.data.reader import Frames, open_video
from thesislib.evaluation.recognition import Paired, paired
from thesislib.evaluation.scores import Scores, load_rows

AXES = {
    "features": "(B, T, D)",
    "tokens": "(C, n)",
    "slots": "(C, n, W)",
    "text": "(C, D)",
    "dense": "(B, T, D)",
    "video": "(B, D)",
    "logits": "(B, C)",
}
QUOTES = {
    "prompts, all classes seen": ("5.1", "clip_prompt/16+x+16", "top1"),
    "prompts and two layers": ("5.1", "clip_prompt/16+x+16-2tfm", "top1"),
    "template by hand, classes never seen": ("5.4", "clip_prompt/zero-shot", "open_top1"),
    "prompts, classes never seen": ("5.4", "clip_prompt/16+x+16", "open_top1"),
    "the same with two layers": ("5.4", "clip_prompt/16+x+16-2tfm", "open_top1"),
}
# What the text takes from the ledger: its name there -> claims.
SAID = {
    "where": ("clip-localisation", "clip-localisation-lot"),
    "where_open": ("clip-localisation-open75", "clip-localisation-open50"),
}
# Claims whose verdicts stand together, by what they ask.
ASKED = {
    "prompts": (
        "clip-prompts", "clip-prompts-probe", "clip-more-vectors", "clip-one-layer", "clip-layers",
        "clip-second-layer",
    ),
    "order": ("clip-mean-pairs", "clip-layers-pairs", "clip-order-pairs", "clip-frames"),
    "few": ("clip-few-five", "clip-few-all", "clip-few-five-layers", "clip-few-all-layers"),
    "open": ("clip-open", "clip-open-layers", "clip-open-harmonic"),
    "lookup": ("clip-retrieval", "clip-retrieval-five", "clip-retrieval-texts"),
}  # fmt: skip
_SCEPTIC = ("chance", "zero-shot", "linear-probe", "16+x+16", "16+x+16-1tfm", "16+x+16-2tfm")
DOUBTED = tuple(f"clip_prompt/{row}" for row in _SCEPTIC)
DOUBTS = (
    "top1", "others_top1", "pairs_top1", "one_frame_top1", "shuffled_top1", "shuffled_pairs_top1"
)  # fmt: skip
OPENED = ("clip_prompt/zero-shot", "clip_prompt/16+x+16", "clip_prompt/16+x+16-2tfm")
OVERLAPS = ("map_0.3", "map_0.7", "map_mean")  # of Tables 5.5 and 5.6, on the page
BOTH_SIDES = ("seen_top1", "open_top1", "harmonic_top1")
SHOTS = {
    "prompts": "clip_prompt/fewshot-all",
    "prompts, 2 layers": "clip_prompt/fewshot-all-tfm",
    "linear probe": "clip_prompt/linear-probe",
    "template": "clip_prompt/zero-shot",
}


# -- the page ------------------------------------------------------------------------------


def part(rows: Sequence[str], task: str = "") -> tuple[str, ...]:
    """The rows of one task, ``localisation`` or ``retrieval``; without one those of recognition."""
    return pages.rows_of(rows, ("localisation", "retrieval"), task)


def elsewhere(job: Job, untrimmed: str, captioned: str) -> tuple[Job, Job]:
    """The page's job for localisation and for retrieval, on data sets of their own."""
    return (
        replace(job, row="clip_prompt/localisation", dataset=untrimmed),
        replace(job, row="clip_prompt/retrieval-4+x+4", dataset=captioned),
    )


def settings_page(job: Job, spotting: Job, lookup: Job) -> Page:
    """Where settings differ from the thesis's, for recognition, retrieval and localisation."""
    stages = {"recognition": job, "retrieval": lookup, "localisation": spotting}
    pairs = {name: (one, replace(one, profile="paper", dataset="")) for name, one in stages.items()}
    known = {name: tuple(map(run.settings, both)) for name, both in pairs.items()}
    detector = tuple(map(run.tuning, pairs["localisation"]))
    tables = (
        pages.differences_page(*((name, *known[name]) for name in ("recognition", "retrieval"))),
        pages.differences_page(("prompts", *known["localisation"]), ("detector", *detector)),
    )
    return Page("\n".join(table.text for table in tables))


def frozen_page(job: Job) -> Page:
    """The frozen model, and its features of the videos of a data set."""
    config = run.settings(job)
    encoder, manifest = frames.image_text(config), read_manifest(run.judged_on(job))
    kept = frames.store(manifest, config, job.log)
    rows = sum(kept.length(video) for video in manifest.videos if kept.has(video))
    values = {
        "model": f"{config.model} {config.weights}".strip(),
        "its weights' hash": encoder.weights_hash[:16],
        "numbers in it": f"{sum(p.numel() for p in encoder.model.parameters()):,}",
        "tokens of a text, n": encoder.window,
        "length of a feature, D": encoder.width,
        "frames of this data set": f"{rows:,}",
    }
    return grid(list(values), [list(values.values())])


def numbers(
    results: Mapping[str, Mapping[str, Any]], job: Job, others: Mapping[str, Job]
) -> dict[str, Any]:
    """What the text quotes.

    Args:
        results: Of all rows of the page.
        job: The page's.
        others: Name -> job of rows that are judged on another data set.
    """
    config = run.settings(job)
    encoder = frames.image_text(config)
    found: dict[str, Any] = {
        **pages.run_numbers(results, job),
        **{f"scale_{name}": pages.scale(one) for name, one in others.items()},
        "temperature": config.temperature,
        "context": config.context,
        "room": encoder.window - 2 - 2 * config.context,
        "window": encoder.window,
        "judged_on": run.judged_on(job),
        **compare.sayings(job, SAID),
    }
    return found


# -- confusions ----------------------------------------------------------------------------


def confusions(
    rows: Mapping[str, str], job: Job
) -> tuple[dict[str, NDArray[np.float64]], Sequence[str], list[tuple[int, int]]]:
    """What rows of recognition, which have been run, say of each action.

    Args:
        rows: Name to show -> row.
        job: Everything else of these rows.

    Returns:
        Name -> ``(C, C)``, truth in rows; the actions' words, reversed pairs side by side; the
        places of these pairs. All is what :func:`thesislib.viz.confusions` draws.
    """
    manifest = labelled(job)
    classes = manifest.classes
    other = sceptic.counterparts(classes)
    order: list[int] = []  # an action, then the same one backwards; the others last
    for i in sorted(other) + [i for i in range(len(classes)) if i not in other]:
        order += [one for one in dict.fromkeys((i, other.get(i, i))) if one not in order]
    tables = {name: _said(run.folder(job.also(row)).path, order) for name, row in rows.items()}
    pairs = [(order.index(i), order.index(j)) for i, j in other.items() if i < j]
    words = class_words(manifest, [classes[i] for i in order])
    return tables, words, [(min(p), max(p)) for p in pairs]


def _said(folder: Path, order: Sequence[int]) -> NDArray[np.float64]:
    """Shares of what is said of each class, ``(C, C)``, truth in rows, both in this order."""
    rows = load_rows(folder)
    count = len(order)
    table = np.zeros((count, count))
    np.add.at(table, (rows.labels, rows.values.argmax(1)), 1)
    shares: NDArray[np.float64] = table / np.maximum(table.sum(1, keepdims=True), 1)
    return shares[np.ix_(order, order)]


# -- localisation --------------------------------------------------------------------------


def per_split(a: Mapping[str, Any], b: Mapping[str, Any], metric: str = "map_mean") -> Paired:
    """Two open-set rows on the same splits; means alone would not tell.

    Args:
        a: Result of a run.
        b: Of another row, with the same splits.
        metric: The more the better.
    """
    return paired(Scores(items=a["items"]), Scores(items=b["items"]), metric)


def per_split_page(a: Mapping[str, Any], b: Mapping[str, Any], metric: str = "map_mean") -> Page:
    """The two rows split by split, and their mean difference with its 95 % interval."""
    both, unit = per_split(a, b, metric), published.metric(metric)
    scaled = [[unit.factor * x for x in result["items"][metric]] for result in (a, b)]
    lines = [
        (str(i), f"{x:.1f}", f"{y:.1f}", f"{x - y:+.1f}")
        for i, (x, y) in enumerate(zip(*scaled, strict=True))
    ]
    difference = f"{unit.factor * both.difference:+.1f}"
    if both.interval:
        low, high = (unit.factor * end for end in both.interval)
        difference += f" ({low:+.1f} to {high:+.1f})"
    means = (f"{unit.factor * mean:.1f}" for mean in (both.mean_a, both.mean_b))
    head = ("split", f"`{a['row']}`", f"`{b['row']}`", f"difference in {unit.name}, {unit.unit}")
    return grid(head, [*lines, ("mean", *means, difference)])


# -- few shots -----------------------------------------------------------------------------


def shots(job: Job) -> dict[str, list[tuple[float, float, float | None, int]]]:
    """Accuracy in per cent over videos a class, half its interval, seeds; from the ledger."""
    return compare.series(job, SHOTS, METRIC, CURVE)


# -- retrieval -----------------------------------------------------------------------------


def strip(manifest: Manifest, video: Video, frames: int) -> Frames:
    """Frames at the middle of equal parts of a video, ``(T, H, W, 3)``."""
    places = middles(video.n_frames, frames)
    return np.stack([viz.shrunk(f) for f in open_video(manifest.file(video)).frames(places)])


def middles(length: int, parts: int) -> NDArray[np.int64]:
    """Places in the middle of equal parts of so many frames, ``(parts,)``."""
    return ((np.arange(parts) + 0.5) / parts * length).astype(np.int64)


class Lookups(NamedTuple):
    """Captions and the videos nearest to them, for :func:`thesislib.viz.caption_grid`."""

    captions: list[str]
    strips: Frames  # (Q, K, T, H, W, 3)
    right: NDArray[np.bool_]  # (Q, K)
    ranks: list[int]


def lookups(job: Job, queries: Sequence[int] = (), k: int = 3, frames: int = 4) -> Lookups:
    """Some test captions and what a row of retrieval, which has been run, finds for them.

    Args:
        job: The row.
        queries: Which captions, by their place among those of the test set; default: three, evenly
            spread.
        k: Videos each.
        frames: Of each video.
    """
    manifest = read_manifest(run.judged_on(job))
    found = retrieval.Embedded.load(run.folder(job).path / retrieval.FEATURES)
    similarity, own = found.similarity().numpy(), found.video_of_text.numpy()
    videos = {video.path: video for video in manifest.videos}
    count = len(found.captions)
    places = [query % count for query in queries or (count // 6, count // 2, 5 * count // 6)]
    near = np.argsort(-similarity[places], axis=1, kind="stable")[:, :k]
    shown = {i: strip(manifest, videos[found.names[i]], frames) for i in np.unique(near).tolist()}
    ranks = [int((similarity[q] >= similarity[q, own[q]]).sum()) for q in places]
    return Lookups(
        [found.captions[q] for q in places],
        np.stack([np.stack([shown[int(i)] for i in row]) for row in near]),
        near == own[places][:, None],
        ranks,
    )


def lookups_picture(
    job: Job, queries: Sequence[int] = (), k: int = 3, caption: str = ""
) -> viz.Picture:
    """:func:`lookups`, drawn."""
    one = lookups(job, queries, k)
    return viz.caption_grid(one.captions, one.strips, one.right.tolist(), one.ranks, caption)
