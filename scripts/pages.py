"""Parts of the prose pages that come from runs: the ledger's tables, the claims, the status.

Each fragment is MyST text that a page includes; it is written into the staged book, never into
the repository, so that a page cannot show a number that the ledger does not hold.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any

NOTHING = "Nothing has been run yet.\n"
# The rooms of the library in the order in which a reader meets them; the rest follows by name.
ROOMS = {
    "methods": "Methods",
    "losses": "Losses",
    "nn": "Networks",
    "config": "Settings of a run",
    "clip_config": "Settings of clips",
    "data": "Data",
    "synthetic": "The studio",
    "train": "Training",
    "optimiser": "The optimiser",
    "checkpoint": "Runs on disk",
    "chapters": "Rows of the tables, and what chapters show",
    "evaluation": "Evaluation",
    "book": "The chapters as data",
    "published": "The thesis's numbers",
    "ledger": "The ledger",
    "report": "Tables",
    "claims": "Claims",
    "intervals": "Intervals",
    "viz": "Figures",
}


def fragments(minutes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """All generated parts by file name.

    Args:
        minutes: minutes and machine of each executed notebook.
    """
    from thesislib import report
    from thesislib.ledger import Ledger

    ledger = Ledger.load()
    return {
        "tables.md": tables(report, ledger),
        "coverage.md": coverage(ledger),
        "claims.md": table(report.claims_frame(report.claims(ledger)), report),
        "ledger.md": table(report.status_frame(ledger), report),
        "chapters.md": chapters(minutes),
        "versions.md": versions(minutes),
        "baselines.md": baselines(),
        "api.md": api(),
    }


def table(frame: Any, report: Any) -> str:
    """A frame as a MyST table, or a sentence where it has no rows."""
    return NOTHING if frame.empty else str(report.to_markdown(frame))


def tables(report: Any, ledger: Any) -> str:
    """The thesis's tables of the written chapters, ours beside them."""
    from thesislib import book, published

    parts = []
    for chapter in (one.number for one in book.CHAPTERS.values() if one.written and one.headline):
        parts.append(f"## Chapter {chapter}\n")
        for number in (one.number for one in published.tables(chapter)):
            frame = report.thesis_table(number, ledger=ledger)
            notes = frame.attrs.pop("notes", [])
            # The thesis numbers its tables; a second number from the book would only confuse.
            title, _, rest = frame.attrs["caption"].partition(". ")
            label = f"tab-{number.replace('.', '-')}"
            parts.append(f"({label})=\n### {title}\n\n{rest}\n\n{report.to_markdown(frame)}")
            if notes:
                body = "\n".join(f"- {note}" for note in notes)
                parts.append(f":::{{dropdown}} Notes on Table {number}\n{body}\n:::\n")
    return "\n".join(parts)


def coverage(ledger: Any) -> str:
    """How far every numbered table of the thesis is reproduced: rows of ours that have a result."""
    from thesislib import published

    known = {entry.row for entry in ledger.entries}
    lines = ["| table | chapter | title | rows that can be run | run |", "|---|---|---|---|---|"]
    for found in published.tables():
        ours = {row.key for row in found.rows if row.key}
        rows = str(len(ours)) if ours else "none yet"
        run = str(len(ours & known)) if ours & known else "not run"
        lines.append(f"| {found.number} | {found.chapter} | {found.title} | {rows} | {run} |")
    return "\n".join(lines) + "\n"


def chapters(minutes: Mapping[str, Mapping[str, Any]]) -> str:
    """Minutes, device and date of each notebook's last execution."""
    if not minutes:
        return NOTHING
    lines = ["| chapter | minutes | device | processor | date |", "|---|---|---|---|---|"]
    for name, at in sorted(minutes.items()):
        lines.append(f"| {name} | {at['minutes']} | {at['device']} | {at['cpu']} | {at['date']} |")
    return "\n".join(lines) + "\n"


def versions(minutes: Mapping[str, Mapping[str, Any]]) -> str:
    """The packages that the chapters were executed with."""
    if not minutes:
        return NOTHING
    found: dict[str, set[str]] = {}
    for at in minutes.values():
        for name, version in {"python": at["python"], **at["versions"]}.items():
            found.setdefault(name, set()).add(version)
    lines = ["| package | version |", "|---|---|"]
    lines += [f"| {name} | {', '.join(sorted(v))} |" for name, v in found.items()]
    return "\n".join(lines) + "\n"


def baselines() -> str:
    """What the simplest readers of the synthetic data reach on its test split, in percent."""
    from thesislib.chapters.world.show import world_page

    return world_page("synthetic").text


def api() -> str:
    """Every public module of the library, room by room, for autodoc to fill in."""
    import thesislib

    names = [m.name for m in pkgutil.walk_packages(thesislib.__path__, "thesislib.")]
    rooms: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name in names:
        parts = name.split(".")[1:]
        if not any(part.startswith("_") for part in parts):
            rooms.setdefault(parts[0], []).append(name)
    sections = []
    for room, modules in rooms.items():
        body = "\n\n".join(f".. automodule:: {name}" for name in modules)
        if body:
            title = ROOMS.get(room, room.replace("_", " ").capitalize())
            sections.append(f"## {title}\n\n```{{eval-rst}}\n{body}\n```\n")
    return "\n".join(sections)
