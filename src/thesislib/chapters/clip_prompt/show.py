"""What chapter 5 shows besides what all pages do: localisation, retrieval, learnt vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from thesislib import published, viz
from thesislib.chapters import compare, run
from thesislib.chapters.clip_prompt import retrieval
from thesislib.chapters.clip_prompt.few_shot import CURVE, METRIC
from thesislib.chapters.clip_prompt.lists import class_words
from thesislib.chapters.pages import Page, grid
from thesislib.chapters.row import Job
from thesislib.data.manifest import Manifest, Video, read_manifest
from thesislib.data.reader import Frames, open_video
from thesislib.data.segments import labels_of, read_segments
from thesislib.evaluation.recognition import Paired, paired
from thesislib.evaluation.scores import Scores
from thesislib.evaluation.segments import Segments
from thesislib.image_text import ImageText
from thesislib.methods.clip_prompt import ClipPrompt

SHOTS = {
    "prompts": "clip_prompt/fewshot-all",
    "prompts, 2 layers": "clip_prompt/fewshot-all-tfm",
    "linear probe": "clip_prompt/linear-probe",
    "template": "clip_prompt/zero-shot",
}
Span = tuple[float, float, str, float]  # start and end in seconds, words for the class, score


# -- localisation --------------------------------------------------------------------------


class TimeLine(NamedTuple):
    """One video, for :func:`thesislib.viz.timeline`."""

    truth: list[Span]
    found: dict[str, list[Span]]  # by method
    length: float  # seconds
    frames: Frames  # (T, H, W, 3)


def time_line(rows: Mapping[str, str], job: Job, number: int = 0, frames: int = 12) -> TimeLine:
    """A test video with what happens and what rows report: as many as happen, the surest.

    Args:
        rows: Name to show -> row of localisation that has been run.
        job: Everything else of these rows.
        number: Which of the test videos in which something happens.
        frames: To show.
    """
    manifest = read_manifest(run.judged_on(job.also(next(iter(rows.values())))))
    segments = read_segments(manifest)
    words = dict(zip(labels_of(segments), class_words(manifest, labels_of(segments)), strict=True))
    videos = [v for v in manifest.videos if v.split == "test" and segments[v.path]]
    video = videos[number % len(videos)]
    truth = [(s.start, s.end, words[s.label], 1.0) for s in segments[video.path]]
    found = {}
    for name, row in rows.items():
        table = Segments.load(run.folder(job.also(row)).path / "detections.jsonl")
        own = table.select(table.video == video.path)
        best = own.select(np.argsort(-own.score, kind="stable")[: len(truth)])
        times = zip(best.start, best.end, best.label, best.score, strict=True)
        found[name] = [(float(a), float(b), words[str(c)], float(s)) for a, b, c, s in times]
    return TimeLine(truth, found, video.n_frames / video.fps, strip(manifest, video, frames))


def strip(manifest: Manifest, video: Video, frames: int) -> Frames:
    """Frames at the middle of equal parts of a video, ``(T, H, W, 3)``."""
    places = ((np.arange(frames) + 0.5) / frames * video.n_frames).astype(int)
    return np.stack([viz.shrunk(f) for f in open_video(manifest.file(video)).frames(places)])


def time_line_picture(
    rows: Mapping[str, str], job: Job, number: int = 0, caption: str = ""
) -> viz.Picture:
    """:func:`time_line`, drawn."""
    one = time_line(rows, job, number)
    return viz.timeline(one.truth, one.found, one.length, one.frames, caption)


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


class Lookups(NamedTuple):
    """Captions and the videos nearest to them, for :func:`thesislib.viz.caption_grid`."""

    captions: list[str]
    strips: Frames  # (Q, K, T, H, W, 3)
    right: NDArray[np.bool_]  # (Q, K)
    ranks: list[int]


def lookups(job: Job, queries: Sequence[int] = (0, 1, 2), k: int = 3, frames: int = 4) -> Lookups:
    """Some test captions and what a row of retrieval, which has been run, finds for them.

    Args:
        job: The row.
        queries: Which captions, by their place among those of the test set.
        k: Videos each.
        frames: Of each video.
    """
    manifest = read_manifest(run.judged_on(job))
    found = retrieval.Embedded.load(run.folder(job).path / retrieval.FEATURES)
    similarity, own = found.similarity().numpy(), found.video_of_text.numpy()
    videos = {video.path: video for video in manifest.videos}
    places = [query % len(found.captions) for query in queries]
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
    job: Job, queries: Sequence[int] = (0, 1, 2), k: int = 3, caption: str = ""
) -> viz.Picture:
    """:func:`lookups`, drawn."""
    one = lookups(job, queries, k)
    return viz.caption_grid(one.captions, one.strips, one.right.tolist(), one.ranks, caption)


# -- learnt vectors ------------------------------------------------------------------------


class Near(NamedTuple):
    """What one learnt vector is nearest to in word space."""

    place: str  # before 1, ..., after 1, ...; by slot: slot 1, ...
    words: list[str]
    cosines: list[float]


def nearest_words(model: ClipPrompt, encoder: ImageText, k: int = 3) -> list[Near]:
    """The words that each learnt vector is nearest to, by the cosine of token vectors.

    Args:
        model: With learnt vectors.
        encoder: The frozen model, whose tokenizer spells tokens.
        k: Words each.
    """
    text, context = model.text, model.config.context
    if text.vectors is None:
        return []
    ids, cosines = text.tower.nearest_tokens(text.vectors.detach(), k)
    places = [f"slot {i}" for i in range(len(ids))]
    if not text.by_slot:
        places = [f"{side} {i + 1}" for side in ("before", "after") for i in range(context)]
    return [
        Near(place, [spelt(encoder, i) for i in row], values)
        for place, row, values in zip(places, ids.tolist(), cosines.tolist(), strict=True)
    ]


def spelt(encoder: ImageText, token: int) -> str:
    """A token as text; open_clip marks the end of a word, which becomes a space and is cut."""
    return str(encoder.tokenizer.decode([token])).strip() or f"token {token}"


def nearest_words_page(model: ClipPrompt, encoder: ImageText, k: int = 3) -> Page:
    """:func:`nearest_words` as a table."""
    rows = [
        (
            near.place,
            ", ".join(f"{w} ({c:.2f})" for w, c in zip(near.words, near.cosines, strict=True)),
        )
        for near in nearest_words(model, encoder, k)
    ]
    return grid(("vector", "nearest words (cosine)"), rows)
