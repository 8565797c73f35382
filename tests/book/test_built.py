"""The book of this checkout as it was built: its files, and its pages in a browser.

All that looks at the whole book stands in this one file: a file is one process's, and a build takes
minutes.
"""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import pages
from looking import PHONE, look, needs_browser
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


# -- in a browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def looked(built: Path) -> tuple[list[dict[str, Any]], list[str]]:
    found = [*built.glob("book/**/*.html"), *built.glob("notebooks/*.html")]
    pages = [path.relative_to(built).as_posix() for path in sorted(found)]
    for page in ("notebooks/02_dpc", "book/welcome", "book/api/methods"):
        assert f"{page}.html" in pages
    return look(built, pages)


@pytest.fixture(scope="module")
def seen(looked: tuple[list[dict[str, Any]], list[str]]) -> list[dict[str, Any]]:
    return looked[0]


@needs_browser
def test_no_page_has_an_error(looked: tuple[list[dict[str, Any]], list[str]]) -> None:
    assert looked[1] == []


@needs_browser
def test_words_stand_out_from_their_ground(seen: list[dict[str, Any]]) -> None:
    """By day and by night, as WCAG 2.1 asks of level AA."""
    bad = {(v["page"], theme): v["faint"][theme] for v in seen for theme in ("light", "dark")}
    assert {where: what for where, what in bad.items() if what} == {}


@needs_browser
def test_what_scrolls_is_reached_by_the_keyboard(seen: list[dict[str, Any]]) -> None:
    assert {v["page"]: v["unreachable"] for v in seen if v["unreachable"]} == {}


@needs_browser
def test_a_phone_shows_verdicts_and_figures_large_enough(seen: list[dict[str, Any]]) -> None:
    phone = {view["page"]: view for view in seen if view["width"] == PHONE}
    assert phone["book/claims.html"]["heads"]["verdict"] <= PHONE
    widths = [width for view in phone.values() for width in view["figures"]]
    assert len(widths) > 10 and min(widths) >= 560


@needs_browser
def test_equations_are_typeset(seen: list[dict[str, Any]]) -> None:
    maths = {view["page"]: view["maths"] for view in seen}
    assert maths["notebooks/02_dpc.html"] >= 5 and maths["book/notation.html"] >= 15
    assert {view["page"]: view["raw"] for view in seen if view["raw"]} == {}


@needs_browser
def test_no_page_scrolls_sideways(seen: list[dict[str, Any]]) -> None:
    bad = {
        (v["page"], v["width"]): (v["scroll"], v["wide"])
        for v in seen
        if v["scroll"] > v["shown"] or v["wide"]
    }
    assert bad == {}


@needs_browser
def test_pictures_load_and_nothing_is_asked_of_a_network(seen: list[dict[str, Any]]) -> None:
    assert {v["page"]: v["broken"] for v in seen if v["broken"]} == {}
    assert {v["page"]: v["outside"] for v in seen if v["outside"]} == {}
    assert all(view["title"] for view in seen)
