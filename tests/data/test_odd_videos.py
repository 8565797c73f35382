"""Videos as people have them: trimmed, turned, with hidden frames, of changing size, tiny."""

from __future__ import annotations

import shutil
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from video_files import number_of, write_video

from thesislib.clip_config import FlowConfig
from thesislib.data import reader
from thesislib.data.flow import compute_flow
from thesislib.data.folder import prepare_folder
from thesislib.data.reader import open_video, probe
from thesislib.data.streaming import Stream
from thesislib.errors import VideoError

BACKENDS = ["auto", "pyav"] + (["decord"] if reader._decord() is not None else [])
DIS = FlowConfig("dis")
QUARTER = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # of a telephone held upright
MIRROR = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)  # of its front camera


def turn(path: Path, matrix: tuple[int, ...]) -> Path:
    """Gives an mp4 another display matrix."""
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4 + 4 + 20 + 8 + 8
    data[start : start + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)
    return path


def write_trimmed(path: Path, first: int) -> Path:
    """An mp4 of 50 frames whose edit list hides those before number ``first``, in key frame 0."""
    write_video(path, 50, options={"crf": "4", "g": "50", "bf": "0", "threads": "1"})
    data = bytearray(path.read_bytes())
    start = data.find(b"elst")
    duration, media_time = struct.unpack(">Ii", data[start + 12 : start + 20])
    tick = int.from_bytes(data[data.find(b"mdhd") + 16 : data.find(b"mdhd") + 20], "big") // 30
    data[start + 12 : start + 20] = struct.pack(
        ">Ii", duration * (50 - first) // 50, media_time + first * tick
    )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_trimmed_video_is_what_is_seen_of_it(tmp_path: Path, backend: str) -> None:
    path = write_trimmed(tmp_path / "v.mp4", 20)
    assert probe(path).n_frames == probe(path, full=True).n_frames == 30
    source = open_video(path, backend)
    assert len(source) == 30
    assert [number_of(f) for f in source.frames([29, 0, 7])] == [49, 20, 27]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("matrix", [QUARTER, MIRROR])
def test_every_reader_shows_the_picture_upright(
    tmp_path: Path, backend: str, matrix: tuple[int, ...]
) -> None:
    lying = write_video(tmp_path / "v.mp4", 6, tone=3)
    before = open_video(lying, backend).frames([2])[0]
    path = turn(Path(shutil.copy(lying, tmp_path / "t.mp4")), matrix)
    shown = np.rot90(before, -1) if matrix == QUARTER else before[:, ::-1]
    info = probe(path)
    assert (info.height, info.width) == shown.shape[:2]
    assert np.array_equal(open_video(path, backend).frames([2])[0], shown)
    assert np.array_equal([f for _, f in Stream(path).rows(30)][2], shown)


def write_growing(path: Path) -> Path:
    """Twenty frames of 64x48, then twenty of 96x72."""
    raw, pieces = path.with_suffix(".raw"), []
    for number, (width, height) in enumerate(((64, 48), (96, 72))):
        piece = path.with_name(f"{number}.h264")
        with av.open(str(piece), "w", format="h264") as sink:
            stream = sink.add_stream("libx264", rate=25, options={"bf": "0", "threads": "1"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for i in range(20):
                level = 8 + 4 * (20 * number + i)
                picture = np.full((height, width, 3), level, np.uint8)
                sink.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            sink.mux(stream.encode())
        pieces.append(piece.read_bytes())
    raw.write_bytes(b"".join(pieces))
    with av.open(str(raw), format="h264") as source, av.open(str(path), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for i, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = i
            sink.mux(packet)
    return path


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_changing_size_is_scaled_to_the_first(tmp_path: Path, suffix: str, backend: str) -> None:
    path = write_growing(tmp_path / f"v{suffix}")
    info = probe(path, full=True)
    assert (info.n_frames, info.width, info.height) == (40, 64, 48)
    for wish in ([1, 38], [38], [25, 3]):
        frames = open_video(path, backend).frames(wish)
        assert frames.shape == (len(wish), 48, 64, 3)
        assert [number_of(f) for f in frames] == wish


def test_tiny_videos_are_left_out_of_the_flow_and_named(tmp_path: Path) -> None:
    """DIS of 48x10 pixels ends the whole process."""
    folder = tmp_path / "own"
    for name, width, height in (("ok", 64, 48), ("icon", 8, 8), ("banner", 48, 10)):
        write_video(folder / f"{name}.mp4", 4, size=(width, height))
    manifest = prepare_folder(folder, "own", root=tmp_path / "data", progress=False)
    report = compute_flow(manifest, DIS, progress=False)
    assert report["computed"] == 1 and len(report["skipped"]) == 2
    assert all("too small for dis" in reason for reason in report["skipped"].values())


def test_what_a_user_may_not_read_is_a_video_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "v.mp4", 4)

    def refuse(self: Path, *args: object, **more: object) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    for call in (probe, open_video, Stream):
        with pytest.raises(VideoError, match="cannot be read: Permission denied"):
            call(path)


@pytest.mark.parametrize(
    ("case", "frames"),
    [
        ("trim_editlist", {f"cut{i}.mp4": 52 for i in (1, 2, 3, 4)}),
        ("vp8_altref", {"a1.webm": 100, "a2.webm": 100}),
        ("avi_dropped", {"drop1.avi": 56, "drop2.avi": 56, "drop3.avi": 57}),
        ("size_change", {"broadcast1.ts": 100, "call1.webm": 100, "call_av1.mkv": 100}),
        ("damaged_ts", {"video_esc_0.ts": 23}),
        ("rotation", {"phone.mkv": 75, "phone_h264.mp4": 75, "phone_av1.mp4": 75}),
    ],
)
def test_cases_that_people_reported(shared: Path, case: str, frames: dict[str, int]) -> None:
    for name, count in frames.items():
        path = shared / "cases" / case / name
        info = probe(path, full=True)
        assert info.n_frames == count, name
        if case == "rotation":
            assert (info.width, info.height) == (64, 128)
        wish = np.array([0, count // 3, count - 1])
        given = [open_video(path, backend).frames(wish) for backend in ("auto", "pyav")]
        assert np.array_equal(*given) and given[0].shape == (3, info.height, info.width, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_head_that_tells_of_endless_time_is_no_end(tmp_path: Path, backend: str) -> None:
    """decord makes room for every frame it is told of, and would abort the process."""
    path = write_video(tmp_path / "endless.mkv", 12)
    data = path.read_bytes()
    place = data.index(b"\x44\x89\x88") + 3  # the duration, in milliseconds
    path.write_bytes(data[:place] + struct.pack(">d", 2.6e12) + data[place + 8 :])
    assert open_video(path, backend).frames(range(12)).shape[0] == 12
