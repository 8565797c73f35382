"""What chapter 7 shows besides what all pages do: its world, matrices of a window, a time line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor

from thesislib import published, viz
from thesislib.alignment_losses import alignment_nce
from thesislib.chapters import pages, run
from thesislib.chapters.pages import Page
from thesislib.chapters.row import Job
from thesislib.chapters.tan import judging, learning
from thesislib.chapters.tan.judging import ALIGNED
from thesislib.data.manifest import Video
from thesislib.data.narrated_windows import heard_inside
from thesislib.data.narrations import Narration, read_alignments, read_narrations
from thesislib.data.reader import open_video
from thesislib.methods.tan import TAN, check_batch, own_pairs
from thesislib.nn.alignment import all_pairs
from thesislib.subtitles.placing import best_place
from thesislib.viz.alignment_plots import Labels

AXES = {
    "video": "(B, T, D)",
    "text": "(B, N, E)",
    "start": "(B, N)",
    "spoken": "(B, N, T)",
    "dual_video": "(B, S, T, W)",
    "joint_text": "(B, S, N, W)",
    "cosines": "(A, S, T, B, N)",
    "head": "(B, S, N)",
}
QUOTES = {
    "frozen encoder": ("7.1", "tan/zero-shot", "align_r1"),
    "stage 1": ("7.1", "tan/a", "align_r1"),
    "stage 2": ("7.1", "tan/d", "align_r1"),
    "which sentences are seen, stage 2": ("7.1", "tan/d", "align_auc"),
}
# Claims whose verdicts stand together, by what they ask.
ASKED = {
    "stages": (
        "tan-chance", "tan-context-frozen", "tan-stamps", "tan-depth", "tan-second",
        "tan-second-longer", "tan-second-near", "tan-second-stamps",
    ),
    "window": ("tan-alpha-low", "tan-alpha-high", "tan-window", "tan-window-long"),
    "parts": (
        "tan-agreement-dual", "tan-agreement-joint", "tan-slow", "tan-retimed", "tan-literal",
    ),
    "simple": (
        "tan-random-second", "tan-random-longer", "tan-alone", "tan-alone-second", "tan-prior",
        "tan-prior-second",
    ),
    "able": (
        "tan-able", "tan-able-longer", "tan-able-max", "tan-able-both", "tan-able-chatter",
        "tan-able-mention", "tan-able-kinds",
    ),
    "steps": ("tan-steps", "tan-steps-inside", "tan-listed"),
    "pixels": ("tan-pixels", "tan-pixels-random"),
    "lookup": ("tan-lookup", "tan-lookup-five", "tan-lookup-frozen"),
}  # fmt: skip


def _rows(*names: str) -> tuple[str, ...]:
    return tuple(f"tan/{name}" for name in names)


BASELINES = _rows("chance", "stamps", "zero-shot", "a", "cont", "d")
PARTS = _rows("d", "d-dual", "d-joint", "d-no-ema", "d-stamps", "d-literal", "cont")
SIMPLE = _rows(
    "random",
    "random-cont",
    "random-2",
    "alone",
    "alone-cont",
    "alone-2",
    "zero-shot-prior",
    "a-prior",
    "d-prior",
)
PIXELS = _rows("end-to-end-random", "end-to-end-heard", "end-to-end")
NEAR = ("align_r1", "align_within_0.5", "align_within_1", "align_within_2", "align_within_5")
TOLD = ("align_r1", "align_within_2", "align_auc_max")
ABLE = _rows("zero-shot", "a", "cont", "d")
LISTED = _rows("zero-shot", "a", "d", "d-finetuned")
PIECES = ("segment_frame_acc_foreground", "segment_f1_10", "segment_f1_25", "segment_f1_50")
KINDS = tuple(f"align_auc_{by}{kind}" for by in ("max", "head", "both")
              for kind in ("", "_chatter", "_mention"))  # fmt: skip
FRAMES = 8  # above a time line
SHOWN = 12  # sentences of a time line at most


def settings_page(job: Job) -> Page:
    """Where settings differ from the thesis's, in both stages."""
    stages = {"stage 1": replace(job, row="tan/a"), "stage 2": replace(job, row="tan/d")}
    return pages.differences_page(*(
        (name, run.settings(one), run.settings(replace(one, profile="paper", dataset="")))
        for name, one in stages.items()
    ))  # fmt: skip


# -- the world -----------------------------------------------------------------------------


def sentences_page(job: Job) -> Page:
    """How many sentences each split has, and what becomes of them."""
    manifest, lines = judging.asked(job.quietly()).manifest, []
    for split in ("train", "val", "test"):
        some = manifest.select(split)
        said, seen = read_narrations(some), read_alignments(some)
        pairs = [(s, a) for path in said for s, a in zip(said[path], seen[path], strict=True)]
        kinds = Counter(one.kind for _, one in pairs if not one.alignable)
        on_time = sum(_overlaps(s, a.start, a.end) for s, a in pairs if a.alignable)
        alignable = sum(one.alignable for _, one in pairs)
        lines.append((split, len(said), len(pairs), alignable, on_time,
                      kinds["mentioned"], kinds["chatter"]))  # fmt: skip
    head = ("split", "videos", "sentences", "seen", "... while they are heard",
            "of what is not shown", "chatter")  # fmt: skip
    return pages.grid(head, lines)


def _overlaps(said: Narration, start: float, end: float) -> bool:
    return start <= (said.start + said.end) / 2 <= end


def guessing(batch: Mapping[str, Tensor], config: Any) -> float:
    """The loss of a model to which all seconds and sentences are alike."""
    spoken = check_batch(dict(batch))
    shape = (len(spoken), 1, spoken.shape[2], len(spoken), spoken.shape[1])
    alike = torch.zeros(shape)
    losses = [
        alignment_nce(alike, spoken, batch.get("text_padding"), None, negatives, config.sides)
        for negatives in (config.negatives, config.joint_negatives)
    ]
    return float(torch.stack(losses).mean())


