"""A miniature of UCF101 in its official layout: avi files by class, and lists in CR LF."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

CLASSES = ("ApplyEyeMakeup", "Archery", "BabyCrawling")
SIDE, FRAMES = 48, 24


def ucf101(folder: Path, groups: int = 4) -> Path:
    """One video a class and group; group K is the test list of split K."""
    lists = folder / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    names = [
        (f"{name}/v_{name}_g{group:02d}_c01.avi", number, group)
        for number, name in enumerate(CLASSES, 1)
        for group in range(1, groups + 1)
    ]
    for name, number, group in names:
        _film(folder / "UCF-101" / name, number, group)
    text = "".join(f"{i} {name}\r\n" for i, name in enumerate(CLASSES, 1))
    (lists / "classInd.txt").write_bytes(text.encode())
    for split in (1, 2, 3):
        test = "".join(f"{name}\r\n" for name, _, group in names if group == split)
        train = "".join(f"{name} {n}\r\n" for name, n, group in names if group != split)
        (lists / f"testlist{split:02d}.txt").write_bytes(test.encode())
        (lists / f"trainlist{split:02d}.txt").write_bytes(train.encode())
    return folder


def _film(path: Path, number: int, group: int) -> None:
    """A bright square that moves across, down, or both, on the ground of its group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.bit_rate = 1_000_000
        for step in range(FRAMES):
            picture = np.full((SIDE, SIDE, 3), 30 * group, np.uint8)
            x, y = (step if number & bit else 4 for bit in (1, 2))
            picture[y : y + 16, x : x + 16] = 230
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        sink.mux(stream.encode())
