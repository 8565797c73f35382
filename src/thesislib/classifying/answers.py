"""``thesislib classify``: class probabilities over time for a user's own videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from thesislib.classifying.names import (
    Classifier,
    Timing,
    from_run,
    is_small,
    load_encoder,
    zero_shot,
)
from thesislib.classifying.shots import few_shot, held_out_sentence, read_shots, shot_classes
from thesislib.classifying.text import titled
from thesislib.classifying.windows import cut, encoded
from thesislib.data.checking import in_parallel, printable
from thesislib.data.class_list import ClassList, read_class_list
from thesislib.data.scan import Candidate, named
from thesislib.data.streaming import Stream
from thesislib.errors import ThesisError, VideoError
from thesislib.files import write_text
from thesislib.image_text import ImageText
from thesislib.image_text.model import RANDOM
from thesislib.own_videos import Say, output_file, to_stderr
from thesislib.synthetic.wording import NAMES
from thesislib.synthetic.world import DEFAULT_ACTIONS
from thesislib.viz.timeline_page import PICTURES, Picture, TimeLine, timeline_page

BATCH = 256  # windows at a time
UNTRAINED = "The weights are random: these numbers mean nothing."


@dataclass(frozen=True)
class How:
    """What turns names into a classifier.

    Attributes:
        model: Of open_clip, or ``small``; "": small, or that of the prompts.
        weights: Tag or file.
        download: Fetch published weights.
        templates: Sentences with ``{}``.
        shots: Folder ``<class>/<video>`` of examples.
        layers: Over time, learnt on the shots.
        prompts: Finished run whose prompts are taken.
        temperature: Default: that of the model, or of the training.
        seed: Of learning on shots.
    """

    model: str = ""
    weights: str = ""
    download: bool = False
    templates: tuple[str, ...] = ()
    shots: str | Path | None = None
    layers: int = 0
    prompts: str = ""
    temperature: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shots and self.prompts:
            raise ThesisError("--shots learns prompts and --prompts brings some: give one of them.")
        if self.prompts and (self.weights or self.templates):
            raise ThesisError("--prompts brings its model and needs no template: leave them out.")
        if self.layers and not self.shots:
            raise ThesisError("--layers are learnt on examples: give --shots, or leave them out.")
        if not 0 <= self.layers <= 4:
            raise ThesisError(f"layers={self.layers}: give 0 to 4.")
        if self.temperature is not None and not 0 < self.temperature < float("inf"):
            raise ThesisError(f"temperature={self.temperature:g}: give a number above 0.")


def classify(
    videos: Sequence[str],
    classes: str | Path | None = None,
    how: How = How(),  # frozen
    timing: Timing = Timing(),  # noqa: B008
    *,
    out: str | Path | None = None,
    jobs: int | None = None,
    log: Say = to_stderr,
) -> dict[str, Any]:
    """Says which of some classes each video shows, over time.

    Args:
        videos: Files and folders of them.
        classes: File with one name a line; default: the folders of the shots.
        how: Model, and what turns names into a classifier.
        timing: Frames a second, windows.
        out: Also write a web page there.
        jobs: Videos at a time; default one a core.
        log: Where the log lines go.

    Returns:
        Plain JSON: ``classes``, ``model``, ``how``, ``notes``, ``shots``, ``held_out``,
        ``skipped``, ``page``, and ``videos``: each ``path``, ``seconds``, ``note``, ``answer``,
        ``probabilities`` by class, and ``windows`` (``start``, ``end``, ``probabilities`` in the
        order of the classes).

    Raises:
        ThesisError: Nothing can be used, or settings that do not fit.
    """
    target = None if out is None else output_file(out, "page.html")
    names = _names(classes, how)
    found = _candidates(videos)
    classifier, facts = _classifier(names, how, timing, log)
    notes = [*names.notes, *facts.pop("notes"), *classifier.notes]
    warning = warning_of(classifier.encoder)
    for note in [*([warning] if warning else []), *notes]:
        log(note)
    lines, skipped = _answers(found, classifier, timing, jobs, log, bool(target))
    if target:
        page = timeline_page(
            f"Classes over time in {len(lines)} video{'s' * (len(lines) != 1)}",
            _paragraphs(classifier, timing, notes, facts["held_out"]),
            warning, classifier.classes, lines, skipped,
        )  # fmt: skip
        write_text(target, page)
    described = classifier.encoder.describe()
    return {
        "classes": list(classifier.classes),
        "model": {key: described[key] for key in ("model", "weights", "weights_hash")},
        "how": classifier.how,
        "temperature": round(classifier.temperature, 6),
        "timing": {"rate": timing.rate, "window": timing.seconds, "hop": timing.hop},
        "warning": warning,
        "notes": notes,
        **facts,
        "skipped": skipped,
        "page": str(target or ""),
        "videos": [_plain(line, classifier.classes) for line in lines],
    }


def _names(classes: str | Path | None, how: How) -> ClassList:
    if classes is not None:
        return read_class_list(classes)
    if how.shots:
        return ClassList(shot_classes(how.shots))
    raise ThesisError("Which classes? Give --classes FILE, a text file with one name a line.")


def _candidates(sources: Sequence[str]) -> list[Candidate]:
    """Files, each once; a folder gives those in it that may be videos."""
    found: dict[Path, Candidate] = {}
    for file in named(sources):
        found.setdefault(file.path, file)
    return list(found.values())


def _classifier(
    names: ClassList, how: How, timing: Timing, log: Say
) -> tuple[Classifier, dict[str, Any]]:
    """The classifier, and what is told of how it came about."""
    facts: dict[str, Any] = {"shots": None, "held_out": None, "notes": []}
    if how.prompts:
        return from_run(how.prompts, names.names, how.model, how.temperature), facts
    encoder = load_encoder(how.model, how.weights, download=how.download)
    if not how.shots:
        return zero_shot(encoder, names.names, how.templates, how.temperature), facts
    shots = read_shots(how.shots, names.names, encoder, timing.rate, log)
    classifier, held = few_shot(
        encoder, shots, timing, layers=how.layers, templates=how.templates,
        temperature=how.temperature, seed=how.seed, log=log,
    )  # fmt: skip
    return classifier, {"shots": shots.counts, "held_out": held or None, "notes": [*shots.notes]}


ANOTHER = "name a real model of open_clip, such as --model ViT-B-16 --weights openai"


def warning_of(encoder: ImageText, remedy: str = ANOTHER) -> str:
    """What nobody may overlook: a model that knows little, or nothing; or "".

    Args:
        encoder: The model.
        remedy: What to do for real videos.
    """
    if encoder.weights == RANDOM:
        return UNTRAINED
    if not is_small(encoder):
        return ""
    actions = ", ".join(NAMES[action] for action in DEFAULT_ACTIONS)
    return (
        "The small model has seen nothing but drawn figures in thesislib's own simulated studio, "
        f"at sixteen actions: {actions}. Of real videos it knows nothing. For those {remedy}."
    )


def _answers(
    found: Sequence[Candidate],
    classifier: Classifier,
    timing: Timing,
    jobs: int | None,
    log: Say,
    pictures: bool,
) -> tuple[list[TimeLine], list[str]]:
    """The answer for each usable video, in the order asked, and what was skipped."""
    jobs = min(jobs or os.cpu_count() or 1, len(found))
    threads = torch.get_num_threads()
    bar = tqdm(desc="looking", unit="frame", disable=None)

    def work(item: tuple[int, Candidate]) -> tuple[int, TimeLine | str]:
        number, candidate = item
        try:
            return number, look(candidate, classifier, timing, bar.update, pictures)
        except VideoError as error:
            return number, error.reason

    done: dict[int, TimeLine | str] = {}
    torch.set_num_threads(max(1, threads // jobs))  # the videos are the parallelism
    try:
        with bar:
            for number, answer in in_parallel(work, enumerate(found), jobs):
                done[number] = answer
                if isinstance(answer, str):
                    log(f"skipped: {printable(found[number].name)}: {answer}")
    finally:
        torch.set_num_threads(threads)
    answers = [done[i] for i in range(len(found))]
    lines = [answer for answer in answers if isinstance(answer, TimeLine)]
    skipped = [
        f"{printable(candidate.name)}: {answer}"
        for candidate, answer in zip(found, answers, strict=True)
        if isinstance(answer, str)
    ]
    if not lines:
        raise ThesisError(f"None of the videos can be used: {'; '.join(skipped[:3])}.")
    return lines, skipped


def look(
    candidate: Candidate,
    classifier: Classifier,
    timing: Timing,
    seen: Any = None,
    pictures: bool = True,
) -> TimeLine:
    """Goes through one video, once; what it keeps does not grow but by the answers.

    Args:
        candidate: The file.
        classifier: Says what it shows.
        timing: Frames a second, windows.
        seen: Is called with the number of frames that were looked at.
        pictures: Keep some frames in small.

    Raises:
        VideoError: The file cannot be used.
    """
    stream = Stream(candidate.path)
    grid = classifier.grid(timing, stream.fps)
    count = stream.count(grid.rate)
    wanted = {int((k + 0.5) * count / PICTURES) for k in range(PICTURES)} if pictures else set()
    kept: list[Picture] = []
    looked = 0

    def rows() -> Any:
        nonlocal looked
        for row in encoded(stream.rows(grid.rate), classifier.encoder):
            if looked in wanted:
                kept.append(Picture.of(row[0], row[2]))
            looked += 1
            if seen is not None:
                seen()
            yield row

    starts, ends, parts, held = [], [], [], []
    for window in cut(rows(), grid.rows, grid.hop):
        starts.append(window.first)
        ends.append(window.last + 1 / grid.rate)
        held.append(torch.stack(window.rows))
        if len(held) == BATCH:
            parts.append(classifier(torch.stack(held), grid.gap).numpy())
            held = []
    if held:
        parts.append(classifier(torch.stack(held), grid.gap).numpy())
    seconds = ends[-1] if stream.damage else max(stream.duration, starts[-1])
    return TimeLine(
        str(candidate.path), candidate.name, seconds, np.array(starts),
        np.minimum(ends, max(seconds, starts[-1])), np.concatenate(parts), tuple(kept),
        stream.damage or ("one frame" if looked == 1 else ""),
    )  # fmt: skip


def _paragraphs(
    classifier: Classifier, timing: Timing, notes: Sequence[str], held: dict[str, int] | None
) -> list[str]:
    """What stands on top of the page."""
    encoder = classifier.encoder
    window = "" if classifier.model else f" of {timing.seconds:g} s"
    first = (
        f"Model {titled(encoder.name, encoder.weights)}; {classifier.how}. Each window{window} is "
        "compared with every name; the probabilities of a window add up to 100 % over the "
        "classes, also where it shows none of them; chance is the dashed line. The answer for a "
        "video is the mean over its windows."
    )
    more = [held_out_sentence(held)] if held else []
    return [first, *(f"{note[0].upper()}{note[1:]}." for note in [*more, *notes])]


def _plain(line: TimeLine, classes: Sequence[str]) -> dict[str, Any]:
    mean = line.mean
    return {
        "path": printable(line.path),
        "seconds": round(line.seconds, 3),
        "note": line.note,
        "answer": classes[int(mean.argmax())],
        "probabilities": {name: round(float(p), 4) for name, p in zip(classes, mean, strict=True)},
        "windows": [
            {"start": round(float(a), 3), "end": round(float(b), 3),
             "probabilities": [round(float(p), 4) for p in row]}
            for a, b, row in zip(line.starts, line.ends, line.probabilities, strict=True)
        ],
    }  # fmt: skip
