"""Films described by the command line, with a small network that has learnt nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from methods.writing import little
from thesislib import describing
from thesislib.checkpoint import RunFolder, save_state
from thesislib.cli import main
from thesislib.errors import VideoError
from thesislib.language.describing import Description
from thesislib.methods.autoad import AutoAD, AutoADConfig
from thesislib.methods.autoad_config import Decoding
from thesislib.subtitles import read_subtitles

sys.path.insert(0, str(Path(__file__).parent / "data"))
from video_files import write_video

LINES = [(4, 5, "Anna?"), (16, 20, "Come here!"), (22, 22.9, "[Music]")]


def trained(roots: Path, **changes: Any) -> str:
    """A finished run; its language model knows a few words."""
    folder = roots / "words"
    language = little()
    with torch.no_grad():  # words alone: neither an end, nor a full stop, nor a question mark
        language.model.transformer.wte.weight[[0, 1, 10]] = 0
    language.model.save_pretrained(folder)
    language.tokenizer.save(str(folder / "tokenizer.json"))
    config = replace(
        AutoADConfig.preset("small"), language=str(folder), heads=2, frames=4,
        decoding=Decoding(beams=1, new_tokens=5, penalty=1.0, no_repeat=0),
        **{"subtitles": "all", **changes},
    )  # fmt: skip
    torch.manual_seed(5)
    model = AutoAD(config, language.model)
    model.project.weight.data.mul_(3)
    run = RunFolder.open("autoad", config, "data")
    save_state(run.checkpoint, model, None, {})
    run.finish({})
    return run.name


@pytest.fixture
def run(roots: Path) -> str:
    return trained(roots)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = write_video(
        tmp_path / "my film.mp4", 60, times=[15 * i for i in range(60)], size=(64, 48)
    )
    rows = [f"{i}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{t}\n" for i, (a, b, t) in enumerate(LINES)]
    path.with_suffix(".srt").write_text("\n".join(rows))
    return path


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert main(["describe", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_film_and_the_subtitles_beside_it(
    run: str, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = film.read_bytes(), film.with_suffix(".srt").read_bytes()
    found = said([str(film), "--rate", "4"], capsys)
    assert (film.read_bytes(), film.with_suffix(".srt").read_bytes()) == before
    names = sorted(path.name for path in film.parent.iterdir() if path.name.startswith("my film"))
    assert names == [
        f"my film{e}" for e in (".descriptions.html", ".descriptions.vtt", ".mp4", ".srt")
    ]
    assert found["run"] == run and found["clips"] == len(found["cues"]) + len(found["silent"])
    assert found["clips"] == 1 + 2 + 2  # 0 to 4, 5 to 16 and 20 to 29.5 s; music is no dialogue
    assert found["cues"], [one["written"] for one in found["silent"]]
    track = film.with_name("my film.descriptions.vtt")
    note = track.read_text().split("\n\n")[1]
    assert note.startswith("NOTE\nkind: descriptions.") and "a machine; nobody" in note
    read = read_subtitles(track)
    assert [cue.text for cue in read.cues] == [one["text"] for one in found["cues"]]
    for cue in read.cues:
        assert all(cue.end <= a or cue.start >= b for a, b, _ in LINES[:2])
        assert len(cue.text.split()) / (cue.end - cue.start) <= 4.01
    # What was written is what the judge passes.
    assert main(["describe", "--check", str(track), "--film", str(film)]) == 0
    page = film.with_name("my film.descriptions.html").read_text()
    assert page.count("<li ") == 5 and page.count("<img ") == 15
    assert "heard before: <q>Anna?</q>" in page and "described before:" in page
    assert found["warning"] and page.count("class=warning") == 1


def test_a_film_without_dialogue(run: str, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(film), "--silent"]) == 0
    assert "Without subtitles: nobody speaks." in capsys.readouterr().err
    found = said([str(film), "--silent", "--min-gap", "5", "--longest", "10"], capsys)
    assert found["subtitles"] is None and found["clips"] == 3  # of 29.1 s
    assert found["check"]["over_dialogue"] == 0


def test_gaps_by_the_sound(
    run: str, film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its reader has tests of its own; here somebody speaks from 10 to 20 s of 29.5."""
    film.with_suffix(".srt").unlink()
    sound = np.random.default_rng(0).normal(0, 1e-4, 472_000).astype(np.float32)
    sound[160_000:320_000] *= 1000
    monkeypatch.setattr(describing, "read_sound", lambda path: sound)
    monkeypatch.setattr(describing, "check_sound", lambda path: None)
    found = said([str(film), "--sound"], capsys)
    assert found["clips"] == 2 + 2 and found["check"]["over_dialogue"] is None
    assert not any(9.8 < one["start"] < 20.2 for one in [*found["cues"], *found["silent"]])
    if importlib.util.find_spec("faster_whisper") is None:
        monkeypatch.setattr(describing, "read_sound", lambda path: pytest.fail("listened"))
        assert main(["describe", str(film), "--sound", "voice"]) == 1
        assert "which is not installed: pip install thesislib[audio]" in capsys.readouterr().err


