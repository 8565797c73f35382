"""Tables of *thesis / ours* as pandas frames, their export, and the state of the ledger.

A row that was not run says "not run"; the thesis's number never stands in our column. Every
function returns plain data; printing is the caller's business.
"""

from __future__ import annotations

import dataclasses
import html as _html
import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from thesislib import published
from thesislib.claims import Claim, claims
from thesislib.config import choose
from thesislib.ledger import Comparison, Entry, Ledger, Summary, promote

__all__ = [
    "Claim",
    "Comparison",
    "Entry",
    "Ledger",
    "Summary",
    "claims",
    "claims_frame",
    "claims_table",
    "glue",
    "promote",
    "render_table",
    "status",
    "status_frame",
    "thesis_numbers",
    "thesis_table",
    "to_csv",
    "to_html",
    "to_latex",
    "to_markdown",
]

CHAPTERS = {
    "dpc": 2,
    "memdpc": 3,
    "coclr": 4,
    "clip_prompt": 5,
    "turbo": 6,
    "tan": 7,
    "autoad": 8,
}
NOT_RUN = "not run"
NO_VALUE = "–"


def thesis_numbers(
    number: str,
    profile: str = "small",
    dataset: str = "synthetic",
    ledger: Ledger | None = None,
) -> pd.DataFrame:
    """A numbered table as numbers: one line a row and column of the thesis's table.

    Args:
        number: E.g. ``"2.1"``.
        profile: Of our runs.
        dataset: Of our runs.
        ledger: Results to show; by default those of this checkout.

    Returns:
        Columns ``row`` (its name), ``key`` (our row id or None), ``column``, ``metric``, ``unit``,
        ``thesis``, ``ours``, ``half_width`` (95 %, over seeds) and ``n`` (seeds). Ours are in the
        unit of the column, so a fraction of 0.61 is 61 per cent.
    """
    ledger = Ledger.load() if ledger is None else ledger
    lines = []
    table = published.table(number)
    # A label that all rows share tells none of them apart.
    telling = [len({row.labels[i] for row in table.rows}) > 1 for i in range(len(table.labels))]
    for row in table.rows:
        parts = [
            label.lstrip("- ") for label, keep in zip(row.labels, telling, strict=True) if keep
        ]
        for column, cell, metric in zip(table.columns, row.cells, row.metrics, strict=True):
            line: dict[str, Any] = {
                "row": " · ".join(part for part in parts if part),
                "key": row.key,
                "column": column.name,
                "metric": metric,
                "unit": column.unit,
                "thesis": cell.value,
                "ours": None,
                "half_width": None,
                "n": 0,
            }
            if row.key and metric:
                found = ledger.summary(row.key, metric, profile, dataset)
                factor = 100.0 if column.unit == "%" else 1.0
                mean, half = found["mean"], found["half_width"]
                line["ours"] = None if mean is None else mean * factor
                line["half_width"] = None if half is None else half * factor
                line["n"] = found["n"]
            lines.append(line)
    frame = pd.DataFrame(lines)
    for name in ("thesis", "ours", "half_width"):
        frame[name] = pd.to_numeric(frame[name])
    return frame


def thesis_table(
    number: str,
    profile: str = "small",
    dataset: str = "synthetic",
    ledger: Ledger | None = None,
    *,
    ours_only: bool = False,
) -> pd.DataFrame:
    """A numbered table of the thesis with our results beside it, as text to print.

    Args:
        number: E.g. ``"2.1"``.
        profile: Of our runs.
        dataset: Of our runs.
        ledger: Results to show; by default those of this checkout.
        ours_only: Leave out the rows of other people's methods.

    Returns:
        The thesis's row labels, then for each of its columns *thesis* and, where we measure the
        same thing, *ours* as ``mean ± half-width (n)``: the 95 % interval over n seeds. ``not run``
        where the row is ours and no result exists, an en dash where there is nothing to run.
        ``frame.attrs`` holds ``caption`` and ``notes``.
    """
    table = published.table(number)
    numbers = thesis_numbers(number, profile, dataset, ledger)
    width = len(table.columns)
    measured = [
        any(row.key and row.metrics[i] for row in table.rows) for i in range(len(table.columns))
    ]
    lines = []
    for index, row in enumerate(table.rows):
        if ours_only and row.key is None:
            continue
        line = dict(zip(table.labels, row.labels, strict=True))
        for offset, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            unit = f" ({column.unit})" if column.unit else ""
            line[f"{column.name}{unit}, thesis"] = cell.text if cell.text != "-" else NO_VALUE
            if measured[offset]:
                found = numbers.iloc[index * width + offset]
                absent = NO_VALUE if row.key is None or cell.value is None else NOT_RUN
                line[f"{column.name}{unit}, ours"] = _mean_text(found, column.decimals, absent)
        lines.append(line)
    frame = pd.DataFrame(lines)
    frame.attrs = {
        "caption": f"Table {number}: {table.title}. Ours: profile {profile}, data set {dataset}, "
        "mean ± half of the 95 % interval (number of seeds).",
        "notes": list(table.notes),
    }
    return frame


def _mean_text(found: pd.Series, decimals: int, absent: str) -> str:
    if not found["n"]:
        return absent
    mean = f"{found['ours']:.{decimals}f}"
    if pd.isna(found["half_width"]):
        return f"{mean} (1)"
    return f"{mean} ± {found['half_width']:.{decimals}f} ({found['n']})"


