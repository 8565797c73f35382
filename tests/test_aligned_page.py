"""The page of an alignment: frames beside sentences, whatever the sentences hold."""

from __future__ import annotations

import io
import sys
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "data"))
from video_files import write_video

from thesislib.data.reader import open_video
from thesislib.subtitles import Cue
from thesislib.subtitles.aligned import Aligned, tally
from thesislib.viz.aligned_page import aligned_page, pictures_of

NAN = float("nan")
EVIL = "<script>alert(1)</script>&\"'\n<img src=x>"


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def cues() -> list[Aligned]:
    said = [
        Cue(0.2, 0.4, EVIL, "", 1),
        Cue(0.5, 0.6, "Like me!", "", 2),
        Cue(0.7, 0.8, "Stir", "", 4),
    ]
    return [
        Aligned(said[0], 0.6, 0.8, 0.71, True),
        Aligned(said[1], NAN, NAN, 0.1, False),
        Aligned(said[2], 0.0, 0.1, NAN, True),
    ]


def test_one_cue_is_said_to_be_one() -> None:
    one, two, three = cues()
    assert tally([one], "cue") == "1 cue, seen" and tally([two], "cue") == "1 cue, not seen"
    assert tally([one, two, three], "cue") == "3 cues, 2 of them seen"


def test_frames_beside_sentences(tmp_path: Path) -> None:
    video = write_video(tmp_path / "my <film>.mp4", 30, tone=1)
    pictures = pictures_of(video, cues())
    assert sorted(pictures) == [1, 4]
    reader = open_video(video)
    times = reader.timestamps()
    for number, middle in ((1, 0.7), (4, 0.05)):
        shown = int(np.flatnonzero(times <= middle)[-1])  # what a player shows then
        assert pictures[number].seconds == times[shown]
        picture = np.asarray(Image.open(io.BytesIO(pictures[number].webp)).convert("RGB"))
        frame = reader.frames([shown])[0]
        assert abs(picture.mean((0, 1)) - frame.mean((0, 1))).max() < 12
    page = Page(
        aligned_page(video, 1.2, cues(), notes=["A note."], warning="W!", pictures=pictures)
    )
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags and tags.count("li") == 3 and tags.count("img") == 2
    assert tags.count("path") == 3
    images = [attrs["src"] or "" for tag, attrs in page.tags if tag == "img"]
    assert [b64decode(src.partition(",")[2]) for src in images] == [
        pictures[1].webp,
        pictures[4].webp,
    ]
    words = "".join(page.words)
    assert "<script>alert(1)</script>&\"'" in words and "<img src=x>" in words
    assert "3 sentences, 2 of them seen. Heard is when" in words
    assert "seen 0.6 to 0.8 s, score 0.71; heard 0.2 to 0.4 s" in words
    assert "not seen, score 0.10" in words and "seen 0.0 to 0.1 s; heard 0.7" in words
    assert "A note." in words and "W!" in words


def test_many_sentences_and_no_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", 30, tone=1)
    many = [Aligned(Cue(0.1, 0.2, "a", "", i), i / 50, i / 50, 0.5, True) for i in range(50)]
    assert sorted(pictures_of(video, many, 3)) == [0, 24, 49]
    assert pictures_of(tmp_path / "none.mp4", many) == {}
    assert pictures_of(video, []) == {}
    assert aligned_page(video, 0.0, []).count("<li") == 0
