"""What all pages show: tables and sentences from the library, from runs and from the ledger.

A notebook holds prose and a line or two a cell; whatever would take it more stands here, in
``pictures``, or in the ``show`` of its chapter.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import statistics
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from thesislib import book, published, report, viz
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.claims import NOT_RUN
from thesislib.config import RunConfig
from thesislib.data.loader import make_loader
from thesislib.data.manifest import SPLITS, Manifest
from thesislib.errors import choose
from thesislib.evaluation.scores import Lacking
from thesislib.ledger import Ledger
from thesislib.report import NO_VALUE
from thesislib.train import Log

NO_LABELS = (
    "The training and the test split of this data set do not both hold labelled videos of two "
    "classes, so nothing can be classified: only the pretext accuracy and the picture of nearest "
    "neighbours can be shown.\n"
)


@dataclass(frozen=True)
class Page:
    """MyST text that a notebook shows as a page shows it."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def __add__(self, other: Page) -> Page:
        """This one with the other below it."""
        return Page(f"{self.text}\n\n{other.text}")


def start(profile: str = "small") -> None:
    """The book's plot style, and in the small profile one thread.

    With another number of threads sums are added in another order, and digits change. One core is
    a chapter's, so that two of them run side by side.
    """
    viz.use_style()
    if profile == "small":
        torch.set_num_threads(1)


# -- runs ----------------------------------------------------------------------------------


def chapter_rows(method: str, rows: str = "headline", *jobs: Job) -> tuple[str, ...]:
    """The rows of a chapter that its notebook trains.

    Args:
        method: Of the chapter.
        rows: ``headline`` or ``all``.
        jobs: Of the page, its own first, the others for rows on other data sets. Of the headline
            they leave to the ledger what it holds, all but the page's own row.
    """
    if choose("choice of rows", rows, ("headline", "all")) == "all":
        return tuple(run.rows(method))
    headline = book.chapter(method).headline
    if not jobs:
        return headline
    of_row = {row: jobs[0].also(row) for row in headline} | {job.row: job for job in jobs}
    return tuple(row for row in headline if row == jobs[0].row or not _kept(of_row[row]))


def _kept(job: Job) -> bool:
    """Whether the ledger has a row in the job's profile, on its data set and by the row's settings.

    Settings that the caller has changed are not those of the ledger.
    """
    kept = Ledger.load().select(job.row, job.profile, run.judged_on(job))
    return bool(kept) and not (job.changes or job.tune)


def rows_of(rows: Sequence[str], others: tuple[str, ...], task: str = "") -> tuple[str, ...]:
    """The rows of one task of a chapter.

    Args:
        rows: Their keys.
        others: What the names of all tasks but the chapter's first begin with.
        task: One of these; "": the first.
    """
    names = [row.partition("/")[2] for row in rows]
    kept = [name.startswith(task) if task else not name.startswith(others) for name in names]
    return tuple(row for row, keep in zip(rows, kept, strict=True) if keep)


def run_rows(rows: Iterable[str], job: Job) -> dict[str, dict[str, Any]]:
    """:func:`thesislib.chapters.run.run` for several rows; says what was trained, what found.

    Args:
        rows: Their keys.
        job: Everything else: profile, data set, seed, changes, and where the log lines go.

    Returns:
        Row -> the content of its ``result.json``; of a row that nothing can be measured on, its
        pretext metrics alone.
    """
    results = {}
    for row in rows:
        log = partial(_say, job.log, row)
        one = replace(job.also(row), log=log)
        found = run.folder(one).finished
        try:
            results[row] = run.run(one)
        except Lacking as error:
            log(str(error))
            results[row] = _unjudged(one)
            continue
        source = results[row]["provenance"]
        if found:
            log(f"found finished, run on {source['ended'][:10]}")
        else:
            log(f"done in {source['wall_seconds'] / 60:.1f} minutes")
    return results


def _say(log: Log, row: str, line: str) -> None:
    if log:
        log(f"{row}: {line}")


