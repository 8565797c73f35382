"""The thesis's own numbers: its 31 numbered tables and the figures whose values it prints.

The data lie in ``published.json`` in the folder of each chapter, one table row a line, cells
exactly as printed: ``-`` is no value, ``**53.6**`` is bold, ``63.9 (65.8*)`` has a second value in
parentheses, and trailing marks (``*`` and the like) are explained in the table's notes. The notes
also name every inconsistency found inside the thesis or against the released code.

A column knows what it holds: its data set on the thesis's side and in the studio, its unit, and
whether more is better. So does a metric that stands in no table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from thesislib import book
from thesislib.config import FULL_SCALE
from thesislib.errors import ThesisError, choose
from thesislib.files import read_json

NO_VALUE = "–"  # in our tables
_NUMBER = r"(\d[\d,]*(?:\.\d+)?)([KM]?)([*†§]*)"
_CELL = re.compile(rf"^{_NUMBER}(?: \({_NUMBER}\))?$")


@dataclass(frozen=True)
class Cell:
    """One printed value."""

    text: str  # as printed, without the bold marks
    value: float | None  # None where a dash is printed; 31K is 31000
    decimals: int  # printed digits after the point
    bold: bool
    marks: str  # trailing *, dagger and the like
    second: float | None  # the value in parentheses


@dataclass(frozen=True)
class Metric:
    """A number that runs measure."""

    key: str  # in the metrics of our results
    name: str  # in a table of scores
    unit: str  # "%" for shares in [0, 1]; another unit; "" for none
    better: str  # higher, lower or none

    @property
    def factor(self) -> float:
        """From our results to the unit."""
        return 100.0 if self.unit == "%" else 1.0


@dataclass(frozen=True)
class Column:
    """One column of values."""

    key: str  # unique in its table
    name: str
    unit: str  # "%" or another unit; "" for none
    better: str  # higher, lower or none
    metric: str | None  # name in the metrics of our results; None: not measured by us
    data: tuple[str | None, str | None]  # data set of the thesis, and of the studio; None: none
    decimals: int  # the most that a cell of this column prints
    ours: str  # its name without the thesis's data set

    def dataset(self, profile: str) -> str | None:
        """The data set on which runs of a profile are measured for this column."""
        return _dataset(self.data, profile)

    def named(self, dataset: str | None) -> str:
        """Its name over results of a data set: the thesis's only where that is its own."""
        return self.name if dataset == self.data[0] else self.ours


def _dataset(data: tuple[str | None, str | None], profile: str) -> str | None:
    return data[0] if profile in FULL_SCALE else data[1]


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    key: str | None  # row of our ledger, e.g. "dpc/5pred3"; None for other people's methods
    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    metrics: tuple[str | None, ...]  # of each cell; a frozen and a fine-tuned row can differ
    studio: bool  # whether the studio can stand in for its data


@dataclass(frozen=True)
class Table:
    """A numbered table of the thesis."""

    number: str  # e.g. "2.1"
    chapter: int
    section: str  # where it is discussed
    title: str  # our words
    labels: tuple[str, ...]  # names of the columns that describe a row
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    data: tuple[str | None, str | None]  # of most of its columns

    def row(self, key: str) -> Row:
        """The first row with this key of our ledger.

        Raises:
            ThesisError: No row of this table has it.
        """
        known = [row.key for row in self.rows if row.key]
        choose(f"row of Table {self.number}", key, known)
        return next(row for row in self.rows if row.key == key)

    def cell(self, key: str, column: str) -> Cell:
        """The cell of a row (by its key) and a column (by its key).

        Raises:
            ThesisError: Unknown row or column.
        """
        names = [c.key for c in self.columns]
        choose(f"column of Table {self.number}", column, names)
        return self.row(key).cells[names.index(column)]

    def printed(self, key: str, metric: str) -> str:
        """What it prints for a row and a metric, which may stand in several columns or lines.

        The first column counts: the table's own data set. A dash where the thesis has no number.
        """
        texts: dict[str, str] = {}
        for row in (row for row in self.rows if row.key == key):
            for name, cell in zip(row.metrics, row.cells, strict=True):
                if name:
                    texts.setdefault(name, NO_VALUE if cell.value is None else cell.text)
        return texts.get(metric, NO_VALUE)

    def dataset(self, metric: str, profile: str) -> str | None:
        """The data set on which a metric of this table is measured: of its first such column."""
        for i, column in enumerate(self.columns):
            if metric in (row.metrics[i] for row in self.rows):
                return column.dataset(profile)
        return _dataset(self.data, profile)

    def runs_in(self, row: Row, column: int, profile: str) -> bool:
        """Whether runs of a profile can fill a cell."""
        full = profile in FULL_SCALE
        known = self.columns[column].dataset(profile) is not None and (full or row.studio)
        return bool(
            row.key and row.metrics[column] and known and row.cells[column].value is not None
        )


@dataclass(frozen=True)
class Figure:
    """A result figure, with the values that the text or the caption prints."""

    number: str
    chapter: int
    title: str
    x: str  # the horizontal axis
    series: dict[str, tuple[float | None, ...]]  # None: drawn but not printed
    says: str  # what the text says about it, our words
    notes: tuple[str, ...]
    data: tuple[str | None, str | None]  # data set of the thesis, and of the studio

    def dataset(self, metric: str, profile: str) -> str | None:
        """The data set on which it is measured."""
        return _dataset(self.data, profile)


