"""The notebooks: keep them in step with their text twins, execute them, record them.

notebooks/NN_name.ipynb holds the outputs (the record); notebooks/text/NN_name.md is what people
edit and review. The text decides the structure, the notebook keeps the outputs.

    python scripts/notebooks.py sync [--from text|notebook] [NN ...]
    python scripts/notebooks.py check [NN ...]
    python scripts/notebooks.py record [NN ...]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jupytext
import nbformat
from nbformat import NotebookNode

from execute import Failure, execute, machine

REPO = Path(__file__).resolve().parents[1]
FORMAT = "md:myst"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
# Cell metadata that belongs to the page; the filter of jupytext.toml names the same two.
KEPT = ("tags", "mystnb")
# What takes long when everything is trained anew: some 7, 6, 5, 4, 3, 2 and 1.5 minutes of
# processor. A record finds finished trainings and cannot tell.
LONG = ("04_coclr", "03_memdpc", "02_dpc", "08_autoad", "05_clip_prompt", "07_tan", "06_turbo")


@dataclass(frozen=True)
class Pair:
    """One chapter in both forms."""

    notebook: Path
    text: Path

    @property
    def name(self) -> str:
        """Such as ``02_dpc``."""
        return self.notebook.stem


def longest_first(chapters: Iterable[Pair]) -> list[Pair]:
    """In the order in which to start them side by side, so that none is left alone at the end."""
    place = {name: number for number, name in enumerate(LONG)}
    return sorted(chapters, key=lambda pair: place.get(pair.name, len(LONG)))


def stop(sentence: str) -> NoReturn:
    """End with one sentence on stderr and exit code 1."""
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


def pairs(root: Path, numbers: Iterable[str] = ()) -> list[Pair]:
    """All chapters under a checkout, in reading order, or those whose number is given.

    Args:
        root: the checkout.
        numbers: such as ``["02"]``, ``["2"]`` or ``["02_dpc"]``; empty for all.
    """
    folder = root / "notebooks"
    names = {path.stem for path in folder.glob("[0-9]*.ipynb")}
    names |= {path.stem for path in (folder / "text").glob("[0-9]*.md")}
    found = [Pair(folder / f"{n}.ipynb", folder / "text" / f"{n}.md") for n in sorted(names)]
    wanted = list(numbers)
    if not wanted:
        return found
    chosen = []
    for number in wanted:
        match = [p for p in found if number == p.name or _same_number(number, p.name)]
        if not match:
            there = ", ".join(p.name for p in found) or "none"
            stop(f"There is no chapter {number!r} in {folder}: there are {there}.")
        chosen += match
    return chosen


def _same_number(number: str, name: str) -> bool:
    return number.isdigit() and int(number) == int(name.split("_")[0])


# -- twins ---------------------------------------------------------------------------------


def tidy(notebook: NotebookNode) -> NotebookNode:
    """A copy that holds nothing but the page: no times, versions, widgets or random cell ids.

    Cell ids are made from the text of the cell, so that a change in one cell shows as that.
    """
    cells = []
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] = seen.get(digest, 0) + 1
        kept = {key: cell.metadata[key] for key in KEPT if key in cell.metadata}
        new: dict[str, Any] = {
            "cell_type": cell.cell_type,
            "id": digest if seen[digest] == 1 else f"{digest}-{seen[digest]}",
            "metadata": kept,
            "source": cell.source,
        }
        if cell.cell_type == "code":
            new["execution_count"] = cell.get("execution_count")
            new["outputs"] = [_tidy_output(output) for output in cell.get("outputs", [])]
        cells.append(new)
    page = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    # The order of keys as in a notebook file, so that memory and disk give the same text.
    return nbformat.from_dict(json.loads(json.dumps(page, sort_keys=True)))


def _tidy_output(output: NotebookNode) -> NotebookNode:
    # The transient part and display ids only mean something to a running kernel.
    return nbformat.from_dict({k: v for k, v in output.items() if k != "transient"})


def to_text(notebook: NotebookNode) -> str:
    """The text twin of a notebook, as jupytext writes it under our filters."""
    plain = tidy(notebook)
    filters = {
        "notebook_metadata_filter": "kernelspec,-all",
        "cell_metadata_filter": ",".join((*KEPT, "-all")),
    }
    plain.metadata = nbformat.from_dict({**METADATA, "jupytext": filters})
    text: str = jupytext.writes(plain, fmt=FORMAT)
    return text


def from_text(text: str) -> NotebookNode:
    """A notebook without outputs from the text of a twin."""
    return tidy(jupytext.reads(text, fmt=FORMAT))


def with_outputs(structure: NotebookNode, record: NotebookNode) -> NotebookNode:
    """The structure of one notebook with the outputs of another, where the code is the same."""
    known: dict[str, list[NotebookNode]] = {}
    for cell in record.cells:
        if cell.cell_type == "code":
            known.setdefault(cell.source, []).append(cell)
    for cell in structure.cells:
        if cell.cell_type == "code" and known.get(cell.source):
            old = known[cell.source].pop(0)
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    return structure


def read(path: Path) -> NotebookNode:
    """A notebook file in the current format."""
    return nbformat.read(path, as_version=4)


def write(notebook: NotebookNode, path: Path) -> None:
    """Writes a tidied notebook, all or nothing; a file that is right already is not touched."""
    write_text(path, nbformat.writes(tidy(notebook), version=4) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file, all or nothing, unless it holds this text already."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def difference(pair: Pair) -> str:
    """One sentence on how a pair differs, empty if it is in step."""
    if not pair.notebook.is_file():
        return f"{pair.name}: the notebook is missing; make sync writes it"
    if not pair.text.is_file():
        return f"{pair.name}: the text twin is missing; make sync writes it"
    # Both in the form that sync writes: Lab adds a header of its own, authors other blank lines.
    found = to_text(from_text(pair.text.read_text(encoding="utf-8"))).splitlines()
    expected = to_text(read(pair.notebook)).splitlines()
    if found == expected:
        return ""
    both = zip(found, expected, strict=False)
    line = next((i for i, (a, b) in enumerate(both) if a != b), min(len(found), len(expected)))
    in_text = found[line] if line < len(found) else "(end)"
    in_notebook = expected[line] if line < len(expected) else "(end)"
    return (
        f"{pair.name}: text and notebook differ from line {line + 1} of {pair.text.name}: "
        f"{in_text!r} in the text, {in_notebook!r} from the notebook; make sync mends it"
    )


def sync(pair: Pair, source: str = "") -> str:
    """Brings one pair in step; the text decides unless the notebook was edited after it.

    Args:
        pair: the chapter.
        source: "text" or "notebook" to say which of two differing files to keep.

    Returns:
        What was done, in words; empty if nothing was to do.
    """
    if not difference(pair):
        # The page is the same, but another tool may have saved it in its own way.
        notebook = read(pair.notebook)
        write(notebook, pair.notebook)
        write_text(pair.text, to_text(notebook))
        return ""
    if not source and pair.notebook.is_file() and pair.text.is_file():
        if pair.notebook.stat().st_mtime > pair.text.stat().st_mtime:
            stop(
                f"{pair.name}: notebook and text differ and the notebook was saved last; say "
                "which to keep: make sync FROM=notebook or make sync FROM=text."
            )
        source = "text"
    if source == "notebook" or not pair.text.is_file():
        notebook = read(pair.notebook)
        write(notebook, pair.notebook)
        write_text(pair.text, to_text(notebook))
        return f"{pair.name}: text written from the notebook"
    structure = from_text(pair.text.read_text(encoding="utf-8"))
    if pair.notebook.is_file():
        structure = with_outputs(structure, read(pair.notebook))
    write(structure, pair.notebook)
    write_text(pair.text, to_text(structure))
    return f"{pair.name}: notebook written from the text, outputs kept where the code is the same"


# -- record --------------------------------------------------------------------------------


def record(pair: Pair, root: Path) -> str:
    """Executes a notebook in place: its outputs become the committed record.

    A failed execution leaves the old record as it was. Minutes and machine go to
    notebooks/record.json, since they differ each time and the pages must not.
    """
    log = root / "_build" / "logs" / f"{pair.name}.log"
    start = time.perf_counter()
    done = execute(read(pair.notebook), pair.name, pair.notebook.parent, log, threads=1)
    minutes = round((time.perf_counter() - start) / 60, 1)
    write(done, pair.notebook)
    path = root / "notebooks" / "record.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known[pair.name] = {"minutes": minutes, **machine()}
    write_text(path, json.dumps(known, indent=1, sort_keys=True) + "\n")
    hero(pair, root)
    return f"{pair.name}: recorded in {minutes} minutes"


HERO = ("03_memdpc", "fig-memdpc-memory", "book/_static/hero.png")


def hero(pair: Pair, root: Path) -> None:
    """Copies one recorded figure to the picture of README and welcome page."""
    name, label, target = HERO
    if pair.name != name:
        return
    for cell in read(pair.notebook).cells:
        if cell.metadata.get("mystnb", {}).get("figure", {}).get("name") == label:
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    picture = base64.b64decode(output["data"]["image/png"])
                    (root / target).write_bytes(picture)


def main(argv: list[str] | None = None) -> int:
    """Runs one of the three commands."""
    top = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    top.add_argument("--root", type=Path, default=REPO, help="the checkout")
    commands = top.add_subparsers(dest="command", required=True)
    for name in ("sync", "check", "record"):
        command = commands.add_parser(name)
        command.add_argument("numbers", nargs="*", metavar="NN")
        if name == "sync":
            command.add_argument("--from", dest="source", choices=("text", "notebook"), default="")
    args = top.parse_args(argv)
    chosen = pairs(args.root, args.numbers)
    if args.command == "check":
        wrong = [text for text in map(difference, chosen) if text]
        print("\n".join(wrong) or f"{len(chosen)} notebooks in step with their text")
        return 1 if wrong else 0
    for pair in chosen:
        done = sync(pair, getattr(args, "source", ""))
        if done:
            print(done)
        if args.command == "record":
            try:
                print(record(pair, args.root), flush=True)
            except Failure as failure:
                stop(f"make record: {failure}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