def _unjudged(job: Job) -> dict[str, Any]:
    """What is known of a row that was trained and could not be judged."""
    trained = run.train(job)
    return {
        "row": job.row,
        "profile": job.profile,
        "dataset": run.judged_on(job),
        "seed": job.seed,
        "metrics": trained.result.get("metrics", {}),
        "videos": {},
        "checkpoints": trained.result.get("stages", []),
        "config": {"pretrain": run.settings(job).to_dict()},
        "source": trained.run.name if trained.run else "",
        "provenance": trained.result.get("provenance", {"wall_seconds": 0.0, "device": "cpu"}),
    }


def batches(dataset: Dataset[Any], config: RunConfig) -> Iterator[dict[str, Any]]:
    """The batches of training, epoch after epoch, without end."""
    loader = make_loader(dataset, config.batch_size, shuffle=True, num_workers=0, seed=config.seed)
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        yield from loader


# -- tables --------------------------------------------------------------------------------


def source(*objects: Callable[..., Any]) -> Page:
    """The library's own text of functions and methods, so that a page cannot show a stale copy.

    A remark says of which class methods are, where the ones before are of another.
    """
    parts, known = [], ""
    for one in objects:
        owner = one.__qualname__.rpartition(".")[0]
        text = textwrap.dedent(inspect.getsource(one)).rstrip()
        parts.append(f"# class {owner}, in part\n\n{text}" if owner not in ("", known) else text)
        known = owner
    return Page("```python\n" + "\n\n".join(parts) + "\n```\n")


