"""The pages of `thesislib retrieve` in a browser, and what the harness itself can see."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))
from video_files import write_video

from looking import look, needs_browser
from thesislib.data.manifest import Video
from thesislib.viz.gallery import Match, Shot, gallery_page, thumbnails

pytestmark = needs_browser


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