def table(number: str) -> Table:
    """One numbered table, e.g. ``table("2.1")``.

    Raises:
        ThesisError: There is no such table (with the nearest number).
    """
    found = _tables()
    return found[choose("table of the thesis", _plain(number, "table"), found)]


def tables(chapter: int | None = None) -> tuple[Table, ...]:
    """All tables in order, or those of one chapter."""
    return tuple(t for t in _tables().values() if chapter in (None, t.chapter))


def figure(number: str) -> Figure:
    """One result figure, e.g. ``figure("2.3")``.

    Raises:
        ThesisError: The figure is unknown or prints no result.
    """
    found = _figures()
    return found[choose("result figure of the thesis", _plain(number, "figure"), found)]


def _plain(number: str, word: str) -> str:
    return re.sub(rf"^\s*{word}\s*", "", str(number), flags=re.IGNORECASE).strip()


def metric(key: str) -> Metric:
    """What is known of a metric: of its own, or of the first column that holds it.

    Raises:
        ThesisError: Nobody has said what it is (with the nearest metric).
    """
    found = metrics()
    return found[choose("metric", key, found)]


def metrics() -> dict[str, Metric]:
    """Every metric by name: first those that tables of scores show, in their order."""
    return dict(_metrics(tuple(one.package for one in book.CHAPTERS.values())))


@cache
def _metrics(packages: tuple[str, ...]) -> dict[str, Metric]:
    found = {m.key: m for package in packages for m in _chapter(package).metrics}
    for one in (table for package in packages for table in _chapter(package).tables.values()):
        for i, column in enumerate(one.columns):
            for key in filter(None, (row.metrics[i] for row in one.rows)):
                found.setdefault(key, Metric(key, column.ours, column.unit, column.better))
    return found


def home(row: str, profile: str) -> str | None:
    """The data set on which a row is judged: that of the first table that has it."""
    for one in tables():
        if any(line.key == row for line in one.rows):
            return _dataset(one.data, profile)
    return None


class _Chapter(NamedTuple):
    """What the file of a chapter holds."""

    tables: dict[str, Table]
    figures: dict[str, Figure]
    metrics: tuple[Metric, ...]


@cache
def _chapter(package: str) -> _Chapter:
    file = Path(str(resources.files(package).joinpath("published.json")))
    raw = read_json(file, "install the package again.") if file.is_file() else {}
    figures = [
        Figure(
            **figure
            | {name: tuple(figure[name]) for name in ("notes", "data")}
            | {"series": {name: tuple(values) for name, values in figure["series"].items()}}
        )
        for figure in raw.get("figures", ())
    ]
    return _Chapter(
        {table["number"]: _table(table) for table in raw.get("tables", ())},
        {figure.number: figure for figure in figures},
        tuple(Metric(**metric) for metric in raw.get("metrics", ())),
    )


def _tables() -> dict[str, Table]:
    return {n: t for one in book.CHAPTERS.values() for n, t in _chapter(one.package).tables.items()}


def _figures() -> dict[str, Figure]:
    found = [_chapter(one.package).figures for one in book.CHAPTERS.values()]
    return {number: figure for some in found for number, figure in some.items()}


def _table(raw: dict[str, Any]) -> Table:
    rows = []
    for line in raw["rows"]:
        if len(line["cells"]) != len(raw["columns"]) or len(line["labels"]) != len(raw["labels"]):
            raise ThesisError(
                f"Table {raw['number']}: the row {line['labels']} has a cell too few."
            )
        own = line.get("metrics", [c["metric"] for c in raw["columns"]])
        cells = tuple(_cell(text) for text in line["cells"])
        studio = line.get("studio", True)
        rows.append(Row(line["key"], tuple(line["labels"]), cells, tuple(own), studio))
    data = tuple(raw.get("data", (None, None)))
    columns = tuple(
        Column(
            **column
            | {
                "data": tuple(column.get("data", data)),
                "ours": column.get("ours", column["name"]),
                "decimals": max(row.cells[i].decimals for row in rows),
            }
        )
        for i, column in enumerate(raw["columns"])
    )
    texts = {name: raw[name] for name in ("number", "chapter", "section", "title")}
    return Table(
        **texts,
        labels=tuple(raw["labels"]),
        columns=columns,
        rows=tuple(rows),
        notes=tuple(raw["notes"]),
        data=data,
    )


def _cell(text: str) -> Cell:
    bold = text.startswith("**")
    text = text.strip("*") if bold else text
    if text == "-":
        return Cell("-", None, 0, bold, "", None)
    match = _CELL.match(text)
    if match is None:
        raise ThesisError(f"A published value cannot be read: {text!r}.")
    number, suffix, marks, second, second_suffix, _ = match.groups()
    decimals = len(number.partition(".")[2])
    return Cell(
        text=text,
        value=_value(number, suffix),
        decimals=0 if suffix else decimals,
        bold=bold,
        marks=marks,
        second=None if second is None else _value(second, second_suffix),
    )


def _value(number: str, suffix: str) -> float:
    return float(number.replace(",", "")) * {"": 1, "K": 1e3, "M": 1e6}[suffix]