def grid(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Page:
    """A table; its head and its rows have the same number of cells."""
    lines = [list(head), ["---"] * len(head), *rows]
    cells = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    return Page("\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n")


def parts_page(manifest: Manifest) -> Page:
    """How many videos, actions, and videos in each split a data set has."""
    counts = [sum(v.split == split for v in manifest.videos) for split in SPLITS]
    return grid(("videos", "actions", *SPLITS), [(len(manifest), len(manifest.classes), *counts)])


def settings_page(job: Job) -> Page:
    """Where the settings of a row differ from the thesis's (the preset ``paper``)."""
    thesis = Job(job.row, "paper", seed=job.seed)
    first = "pre-training" if run.tuning(job) else "training"
    stages = [(first, run.settings(job), run.settings(thesis))]
    if run.tuning(job):
        stages.append(("fine-tuning", run.tuning(job), run.tuning(thesis)))
    return differences_page(*stages)


# What a reader needs to train it again, whether it differs or not.
ALWAYS = ("optimiser", "lr", "schedule", "epochs", "batch_size", "weight_decay")


def differences_page(*stages: tuple[str, Any, Any]) -> Page:
    """Settings that differ, for each stage: its name, the settings here, those of the thesis.

    Those in :data:`ALWAYS` stand there even if they agree.
    """
    head, rows = ["setting"], dict[str, list[str]]()
    for place, (stage, mine, theirs) in enumerate(stages):
        head += [f"{stage}, here", "thesis"]
        here, there = _flat(mine), _flat(theirs)
        for name in here:
            if here[name] != there[name] or name in ALWAYS:
                row = rows.setdefault(name, [f"`{name}`"])
                row += [NO_VALUE] * (2 * place + 1 - len(row)) + [here[name], there[name]]
    return grid(head, [row + [NO_VALUE] * (len(head) - len(row)) for row in rows.values()])


def _flat(settings: Any, prefix: str = "") -> dict[str, str]:
    """Fields that decide a result, as text; workers and caches only decide how fast it comes."""
    flat: dict[str, str] = {}
    silent = (*getattr(settings, "unhashed", ()), "val_every", "keep_every", "profile")
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            flat |= _flat(value, f"{name}.")
        elif name not in silent:
            flat[name] = "all" if name == "per_class" and not value else _short(value)
    return flat


def _short(value: Any) -> str:
    """A setting as text: 4/3 as 1.33."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_short, value))})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def losses_page(losses: Sequence[float], guessing: float, **more: Any) -> Page:
    """A short training: its first and last losses beside that of guessing, and other numbers."""
    last = sum(losses[-10:]) / len(losses[-10:])
    values = {"first loss": losses[0], "mean of the last ten": last, "guessing": guessing, **more}
    return grid(list(values), [[f"{float(value):.2f}" for value in values.values()]])


def shapes_page(axes: Mapping[str, str], **tensors: Tensor) -> Page:
    """Shape of tensors, with the letters of their axes where the chapter names them."""
    rows = [(f"`{n}`", axes.get(n, NO_VALUE), str(tuple(t.shape))) for n, t in tensors.items()]
    return grid(("tensor", "axes", "shape"), rows)


def rows_page(method: str, trained: Sequence[str], profile: str = "small") -> Page:
    """The rows of a chapter: how each is trained, what it changes, which are trained here."""
    rows, ledger = [], Ledger.load()
    for key, row in run.rows(method).items():
        changes = ", ".join(f"`{k}={v}`" for k, v in row.changes.items())
        kept = ledger.select(key, profile, run.judged_on(Job(key, profile)))
        here = "trained here" if key in trained else "from the ledger" if kept else NOT_RUN
        rows.append((f"`{key}`", row.name, _how(row.train), changes or NO_VALUE, here))
    return grid(("row", "name", "trained by", "what it changes", "in this notebook"), rows)


def _how(train: Callable[..., Any]) -> str:
    """The function behind a row, with what it is given."""
    given = getattr(train, "keywords", {})
    name = getattr(train, "func", train).__name__
    return f"`{name}`" + "".join(f", {k} `{v}`" for k, v in given.items())


def scores_page(
    results: Mapping[str, Mapping[str, Any]], remark: str = "", metrics: Sequence[str] = ()
) -> Page:
    """The metrics of the runs at hand in their units, and how many test items they are of.

    Args:
        results: By row.
        remark: Below the table, where nothing could be judged.
        metrics: Which, in this order; default: all that were measured.
    """
    counts = ("evaluated", "skipped")
    known = [published.metric(m) for m in metrics] or published.metrics().values()
    shown = [m for m in known if any(m.key in r["metrics"] for r in results.values())]
    rows = []
    for row, result in results.items():
        values = [result["metrics"].get(m.key) for m in shown]
        texts = [
            NO_VALUE if v is None else f"{m.factor * v:.1f}"
            for m, v in zip(shown, values, strict=True)
        ]
        rows.append((row, *texts, *(result["videos"].get(c, NO_VALUE) for c in counts)))
    names = (f"{m.name}, {m.unit}" if m.unit else m.name for m in shown)
    table = grid(("row", *names, *counts), rows)
    judged = any(result["videos"] for result in results.values())
    return table if judged else Page(f"{table.text}\n{remark}")


# -- numbers that the prose quotes ---------------------------------------------------------


def glue_all(values: Mapping[str, Any]) -> None:
    """:func:`thesislib.report.glue` for several values."""
    for name, value in values.items():
        report.glue(name, value)


def scale(job: Job) -> str:
    """What the numbers of a page are of."""
    return f"{job.profile} profile, data set {run.judged_on(job)}, seed {job.seed}"


def run_numbers(results: Mapping[str, Mapping[str, Any]], job: Job) -> dict[str, Any]:
    """What every chapter says of the runs at hand."""
    sources = [result["provenance"] for result in results.values()]
    return {
        "scale": scale(job),
        "minutes_run": round(sum(s["wall_seconds"] for s in sources) / 60, 1),
        "device": sources[0]["device"],
    }


def minutes(row: str, profile: str) -> str:
    """Minutes of one seed of a row in the ledger, on the data set of its table: the median.

    Seeds that classify from several checkpoints take as many times as long; they count only where
    there are no others.
    """
    found = Ledger.load().select(row, profile, published.home(row, profile)).values()
    usual = [e for e in found if not e.checkpoints] or list(found)
    seconds = [e.provenance["wall_seconds"] for e in usual]
    return f"{statistics.median(seconds) / 60:.0f}" if seconds else NOT_RUN
