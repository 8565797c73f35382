"""Localisation on a time line: what happens in a video, and what two stages report.

A page that trains no detector draws an example that was kept, beside the frames of that video,
which are filmed on the spot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thesislib import viz
from thesislib.chapters import run
from thesislib.chapters.clip_prompt.lists import class_words
from thesislib.chapters.clip_prompt.show import middles, strip
from thesislib.chapters.row import Job
from thesislib.data.manifest import Manifest, Video, read_manifest
from thesislib.data.reader import Frames
from thesislib.data.segments import labels_of, read_segments
from thesislib.evaluation.segments import Segments
from thesislib.files import write_json
from thesislib.synthetic.captions import names
from thesislib.synthetic.studio import file_of
from thesislib.synthetic.untrimmed import LongSpec, UntrimmedRecipe

Span = tuple[float, float, str, float]  # start and end in seconds, words for the class, score
KEPT = Path(__file__).with_name("spotted.json")
FRAMES = 8  # of a video, above its time line


class TimeLine(NamedTuple):
    """One video, for :func:`thesislib.viz.timeline`."""

    truth: list[Span]
    found: dict[str, list[Span]]  # by method
    length: float  # seconds
    frames: Frames  # (T, H, W, 3)


def time_line(rows: Mapping[str, str], job: Job, number: int = 0, frames: int = FRAMES) -> TimeLine:
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
    videos = shown_videos(manifest)
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


def shown_videos(manifest: Manifest) -> list[Video]:
    """The test videos in which something happens."""
    segments = read_segments(manifest)
    return [v for v in manifest.videos if v.split == "test" and segments[v.path]]


def time_line_picture(
    rows: Mapping[str, str], job: Job, number: int = 0, caption: str = ""
) -> viz.Picture:
    """:func:`time_line`, drawn."""
    one = time_line(rows, job, number)
    return viz.timeline(one.truth, one.found, one.length, one.frames, caption)


# -- an example that was kept --------------------------------------------------------------


def keep(rows: Mapping[str, str], job: Job, number: int = 0) -> None:
    """Writes what rows report of one test video of the studio, for pages that do not run them.

    The arguments are those of :func:`time_line`.
    """
    manifest = read_manifest(run.judged_on(job.also(next(iter(rows.values())))))
    one = time_line(rows, job, number)
    video = shown_videos(manifest)[number].path
    found = {
        row: [(round(a, 2), round(b, 2), words, round(score, 4)) for a, b, words, score in spans]
        for row, spans in ((row, one.found[name]) for name, row in rows.items())
    }
    write_json(KEPT, {"video": video, "profile": job.profile, "seed": job.seed, "found": found})


def kept(rows: Mapping[str, str], frames: int = FRAMES) -> TimeLine:
    """The example: its video is filmed on the spot, with what happens in it."""
    note = json.loads(KEPT.read_text(encoding="utf-8"))
    recipe = UntrimmedRecipe()
    words = names(recipe.world.actions)
    (spec,) = [spec for spec in recipe.specs() if file_of(spec) == note["video"]]
    assert isinstance(spec, LongSpec)
    truth = [(start, end, words[action], 1.0) for start, end, action in spec.segments()]
    found = {name: [tuple(span) for span in note["found"][row]] for name, row in rows.items()}
    film = spec.film()
    shown = np.stack([viz.shrunk(frame) for frame in film[middles(len(film), frames)]])
    return TimeLine(truth, found, len(film) / float(spec.fps), shown)


def example_picture(rows: Mapping[str, str], job: Job, caption: str = "") -> viz.Picture:
    """A time line of these rows where the job names a data set, of the kept example elsewhere.

    Args:
        rows: Name to show -> row of localisation.
        job: Everything else of these rows.
        caption: Kept with the picture.
    """
    if job.dataset:
        return time_line_picture(rows, job, caption=caption)
    one = kept(rows)
    return viz.timeline(one.truth, one.found, one.length, one.frames, caption)
