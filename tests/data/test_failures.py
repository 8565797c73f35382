"""The side file that says when actions fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from thesislib.data.failures import read_failures, write_failures
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError


def listed(root: Path) -> Manifest:
    videos = (
        Video("a.mp4", "x", "train", "1", 100, 25.0, 32, 32),
        Video("b.mp4", "x", "test", "2", 100, 29.97, 32, 32),
        Video("c.mp4", "x", "test", "3", 50, 30.0, 32, 32),
    )
    return Manifest("listed", root, videos)


def test_frames_come_back_whatever_the_rate(tmp_path: Path) -> None:
    manifest = listed(tmp_path)
    for frame in range(100):
        write_failures(manifest, {"a.mp4": frame, "b.mp4": 99 - frame})
        assert read_failures(manifest) == {"a.mp4": frame, "b.mp4": 99 - frame}
    assert read_failures(manifest.select(split="test")) == {"b.mp4": 0}
    lines = (tmp_path / "failures.csv").read_text().splitlines()
    assert lines[0] == "path,seconds" and lines[3] == "c.mp4,"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "write .*failures.csv"),
        ("path,when\na.mp4,1\n", "lacks the column seconds"),
        ("path,seconds\na.mp4,soon\n", "line 2: 'soon' is no time within a.mp4"),
        ("path,seconds\na.mp4,4.0\n", "no time within a.mp4 .4.00 seconds"),
        ("path,seconds\na.mp4,-1\n", "no time within"),
        ("path,seconds\na.mp4,inf\n", "no time within"),
        ("path,seconds\nz.mp4,1\na.mp4,\n", "not one video"),
    ],
)
def test_bad_files_get_a_sentence(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "failures.csv").write_text(text)
    with pytest.raises(ThesisError, match=message):
        read_failures(listed(tmp_path))


def test_no_time_is_found_where_the_rate_is_unknown(tmp_path: Path) -> None:
    made = Manifest("x", tmp_path, (Video("a.mp4", "", "train", "a", 9, 0.0, 0, 0),))
    (tmp_path / "failures.csv").write_text("path,seconds\na.mp4,1\n")
    with pytest.raises(ThesisError, match=r"does not say the frames a second of a\.mp4"):
        read_failures(made)
