"""The strict build: the book of this checkout, and what happens when something is wrong."""

from __future__ import annotations

import os
import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

import book
import notebooks
import pages
from execute import Failure
from thesislib import published

REPO = Path(__file__).resolve().parents[2]
# A script, stylesheet, font, frame or picture from another place; links for a reader to follow
# (`<a href>`) are none of these.
OUTSIDE = re.compile(
    r"""<(?:script|link|img|iframe|source|video)\b[^>]*?(?:src|href)=["'](?:https?:)?//[^"']+"""
    r"""|(?:url\(|@import\s*)["']?(?:https?:)?//[^"')]+"""
)


def test_the_book_opens_on_the_welcome_page(built: Path) -> None:
    assert "book/welcome.html" in (built / "index.html").read_text()
    for page in (
        "book/welcome",
        "notebooks/01_primer",
        "notebooks/02_dpc",
        "notebooks/03_memdpc",
        "book/results",
    ):
        assert (built / f"{page}.html").is_file()


def test_nothing_is_loaded_from_another_place(built: Path) -> None:
    found = []
    for path in [*built.rglob("*.html"), *built.rglob("*.css")]:
        if "mathjax" not in path.parts:
            found += [f"{path.name}: {hit}" for hit in OUTSIDE.findall(path.read_text())]
    assert found == []


def test_maths_is_served_from_the_book(built: Path) -> None:
    page = (built / "book" / "notation.html").read_text()
    (source,) = re.findall(r'src="([^"]*tex-mml-chtml\.js[^"]*)"', page)
    script = (built / "book" / source.split("?")[0]).resolve()
    assert script.is_file() and script.is_relative_to(built.resolve())
    assert list(script.parent.glob("output/chtml/fonts/woff-v2/*.woff"))


def test_the_pages_show_the_ledger(built: Path) -> None:
    """Each generated part is in its page: none was lost on the way."""
    from thesislib.ledger import Ledger

    results = (built / "book" / "results.html").read_text()
    for chapter in (2, 3, 4, 5):
        for table in published.tables(chapter):
            assert f"Table {table.number}" in results
    # Chapter 4's numbers stand under its own world, not under chapter 2's.
    section = results[results.index('id="tab-4-3"') :]
    assert section.index("data set synthetic_rooms,") < section.index("<table")
    status = (built / "book" / "status.html").read_text()
    for entry in Ledger.load().entries:
        assert entry.method in status


def test_every_public_module_is_in_the_manual(built: Path) -> None:
    manual = "".join(page.read_text() for page in (built / "book" / "api").glob("*.html"))
    for module in pages.public_modules():
        assert f'id="module-{module}"' in manual
    for name in ("methods.dpc.DPC", "losses.dense_nce", "train.fit", "viz.contact_sheet"):
        assert manual.count(f'id="thesislib.{name}"') == 1


def test_every_link_within_the_book_leads_somewhere(built: Path) -> None:
    """To a file that is there, and in it to an anchor: from prose to code and back as well."""
    there: dict[Path, set[str]] = {}
    for path in built.rglob("*.html"):
        if not {"mathjax", "_static"} & set(path.relative_to(built).parts):
            there[path.resolve()] = set(re.findall(r'\s(?:id|name)="([^"]+)"', path.read_text()))
    broken, known = [], set(built.resolve().rglob("*"))
    for path in there:
        for link in re.findall(r'<a [^>]*href="([^"]+)"', path.read_text()):
            if re.match("[a-z]+:", link):
                continue
            file, _, anchor = unquote(unescape(link)).partition("#")
            target = Path(os.path.normpath(path.parent / file)) if file else path
            if target not in known or (anchor and anchor not in there.get(target, {anchor})):
                broken.append(f"{path.name}: {link}")
    assert broken == []


def test_pages_are_light_and_each_has_a_title_of_its_own(built: Path) -> None:
    for path in [*built.glob("book/**/*.html"), *built.glob("notebooks/*.html")]:
        assert path.stat().st_size < 500_000, path
        (title,) = re.findall("<title>(.*?) &#8212; (.*?)</title>", path.read_text())
        assert title[0] != title[1]
    # Instead of the theme's 1.5 MB of icons; its style sheet must know those that pages use.
    assert (built / "_static" / "scripts" / "fontawesome.js").stat().st_size < 1000
    icons = set(re.findall(r"\bfa-[a-z-]+", (built / "book" / "welcome.html").read_text()))
    style = (built / "_static" / "styles" / "pydata-sphinx-theme.css").read_text()
    assert {icon for icon in icons if f".{icon}" not in style} == set() and "fa-bars" in icons


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
