"""The page of a described film, whatever its texts hold."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "data"))
from video_files import write_video

from test_aligned_page import EVIL, Page
from thesislib.descriptions.writing import EXTENDED, SILENT, SPOKEN, Described
from thesislib.viz.described_page import described_page, pictures_of_clips


def clips() -> list[Described]:
    return [
        Described(0.0, 0.3, EVIL, 0.2, SPOKEN, EVIL, ""),
        Described(0.3, 0.6, "", 0.3, SILENT, EVIL, f"left out {EVIL}"),
        Described(0.6, 0.9, "It stops.", 0.9, EXTENDED, "It stops.", ""),
    ]


def test_frames_context_and_cue(tmp_path: Path) -> None:
    film = write_video(tmp_path / "my <film>.mp4", 30, tone=1)
    pictures = pictures_of_clips(film, clips())
    assert sorted(pictures) == [(n, k) for n in range(3) for k in range(3)]
    for (number, k), picture in pictures.items():
        moment = 0.3 * number + 0.3 * (k + 0.5) / 3
        assert moment - 1 / 30 < picture.seconds <= moment + 1e-6
    dialogue = [[], ["Watch out!", EVIL], []]
    text = described_page(
        film, 1.0, clips(), dialogue, notes=["A note."], warning="W!", pictures=pictures
    )
    page = Page(text)
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags and tags.count("img") == 9 and tags.count("li") == 3
    assert all(value.startswith("data:") for _, at in page.tags if (value := at.get("src")))
    words = " ".join(" ".join(page.words).split())
    parts = (
        *("W!", "A note.", "heard before: Watch out!", "described before: <script>"),
        *("(nothing is said)", "left out <script>", "the film has to stop for it"),
    )
    for part in parts:
        assert part in words, part


def test_long_films_have_fewer_pictures(tmp_path: Path) -> None:
    film = write_video(tmp_path / "a.mp4", 30)
    many = [Described(i / 10, (i + 1) / 10, "", 0.0, SILENT, "", "") for i in range(9)]
    assert len(pictures_of_clips(film, many, most=27)) == 27
    assert sorted(pictures_of_clips(film, many, most=9)) == [(i, 0) for i in range(9)]
    assert sorted(pictures_of_clips(film, many, most=4)) == [(0, 0), (3, 0), (6, 0)]
    assert pictures_of_clips(film, []) == {} == pictures_of_clips(tmp_path / "none.mp4", many)
