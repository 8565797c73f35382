from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import video_files
from video_files import HEIGHT, WIDTH, number_of, write_bad_files, write_sound, write_video

from studio import SMALL, tiny
from thesislib.chapters.row import Job
from thesislib.chapters.run import settings, train
from thesislib.data import pyav_reader, reader, video_dataset
from thesislib.data.reader import open_video, probe
from thesislib.errors import ThesisError, VideoError

BACKENDS = ["pyav"] + (["decord"] if reader._decord() is not None else [])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("v") / "v.mp4", 50)


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
def test_the_frames_asked_for_are_the_frames_given(video: Path, backend: str) -> None:
    rng = np.random.default_rng(0)
    wishes = [[0], [49], [7, 8, 9], [49, 0, 49, 13], *rng.integers(50, size=(6, 9)).tolist()]
    open_one = open_video(video, backend)
    assert len(open_one) == 50
    for wish in wishes:  # a fresh reader and a used one
        for source in (open_video(video, backend), open_one):
            frames = source.frames(wish)
            assert frames.shape == (len(wish), HEIGHT, WIDTH, 3)
            assert frames.dtype == np.uint8
            assert [number_of(f) for f in frames] == wish
    assert np.allclose(open_one.timestamps(), np.arange(50) / 30, atol=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frame_that_is_not_there_is_a_named_problem(video: Path, backend: str) -> None:
    for wish in ([50], [-1], [3, 99]):
        with pytest.raises(VideoError, match=r"it has 50|wanted"):
            open_video(video, backend).frames(wish)


@pytest.mark.parametrize("backend", BACKENDS)
def test_true_times_of_a_variable_frame_rate(tmp_path: Path, backend: str) -> None:
    gaps = np.random.default_rng(0).integers(1, 7, size=39)
    times = [0, *np.cumsum(gaps).tolist()]
    path = write_video(tmp_path / "vfr.mp4", 40, times=times)
    source = open_video(path, backend)
    assert len(source) == 40
    assert np.allclose(source.timestamps(), np.array(times) / 30, atol=2e-3)
    assert [number_of(f) for f in source.frames([5, 20, 39])] == [5, 20, 39]
    info = probe(path, full=True)
    assert info.n_frames == 40
    assert info.duration == pytest.approx(times[-1] / 30, abs=0.25)
    assert info.fps == pytest.approx(40 / info.duration)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mov"])
def test_other_containers(tmp_path: Path, suffix: str, backend: str) -> None:
    codec = "mpeg4" if suffix == ".avi" else "libx264"
    path = write_video(tmp_path / f"v{suffix}", 40, codec=codec)
    assert probe(path, full=True).n_frames == 40
    source = open_video(path, backend)
    assert [number_of(f) for f in source.frames([31, 4, 39])] == [31, 4, 39]


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
@pytest.mark.parametrize("width", [16, 24, 48, 72])
def test_narrow_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, backend: str
) -> None:
    """decord cannot hand over rows that are padded to a whole number of pixels."""
    monkeypatch.setattr(video_files, "WIDTH", width)
    for suffix, codec in ((".mp4", "libx264"), (".avi", "mpeg4")):
        path = write_video(tmp_path / f"v{suffix}", 20, codec=codec)
        frames = open_video(path, backend).frames([17, 3, 17])
        assert frames.shape == (3, HEIGHT, width, 3)
        assert [number_of(f) for f in frames] == [17, 3, 17]


def test_a_file_that_decord_refuses_goes_to_pyav(tmp_path: Path) -> None:
    if "libsvtav1" not in av.codecs_available:
        pytest.skip("this PyAV cannot write AV1")
    os.environ.setdefault("SVT_LOG", "0")
    path = write_video(tmp_path / "a.mp4", 20, codec="libsvtav1", options={"preset": "12"})
    source = open_video(path)
    assert isinstance(source, pyav_reader.PyAVReader)
    assert [number_of(f) for f in source.frames([3, 17])] == [3, 17]


@pytest.mark.parametrize("full", [False, True])
def test_each_bad_file_has_its_reason(tmp_path: Path, full: bool) -> None:
    write_bad_files(tmp_path)
    reasons = {}
    for path in sorted(tmp_path.iterdir()):
        try:
            reasons[path.name] = f"{probe(path, full).n_frames} frames"
        except VideoError as error:
            assert error.path == path
            reasons[path.name] = error.reason
    assert reasons.pop("cut.avi").startswith("truncated: ")
    assert reasons == {
        "cut.mp4": "truncated: the mp4 index (moov) is missing",
        "empty.mp4": "empty file",
        "text.mp4": "not a video",
        "sound.mp4": "no video stream (audio only)",
        "single.mp4": "1 frames",
    }
    with pytest.raises(VideoError, match="no such file"):
        probe(tmp_path / "gone.mp4")


