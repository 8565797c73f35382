"""How fast the loader gives clips, beside the decoders used directly and beside a training step.

    python benchmarks/loader.py --dataset synthetic

Every way reads the same clips: the same files, the same random starts, 40 frames (8 blocks of 5),
one after the other in one process and one thread, the file opened anew for each clip. Prints a
table in Markdown and writes ``loader.json`` beside this file. Processor time hardly depends on
what else the machine does; clips by the clock do, and are worth reading on an idle machine only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch

from thesislib.clip_config import FRAME_WISE, ClipConfig
from thesislib.data.dataset import ClipDataset
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError

HERE = Path(__file__).parent
Read = Callable[[str, np.ndarray], np.ndarray]


def by_thesislib(backend: str) -> Read:
    return lambda path, indices: open_video(path, backend).frames(indices)


def by_decord() -> Read:
    import decord

    decord.logging.set_level(decord.logging.QUIET)

    def read(path: str, indices: np.ndarray) -> np.ndarray:
        return decord.VideoReader(path, num_threads=1).get_batch(indices).asnumpy()

    return read


def by_pyav() -> Read:
    """As its documentation shows: seek, decode, ``to_ndarray`` of each frame."""
    import av

    def read(path: str, indices: np.ndarray) -> np.ndarray:
        wanted, frames = set(indices.tolist()), []
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            tick = 1 / (stream.average_rate * stream.time_base)
            container.seek(round(int(indices[0]) * tick), stream=stream)
            for frame in container.decode(stream):
                number = round(frame.pts / tick)
                if number in wanted:
                    frames.append(frame.to_ndarray(format="rgb24"))
                if number >= indices[-1]:
                    break
        return np.stack(frames)

    return read


def by_torchcodec() -> Read:
    from torchcodec.decoders import VideoDecoder

    def read(path: str, indices: np.ndarray) -> np.ndarray:
        decoder = VideoDecoder(path, num_ffmpeg_threads=1, dimension_order="NHWC")
        return decoder.get_frames_at(indices.tolist()).data.numpy()

    return read


def by_opencv() -> Read:
    def read(path: str, indices: np.ndarray) -> np.ndarray:
        capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(indices[0]))
        last, frames = int(indices[0]), []
        for i in indices.tolist():
            for _ in range(i - last - 1):
                capture.grab()
            frames.append(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
            last = i
        return np.stack(frames)

    return read


COLUMNS = (
    ("processor_ms_per_clip", 1),
    ("clips_per_second_of_one_core", 0),
    ("clips_per_second", 0),
)
DECODERS: dict[str, Callable[[], Read]] = {
    "decord": by_decord,
    "PyAV": by_pyav,
    "torchcodec": by_torchcodec,
    "OpenCV": by_opencv,
    "thesislib, auto": lambda: by_thesislib("auto"),
    "thesislib, on decord": lambda: by_thesislib("decord"),
    "thesislib, on PyAV": lambda: by_thesislib("pyav"),
}


def clock() -> tuple[float, float]:
    """Seconds of wall and of processor, those of living workers included (on Linux)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor_time = used.ru_utime + used.ru_stime
    for child in multiprocessing.active_children():
        try:
            fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")")[-1].split()
        except OSError:
            continue
        processor_time += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), processor_time


def measure(name: str, clips: int, work: Callable[[], Any]) -> dict[str, Any]:
    wall, cpu = clock()
    work()
    wall, cpu = (after - before for after, before in zip(clock(), (wall, cpu), strict=True))
    print(f"{name}: {clips / wall:.0f} clips/s, {1e3 * cpu / clips:.1f} ms", file=sys.stderr)
    return {
        "way": name,
        "processor_ms_per_clip": 1e3 * cpu / clips,
        "clips_per_second_of_one_core": clips / cpu,
        "clips_per_second": clips / wall,
    }


def read_all(read: Read, wishes: Iterable[tuple[str, np.ndarray]]) -> None:
    for path, indices in wishes:
        if len(read(path, indices)) != len(indices):
            raise RuntimeError(f"{path}: frames are missing")


