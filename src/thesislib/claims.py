"""What the thesis asserts, each claim a comparison of ledger rows with an honest verdict."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thesislib import book, intervals, published
from thesislib.ledger import Ledger
from thesislib.published import NO_VALUE

HOLDS = "holds"
UNCLEAR = "unclear"
FAILS = "does not hold here"
NOT_RUN = "not run"
MIN_SEEDS = 3


@dataclass(frozen=True)
class Greater:
    """Row ``better`` beats row ``worse``: by more, or by less where the metric counts so."""

    id: str
    table: str
    better: str
    worse: str
    statement: str
    metric: str = "finetune_top1"
    worse_metric: str = ""  # of the worse row, where it is another one
    quoted: str = ""  # the thesis's row, where it has measured this on another one
    figure: bool = False  # the number is that of a figure, which prints no values


@dataclass(frozen=True)
class Above:
    """A row reaches more than a level that is known: guessing."""

    id: str
    table: str
    row: str
    metric: str
    level: float
    statement: str


# How a claim names the reader behind a metric.
READERS = {
    "finetune_top1": "fine-tuned",
    "probe_top1": "by linear probe",
    "retrieval_r1": "by nearest neighbours",
    "probe_context_top1": "by linear probe of the context",
    "retrieval_context_r1": "by nearest neighbours in the context",
    "probe_z_top1": "by linear probe of z",
    "retrieval_z_r1": "by nearest neighbours in z",
}
FROZEN = ("finetune_top1", "probe_top1", "retrieval_r1")


def by_readers(
    id: str, table: str, better: str, worse: str, statement: str, readers: tuple[str, ...] = FROZEN
) -> tuple[Greater, ...]:
    """One comparison by each reader, so that none is chosen by its outcome.

    Args:
        id: Of the first; the others add the metric.
        table: Where the thesis has it.
        better: Row.
        worse: Row.
        statement: With ``{}`` for the reader.
        readers: Metrics, of :data:`READERS`.
    """
    return tuple(
        Greater(
            f"{id}-{metric.replace('_', '-')}" if i else id,
            table,
            better,
            worse,
            statement.format(READERS[metric]),
            metric,
        )
        for i, metric in enumerate(readers)
    )


@dataclass(frozen=True)
class Rises:
    """Two metrics rise together over the checkpoints of one row."""

    id: str
    table: str
    row: str
    x: str
    y: tuple[str, ...]  # the first one that was measured counts
    statement: str


@dataclass(frozen=True)
class Claim:
    """One assertion of the thesis, held against our runs."""

    id: str
    chapter: int
    statement: str  # in our words
    thesis: str  # the thesis's figures, from its tables
    table: str  # where they stand, e.g. "Table 2.1"
    comparison: str  # what is compared, "row A - row B, metric"
    profile: str = ""  # of our runs
    dataset: str = ""  # that they were judged on
    verdict: str = NOT_RUN
    ours: str = ""  # our figures as text
    n: int = 0  # seeds
    numbers: dict[str, Any] = field(default_factory=dict)  # behind ``ours``, for machines


def claims(
    ledger: Ledger | None = None,
    profile: str = "small",
    dataset: str = "",
    chapter: int | None = None,
) -> list[Claim]:
    """Every claim with its verdict.

    ``holds``: each 95 % interval that can be formed (t over seeds; bootstrap over seeds and test
    items) excludes zero on the thesis's side. ``does not hold here``: each excludes it on the
    other side. ``unclear``: anything else, and always below three seeds. ``not run``: no seed has
    both rows.

    Args:
        ledger: Results; by default those of this checkout.
        profile: Of the runs.
        dataset: Judged on this one; "": on that of each claim's table.
        chapter: Only this one.
    """
    ledger = Ledger.load() if ledger is None else ledger
    found = []
    for name, one in book.CHAPTERS.items():
        asked = chapter in (None, one.number)
        if asked and one.written and importlib.util.find_spec(f"{one.package}.claims"):
            for c in book.room(name, "claims").CLAIMS:
                found.append(_judged(c, ledger, profile, dataset))
    return found


def verdict(n: int, found: list[intervals.Interval]) -> str:
    """The word for n seeds and the intervals of a difference (thesis's side positive)."""
    if n == 0:
        return NOT_RUN
    if n < MIN_SEEDS or not found:
        return UNCLEAR
    if all(low > 0 for low, _ in found):
        return HOLDS
    if all(high < 0 for _, high in found):
        return FAILS
    return UNCLEAR


def _greater(c: Greater, ledger: Ledger, profile: str, dataset: str) -> Claim:
    source = published.figure(c.table) if c.figure else published.table(c.table)
    where = dataset or source.dataset(c.metric, profile)
    r = ledger.compare(c.better, c.worse, c.metric, profile, where, metric_b=c.worse_metric)
    metric = published.metric(c.metric)
    sign = -1 if metric.better == "lower" else 1  # the thesis's side is positive
    known = [_turned(i, sign) for i in (r["t_interval"], r["bootstrap"]) if i is not None]
    ours = ""
    if r["n"]:
        ours = f"{_text(r['mean_a'], metric)} against {_text(r['mean_b'], metric)}"
        ours += f", difference {_text(r['difference'], metric, sign=True)}"
        most = max(len(ledger.select(row, profile, where)) for row in (c.better, c.worse))
        both = "the one seed" if r["n"] == 1 else f"the {r['n']} seeds"
        ours += f" over {both} that both have" if most > r["n"] else ""
    for name, interval in (("seeds", r["t_interval"]), ("seeds and videos", r["bootstrap"])):
        if interval is not None:
            low, high = (_text(v, metric, sign=True) for v in interval)
            ours += f"; 95 % over {name}: {low} to {high}"
    return Claim(
        id=c.id,
        chapter=source.chapter,
        statement=c.statement,
        thesis=_asserted(c, source),
        table=f"{'Figure' if c.figure else 'Table'} {c.table}",
        comparison=f"{c.better} - {c.worse}, {c.metric}"
        + (f" against {c.worse_metric}" if c.worse_metric else ""),
        profile=profile,
        dataset=where or "",
        verdict=verdict(r["n"], known),
        ours=ours,
        n=r["n"],
        numbers=dict(r),
    )


def _asserted(c: Greater, source: published.Table | published.Figure) -> str:
    """The thesis's own figures; what it has not measured is a dash."""
    if isinstance(source, published.Figure):
        return source.says
    better = source.printed(c.quoted or c.better, c.metric)
    worse = source.printed(c.quoted or c.worse, c.worse_metric or c.metric)
    return NO_VALUE if NO_VALUE in (better, worse) else f"{better} against {worse}"


def _above(c: Above, ledger: Ledger, profile: str, dataset: str) -> Claim:
    source, metric = published.table(c.table), published.metric(c.metric)
    where = dataset or source.dataset(c.metric, profile)
    found = ledger.summary(c.row, c.metric, profile, where)
    level, low, high = _text(c.level, metric), found["low"], found["high"]
    known = [] if low is None or high is None else [(low - c.level, high - c.level)]
    ours = f"{_text(found['mean'], metric)}, guessing {level}" if found["n"] else ""
    if known:
        ours += f"; 95 % over seeds: {_text(low, metric)} to {_text(high, metric)}"
    return Claim(
        id=c.id,
        chapter=source.chapter,
        statement=c.statement,
        thesis=NO_VALUE,
        table=f"Table {c.table}",
        comparison=f"{c.row}, {c.metric} against {c.level:.3f}",
        profile=profile,
        dataset=where or "",
        verdict=verdict(found["n"], known),
        ours=ours,
        n=found["n"],
        numbers={
            "mean_a": found["mean"],
            "mean_b": c.level,
            "difference": None if found["mean"] is None else found["mean"] - c.level,
            "t_interval": known[0] if known else None,
            "bootstrap": None,
        },
    )


def _rises(c: Rises, ledger: Ledger, profile: str, dataset: str) -> Claim:
    figure = published.figure(c.table)
    where = dataset or figure.dataset(c.x, profile)
    entries = ledger.select(c.row, profile, where)
    metric, groups = "", {}
    for metric in c.y:
        groups = {seed: _points(e.checkpoints, c.x, metric) for seed, e in entries.items()}
        groups = {seed: (x, y) for seed, (x, y) in groups.items() if x.size > 2}
        if groups:
            break
    numbers: dict[str, Any] = {"seeds": list(groups), "y": metric}
    ours, known = "", []
    if groups:
        rho, interval, p = intervals.rank_correlation(list(groups.values()))
        known = [interval]
        points = sum(x.size for x, _ in groups.values())
        numbers |= {"spearman": rho, "interval": interval, "p": p, "points": points}
        low, high = interval
        ours = f"ρ = {rho:.2f} over {points} checkpoints, 95 % {low:.2f} to {high:.2f}, p = {p:.3f}"
    x, y = figure.series["pretext_top1"], figure.series["finetune_top1"]
    last = f"; {y[-1]} % at the last" if y[-1] is not None else ""
    return Claim(
        id=c.id,
        chapter=figure.chapter,
        statement=c.statement,
        thesis=f"pretext {x[0]} to {x[-1]} % over {len(x)} checkpoints, downstream rises{last}",
        table=f"Figure {c.table}",
        comparison=f"Spearman of {c.x} and {metric} over the checkpoints of {c.row}",
        profile=profile,
        dataset=where or "",
        verdict=verdict(len(groups), known),
        ours=ours,
        n=len(groups),
        numbers=numbers,
    )


def _points(
    checkpoints: list[dict[str, float]], x: str, y: str
) -> tuple[intervals.Floats, intervals.Floats]:
    both = [(c[x], c[y]) for c in checkpoints if x in c and y in c]
    table = np.array(both, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _turned(interval: intervals.Interval, sign: int) -> intervals.Interval:
    low, high = sorted(sign * end for end in interval)
    return low, high


def _text(value: float | None, metric: published.Metric, *, sign: bool = False) -> str:
    """A value in the unit of its metric."""
    return "" if value is None else f"{metric.factor * value:{'+' if sign else ''}.1f}"


_JUDGES: dict[type, Callable[..., Claim]] = {Greater: _greater, Above: _above, Rises: _rises}


@functools.lru_cache(maxsize=512)
def _judged(c: Greater | Above | Rises, ledger: Ledger, profile: str, dataset: str) -> Claim:
    """Kept, since resampling takes a while and a page asks for the verdicts of a ledger thrice."""
    return _JUDGES[type(c)](c, ledger, profile, dataset)
