"""Strangers' videos read in one pass, and lists of classes as people have them."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from video_files import number_of, write_sound, write_video

from thesislib.data.class_list import merged, read_class_list, shortened
from thesislib.data.extraction import row_frames
from thesislib.data.reader import open_video
from thesislib.data.streaming import Stream
from thesislib.errors import ThesisError, VideoError


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
@pytest.mark.parametrize("rate", [4.0, 7.5, 60.0])
def test_one_pass_gives_what_the_reader_gives(name: str, rate: float, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, 40, codec="mpeg4" if name == "a.avi" else "libx264")
    reader = open_video(path, "pyav")  # decord rounds its times
    times = reader.timestamps()
    numbers = row_frames(times, rate)
    stream = Stream(path)
    rows = list(stream.rows(rate))
    assert len(rows) == stream.count(rate) == len(numbers)
    assert np.allclose([time for time, _ in rows], times[numbers], atol=1e-3)
    assert np.array_equal(np.stack([frame for _, frame in rows]), reader.frames(numbers))
    assert stream.damage == "" and stream.fps == pytest.approx(30, rel=1e-3)
    assert stream.duration == pytest.approx(40 / 30, abs=1e-3)


def test_true_times_count_where_the_rate_varies(tmp_path: Path) -> None:
    times = [0, 1, 2, 3, 30, 31, 32, 60]  # thirtieths of a second
    rows = list(Stream(write_video(tmp_path / "v.mp4", 8, times=times)).rows(1.0))
    assert [number_of(frame) for _, frame in rows] == [0, 4, 7]
    assert [round(time, 3) for time, _ in rows] == [0, 1, 2]


def test_frames_are_not_kept(tmp_path: Path) -> None:
    rows = Stream(write_video(tmp_path / "v.mp4", 90)).rows(30.0)
    (_, first), (_, second) = next(rows), next(rows)
    assert number_of(first) == 0 and number_of(second) == 1
    rows.close()  # the file is let go in the middle


def test_a_damaged_file_gives_what_it_has(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "w.avi", 60, codec="mpeg4")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    stream = Stream(cut)
    rows = list(stream.rows(30.0))
    assert 20 < len(rows) < 50 and stream.damage.startswith("damaged: ")
    assert stream.damage.endswith(" of 60 frames decode")
    assert [number_of(frame) for _, frame in rows[:9]] == list(range(9))


def test_a_telephone_s_picture_stands_upright(tmp_path: Path) -> None:
    path = write_video(tmp_path / "phone.mp4", 3, tone=3)
    (_, before), *_ = list(Stream(path).rows(30.0))
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 4 + 4 + 20 + 8 + 8
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    (_, frame), *_ = list(Stream(path).rows(30.0))
    assert before.shape == (48, 64, 3) and frame.shape == (64, 48, 3)
    # A quarter to the right: the corner with the mark goes from the left to the right.
    assert np.array_equal(frame, np.rot90(before, -1))
    assert frame[:16, -16:].mean() > 150 > 50 > frame[:16, :16].mean()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.mp4", "no such file"),
        ("empty.mp4", "empty file"),
        ("text.mp4", "not a video"),
        ("sound.mp4", "audio only"),
        ("cut.mp4", "truncated"),
        ("\udcff.mp4", "not UTF-8"),
    ],
)
def test_files_that_cannot_be_used(name: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "empty.mp4":
        path.touch()
    elif name == "text.mp4":
        path.write_text("no film\n" * 300)
    elif name == "sound.mp4":
        write_sound(path)
    elif name == "cut.mp4":
        data = write_video(tmp_path / "w.mp4", 60).read_bytes()
        path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=reason):
        list(Stream(path).rows(4.0))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"\xef\xbb\xbfwave\r\n\r\n  sit   down \r\n", ("wave", "sit down")),
        ("wave\rbow".encode("utf-16"), ("wave", "bow")),
        ("弾く\nÉcrire\n".encode(), ("弾く", "Écrire")),
        (b"shaking hands, smiling\nwaving", ("shaking hands, smiling", "waving")),
        (b"C++ (again)\n<3", ("C++ (again)", "<3")),
    ],
)
def test_lists_as_people_have_them(text: bytes, names: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(text)
    assert read_class_list(path).names == names and read_class_list(path).notes == ()


def test_names_that_say_the_same_are_merged() -> None:
    found = merged(["sit_down", "Wave", "wave", "bow", "Sit down", "wave"], "x")
    assert found.names == ("sit_down", "Wave", "bow")
    assert found.notes == ("named more than once, and merged: Wave, sit_down",)
    assert shortened("x" * 60) == "x" * 39 + "…" and shortened("x" * 40) == "x" * 40


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", b"wave\nbow", "is no list of names but csv"),
        ("l.html", b"wave\nbow", "is no list of names but html"),
        ("l.txt", b"path,label\na.mp4,wave\nb.mp4,bow", "a table with commas"),
        ("l.txt", b"a\t1\nb\t2", "a table with tabs"),
        ("l.txt", b"\n<!DOCTYPE html>\n<p>wave", "a web page"),
        ("l.txt", b'["wave", "bow"]', "JSON"),
        ("l.txt", b" \n\r\n", "names no class"),
        ("l.txt", b"", "names no class"),
        ("l.txt", b"Wave\nwave", "names one class, 'Wave', which would always get all"),
        ("l.txt", b"wave\n\xff\xfe\xfd", "not text in UTF-8"),
        ("l.txt", b"wave\x00\x01bow", "not a text file"),
    ],
)
def test_what_is_no_list_is_refused(name: str, text: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(ThesisError, match=said) as error:
        read_class_list(tmp_path / name)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    for place, reason in ((tmp_path, "is a folder"), (tmp_path / "x.txt", "There is no list")):
        with pytest.raises(ThesisError, match=reason):
            read_class_list(place)