def decoding(manifest: Manifest, clips: int, stride: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    span = 40 * stride
    long_enough = [v for v in manifest.videos if v.n_frames > span]
    wishes = []
    for i in range(clips):
        video = long_enough[i % len(long_enough)]
        start = rng.integers(video.n_frames - span)
        wishes.append((str(manifest.file(video)), start + stride * np.arange(40)))
    rows = []
    for name, make in DECODERS.items():
        try:
            read = make()
            read_all(read, wishes[:3])  # the first call loads and sets up
        except (ImportError, RuntimeError, ThesisError, OSError) as error:
            print(f"{name}: left out ({str(error).splitlines()[0]})", file=sys.stderr)
            continue
        rows.append(measure(name, clips, lambda read=read: read_all(read, wishes)))  # type: ignore[misc]
    return rows


def loading(manifest: Manifest, clips: int, stride: int, size: int) -> list[dict[str, Any]]:
    """The loader whole: decode, augment as DPC does (frame-wise jitter and grey), collate."""
    rows = []
    for workers, cache in ((0, False), (1, False), (2, False), (0, True)):
        config = ClipConfig(
            num_seq=8, seq_len=5, stride=stride, size=size, augment=FRAME_WISE, cache=cache
        )
        repeat = -(-clips // len(manifest))
        data = ClipDataset(manifest, config, train=True, repeat=repeat)
        loader = make_loader(data, 16, shuffle=True, num_workers=workers)

        def one_pass(loader: Any = loader) -> None:
            for i, _ in enumerate(loader):
                if 16 * (i + 1) >= clips:
                    break

        if cache:  # the second pass is the one that a cache is for
            for i in range(len(manifest)):
                data[i]
        else:
            next(iter(loader))  # workers start, libraries load
        name = f"loader, {workers} workers" + (", cached" if cache else "")
        rows.append(measure(name, clips, one_pass))
        del loader
    return rows


def training_step(size: int, batch: int) -> dict[str, Any] | None:
    """What one DPC training step of the small preset takes: forward, backward, Adam."""
    try:
        from thesislib.methods.dpc import DPC, DPCConfig

        config = DPCConfig.preset("small").override({"size": size, "batch_size": batch})
        model = DPC(config)
    except (ImportError, AttributeError, ThesisError) as error:
        print(f"no step measured: {error}", file=sys.stderr)
        return None
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    video = torch.randn(batch, config.num_seq, 3, config.seq_len, size, size)
    item = {
        "video": video,
        "label": torch.zeros(batch, dtype=torch.int64),
        "index": torch.arange(batch),
    }

    def step() -> None:
        loss, _ = model.training_step(item)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    step()
    return measure("DPC training step", 4 * batch, lambda: [step() for _ in range(4)])


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x.split(":")[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="synthetic", help="name or folder of a data set")
    parser.add_argument("--root", type=Path, help="folder of the data sets")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--step", type=float, help="seconds of a training step; default: measured")
    parser.add_argument("--out", type=Path, default=HERE / "loader.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    manifest = read_manifest(args.dataset, args.root)
    report: dict[str, Any] = {
        "dataset": manifest.name,
        "videos": f"{manifest.videos[0].width}x{manifest.videos[0].height}, "
        f"{int(np.median([v.n_frames for v in manifest.videos]))} frames (median)",
        "clip": f"8 x 5 frames, stride {args.stride}",
        "size": args.size,
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "versions": {
            p: version(p)
            for p in ("torch", "decord", "av", "torchcodec", "opencv-contrib-python-headless")
        },
        "decoding": decoding(manifest, args.clips, args.stride),
        "loading": loading(manifest, args.clips, args.stride, args.size),
    }
    if args.step is not None:
        rate = args.batch / args.step
        report["step"] = {"way": "DPC training step (given)", "clips_per_second": rate}
    else:
        report["step"] = training_step(args.size, args.batch)
    known = json.loads(args.out.read_text()) if args.out.is_file() else {}
    known[f"{manifest.name}-{args.size}"] = report
    args.out.write_text(json.dumps(known, indent=2) + "\n")
    print(table(report))


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    lines = [
        f"**{report['dataset']}** ({report['videos']}; clips of {report['clip']}; "
        f"{report['processor']}, {report['cores']} cores, load {report['load_before']:.1f} before; "
        f"{report['date']})",
        "",
        "| way | processor ms a clip | clips a second of one core | clips a second by the clock |",
        "|---|---:|---:|---:|",
    ]
    rows = [*report["decoding"], *report["loading"], report["step"]]
    for row in filter(None, rows):
        cells = ["–" if row.get(k) is None else f"{row[k]:.{digits}f}" for k, digits in COLUMNS]
        lines.append(f"| {row['way']} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