def test_killed_it_goes_on(
    run: str, film: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said([str(film)], capsys)
    track = film.with_name("my film.descriptions.vtt")
    whole, looked = track.read_bytes(), []
    track.unlink()

    def killed(*args: Any, **more: Any) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(describing, "fitted", killed)
        assert main(["describe", str(film)]) == 130
    work = film.with_name("my film.describing")
    assert work.is_dir() and not track.exists()
    encode = describing.ImageText.encode_frames

    def counted(self: Any, frames: np.ndarray, *more: Any) -> torch.Tensor:
        looked.append(len(frames))
        return encode(self, frames, *more)

    monkeypatch.setattr(describing.ImageText, "encode_frames", counted)
    assert said([str(film)], capsys) == found
    assert track.read_bytes() == whole and not looked and not work.exists()
    assert said([str(film), "--out", str(film.parent / "new")], capsys)["cues"] == found["cues"]
    assert looked and (film.parent / "new" / "my film.descriptions.vtt").read_bytes() == whole


def telling(texts: list[str], monkeypatch: pytest.MonkeyPatch, heard: list[Any]) -> None:
    """Each text is written of a clip, the last one of all others; what was heard is noted."""

    def write(
        model: Any, language: Any, features: torch.Tensor, said: Any, *args: Any, **more: Any
    ) -> Any:
        assert features.shape[1:] == (4, 128)
        heard.extend(said)
        rows = [texts[min(i, len(texts) - 1)] for i in range(len(features))]
        return [Description("film", i, text, text, 0.0) for i, text in enumerate(rows)]

    monkeypatch.setattr(describing, "describe_clips", write)


def test_long_cues_and_names(
    run: str, film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["Anna waves.", "Anna and Bob sit on a very long red bench by the old sea wall, still."]
    telling(texts, monkeypatch, [])
    (film.parent / "cast.txt").write_text("Bob\n")
    words = [str(film), "--names", str(film.parent / "cast.txt"), "--rate", "1.5"]
    found = said(words, capsys)
    assert [one["text"] for one in found["cues"]] == ["Someone waves."]
    found = said([*words, "--extended"], capsys)
    assert found["cues"][1]["kind"] == "extended"
    assert found["cues"][1]["text"].startswith("Anna and someone sit")
    track = film.with_name("my film.descriptions.vtt").read_text()
    assert "the film has to stop: 2." in track


@pytest.mark.parametrize("dataset", ["synthetic_films", "mad"])
def test_whose_names_a_film_has(
    dataset: str, roots: Path, film: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A run on the studio's films may write their names; names in the dialogue are any film's."""
    trained(roots, dataset=dataset, subtitles="names")
    heard: list[Any] = []
    telling(["Rose waves. Zoe sits.", "Rose and Zoe sit. Mia is there."], monkeypatch, heard)
    lines = film.with_suffix(".srt").read_text()
    lines = lines.replace("Anna?", "We wait for Zoe.").replace("Come here!", "Zoe, come to Mia!")
    film.with_suffix(".srt").write_text(lines)
    found = said([str(film), "--rate", "9"], capsys)
    assert heard == [[], ["Zoe"], ["Zoe"], ["Zoe", "Mia"], ["Zoe", "Mia"]]
    rose = "Someone" if dataset == "synthetic_films" else "Rose"
    # Who has not been called yet is nobody; Zoe has been when the second clip begins.
    assert [one["text"] for one in found["cues"]] == [
        f"{rose} waves. Someone sits.", f"{rose} and Zoe sit. Someone is there.",
        "Mia is there.",
    ]  # fmt: skip
    warned = [row["text"] for row in found["check"]["findings"] if row["kind"] == "names"]
    assert warned == []


def test_what_a_human_has_written_or_changed_is_not_replaced(
    run: str, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track = film.with_name("my film.descriptions.vtt")
    assert said([str(film)], capsys) == said([str(film)], capsys)  # its own is
    changed = track.read_text().replace("waves", "greets")
    empty = [str(film), "--rate", "0.01", "--out", str(film.parent / "none")]
    for _ in range(2):  # a track without a cue is its own, too
        assert not said(empty, capsys)["cues"]
    for text in (changed, "WEBVTT\n\n00:01.000 --> 00:02.000\nTom waves.\n", ""):
        track.write_text(text)
        assert main(["describe", str(film)]) == 1
        assert "is not as this command writes it" in capsys.readouterr().err
        assert track.read_text() == text and not film.with_name("my film.describing").exists()
    assert said([str(film), "--out", str(film.parent / "new")], capsys)["cues"]


def test_what_is_refused(
    film: Path, roots: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(*words: str) -> str:
        capsys.readouterr()
        assert main(["describe", *words]) == 1
        return capsys.readouterr().err

    assert "there is no finished one here" in refused(str(film))
    assert "Name the film to describe" in refused()
    assert "--tolerance is of judging" in refused(str(film), "--tolerance", "0.2")
    assert "--rate, --out is of describing: do without --check" in refused(
        "--check", str(film), "--rate", "2", "--out", "x"
    )
    assert "are two films" in refused(str(film), "--check", "x.vtt", "--film", str(film))
    assert "describing: do without --check, or leave it out" in refused(
        "--check", str(film), "--silent"
    )
    for more in (["--sound"], ["--subtitles", str(film.with_suffix(".srt"))]):
        assert "leave --silent out, or alone" in refused(str(film), "--silent", *more)
    assert "a folder: name a video in it" in refused(str(tmp_path), "--silent")
    film.with_suffix(".srt").unlink()
    assert "let --sound go by" in refused(str(film))
    assert "has no sound" in refused(str(film), "--sound")


def test_a_film_without_a_gap(
    run: str, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all.vtt").write_text("WEBVTT\n\n00:00.000 --> 01:00.000\nOn and on.\n")
    assert main(["describe", str(film), "--subtitles", str(tmp_path / "all.vtt")]) == 1
    assert "leaves no gap of 2 s" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["run", "weights", "names", "out"])
def test_what_is_wrong_is_said_before_a_film_is_listened_to(
    wrong: str, run: str, film: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(describing, "check_sound", lambda path: None)
    monkeypatch.setattr(describing, "read_sound", lambda path: pytest.fail("it was listened to"))
    film.with_suffix(".srt").unlink()
    given = str(film) if wrong == "out" else "nonesuch"
    assert main(["describe", str(film), "--sound", f"--{wrong}", given]) == 1
    assert given in capsys.readouterr().err
    assert sorted(path.name for path in film.parent.glob("my film*")) == ["my film.mp4"]


def test_a_track_is_not_held_against_itself(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    track = film.with_suffix(".srt")
    words = ["describe", "--check", str(track), "--film", str(film)]

    def known(code: int) -> str:
        capsys.readouterr()
        assert main([*words, "--json"]) == code
        return str(json.loads(capsys.readouterr().out)["subtitles"])

    assert known(0) == "None"
    other = film.with_suffix(".de.srt")
    other.write_text(track.read_text())
    assert known(1) == str(other)
    capsys.readouterr()
    assert main([*words, "--subtitles", str(track)]) == 1
    assert "is the track itself: name the dialogue" in capsys.readouterr().err


def test_a_film_that_does_not_decode_is_named(
    run: str, film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **more: Any) -> Any:
        raise VideoError(film, "a frame does not decode")

    monkeypatch.setattr("thesislib.data.extraction._rows_of", broken)
    assert main(["describe", str(film), "--json"]) == 1
    done = capsys.readouterr()
    assert done.out == "" and "skipped: " in done.err and "doctor" not in done.err
    assert "my film.mp4: a frame does not decode: name a whole copy of it." in done.err
    assert not film.with_name("my film.describing").exists()