def render_table(
    number: str, profile: str = "small", dataset: str = "synthetic", format: str = "markdown"
) -> str:
    """:func:`thesis_table` of this checkout's ledger as ``markdown``, ``html``, ``latex``, ``csv``.

    Raises:
        ThesisError: Unknown table or format.
    """
    frame = thesis_table(number, profile, dataset)
    render = {"markdown": to_markdown, "html": to_html, "latex": to_latex, "csv": to_csv}
    return render[choose("format", format, render)](frame)


def claims_table(
    profile: str = "small",
    dataset: str = "synthetic",
    ledger: Ledger | None = None,
    chapter: int | None = None,
) -> list[dict[str, Any]]:
    """:func:`claims` as plain dictionaries, ready for JSON."""
    return [dataclasses.asdict(c) for c in claims(ledger, profile, dataset, chapter)]


def claims_frame(found: Iterable[Claim]) -> pd.DataFrame:
    """Claims as a table for people: statement, the thesis's numbers, ours, seeds, verdict."""
    return pd.DataFrame(
        [
            {
                "claim": claim.statement,
                "thesis": claim.thesis,
                "ours": claim.ours or NO_VALUE,
                "seeds": claim.n,
                "verdict": claim.verdict,
            }
            for claim in found
        ],
        columns=["claim", "thesis", "ours", "seeds", "verdict"],
    )


def status(ledger: Ledger | None = None) -> list[dict[str, Any]]:
    """What was run, chapter by chapter: results, seeds, minutes, device, versions, commits."""
    ledger = Ledger.load() if ledger is None else ledger
    groups: dict[tuple[int, str, str, str], list[Entry]] = {}
    for e in ledger.entries:
        key = (CHAPTERS.get(e.method, 0), e.method, e.profile, e.dataset)
        groups.setdefault(key, []).append(e)
    lines: list[dict[str, Any]] = []
    for (chapter, method, profile, dataset), entries in sorted(groups.items()):
        sources = [e.provenance for e in entries]
        values = (
            chapter,
            method,
            profile,
            dataset,
            len({e.row for e in entries}),
            len(entries),
            ", ".join(str(s) for s in sorted({e.seed for e in entries})),
            round(sum(s.get("wall_seconds") or 0.0 for s in sources) / 60, 1),
            _join(s.get("device") for s in sources),
            _join(s.get("threads") for s in sources),
            _join(_commit(s) for s in sources),
            _join(_versions(s) for s in sources),
        )
        lines.append(dict(zip(_STATUS, values, strict=True)))
    return lines


_STATUS = (
    *("chapter", "method", "profile", "dataset", "rows", "results", "seeds"),
    *("minutes", "device", "threads", "commit", "versions"),
)


def status_frame(ledger: Ledger | None = None) -> pd.DataFrame:
    """:func:`status` as a table."""
    return pd.DataFrame(status(ledger), columns=list(_STATUS))


def _join(items: Iterable[Any]) -> str:
    return ", ".join(sorted({"unknown" if i is None else str(i) for i in items}))


def _commit(source: Mapping[str, Any]) -> str:
    commit = source.get("commit")
    return (commit[:8] if commit else "none") + (" + changes" if source.get("dirty") else "")


def _versions(source: Mapping[str, Any]) -> str:
    versions = source.get("versions") or {}
    return " ".join(f"{name} {versions[name]}" for name in sorted(versions))


def to_markdown(frame: pd.DataFrame) -> str:
    """A pipe table; the notes of the frame follow as a list."""
    lines = ["| " + " | ".join(_pipe(c) for c in frame.columns) + " |"]
    lines.append("|" + "---|" * len(frame.columns))
    lines += ["| " + " | ".join(_pipe(v) for v in row) + " |" for row in frame.values]
    if notes := frame.attrs.get("notes"):
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def _pipe(value: Any) -> str:
    return str(value).replace("|", r"\|").replace("\n", " ")


def to_html(frame: pd.DataFrame) -> str:
    """An HTML table with its caption and notes; it scrolls sideways by itself on a phone."""
    caption = _html.escape(frame.attrs.get("caption", ""))
    head = "".join(f'<th scope="col">{_html.escape(str(c))}</th>' for c in frame.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_html.escape(str(v))}</td>" for v in row) + "</tr>\n"
        for row in frame.values
    )
    notes = "".join(f"<li>{_html.escape(n)}</li>" for n in frame.attrs.get("notes", ()))
    return (
        '<div style="overflow-x: auto">\n<table class="table">\n'
        + (f"<caption>{caption}</caption>\n" if caption else "")
        + f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
        + (f"<ul>{notes}</ul>\n" if notes else "")
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "✓": r"$\checkmark$",
    "✗": r"$\times$",
    "†": r"\dag{}",
    "§": r"\S{}",
    "α": r"$\alpha$",
    "ρ": r"$\rho$",
}


def to_latex(frame: pd.DataFrame, label: str = "") -> str:
    """A ``booktabs`` table (needs amssymb for the check mark)."""

    def cells(values: Iterable[Any]) -> str:
        return " & ".join("".join(_LATEX.get(c, c) for c in str(v)) for v in values) + r" \\"

    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{'l' * len(frame.columns)}}}"]
    lines += [r"\toprule", cells(frame.columns), r"\midrule"]
    lines += [cells(row) for row in frame.values]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if caption := frame.attrs.get("caption"):
        lines.append(rf"\caption{{{cells([caption])[:-3]}}}")
    if label:
        lines.append(rf"\label{{{label}}}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def to_csv(frame: pd.DataFrame, path: str | Path | None = None) -> str:
    """Comma-separated text; also written to ``path`` where one is given."""
    text = frame.to_csv(index=False, lineterminator="\n")
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


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