# -- the matrices of a window --------------------------------------------------------------


class Window(NamedTuple):
    """A validation window before and after the second stage, for :func:`viz.alignments`."""

    sentences: list[str]
    stages: dict[str, tuple[NDArray[np.float32], Labels]]
    heard: list[tuple[float, float]]
    seen: list[tuple[float, float] | None]


def window(job: Job, number: int = 0) -> Window:
    """What both stages make of a window, and which labels the second one learns from.

    Args:
        job: The page's; both rows are trained, or found.
        number: Of the validation videos.
    """
    second = run.train(replace(job, row="tan/d").quietly()).model
    first = run.train(learning.before("tan/a", replace(job, row="tan/d")).quietly()).model
    begun = TAN(second.config).to(next(second.parameters()).device)
    learning.taking(first, "before")(begun)
    world = learning.given(replace(job, row="tan/d").quietly())
    windows = world.windows("val")
    video, start = windows.place(number)
    seen = read_alignments(world.manifest.select("val"))[video.name]
    inside = heard_inside(
        video.narrations, start, min(len(video.features), start + windows.seconds)
    )
    batch = windows.collate([windows[i] for i in range(len(windows))])
    batch = {name: value.to(next(second.parameters()).device) for name, value in batch.items()}
    found = {}
    for title, model in (("before stage 2", begun), ("after stage 2", second)):
        found[title] = _labelled(model.eval(), batch, number, len(inside))
    times: list[tuple[float, float] | None] = []
    for row, *_ in inside:
        begin, end = seen[row].start - start, seen[row].end - start
        here = seen[row].alignable and begin < windows.seconds and end > 0
        times.append((max(0.0, begin), min(float(windows.seconds), end)) if here else None)
    return Window(
        [video.narrations[row].text for row, *_ in inside], found,
        [(begin - start, end - start) for _, begin, end in inside], times,
    )  # fmt: skip


@torch.no_grad()
def _labelled(
    model: TAN, batch: dict[str, Tensor], number: int, count: int
) -> tuple[NDArray[np.float32], Labels]:
    pairs = [all_pairs(one) for one in model.online(batch) if one is not None]
    found = model.find(batch, check_batch(batch), pairs)
    cosines = torch.stack([own_pairs(pair)[number, :count] for pair in pairs]).mean(0)
    parts = (found.times.target, found.chosen, found.label)
    return cosines.cpu().numpy(), Labels(*(x[number, :count].cpu().numpy() for x in parts))


def window_picture(job: Job, number: int = 0, caption: str = "") -> viz.Picture:
    """:func:`window`, drawn (thesis figures 7.1 and 7.3)."""
    one = window(job, number)
    return viz.alignments(one.sentences, one.stages, one.heard, one.seen, caption)


# -- a video on a time line ----------------------------------------------------------------


def time_line_picture(
    job: Job, rows: Mapping[str, str], number: int = 0, caption: str = ""
) -> viz.Picture:
    """A test video: when its sentences are seen, when they are heard, and what rows find.

    Args:
        job: The page's.
        rows: Name to show -> row that has been run.
        number: Of the test videos.
        caption: Kept with the picture.
    """
    world = judging.asked(job.quietly())
    some = world.manifest.select("test")
    video = some.videos[number % len(some)]
    said, seen = read_narrations(some)[video.path], read_alignments(some)[video.path]
    shown = [i for i, one in enumerate(seen) if one.alignable][:SHOWN]
    names = _names([said[i].text for i in shown])
    places = list(zip(shown, names, strict=True))
    found = {"heard": [(said[i].start, said[i].end, name, 1.0) for i, name in places]}
    for title, row in rows.items():
        kept = load_file(run.folder(job.also(row)).path / ALIGNED)[f"similarity/{video.path}"]
        found[title] = [(*_found(kept[i], said[i]), name, 1.0) for i, name in places]
    truth = [(seen[i].start, seen[i].end, name, 1.0) for i, name in places]
    length = video.n_frames / video.fps
    return viz.timeline(truth, found, length, _strip(world.manifest.file(video), video), caption)


def _found(similarity: NDArray[np.float32], said: Narration) -> tuple[float, float]:
    """The seconds, as many as a sentence was spoken, that are most similar to it in the mean."""
    return best_place(similarity.astype(np.float64), said.start, said.end, prior=0.0)[:2]


def _names(texts: Sequence[str], longest: int = 30) -> list[str]:
    """Sentences cut short, each of which stays another one."""
    short = [text if len(text) <= longest else f"{text[: longest - 1]}…" for text in texts]
    return [
        text if short.count(text) == 1 else f"{text} ({short[: i + 1].count(text)})"
        for i, text in enumerate(short)
    ]


def _strip(path: Any, video: Video) -> NDArray[np.uint8]:
    places = ((np.arange(FRAMES) + 0.5) / FRAMES * video.n_frames).astype(np.int64)
    return np.stack([viz.shrunk(frame) for frame in open_video(path).frames(places)])


# -- numbers that the text quotes ----------------------------------------------------------


def numbers(results: Mapping[str, Mapping[str, Any]], job: Job) -> dict[str, Any]:
    """What the text quotes.

    Args:
        results: Of the rows that the page has run.
        job: The page's.
    """
    config = run.settings(job)
    return {
        **pages.run_numbers(results, job),
        "temperature": config.temperature,
        "window": config.seconds,
        "alpha": config.alpha,
        "momentum": config.momentum,
        "judged_on": run.judged_on(job),
        "corrected": published.table("7.1").notes[1],
    }
