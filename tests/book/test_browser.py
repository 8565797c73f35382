"""The pages in a real browser, without a network, in a wide and in a phone-wide window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))
from video_files import write_video

from thesislib.data.manifest import Video
from thesislib.viz.gallery import Match, Shot, gallery_page, thumbnails

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
WIDE, PHONE = 1280, 390

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser to look with: none of {', '.join(NAMES)} is installed"
)

HARNESS = (Path(__file__).parent / "look.html").read_text(encoding="utf-8")
# A browser writes every message of a page to its log and does not say which are errors.
MESSAGE = re.compile(r'CONSOLE[^"]*"(.*)", source: (\S*)')
ERRORS = ("Uncaught", "Failed to", "Refused")


def look(built: Path, pages: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """What a browser sees of each page on a phone, and of the pages with figures also wide.

    Returns:
        A view for each page and width, and the errors in the browser's console.
    """
    jobs = [(page, PHONE) for page in pages]
    jobs += [(page, WIDE) for page in pages if not page.startswith("book/") or "welcome" in page]
    harness = built / "look.html"
    harness.write_text(HARNESS.replace("JOBS", json.dumps(jobs)))
    command = [
        str(BROWSER),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={built.parent / 'browser'}",
        "--allow-file-access-from-files",
        # No name resolves and no proxy answers: only files of the book can be loaded.
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--proxy-server=127.0.0.1:9",
        "--window-size=1400,1000",
        "--enable-logging=stderr",
        f"--virtual-time-budget={5_000 + 5_000 * len(jobs)}",  # ends early; loading does not count
        "--dump-dom",
        harness.as_uri(),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    finally:
        harness.unlink()
    match = re.search(r"SEEN(.*?)SEEN</pre>", done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    seen: list[dict[str, Any]] = json.loads(html.unescape(match.group(1)))
    said = [(source, text) for text, source in MESSAGE.findall(done.stderr)]
    return seen, [f"{s}: {t}" for s, t in said if any(word in t for word in ERRORS)]


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


def test_no_page_has_an_error(looked: tuple[list[dict[str, Any]], list[str]]) -> None:
    assert looked[1] == []


def test_words_stand_out_from_their_ground(seen: list[dict[str, Any]]) -> None:
    """By day and by night, as WCAG 2.1 asks of level AA."""
    bad = {(v["page"], theme): v["faint"][theme] for v in seen for theme in ("light", "dark")}
    assert {where: what for where, what in bad.items() if what} == {}


def test_what_scrolls_is_reached_by_the_keyboard(seen: list[dict[str, Any]]) -> None:
    assert {v["page"]: v["unreachable"] for v in seen if v["unreachable"]} == {}


def test_a_phone_shows_verdicts_and_figures_large_enough(seen: list[dict[str, Any]]) -> None:
    phone = {view["page"]: view for view in seen if view["width"] == PHONE}
    assert phone["book/claims.html"]["heads"]["verdict"] <= PHONE
    widths = [width for view in phone.values() for width in view["figures"]]
    assert len(widths) > 10 and min(widths) >= 560


def test_equations_are_typeset(seen: list[dict[str, Any]]) -> None:
    maths = {view["page"]: view["maths"] for view in seen}
    assert maths["notebooks/02_dpc.html"] >= 5 and maths["book/notation.html"] >= 15
    assert {view["page"]: view["raw"] for view in seen if view["raw"]} == {}


def test_no_page_scrolls_sideways(seen: list[dict[str, Any]]) -> None:
    bad = {
        (v["page"], v["width"]): (v["scroll"], v["wide"])
        for v in seen
        if v["scroll"] > v["shown"] or v["wide"]
    }
    assert bad == {}


def test_pictures_load_and_nothing_is_asked_of_a_network(seen: list[dict[str, Any]]) -> None:
    assert {v["page"]: v["broken"] for v in seen if v["broken"]} == {}
    assert {v["page"]: v["outside"] for v in seen if v["outside"]} == {}
    assert all(view["title"] for view in seen)


def test_a_gallery_fits_every_window(tmp_path: Path) -> None:
    """The page of ``thesislib retrieve``, with one video, one file that is gone and long names."""
    folder = tmp_path / "html"
    film = Video(str(write_video(folder / "a.mp4", 9)), "sea", "test", "g", 9, 30.0, 64, 48)
    gone = replace(film, path=f"/{'x' * 90}/b.mp4", label="w" * 80)
    first, second = Shot(film), Shot(gone, (1.0, 2.5))
    rows = [(first, [Match(second, -0.5)] * 5), (second, [Match(first, 1.0)] * 9)]
    page = gallery_page("y" * 200, ["A note. " * 50], rows, thumbnails([first, second]))
    (folder / "gallery.html").write_text(page)
    (phone, wide), errors = look(folder, ["gallery.html"])
    assert errors == []
    for view in (phone, wide):
        assert view["scroll"] <= view["shown"] and not view["wide"], view
        assert not view["outside"] and view["title"]


def test_the_harness_sees_what_is_wrong(tmp_path: Path) -> None:
    """A raw equation, a wide block, a missing picture, a faint word, a script that fails, ..."""
    folder = tmp_path / "html"
    folder.mkdir()
    (folder / "bad.html").write_text(
        '<title>bad</title><main><div style="width:900px">x</div><img src="none.png">'
        '<div style="overflow:auto"><p style="width:700px;color:#888">faint</p></div>'
        '<span class="math">\\(x\\)</span></main><script src="https://example.org/a.js"></script>'
        "<script>const A = 1</script><script>const A = 2</script>"
    )
    (phone, wide), errors = look(folder, ["bad.html"])
    assert wide["scroll"] == wide["shown"] and not wide["wide"] and not wide["unreachable"]
    assert phone["scroll"] > phone["shown"] and phone["wide"] and phone["unreachable"] == ["DIV."]
    assert phone["raw"] == 1 and phone["maths"] == 0
    assert phone["broken"] == ["none.png"]
    assert phone["outside"] == ["https://example.org/a.js"]
    assert phone["faint"]["dark"] == {"rgb(136, 136, 136) on 255,255,255": "faint"}
    assert any("bad.html" in e and "'A' has already been declared" in e for e in errors)
