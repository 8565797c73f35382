"""Notebooks and their text twins: the machinery on a page of our own, the rules on the record."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import execute
import notebooks
from notebooks import Pair

REPO = Path(__file__).resolve().parents[2]
PAIRS = notebooks.pairs(REPO)


def page(root: Path) -> Pair:
    (pair,) = notebooks.pairs(root)
    return pair


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    # Later than anything written before, whatever the clock of the file system.
    later = max(p.stat().st_mtime for p in path.parents[1].rglob("*.*")) + 10
    os.utime(path, (later, later))


def test_sync_writes_the_notebook_and_settles(checkout: Path) -> None:
    pair = page(checkout)
    assert "missing" in notebooks.difference(pair)
    assert "written from the text" in notebooks.sync(pair)
    assert notebooks.difference(pair) == ""
    before = pair.notebook.read_bytes(), pair.text.read_bytes()
    assert notebooks.sync(pair) == ""
    assert (pair.notebook.read_bytes(), pair.text.read_bytes()) == before
    cells = notebooks.read(pair.notebook).cells
    assert [c.cell_type for c in cells] == ["markdown", "code", "markdown", "code"]
    assert cells[1].metadata.tags == ["parameters"]


def test_record_is_byte_identical_and_sync_keeps_outputs_of_unchanged_code(checkout: Path) -> None:
    pair = page(checkout)
    notebooks.sync(pair)
    notebooks.record(pair, checkout)
    first = pair.notebook.read_bytes()
    notebooks.record(pair, checkout)
    assert pair.notebook.read_bytes() == first
    assert notebooks.difference(pair) == ""  # nothing of an execution leaks into the text
    assert notebooks.read(pair.notebook).cells[3].outputs[0].text == "seed 0\n"

    edit(pair.text, "Some more text.", "Other words.")
    edit(pair.text, "seed = 0", "seed = 1")
    notebooks.sync(pair)
    cells = notebooks.read(pair.notebook).cells
    assert cells[2].source == "Other words."
    assert cells[1].execution_count is None  # its code changed
    assert cells[3].outputs[0].text == "seed 0\n"  # its code did not


def test_a_notebook_edited_last_is_not_overwritten(checkout: Path) -> None:
    pair = page(checkout)
    notebooks.sync(pair)
    edit(pair.notebook, "Some text", "Edited in Lab")
    with pytest.raises(SystemExit):
        notebooks.sync(pair)
    notebooks.sync(pair, "notebook")
    assert "Edited in Lab" in pair.text.read_text()
    assert notebooks.difference(pair) == ""


def test_a_difference_is_named_with_its_line(checkout: Path) -> None:
    pair = page(checkout)
    notebooks.sync(pair)
    edit(pair.text, "seed = 0", "seed = 2")
    sentence = notebooks.difference(pair)
    line = pair.text.read_text().splitlines().index("seed = 2") + 1
    assert f"from line {line} of 01_page.md" in sentence and "'seed = 2'" in sentence


def test_the_text_is_what_jupytext_itself_writes(checkout: Path) -> None:
    pair = page(checkout)
    notebooks.sync(pair)
    (checkout / "jupytext.toml").write_bytes((REPO / "jupytext.toml").read_bytes())
    command = [sys.executable, "-m", "jupytext", "--to", "md:myst", "--output", "-", pair.notebook]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=checkout)
    # jupytext also notes its own version in the header; ours would change with every release.
    text = re.sub(r"jupytext:\n(  .*\n)+", "", done.stdout)
    assert text == pair.text.read_text()


def test_a_failing_cell_is_one_sentence_and_keeps_the_record(checkout: Path) -> None:
    pair = page(checkout)
    notebooks.sync(pair)
    notebooks.record(pair, checkout)
    record = pair.notebook.read_bytes()
    edit(pair.text, 'print("seed", seed)', 'raise ValueError("no such thing")')
    broken = notebooks.from_text(pair.text.read_text())
    log = checkout / "log.txt"
    with pytest.raises(execute.Failure) as caught:
        execute.execute(broken, "01_page", checkout, log)
    sentence = str(caught.value)
    assert sentence.count("\n") == 0
    for part in ("01_page.ipynb", "code cell 2 of 2", "ValueError: no such thing", str(log)):
        assert part in sentence
    assert "no such thing" in log.read_text()
    assert pair.notebook.read_bytes() == record


def test_a_dead_kernel_is_one_sentence(checkout: Path) -> None:
    pair = page(checkout)
    edit(
        pair.text, 'print("seed", seed)', "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(execute.Failure, match=r"code cell 2 of 2 .* kernel died"):
        text = pair.text.read_text()
        execute.execute(notebooks.from_text(text), "01_page", checkout, checkout / "log.txt")


def test_an_unknown_chapter_names_the_known_ones(checkout: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        notebooks.pairs(checkout, ["07"])
    assert "01_page" in capsys.readouterr().err
    assert [p.name for p in notebooks.pairs(checkout, ["1"])] == ["01_page"]


# -- the chapters of this book ------------------------------------------------------------


def test_the_first_two_chapters_are_there() -> None:
    assert [pair.name for pair in PAIRS][:2] == ["01_primer", "02_dpc"]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
def test_twins_are_in_step(pair: Pair) -> None:
    assert notebooks.difference(pair) == ""


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
def test_the_record_is_complete(pair: Pair) -> None:
    """Executed once, from the first cell to the last, without an error, by `make record`."""
    notebook = notebooks.read(pair.notebook)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert "error" not in kinds
    tidied = nbformat.writes(notebooks.tidy(notebook), version=4) + "\n"
    assert pair.notebook.read_text() == tidied


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.name)
def test_the_cells_keep_to_the_house_style(pair: Pair) -> None:
    cells = notebooks.read(pair.notebook).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    tags = [set(cell.metadata.get("tags", ())) for cell in code]
    assert sum("parameters" in t for t in tags) == 1
    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    shown = [c for c, t in zip(code, tags, strict=True) if not t & {"remove-cell", "remove-input"}]
    assert len(shown) <= 15
    assert sum(len(cell.source.splitlines()) for cell in code) <= 150
    for cell in code:
        for bad in (r"^\s*class ", r"sys\.path", r"warnings\.", r"/home/", r"for epoch in"):
            assert not re.search(bad, cell.source, re.MULTILINE), cell.source
        for output in cell.outputs:
            picture = output.get("data", {}).get("image/png", "")
            assert len(picture) * 3 / 4 <= 150_000, "a figure has at most 150 kB"
