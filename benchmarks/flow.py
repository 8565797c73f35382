"""How fast flow is computed and read, and what other ways to keep it would cost.

    python benchmarks/flow.py --dataset synthetic

Prints Markdown and writes ``flow.json`` beside this file. One process, one thread; all times are
processor time, which hardly depends on what else the machine does. Nothing is written into the data
set: its flow goes to a folder that is deleted at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import torch

from loader import processor
from thesislib.clip_config import FLOW_ALGORITHMS, ClipConfig, FlowConfig
from thesislib.data.dataset import ClipDataset
from thesislib.data.flow import compute_flow, flow_of
from thesislib.data.flow_files import flow_file, read_flow
from thesislib.data.manifest import Manifest, read_manifest
from thesislib.data.reader import open_video

HERE = Path(__file__).parent
CLIP = 24  # frames of a clip: 8 blocks of 3


def milliseconds(work: Callable[[], Any], least: float = 0.3) -> float:
    """Processor time of one call, over at least ``least`` seconds of them."""
    work()
    count, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < least:
        work()
        count += 1
    return 1e3 * spent / count


def computing(manifest: Manifest, pairs: int) -> dict[str, float]:
    """Milliseconds a pair of each algorithm, on the middle of the first videos."""
    video = manifest.videos[0]
    first = (video.n_frames - pairs) // 2
    frames = open_video(manifest.file(video)).frames(range(first, first + pairs + 1))
    return {
        name: milliseconds(lambda name=name: flow_of(frames, FlowConfig(name)), 0.1) / pairs  # type: ignore[misc]
        for name in FLOW_ALGORITHMS
    }


def keeping(flow: np.ndarray, npz: Path, read: Callable[[], Any]) -> dict[str, dict[str, float]]:
    """Kilobytes of a video's flow and milliseconds to read a clip of it, in several forms."""
    length, height, width, _ = flow.shape
    wish = range(length // 4, length // 4 + CLIP)
    third = np.full((height, width, 1), 128, np.uint8)

    def pictures(suffix: str, options: list[int], tall: bool) -> dict[str, float]:
        shaped = [
            np.moveaxis(f, -1, 0).reshape(2 * height, width) if tall else np.dstack([f, third])
            for f in flow
        ]
        files = [cv2.imencode(suffix, s, options)[1] for s in shaped]
        decode = lambda: [cv2.imdecode(files[k], cv2.IMREAD_UNCHANGED) for k in wish]  # noqa: E731
        return {"kB": sum(map(len, files)) / 1e3, "ms": milliseconds(decode)}

    buffer = io.BytesIO()
    np.save(buffer, flow)
    whole = npz.with_suffix(".npy")
    whole.write_bytes(buffer.getvalue())
    plain = lambda: np.array(np.load(whole, mmap_mode="r")[wish.start : wish.stop])  # noqa: E731
    return {
        "npz, a member a field (ours)": {
            "kB": npz.stat().st_size / 1e3, "ms": milliseconds(read),
        },
        "npy, memory-mapped": {"kB": len(buffer.getvalue()) / 1e3, "ms": milliseconds(plain)},
        "png a field": pictures(".png", [], True),
        "jpeg 100 a field (the authors'; lossy)": pictures(
            ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 100], False
        ),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="synthetic", help="name or folder of a data set")
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--stored", default="tvl1_fast", choices=FLOW_ALGORITHMS)
    parser.add_argument("--out", type=Path, default=HERE / "flow.json")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    source = read_manifest(args.dataset)
    few = [
        dataclasses.replace(v, path=str(source.file(v)))
        for v in source.videos
        if v.n_frames > CLIP + 8
    ][: args.videos]
    config = FlowConfig(args.stored)
    with tempfile.TemporaryDirectory() as scratch:
        manifest = Manifest(source.name, Path(scratch), tuple(few))
        compute_flow(manifest, config, jobs=1)
        video = few[0]
        flow = read_flow(manifest, video, range(video.n_frames - 1))
        wish = range(len(flow) // 4, len(flow) // 4 + CLIP)
        clip = {}
        for modality in ("rgb", "flow", "both"):
            shape = ClipConfig(
                num_seq=8, seq_len=3, stride=1, size=48, modality=modality, flow=config
            )
            data = ClipDataset(manifest, shape, train=True)
            every = lambda data=data: [data[i] for i in range(len(data))]  # noqa: E731
            clip[modality] = milliseconds(every, 1.0) / len(few)
        report = {
            "dataset": source.name,
            "video": f"{video.width}x{video.height}, {video.n_frames} frames",
            "date": datetime.date.today().isoformat(),
            "processor": processor(),
            "opencv": cv2.__version__,
            "ms_per_pair": computing(manifest, args.pairs),
            "files": keeping(
                flow, flow_file(manifest, video), lambda: read_flow(manifest, video, wish)
            ),
            "frames_ms": milliseconds(lambda: open_video(video.path).frames(wish)),
            "clip_ms": clip,
        }
    known = json.loads(args.out.read_text()) if args.out.is_file() else {}
    known[source.name] = report
    args.out.write_text(json.dumps(known, indent=2) + "\n")
    print(table(report))


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    pairs = report["ms_per_pair"].items()
    speeds = ", ".join(f"{name} {1e3 / ms:.3g} ({ms:.3g} ms)" for name, ms in pairs)
    clips = ", ".join(f"{name} {1e3 / ms:.0f}" for name, ms in report["clip_ms"].items())
    lines = [
        f"**{report['dataset']}** ({report['video']}; {report['processor']}, one thread, processor "
        f"time; OpenCV {report['opencv']}; {report['date']})",
        "",
        f"- Pairs a second: {speeds}.",
        f"- Clips of {CLIP} frames a second, read and cropped to 48 px: {clips}.",
        "",
        "| flow of one video | kB | ms to read a clip |",
        "|---|---:|---:|",
        *(f"| {name} | {x['kB']:.0f} | {x['ms']:.2g} |" for name, x in report["files"].items()),
        f"| the frames themselves | – | {report['frames_ms']:.2g} |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
