"""Ours beside the thesis's: the opening of a chapter, its tables, its claims, and what repeats."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from thesislib import book, published, report, viz
from thesislib.amounts import in_unit, percent
from thesislib.chapters import run
from thesislib.chapters.pages import Page, grid, minutes, scale
from thesislib.chapters.row import Job
from thesislib.claims import MIN_SEEDS, NOT_RUN, READERS, UNCLEAR, Claim, claims
from thesislib.errors import choose
from thesislib.ledger import Entry, Ledger
from thesislib.rendering import to_markdown
from thesislib.report import NO_VALUE

REPEATED = (
    "pretext_top1", "finetune_top1", "probe_top1", "retrieval_r1", "top1", "pairs_top1",
    "map_mean", "t2v_r1", "align_r1", "long_top1", "cider", "identity_recall",
)  # fmt: skip


def glance(
    job: Job, facts: Mapping[str, str], quotes: Mapping[str, tuple[str, str, str]] | None = None
) -> Page:
    """A chapter in a few lines, as an output, so that every reader of the notebook sees numbers.

    Args:
        job: The page's.
        facts: Line -> text.
        quotes: Line -> table of the thesis, row, metric; shown as the thesis prints it and as the
            ledger has it.
    """
    lines = [*facts.items()]
    for name, (number, row, metric) in (quotes or {}).items():
        table = published.table(number)
        found = Ledger.load().summary(row, metric, job.profile, table.dataset(metric, job.profile))
        ours = f"{percent(found)} % here ({found['n']} seeds)" if found["n"] else NOT_RUN
        lines.append((name, f"{table.printed(row, metric)} % in the thesis, {ours}"))
    lines.append(("this page", scale(job)))
    times = [f"{minutes(job.row, profile)} ({profile})" for profile in ("small", "gpu", "paper")]
    lines.append(("minutes of a run", ", ".join(times)))
    return grid(("at a glance", ""), lines)


def readers_page(job: Job, rows: Sequence[str], metrics: Sequence[str]) -> Page:
    """Rows of the ledger by several readers: mean ± half of the 95 % interval (seeds)."""
    ledger, where = Ledger.load(), run.judged_on(job)

    def cell(row: str, metric: str) -> str:
        found = ledger.summary(row, metric, job.profile, where)
        if found["n"]:
            return f"{in_unit(found, published.metric(metric))} ({found['n']})"
        return NOT_RUN if not ledger.select(row, job.profile, where) else NO_VALUE

    lines = [(f"`{row}`", run.find(row).name, *(cell(row, m) for m in metrics)) for row in rows]
    return grid(("row", "name", *(published.metric(m).name for m in metrics)), lines)


def series(
    job: Job, rows: Mapping[str, str], metric: str, at: Sequence[int]
) -> dict[str, list[tuple[float, float, float | None, int]]]:
    """Rows of the ledger over what is in their metric's name, for ``viz.lines_with_interval``.

    Args:
        job: The page's.
        rows: Name to show -> row.
        metric: Such as ``finetune_top1``; the number follows after an underscore.
        at: The numbers.

    Returns:
        Name -> points of number, mean in per cent, half its 95 % interval, seeds.
    """
    ledger, where = Ledger.load(), run.judged_on(job)
    lines: dict[str, list[tuple[float, float, float | None, int]]] = {}
    for name, row in rows.items():
        for x in at:
            found = ledger.summary(row, f"{metric}_{x}", job.profile, where)
            if found["mean"] is not None:
                half = found["half_width"]
                half = None if half is None else 100 * half
                lines.setdefault(name, []).append((x, 100 * found["mean"], half, found["n"]))
    return lines


def verdicts(job: Job) -> dict[str, Claim]:
    """The claims of the chapter of a row, by id, as the ledger decides them."""
    chapter = book.chapter(job.row).number
    return {c.id: c for c in claims(None, job.profile, asked_for(job), chapter)}


def said(job: Job, *ids: str) -> str:
    """What the ledger says of claims, for prose that must not say anything else."""
    return told(verdicts(job), *ids)


def sayings(job: Job, groups: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """:func:`said` for several places of a text, each as ``said_<its name there>``."""
    known = verdicts(job)  # once: every verdict of the chapter is a bootstrap
    return {f"said_{name}": told(known, *ids) for name, ids in groups.items()}


def told(known: Mapping[str, Claim], *ids: str) -> str:
    """:func:`said` of verdicts that are at hand; one comparison by several readers at a time."""
    texts = []
    found = [(*_reader(c := known[choose("claim", one, known)]), c) for one in ids]
    for stem, group in itertools.groupby(found, key=lambda one: one[0]):
        members = list(group)
        first = members[0][2]
        if len(members) == 1:
            figures = f": {_figures(first)}" if first.ours else ""
            texts.append(f"{first.statement} {first.verdict.capitalize()}{figures}.")
            continue
        parts = [
            f"{reader}, {c.verdict}" + (f" ({_figures(c)})" if c.ours else "")
            for _, reader, c in members
        ]
        texts.append(f"{stem}: {'; '.join(parts)}.")
    return " ".join(texts)


def verdicts_page(job: Job, *ids: str) -> Page:
    """What the ledger says of claims, a line each; :func:`said` is for one or two in a sentence."""
    known = verdicts(job)
    found = [known[choose("claim", one, known)] for one in ids]
    lines = [(c.statement, c.verdict, _figures(c) if c.ours else NO_VALUE) for c in found]
    return Page("**What the ledger says**") + grid(("claim", "verdict", "ours"), lines)


def _reader(claim: Claim) -> tuple[str, str]:
    """A statement without its reader, and the reader's name, if it ends with one."""
    for name in sorted(READERS.values(), key=len, reverse=True):
        if claim.statement.endswith(f", {name}."):
            return claim.statement.removesuffix(f", {name}."), name
    return claim.statement, ""


