"""Subtitles written: what is read again is what was written, and what was read stays as it was."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pysubs2
import pytest

from thesislib.errors import ThesisError
from thesislib.subtitles import Cue, parse_subtitles, read_subtitles, write_subtitles
from thesislib.subtitles.aligned import Aligned, aligned_path, write_aligned
from thesislib.subtitles.siblings import beside, subtitles_of
from thesislib.subtitles.writing import ass, metadata_vtt, srt, vtt

NAN = float("nan")
TEXTS = [
    "Add the salt.",
    "two\nlines",
    "a < b & c > d, <3",
    "<b>no tag</b> &amp; {\\an8}",
    "12",
    "at 00:00:01,000 --> 00:00:02,000",
    "NOTE this",
    "WEBVTT",
    "{brace} back\\slash \\N \\h \\{",
    "Ünïcödé 日本語 😀",
    "[Script Info]",
    "a {\\p1} that is text",
]


def random_cues(seed: int) -> list[Cue]:
    rng = np.random.default_rng(seed)
    starts = np.sort(rng.integers(0, 3_000_000, len(TEXTS))) / 100
    rows = zip(starts, rng.permutation(TEXTS), strict=True)
    return [
        Cue(float(start), float(start) + 1.25 + i / 100, str(text), "", i + 1)
        for i, (start, text) in enumerate(rows)
    ]


def same(ours: list[Cue], text: str) -> None:
    found = parse_subtitles(text.encode())
    assert [one.text for one in found.cues] == [one.text for one in ours]
    for a, b in zip(found.cues, ours, strict=True):
        assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=1e-6)
    assert found.found == len(ours)


@pytest.mark.parametrize("seed", range(6))
def test_round_trips(seed: int) -> None:
    cues = random_cues(seed)
    same(cues, vtt(cues))
    same(cues, ass(cues))
    same(cues, srt(cues))
    assert srt(cues[::-1]) == srt(cues)  # in order, whatever the order given


def test_srt_as_it_should_look() -> None:
    cues = [Cue(3723.0456, 3724.9996, "Add\nsalt", "", 1), Cue(1.0, 2.0, "Stir", "", 2)]
    assert srt(cues) == (
        "1\n00:00:01,000 --> 00:00:02,000\nStir\n\n2\n01:02:03,046 --> 01:02:05,000\nAdd\nsalt\n"
    )
    theirs = pysubs2.SSAFile.from_string(srt(cues))
    assert [(one.start, one.end, one.text) for one in theirs] == [
        (1000, 2000, "Stir"), (3723046, 3725000, "Add\\Nsalt"),
    ]  # fmt: skip


def test_a_point_lasts_a_moment_in_vtt() -> None:
    assert "00:00:01.000 --> 00:00:01.001\nnow" in vtt([Cue(1.0, 1.0, "now", "", 1)])


def test_metadata_is_json_a_line() -> None:
    values = [{"text": "a --> b\nc", "score": 0.5}, {"text": "é"}]
    text = metadata_vtt([(2.0, 3.0, values[0]), (1.0, 2.0, values[1])], "kind: metadata")
    assert text.startswith("WEBVTT\n\nNOTE\nkind: metadata\n\n00:00:01.000 --> 00:00:02.000\n")
    found = parse_subtitles(text.encode())
    assert found.others == {"NOTE blocks": 1}
    assert [json.loads(one.raw) for one in found.cues] == values[::-1]


def test_ass_holds_less_than_ten_hours() -> None:
    with pytest.raises(ThesisError, match="ass holds no time of ten hours"):
        ass([Cue(35999.0, 36000.0, "late", "", 1)])


def test_files(tmp_path: Path) -> None:
    cues = random_cues(0)
    for ending in ("srt", "vtt", "ass"):
        write_subtitles(tmp_path / f"a.{ending}", cues)
        assert read_subtitles(tmp_path / f"a.{ending}").kind == ending
    with pytest.raises(ThesisError, match="no kind of subtitles 'ttml'"):
        write_subtitles(tmp_path / "a.ttml", cues)
    before = (tmp_path / "a.srt").read_bytes()
    (tmp_path / "b.srt").symlink_to(tmp_path / "a.srt")
    for name in ("a.srt", "b.srt"):
        with pytest.raises(ThesisError, match="is what was read, and is never changed"):
            write_subtitles(tmp_path / name, cues[:1], never=[tmp_path / "a.srt"])
    assert (tmp_path / "a.srt").read_bytes() == before


# -- an alignment ----------------------------------------------------------------------------------


def alignment() -> list[Aligned]:
    said = [Cue(5.0, 7.0, "Stir --> it", "", 1), Cue(8.0, 9.0, "Like me!", "", 2)]
    return [Aligned(said[0], 2.0, 4.5, 0.71234, True), Aligned(said[1], NAN, NAN, 0.1, False)]


def test_an_alignment_names_heard_and_seen(tmp_path: Path) -> None:
    path = aligned_path(tmp_path / "film.x.mp4", ".json")
    assert path == tmp_path / "film.x.aligned.json"
    write_aligned(path, alignment(), {"video": "film.x.mp4"})
    value = json.loads(path.read_text())
    assert value["video"] == "film.x.mp4" and "Played as subtitles" in value["meaning"]
    rows = [
        {"number": 1, "text": "Stir --> it", "heard": {"start": 5.0, "end": 7.0},
         "seen": {"start": 2.0, "end": 4.5}, "score": 0.7123, "alignable": True},
        {"number": 2, "text": "Like me!", "heard": {"start": 8.0, "end": 9.0},
         "seen": None, "score": 0.1, "alignable": False},
    ]  # fmt: skip
    assert value["cues"] == rows
    write_aligned(aligned_path(path, ".vtt"), alignment())
    cues = read_subtitles(aligned_path(path, ".vtt")).cues
    assert [(one.start, one.end) for one in cues] == [(2.0, 4.5), (8.0, 9.0)]
    assert [json.loads(one.raw) for one in cues] == rows
    for ending in (".srt", ".ass"):
        write_aligned(aligned_path(path, ending), alignment())
        (cue,) = read_subtitles(aligned_path(path, ending)).cues
        assert (cue.start, cue.end, cue.text) == (2.0, 4.5, "Stir --> it")


def test_an_alignment_that_contradicts_itself(tmp_path: Path) -> None:
    one, other = alignment()
    for wrong in (one._replace(alignable=False), other._replace(alignable=True)):
        with pytest.raises(ThesisError, match="what is alignable has a time at which it is seen"):
            write_aligned(tmp_path / "a.json", [wrong])
    (tmp_path / "film.aligned.json").write_text("mine")
    with pytest.raises(ThesisError, match="is never changed"):
        write_aligned(tmp_path / "film.aligned.json", [one], never=[tmp_path / "film.aligned.json"])


# -- the file beside a video -----------------------------------------------------------------------


def test_subtitles_beside_a_video(tmp_path: Path) -> None:
    video = tmp_path / "my [film] 1.mp4"
    names = [
        *("my [film] 1.srt", "my [film] 1.VTT", "my [film] 1.en.vtt", "my [film] 1.en-US.srt"),
        *("my [film] 1.de.srt", "my [film] 1.aligned.srt", "my [film] 12.srt", "film.srt"),
        *("my [film] 1.info.json", "my [film] 1.mp4"),
    ]
    for name in names:
        (tmp_path / name).write_text("1\n00:01,000 --> 00:02,000\nsalt\n")
    (tmp_path / "my [film] 1.fr.srt").mkdir()
    assert [path.name for path in beside(video)] == names[:5]
    assert beside(video, "de")[2].name == "my [film] 1.de.srt"
    assert subtitles_of(video).name == str(tmp_path / names[0])
    assert subtitles_of(video, str(tmp_path / names[2])).kind == "srt"
    with pytest.raises(
        ThesisError, match=r"no subtitles beside .*none\.mp4: name the file, or call"
    ):
        subtitles_of(tmp_path / "none.mp4")
    with pytest.raises(ThesisError, match="cannot be read"):
        subtitles_of(tmp_path / "nowhere" / "none.mp4")


def test_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(b"1\n00:01,000 --> 00:02,000\nsalt\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data))
    subtitles = subtitles_of("film.mp4", "-")
    assert subtitles.summary()[0].startswith("The standard input (srt, utf-8): 1 cues")
    assert subtitles.cues[0].text == "salt"
