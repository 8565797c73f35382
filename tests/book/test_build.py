"""The strict build, on little books: what happens when something changes or is wrong."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

import book
import notebooks
import pages
from execute import Failure

REPO = Path(__file__).resolve().parents[2]


# -- a book of one page --------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A staged book of one page, with our own configuration."""
    staged = tmp_path / "stage"
    (staged / "book" / "_static").mkdir(parents=True)
    shutil.copy(REPO / "_config.yml", staged)
    shutil.copy(REPO / "book" / "references.bib", staged / "book")
    shutil.copy(REPO / "book" / "_static" / "book.css", staged / "book" / "_static")
    (staged / "book" / "_vendor").mkdir()
    (staged / "_toc.yml").write_text("format: jb-book\nroot: book/page\n")
    (staged / "book" / "page.md").write_text("# A page\n\nText.\n")
    return staged


def test_a_warning_stops_the_build_again_and_again(small: Path, capsys) -> None:
    log = small.parent / "log.txt"
    page = small / "book" / "page.md"
    page.write_text("# A page\n\nSee {ref}`nowhere`.\n")
    for _ in range(2):  # Sphinx itself would forget the warning once it has read the page
        with pytest.raises(Failure, match=re.escape(str(log))):
            book.html(small, small.parent, log)
        assert "nowhere" in capsys.readouterr().err
    page.write_text("# A page\n\nText.\n")
    assert book.html(small, small.parent, log).is_file()


def test_when_pages_move_their_code_is_written_anew(small: Path) -> None:
    """Sphinx keeps a page of code as long as the code is older, whatever it links to."""
    log, toc = small.parent / "log.txt", small / "_toc.yml"
    code = book.html(small, small.parent, log).parent / "_modules" / "old.html"
    code.parent.mkdir(exist_ok=True)
    code.touch()
    book.html(small, small.parent, log)
    assert code.is_file()
    toc.write_text(toc.read_text() + "# another order\n")
    book.html(small, small.parent, log)
    assert not code.is_file()


def test_a_chapter_runs_once_until_something_changes(checkout: Path, capsys) -> None:
    (pair,) = notebooks.pairs(checkout)
    notebooks.sync(pair)
    data, results, build = checkout / "data", checkout / "results", checkout / "_build"
    committed = pair.notebook.read_bytes()

    def run() -> str:
        out = book.run_chapter(pair, checkout, build, data, results)
        assert notebooks.read(out).cells[3].outputs[0].text == "seed 0\n"
        return capsys.readouterr().out

    assert "running" in run()
    assert "unchanged" in run()
    library = checkout / "src" / "thesislib" / "code.py"
    library.write_text("a = 2\n")
    assert "running" in run()
    assert "unchanged" in run()
    results.mkdir()
    (results / "row.json").write_text("{}")
    assert "running" in run()
    (data / "synthetic").mkdir(parents=True)
    (data / "synthetic" / "manifest.csv").write_text("path\n")
    assert "running" in run()
    assert "unchanged" in run()
    (build / "executed" / "01_page.ipynb").unlink()  # as after a kill between the two files
    assert "running" in run()
    assert pair.notebook.read_bytes() == committed


def test_staging_touches_only_what_changed(checkout: Path) -> None:
    (checkout / "book").mkdir()
    for name in ("_config.yml", "_toc.yml"):
        (checkout / name).write_text("a: 1\n")
    (checkout / "book" / "page.md").write_text("# A page\n")
    (pair,) = notebooks.pairs(checkout)
    notebooks.sync(pair)
    target = checkout / "_build" / "stage"
    chapters = {pair.name: pair.notebook}
    book.stage(checkout, target, chapters, {})
    old = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()}
    assert target / "notebooks" / "01_page.ipynb" in old
    (checkout / "book" / "page.md").write_text("# Another\n")
    stale = target / "book" / "gone.md"
    stale.write_text("no longer there")
    os.sync()
    book.stage(checkout, target, chapters, {})
    new = {path: path.stat().st_mtime_ns for path in target.rglob("*") if path.is_file()}
    assert {path.name for path in new if new[path] != old[path]} == {"page.md"}
    assert not stale.exists()


def test_status_says_what_was_measured() -> None:
    at = {
        "minutes": 3.2,
        "device": "CPU",
        "cpu": "2 cores",
        "python": "3.11.7",
        "date": "2026-11-23",
        "versions": {"torch": "2.13.0"},
    }
    assert "| 02_dpc | 3.2 | CPU | 2 cores | 2026-11-23 |" in pages.chapters({"02_dpc": at})
    assert "| torch | 2.13.0 |" in pages.versions({"02_dpc": at})
    assert pages.chapters({}) == pages.NOTHING
