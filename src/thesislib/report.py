"""Tables of *thesis / ours* as pandas frames, their export, and the state of the ledger.

A row that was not run says "not run"; the thesis's number never stands in our column. Every
function returns plain data; printing is the caller's business.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from thesislib import book, published
from thesislib.amounts import digits
from thesislib.claims import NOT_RUN, Claim, claims
from thesislib.config import AUTHORS
from thesislib.ledger import Entry, Ledger
from thesislib.published import NO_VALUE
from thesislib.rendering import rendered


def thesis_numbers(
    number: str, profile: str = "small", dataset: str = "", ledger: Ledger | None = None
) -> pd.DataFrame:
    """A numbered table as numbers: one line a row and column of the thesis's table.

    Args:
        number: E.g. ``"2.1"``.
        profile: Of our runs.
        dataset: That they were judged on; "": that of each column.
        ledger: Results to show; by default those of this checkout.

    Returns:
        Columns ``row`` (its name), ``key`` (our row id or None), ``metric``, ``unit``,
        ``thesis_column``, ``thesis_dataset``, ``thesis``, ``ours_column``, ``ours_dataset``,
        ``ours``, ``low``, ``high`` and ``half_width`` (of the 95 % interval over seeds), ``n``
        (seeds) and ``mixed`` (whether the seeds had other settings). Ours are in the unit of the
        column, so a fraction of 0.61 is 61 per cent.
    """
    ledger = Ledger.load() if ledger is None else ledger
    lines = []
    table = published.table(number)
    # A label that all rows share tells none of them apart.
    telling = [len({row.labels[i] for row in table.rows}) > 1 for i in range(len(table.labels))]
    for row in table.rows:
        labels = [text.lstrip("- ") for text, keep in zip(row.labels, telling, strict=True) if keep]
        name = " · ".join(filter(None, labels))
        for column, cell, metric in zip(table.columns, row.cells, row.metrics, strict=True):
            where, factor, found = dataset or column.dataset(profile), 1.0, dict[str, Any]()
            if row.key and metric:
                factor = published.metric(metric).factor
                found = {**ledger.summary(row.key, metric, profile, where)}
            mixed = found.get("configs", 0) > 1
            ours = [found.get(name) for name in ("mean", "low", "high", "half_width")]
            what = (name, row.key, metric, column.unit)
            theirs = (column.name, column.data[0], cell.value)
            ours = [None if value is None else value * factor for value in ours]
            counts = (found.get("n", 0), mixed)
            lines.append((*what, *theirs, column.named(where), where, *ours, *counts))
    frame = pd.DataFrame(lines, columns=[*_NUMBERS])
    measured = ["thesis", *_MEASURED]
    return frame.assign(**{name: pd.to_numeric(frame[name]) for name in measured})


_MEASURED = ("ours", "low", "high", "half_width")
_NUMBERS = (
    "row", "key", "metric", "unit", "thesis_column", "thesis_dataset", "thesis",
    "ours_column", "ours_dataset", *_MEASURED, "n", "mixed",
)  # fmt: skip


def thesis_table(
    number: str,
    profile: str = "small",
    dataset: str = "",
    ledger: Ledger | None = None,
    *,
    apart: bool = False,
) -> pd.DataFrame:
    """A numbered table of the thesis with our results beside it, as text to print.

    The arguments are those of :func:`thesis_numbers`, and ``apart``: each number in a cell of its
    own, under columns that are pairs of a head and *thesis*, *ours*, *low*, *high* or *seeds*.

    Returns:
        The thesis's row labels, then for each of its columns *thesis* and, where runs of the
        profile can measure it, *ours* as ``mean ± half-width (n)``: the 95 % interval over n seeds.
        ``not run`` where the row is ours and no result exists, an en dash where there is nothing to
        run. ``frame.attrs`` holds ``caption`` and ``notes``.
    """
    table = published.table(number)
    numbers = thesis_numbers(number, profile, dataset, ledger)
    width = len(table.columns)
    places = [[_runs(table, row, i, profile, dataset) for i in range(width)] for row in table.rows]
    ours = _our_names(
        table, [any(row[i] for row in places) for i in range(width)], profile, dataset
    )
    lines = []
    for index, row in enumerate(table.rows):
        line: dict[Any, str] = {
            ("", label) if apart else label: text
            for label, text in zip(table.labels, row.labels, strict=True)
        }
        for i, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            unit = f" ({column.unit})" if column.unit else ""
            cells = {
                (f"{column.name}{unit}", "thesis"): NO_VALUE if cell.text == "-" else cell.text
            }
            if i in ours:
                found = numbers.iloc[index * width + i]
                absent = NOT_RUN if places[index][i] else NO_VALUE
                some = (_apart if apart else _together)(found, column.decimals, absent)
                cells |= {(f"{ours[i]}{unit}", name): text for name, text in some.items()}
            line |= cells if apart else {", ".join(name): text for name, text in cells.items()}
        lines.append(line)
    frame = pd.DataFrame(lines)
    sets = {name: dataset or str(table.columns[i].dataset(profile)) for i, name in ours.items()}
    where = "data sets: " + ", ".join(f"{name} on {one}" for name, one in sets.items())
    if len(set(sets.values())) == 1:
        where = f"data set {next(iter(sets.values()))}"
    what = (
        "mean, its 95 % interval, seeds"
        if apart
        else ("mean ± half of the 95 % interval (number of seeds)")
    )
    whose = "the authors' weights, judged here" if profile == AUTHORS else f"profile {profile}"
    said = f"Ours: {whose}, {where}, {what}."
    said = said if sets else f"The profile {profile} measures none of its columns."
    caption = f"Table {number}: {table.title}. {said}"
    frame.attrs = {"caption": caption, "notes": list(table.notes)}
    return frame


def _runs(table: published.Table, row: published.Row, i: int, profile: str, dataset: str) -> bool:
    """Whether a row can be run for a column: on its own data set, or on one that was asked for."""
    asked = dataset and row.key and row.metrics[i] and row.cells[i].value is not None
    return bool(asked) or (not dataset and table.runs_in(row, i, profile))


def _our_names(
    table: published.Table, shown: list[bool], profile: str, dataset: str
) -> dict[int, str]:
    """The names of our columns, by their place: the thesis's only where the data set is its own.

    Of columns that measure the same on one data set the first is enough.
    """
    names: dict[int, str] = {}
    seen = set()
    for i, column in enumerate(table.columns):
        where = dataset or column.dataset(profile)
        if not shown[i] or (column.metric, where) in seen:
            continue
        seen.add((column.metric, where))
        names[i] = column.named(where)
        if list(names.values()).count(names[i]) > 1:
            names[i] += f" on {where}"
    return names


def _together(found: pd.Series, decimals: int, absent: str) -> dict[str, str]:
    """A mean of ours, its interval and its seeds in one cell."""
    cells = _apart(found, decimals, absent)
    if cells["low"]:
        half = _fixed(found["half_width"], found, decimals)
        return {"ours": f"{cells['ours']} ± {half} ({cells['seeds']})"}
    return {"ours": f"{cells['ours']} ({cells['seeds']})" if cells["seeds"] else absent}


def _apart(found: pd.Series, decimals: int, absent: str) -> dict[str, str]:
    """The same in four cells, which are empty where there is nothing to say."""
    if not found["n"]:
        return {"ours": absent, "low": "", "high": "", "seeds": ""}
    seeds = f"{found['n']}, mixed settings" if found["mixed"] else str(found["n"])
    numbers = {name: _fixed(found[name], found, decimals) for name in ("ours", "low", "high")}
    return {**numbers, "seeds": seeds}


def _fixed(value: float, found: pd.Series, decimals: int) -> str:
    """A number in as many decimals as its column has; more where there are none to see."""
    if pd.isna(value):
        return ""
    return f"{value:.{decimals if found['unit'] == '%' else digits(found['ours'], decimals)}f}"


def render_table(
    number: str, profile: str = "small", dataset: str = "", format: str = "markdown"
) -> str:
    """A numbered table of this checkout's ledger as text.

    :func:`thesis_table` as ``markdown``, and as ``latex`` with a cell for each number; as ``csv``
    the numbers themselves, those of :func:`thesis_numbers`.

    Raises:
        ThesisError: Unknown table or format.
    """
    if format == "csv":
        return rendered(thesis_numbers(number, profile, dataset), format)
    return rendered(thesis_table(number, profile, dataset, apart=format == "latex"), format)


def table_data(number: str, profile: str = "small", dataset: str = "") -> dict[str, Any]:
    """A numbered table as plain JSON: number, title, profile, notes, ``numbers``.

    ``numbers`` are the lines of :func:`thesis_numbers`; what is not known is ``None``.
    """
    table, frame = published.table(number), thesis_numbers(number, profile, dataset)
    lines = frame.astype(object).where(frame.notna(), None).to_dict("records")
    said = {"table": number, "title": table.title, "profile": profile, "notes": list(table.notes)}
    return {**said, "numbers": lines}


def claims_numbers(found: Iterable[Claim]) -> pd.DataFrame:
    """Claims for machines: one line each, every number in a column, intervals in two.

    Accuracies are shares in ``[0, 1]``; what is not known is empty.
    """
    lines = []
    for claim in found:
        line = {k: v for k, v in vars(claim).items() if k not in ("numbers", "ours")}
        for name, value in claim.numbers.items():
            if isinstance(value, tuple):
                line |= {f"{name}_low": value[0], f"{name}_high": value[1]}
            elif isinstance(value, int | float):
                line[name] = value
        lines.append(line)
    return pd.DataFrame(lines).convert_dtypes()  # counts stay whole where some are not known


def claims_table(
    profile: str = "small",
    dataset: str = "",
    ledger: Ledger | None = None,
    chapter: int | None = None,
) -> list[dict[str, Any]]:
    """:func:`claims` as plain dictionaries, ready for JSON."""
    return [dataclasses.asdict(c) for c in claims(ledger, profile, dataset, chapter)]


def claims_frame(found: Iterable[Claim]) -> pd.DataFrame:
    """Claims as a table for people: statement, verdict, the thesis's numbers, ours, seeds."""
    return pd.DataFrame(
        [
            {
                "claim": claim.statement,
                "verdict": claim.verdict,
                "thesis": claim.thesis,
                "ours": claim.ours or NO_VALUE,
                "seeds": claim.n,
            }
            for claim in found
        ],
        columns=["claim", "verdict", "thesis", "ours", "seeds"],
    )


