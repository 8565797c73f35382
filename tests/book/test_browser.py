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
from thesislib.viz.gallery import Match, gallery_page, thumbnails

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
WIDE, PHONE = 1280, 390

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser to look with: none of {', '.join(NAMES)} is installed"
)

# A page that loads each page of the book in a frame of a given width and writes down what it sees.
HARNESS = """<!doctype html><meta charset="utf-8"><pre id="seen"></pre><script>
const jobs = JOBS;
async function look(page, width) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 900; frame.src = page;
  document.body.append(frame);
  await new Promise(done => frame.onload = done);
  const window_ = frame.contentWindow, inside = frame.contentDocument;
  if (window_.MathJax) {
    for (let i = 0; i < 100 && !window_.MathJax.startup; i++)
      await new Promise(r => setTimeout(r, 100));
    if (window_.MathJax.startup) await window_.MathJax.startup.promise;
  }
  const root = inside.documentElement;
  const clipped = e => {
    for (let p = e.parentElement; p; p = p.parentElement)
      if (["auto", "scroll", "hidden"].includes(window_.getComputedStyle(p).overflowX)
          && p !== inside.body && p !== root) return true;
    return false;
  };
  const wide = [...inside.querySelectorAll("main *")].filter(e =>
    !e.closest(".bd-sidebar-secondary") &&  // folded away until it is asked for
    e.getBoundingClientRect().right > width + 1 && e.getClientRects().length && !clipped(e));
  const result = {
    page, width, scroll: root.scrollWidth, shown: root.clientWidth,
    wide: wide.slice(0, 5).map(e => e.tagName + "." + e.className),
    maths: inside.querySelectorAll("mjx-container").length,
    raw: [...inside.querySelectorAll(".math")]
      .filter(e => !e.querySelector("mjx-container")).length,
    broken: [...inside.images].filter(i => !i.naturalWidth).map(i => i.getAttribute("src")),
    outside: window_.performance.getEntriesByType("resource").map(e => e.name)
      .filter(name => !/^(file|data|blob):/.test(name)),
    title: inside.title,
  };
  frame.remove();
  return result;
}
(async () => {
  const seen = [];
  for (const [page, width] of jobs) seen.push(await look(page, width));
  document.getElementById("seen").textContent = "SEEN" + JSON.stringify(seen) + "SEEN";
})();
</script>"""


def look(built: Path, pages: list[str]) -> list[dict[str, Any]]:
    """What a browser sees of each page on a phone, and of the pages with figures also wide."""
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
        f"--virtual-time-budget={5_000 + 1_000 * len(jobs)}",  # loading does not count
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
    return seen


@pytest.fixture(scope="module")
def seen(built: Path) -> list[dict[str, Any]]:
    pages = [p.relative_to(built).as_posix() for p in sorted(built.glob("[bn]*o*k*/*.html"))]
    assert "notebooks/02_dpc.html" in pages and "book/welcome.html" in pages
    return look(built, pages)


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
    rows = [(film, [Match(gone, -0.5)] * 5), (gone, [Match(film, 1.0)] * 9)]
    page = gallery_page("y" * 200, ["A note. " * 50], rows, thumbnails([film, gone]))
    (folder / "gallery.html").write_text(page)
    phone, wide = look(folder, ["gallery.html"])
    for view in (phone, wide):
        assert view["scroll"] <= view["shown"] and not view["wide"], view
        assert not view["outside"] and view["title"]


def test_the_harness_sees_what_is_wrong(tmp_path: Path) -> None:
    """A page with a raw equation, a wide block, a missing picture and a font from elsewhere."""
    folder = tmp_path / "html"
    folder.mkdir()
    (folder / "bad.html").write_text(
        '<title>bad</title><main><div style="width:900px">x</div><img src="none.png">'
        '<span class="math">\\(x\\)</span></main><script src="https://example.org/a.js"></script>'
    )
    phone, wide = look(folder, ["bad.html"])
    assert wide["scroll"] == wide["shown"] and not wide["wide"]
    assert phone["scroll"] > phone["shown"] and phone["wide"]
    assert phone["raw"] == 1 and phone["maths"] == 0
    assert phone["broken"] == ["none.png"]
    assert phone["outside"] == ["https://example.org/a.js"]
