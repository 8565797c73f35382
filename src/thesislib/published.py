"""The thesis's own numbers: its 31 numbered tables and the figures whose values it prints.

The data lie in ``published_tables.json`` beside this file, one table row a line, cells exactly as
printed: ``-`` is no value, ``**53.6**`` is bold, ``63.9 (65.8*)`` has a second value in
parentheses, and trailing marks (``*`` and the like) are explained in the table's notes. The notes
also name every inconsistency found inside the thesis or against the released code.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from thesislib.config import choose
from thesislib.errors import ThesisError

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
class Column:
    """One column of values."""

    key: str  # unique in its table
    name: str
    unit: str  # "%" or another unit; "" for none
    better: str  # higher, lower or none
    metric: str | None  # name in the metrics of our results; None: not measured by us
    decimals: int  # the most that a cell of this column prints


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    key: str | None  # row of our ledger, e.g. "dpc/5pred3"; None for other people's methods
    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    metrics: tuple[str | None, ...]  # of each cell; a frozen and a fine-tuned row can differ


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


def figures(chapter: int | None = None) -> tuple[Figure, ...]:
    """All result figures in order, or those of one chapter."""
    return tuple(f for f in _figures().values() if chapter in (None, f.chapter))


def _plain(number: str, word: str) -> str:
    return re.sub(rf"^\s*{word}\s*", "", str(number), flags=re.IGNORECASE).strip()


@cache
def _raw() -> dict[str, list[dict]]:
    file = resources.files("thesislib").joinpath("published_tables.json")
    return json.loads(file.read_text(encoding="utf-8"))


@cache
def _tables() -> dict[str, Table]:
    return {raw["number"]: _table(raw) for raw in _raw()["tables"]}


@cache
def _figures() -> dict[str, Figure]:
    return {
        raw["number"]: Figure(
            **(raw | {"notes": tuple(raw["notes"])})
            | {"series": {name: tuple(values) for name, values in raw["series"].items()}}
        )
        for raw in _raw()["figures"]
    }


def _table(raw: dict) -> Table:
    rows = []
    for line in raw["rows"]:
        if len(line["cells"]) != len(raw["columns"]) or len(line["labels"]) != len(raw["labels"]):
            raise ThesisError(
                f"Table {raw['number']}: the row {line['labels']} has a cell too few."
            )
        metrics = line.get("metrics", [c["metric"] for c in raw["columns"]])
        cells = tuple(_cell(text) for text in line["cells"])
        rows.append(Row(line["key"], tuple(line["labels"]), cells, tuple(metrics)))
    columns = tuple(
        Column(**column, decimals=max(row.cells[i].decimals for row in rows))
        for i, column in enumerate(raw["columns"])
    )
    return Table(
        number=raw["number"],
        chapter=raw["chapter"],
        section=raw["section"],
        title=raw["title"],
        labels=tuple(raw["labels"]),
        columns=columns,
        rows=tuple(rows),
        notes=tuple(raw["notes"]),
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