def status(ledger: Ledger | None = None) -> list[dict[str, Any]]:
    """What was run, chapter by chapter: results, seeds, minutes, device, versions, commits."""
    ledger = Ledger.load() if ledger is None else ledger
    groups: dict[tuple[int, str, str, str], list[Entry]] = {}
    for e in ledger.entries:
        key = (book.chapter(e.method).number, e.method, e.profile, e.dataset)
        groups.setdefault(key, []).append(e)
    lines: list[dict[str, Any]] = []
    for (chapter, method, profile, dataset), entries in sorted(groups.items()):
        sources = [e.provenance for e in entries]
        minutes = sum(s.get("wall_seconds") or 0.0 for s in sources) / 60
        lines.append(
            {
                "chapter": chapter,
                "method": method,
                "profile": profile,
                "dataset": dataset,
                "rows": len({e.row for e in entries}),
                "results": len(entries),
                "seeds": ", ".join(str(s) for s in sorted({e.seed for e in entries})),
                "minutes": round(minutes, 1),
                "device": _join(s.get("device") for s in sources),
                "threads": _join(s.get("threads") for s in sources),
                "commit": _join(_commit(s) for s in sources),
                "versions": _join(_versions(s) for s in sources),
            }
        )
    return lines


def status_frame(ledger: Ledger | None = None) -> pd.DataFrame:
    """:func:`status` as a table."""
    return pd.DataFrame(status(ledger))


def _join(items: Iterable[Any]) -> str:
    return ", ".join(sorted({"unknown" if i is None else str(i) for i in items}))


def _commit(source: Mapping[str, Any]) -> str:
    commit = source.get("commit")
    return (commit[:8] if commit else "none") + (" + changes" if source.get("dirty") else "")


def _versions(source: Mapping[str, Any]) -> str:
    versions = source.get("versions") or {}
    return " ".join(f"{name} {versions[name]}" for name in sorted(versions))


def glue(name: str, value: Any) -> None:
    """Stores a value (number, text or figure) of a notebook under a name that pages can quote.

    The one place that knows how the book does this. It shows nothing, and without the book extra
    it does nothing: the notebook still runs.
    """
    try:
        store = importlib.import_module("myst_nb").glue
    except ModuleNotFoundError:
        return
    store(name, value, display=False)
