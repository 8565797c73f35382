"""When a video shows what its subtitles say, by the command line, with an encoder of colours."""

from __future__ import annotations

import html
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from thesislib import aligning
from thesislib.aligning import STRANGE, agreement
from thesislib.cli import main
from thesislib.data.narrations import Narration
from thesislib.subtitles import Sentence, Sentences, read_subtitles
from thesislib.subtitles.placing import PRIOR

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
SHOWN = ["red", "green", "blue", "green", "red", "blue"]  # ten seconds each


class Encoder:
    """Frames are their mean colour; a text is the colours that it names."""

    model, name, weights = None, "colours", "none"

    def encode_frames(self, frames: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(frames.mean((1, 2)) - 60.0).float()

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        rows = [[200.0 * (name in text.lower()) for name in COLOURS] for text in texts]
        return torch.tensor(rows)

    def describe(self) -> dict[str, str]:
        return {"model": "colours", "weights": "none", "weights_hash": "0"}


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(aligning, "load_encoder", lambda *_, **__: Encoder())
    path = tmp_path / "a film.mp4"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=4, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for name in SHOWN:
            frame = np.broadcast_to(np.array(COLOURS[name], np.uint8), (32, 32, 3))
            for _ in range(40):
                sink.mux(stream.encode(av.VideoFrame.from_ndarray(frame.copy(), format="rgb24")))
        sink.mux(stream.encode())
    rows = [  # heard towards the end of what they mean; the last says nothing that is shown
        *((7, 9, "Here is red."), (17, 19, "Now green."), (27, 29, "And blue.")),
        *((2, 3, "[Music]"), (37, 39, "Green again."), (48, 50, "Red again.")),
        (57, 58, "Thanks for watching!"),
    ]
    blocks = [
        f"{i}\n00:00:{a:02},000 --> 00:00:{b:02},000\n{t}\n" for i, (a, b, t) in enumerate(rows)
    ]
    text = "\n".join(blocks)
    path.with_name("a film.en.srt").write_text(text)
    return path


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    capsys.readouterr()
    assert main(["align", *words]) == 0
    told = capsys.readouterr()
    return json.loads(told.out) if told.out.startswith("{") else told.out, told.err


def test_a_video_and_the_file_beside_it(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    srt = video.with_name("a film.en.srt")
    before = srt.read_bytes(), video.read_bytes()
    found, told = said(
        [str(video), "--min-score", "0.5", "--also", "srt", "--also", "ass", "--json"], capsys
    )
    assert (srt.read_bytes(), video.read_bytes()) == before
    assert found["subtitles"] == str(srt) and found["agreement"] > 2 and found["warnings"] == []
    assert [one["number"] for one in found["cues"]] == [4, 1, 2, 3, 5, 6, 7]
    seen = {one["number"]: one["seen"] for one in found["cues"]}
    assert {number for number, span in seen.items() if span is None} == {4, 7}
    for number, (low, high) in {
        1: (0, 10),
        2: (10, 20),
        3: (20, 30),
        5: (30, 40),
        6: (40, 50),
    }.items():
        assert low <= seen[number]["start"] and seen[number]["end"] <= high
        assert seen[number]["end"] - seen[number]["start"] == pytest.approx(2, abs=1)
    assert "7 cues in the file, 7 read" in told and "1 with sounds and no words" in told
    assert "7 cues, 5 of them seen. heard: when a cue is spoken" in told
    names = sorted(path.name for path in video.parent.glob("*.aligned.*"))
    assert names == [f"a film.aligned.{e}" for e in ("ass", "html", "json", "srt", "vtt")]
    assert sorted(Path(file).name for file in found.pop("files")) == names
    assert json.loads(video.with_name("a film.aligned.json").read_text()) == found
    for ending, count in (("vtt", 7), ("srt", 5), ("ass", 5)):
        assert read_subtitles(video.with_name(f"a film.aligned.{ending}")).found == count
    page = video.with_name("a film.aligned.html").read_text()
    assert page.count("<img ") == 5 and page.count("<li ") == 7
    # Its own files are no subtitles of the video.
    assert said([str(video), "--out", "-"], capsys)[0]["subtitles"] == str(srt)


def test_shift_standard_input_and_no_file(
    video: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = video.with_name("a film.en.srt").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    found, _ = said([str(video), "-", "--max-shift", "3", "--prior", "0", "--out", "-"], capsys)
    assert found["subtitles"] == "The standard input" and found["files"] == []
    for one in found["cues"]:
        if one["seen"] and one["number"] in (1, 2, 3):
            middles = [sum(one[key].values()) / 2 for key in ("heard", "seen")]
            assert abs(middles[0] - middles[1]) <= 3.5  # in whole seconds
    assert list(video.parent.glob("*.aligned.*")) == []


def test_subtitles_of_another_video_are_said_to_be_strange(
    video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = video.with_name("other.srt")
    rows = [(5 * i, ["blue", "red", "green"][i * 7 % 3]) for i in range(1, 12)]
    text = "".join(f"00:00:{a:02},000 --> 00:00:{a + 2:02},000\nThis is {t}.\n\n" for a, t in rows)
    other.write_text(text)
    found, told = said([str(video), str(other), "--json", "--out", str(video.parent / "x")], capsys)
    assert found["warnings"] == [STRANGE] and STRANGE in told and abs(found["agreement"]) < 2
    assert html.escape(STRANGE) in (video.parent / "x" / "a film.aligned.html").read_text()


def test_agreement_by_loops() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(8, 60))
    said = Sentences(
        tuple(Sentence(7.0 * i, 7.0 * i + 2, "x", (i,)) for i in range(8)), 8, {}, True
    )
    better = []
    for row, one in zip(scores, said.sentences, strict=True):
        near = [x for t, x in enumerate(row) if abs(t - (one.start + one.end) / 2) <= 10]
        better.append((np.mean(near) - row.mean()) / row.std())
    expected = np.mean(better) / (np.std(better, ddof=1) / np.sqrt(8))
    assert agreement(scores, said) == pytest.approx(expected)
    assert agreement(scores[:, :5], said) == -np.inf  # a video of five seconds says nothing
    assert aligning.doubt(-np.inf) == aligning.UNTOLD and aligning.doubt(1.9) == STRANGE
    assert aligning.doubt(2.1) == ""


def test_what_stands_out_is_seen() -> None:
    rng = np.random.default_rng(1)
    said = [Narration(10.0 * i, 10.0 * i + 2, "x") for i in range(6)]
    scores = 0.5 + 0.01 * rng.normal(size=(6, 60)).astype(np.float32)
    strange = aligning.stand_out(scores, said)
    assert strange is not None and not strange.any(), "on whatever level, all are alike"
    scores[2, 21:24] += 0.4
    scores[:, 50] += 0.4  # a moment that all fit
    seen = aligning.stand_out(scores, said)
    assert seen is not None and np.flatnonzero(seen).tolist() == [2]
    above = np.array([[x - np.mean(scores[:, t]) for t, x in enumerate(row)] for row in scores])
    best = [max(np.mean(above[i, t : t + 2]) - PRIOR * abs(t - 10 * i) for t in range(59))
            for i in range(6)]  # fmt: skip
    left = aligning.leads_of(scores, said)
    assert left[2] == pytest.approx(best[2] + PRIOR)  # found a second from the time of speech
    assert aligning.stand_out(scores[:4], said[:4]) is None, "too few to tell"


def test_the_threshold_is_the_one_that_was_found() -> None:
    kept = Path(__file__).resolve().parents[1] / "benchmarks" / "seen.json"
    assert json.loads(kept.read_text())["threshold"] == aligning.LEAD


def test_only_the_small_model_has_a_threshold(
    video: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, told = said([str(video), "--json", "--out", "-"], capsys)
    assert aligning.ALL_SEEN in found["notes"] and "7 cues, 6 of them seen" in told
    monkeypatch.setattr(Encoder, "name", "small")
    found, told = said([str(video), "--json", "--out", "-"], capsys)
    assert aligning.ALL_SEEN not in found["notes"]
    seen = {one["number"] for one in found["cues"] if one["alignable"]}
    assert seen == {1, 2, 3, 5, 6}, "of the last nothing is to be seen"
    given, _ = said([str(video), "--json", "--out", "-", "--min-score", "-1"], capsys)
    assert sum(one["alignable"] for one in given["cues"]) == 6, "who gives a score decides"
    few = video.with_name("few.srt")
    few.write_text("00:07,000 --> 00:09,000\nHere is red.\n")
    found, told = said([str(video), str(few), "--json", "--out", "-"], capsys)
    assert aligning.TOO_FEW in found["notes"] and "1 cue, seen" in told


def test_refused(video: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, says in (
        ([str(video), str(video)], 1, "is no text file"),
        ([str(video.with_name("none.mp4"))], 1, "none.mp4"),
        ([str(video), "--max-shift", "-1"], 2, "argument --max-shift"),
        ([str(video), "--min-score", "2"], 2, "argument --min-score"),
        ([str(video), "--encoding", "utf-9"], 1, "There is no encoding 'utf-9'"),
    ):
        capsys.readouterr()
        try:
            assert main(["align", *words]) == code
        except SystemExit as end:
            assert end.code == code
        assert says in capsys.readouterr().err
    quiet = video.with_name("quiet.srt")
    quiet.write_text("00:01,000 --> 00:02,000\n[Music]\n")
    assert main(["align", str(video), str(quiet)]) == 1
    assert "holds no sentence that can be looked for" in capsys.readouterr().err