def test_only_decoding_finds_a_hole_in_the_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 60, options={"crf": "10", "g": "60", "threads": "1"})
    raw = bytearray(path.read_bytes())
    start = raw.find(b"mdat") + 200
    raw[start : start + (len(raw) - start) // 2] = b"\0" * ((len(raw) - start) // 2)
    path.write_bytes(bytes(raw))
    try:
        shallow = probe(path).n_frames
    except VideoError:
        pytest.skip("this file's index did not survive")
    assert shallow == 60
    with pytest.raises(VideoError, match=r"frames decode|no frame decodes"):
        probe(path, full=True)


@pytest.mark.parametrize("backend", [*BACKENDS, "auto"])
def test_opening_a_bad_file_is_a_video_error(tmp_path: Path, backend: str) -> None:
    write_bad_files(tmp_path)
    write_sound(tmp_path / "sound2.mp4")
    for name in ("cut.mp4", "empty.mp4", "text.mp4", "sound2.mp4", "gone.mp4"):
        with pytest.raises(VideoError):
            open_video(tmp_path / name, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reader_stays_where_it_was_opened(video: Path, backend: str) -> None:
    source = open_video(video, backend)
    problems: list[BaseException] = []

    def use() -> None:
        try:
            source.frames([0])
        except ThesisError as error:
            problems.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(20)
    assert len(problems) == 1
    assert "another process or thread" in str(problems[0])
    with pytest.raises(TypeError, match="send the path"):
        pickle.dumps(source)


def _child(source: reader.Reader, channel: multiprocessing.connection.Connection) -> None:
    try:
        source.frames([0])
        channel.send("read")
    except ThesisError as error:
        channel.send(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_forked_reader_refuses_instead_of_hanging(video: Path, backend: str) -> None:
    source = open_video(video, backend)
    source.frames([0])
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_child, args=(source, theirs))
    child.start()
    assert ours.poll(20), "the child hangs"
    assert "another process" in ours.recv()
    child.join(20)


def _collect(channel: multiprocessing.connection.Connection) -> None:
    gc.collect()
    channel.send("collected")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_may_collect_a_reader_that_its_parent_left(video: Path) -> None:
    """decord waits for the threads of a reader that it frees; a child has none of them."""
    pytest.importorskip("decord")
    gc.disable()
    try:
        source: list[object] = [open_video(video, "decord")]
        source.append(source)  # garbage that only the collector finds
        del source
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context("fork").Process(target=_collect, args=(theirs,))
        child.start()
        answered = ours.poll(20)
        if not answered:
            child.kill()
        child.join(20)
    finally:
        gc.enable()
    assert answered, "the child hangs"


def test_without_decord_pyav_reads(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_decord", lambda: None)
    assert isinstance(open_video(video), pyav_reader.PyAVReader)
    with pytest.raises(ThesisError, match="backend='pyav'"):
        open_video(video, "decord")


def test_real_clips_give_the_same_frames_by_every_way(shared: Path) -> None:
    rng = np.random.default_rng(0)
    clips = sorted(p for p in (shared / "real_clips").iterdir() if p.suffix in (".mp4", ".avi"))
    assert len(clips) == 4
    for path in clips:
        n = probe(path, full=True).n_frames
        truth = open_video(path, "pyav").frames(np.arange(n))  # every frame from the first on
        for backend in (*BACKENDS, "auto"):
            for wish in (np.arange(n - 16, n), np.sort(rng.choice(n, 8, replace=False))):
                got = open_video(path, backend).frames(wish)
                # The two decoders' builds differ by a rounding in MPEG-4.
                assert np.abs(got.astype(int) - truth[wish]).max() <= 3, (path.name, backend)


def test_the_setting_decides_the_reader_and_the_result_says_it(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny(roots / "data")
    asked: list[str] = []

    def counted(path: Path, backend: str) -> reader.Reader:
        asked.append(backend)
        return open_video(path, backend)

    monkeypatch.setattr(video_dataset, "open_video", counted)
    runs = []
    for backend in ("pyav", "auto"):
        job = Job("dpc/5pred3", changes={**SMALL, "epochs": 1, "backend": backend}, log=None)
        trained = train(job)
        assert settings(job).backend == backend and trained.run is not None
        runs.append(trained.run.name)
        assert trained.result["provenance"]["backend"] == "pyav", "found, not trained, by auto"
    assert runs[0] == runs[1] and set(asked) == {"pyav"}
    with pytest.raises(ThesisError, match="did you mean 'decord'"):
        settings(Job("dpc/5pred3", changes={"backend": "decrod"}))
