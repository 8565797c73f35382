"""Every reader against ffmpeg's own frames, over a zoo of small videos, whole and damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import zoo

from thesislib.data import pyav_reader, reader
from thesislib.data.reader import open_video, probe
from thesislib.data.streaming import Stream
from thesislib.errors import ThesisError, VideoError

pytest.importorskip("imageio_ffmpeg")
DEEP = "10bit.mp4"  # swscale's versions differ in how they shrink ten bits to eight


def backends() -> list[str]:
    """Those at hand."""
    found = ["auto", "pyav"] + (["decord"] if reader._decord() is not None else [])
    try:
        reader._torchcodec()
    except ThesisError:
        return found
    return [*found, "torchcodec"]


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = zoo.write_zoo(tmp_path_factory.mktemp("zoo"))
    missing = {*zoo.WHOLE, *zoo.REMUXED, *zoo.DAMAGED} - set(found)
    assert len(found) >= 40 and len(missing) < 5, missing  # an ffmpeg lacks some encoder
    return found


def far(frames: np.ndarray, truth: np.ndarray) -> float:
    """The largest difference in levels."""
    return float(np.abs(frames.astype(int) - truth).max())


def test_the_readers_show_what_ffmpeg_shows(
    animals: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyav_reader, "NEAR", 0)  # a pass jumps to the next key frame that serves
    for name in [*zoo.WHOLE, *zoo.REMUXED]:
        if name not in animals:
            continue
        path = animals[name]
        info = probe(path, full=True)
        truth = zoo.frames_of(path, info.width, info.height)
        assert info.n_frames == len(truth) == probe(path).n_frames, name
        wish = np.linspace(len(truth) - 1, 0, 6).round().astype(int)
        streamed = [frame for _, frame in Stream(path).rows(Stream(path).fps)]
        assert np.array_equal(streamed[0], open_video(path, "pyav").frames([0])[0]), name
        passing = dict(pyav_reader.PyAVReader(path).onward(sorted({*wish.tolist()})))
        assert np.array_equal([passing[n] for n in wish], open_video(path, "pyav").frames(wish))
        for backend in backends():
            source = open_video(path, backend)
            assert len(source) == len(truth), (name, backend)
            frames = source.frames(wish)
            if name == DEEP:
                assert np.abs(frames.astype(int) - truth[wish]).mean() < 8, backend
            else:
                assert far(frames, truth[wish]) <= 3, (name, backend)


def test_a_damaged_file_is_named_or_shows_what_ffmpeg_shows(animals: dict[str, Path]) -> None:
    said = {}
    for name in zoo.DAMAGED:
        path = animals[name]
        try:
            info = probe(path, full=True)
        except VideoError as error:
            assert error.path == path
            said[name] = error.reason
            continue
        truth = zoo.frames_of(path, info.width, info.height)
        assert abs(len(truth) - info.n_frames) <= 1, name  # a last one in part
        for backend in ("auto", "pyav"):
            wish = np.arange(info.n_frames)
            assert far(open_video(path, backend).frames(wish), truth[wish]) <= 3, (name, backend)
    assert said["text.mp4"] == said["headless.mkv"] == "not a video"
    assert said["cut_moov.mp4"] == "truncated: the mp4 index (moov) is missing"
    for name in ("cut.mp4", "cut.avi", "zeroed.mp4"):
        assert said[name].startswith(("truncated: ", "no frame decodes")), said
    assert len(said) >= 6