def _figures(claim: Claim) -> str:
    """Its figures with one interval, for prose; the table has both.

    That over seeds, unless it excludes zero and the verdict is unclear because the other does not:
    beside that word it would look like a mistake.
    """
    figures, *found = claim.ours.split("; ")
    low, high = claim.numbers.get("t_interval") or (0.0, 0.0)
    other = claim.verdict == UNCLEAR and claim.n >= MIN_SEEDS and (low > 0 or high < 0)
    return ", ".join([figures, *(found[-1:] if other else found[:1])])


def asked_for(job: Job) -> str:
    """The data set that a reader has chosen; "" where it is the one that the tables name."""
    usual = run.judged_on(replace(job, dataset="", on=""))
    return "" if run.judged_on(job) == usual else run.judged_on(job)


def tables_page(
    tables: str | Sequence[str],
    results: Mapping[str, Mapping[str, Any]],
    job: Job,
    metrics: Sequence[str] = (),
) -> Page:
    """Tables of the thesis: its numbers, ours over seeds from the ledger, and those of this run.

    This run has a column of its own where the ledger knows nothing of its rows.

    Args:
        tables: Their numbers.
        results: Of the runs at hand, by row.
        job: The page's.
        metrics: Leave out columns of others and those that the profile measures on nothing, since a
            page is not as wide as some tables; default: none is left out.
    """
    at_hand = Ledger(_entry(result) for result in results.values())
    parts = []
    for number in [tables] if isinstance(tables, str) else tables:
        frame = report.thesis_table(number, job.profile, asked_for(job))
        mine = report.thesis_table(number, job.profile, asked_for(job), at_hand)
        for name in [c for c in frame.columns if c.endswith(", ours")]:
            values = [v.removesuffix(" (1)").replace(NOT_RUN, NO_VALUE) for v in mine[name]]
            place = list(frame.columns).index(name) + 1
            pairs = zip(values, frame[name], strict=True)
            if any(v != NO_VALUE and ours == NOT_RUN for v, ours in pairs):
                frame.insert(place, name.replace(", ours", ", this run"), values)
        if metrics:
            others = _others(published.table(number), metrics, job.profile)
            frame = frame.drop(columns=[c for c in frame.columns if c in others])
        # A label that all rows share tells nothing and makes the table wider.
        labels = list(frame.columns[: len(published.table(number).labels)])
        frame = frame.drop(columns=[c for c in labels if frame[c].nunique() == 1])
        parts.append(f"**{frame.attrs['caption']}**\n\n{to_markdown(frame)}")
    return Page("\n\n".join(parts))


def _others(table: published.Table, metrics: Sequence[str], profile: str) -> list[str]:
    """Columns of a printed table that are not of these metrics or have no data in a profile."""
    out = []
    for column in table.columns:
        unit = f" ({column.unit})" if column.unit else ""
        if column.metric not in metrics or column.dataset(profile) is None:
            out.append(f"{column.name}{unit}, thesis")
        if column.metric not in metrics and column.dataset(profile) is not None:
            out += [f"{name}{unit}, ours" for name in {column.name, column.ours}]
            out += [f"{name}{unit}, this run" for name in {column.name, column.ours}]
    return out


def _entry(result: Mapping[str, Any]) -> Entry:
    known = {k: v for k, v in result.items() if k in Entry.__dataclass_fields__}
    return Entry(**{"method": result["row"].partition("/")[0], **known})


def claims_page(job: Job) -> Page:
    """What the thesis asserts in the chapter of a row, with the verdicts of the ledger."""
    return Page(to_markdown(report.claims_frame(verdicts(job).values())))


def forest_picture(job: Job) -> viz.Picture:
    """The differences behind the verdicts of a chapter."""
    return viz.forest(list(verdicts(job).values()))


def repeat_page(results: Mapping[str, Mapping[str, Any]], job: Job) -> Page:
    """Each run at hand beside the ledger's run of the same seed, and the mean over its seeds."""
    rows, ledger = [], Ledger.load()
    for row, result in results.items():
        kept = ledger.select(row, job.profile, result["dataset"])
        same = kept[job.seed].metrics if job.seed in kept else {}
        found = [m for m in REPEATED if m in result["metrics"]]
        names = [published.metric(m).name for m in found]
        for metric, name in zip(found, names, strict=True):
            mean = ledger.summary(row, metric, job.profile, result["dataset"])
            there = f"{100 * same[metric]:.1f}" if metric in same else NOT_RUN
            over = f"{percent(mean)} ({mean['n']})" if mean["n"] else NOT_RUN
            name += f" (`{metric}`)" if names.count(name) > 1 else ""
            rows.append((f"`{row}`", name, f"{100 * result['metrics'][metric]:.1f}", there, over))
    head = ("row", "%", "this page", f"ledger, seed {job.seed}", "ledger, mean of its seeds")
    return grid(head, rows)
