"""Videos as strips of frames: one video, many videos, queries and their neighbours."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.lines import Line2D
from PIL import Image

from thesislib.data.manifest import Manifest
from thesislib.data.reader import Frames, open_video
from thesislib.errors import VideoError
from thesislib.viz.style import WIDTH, Picture, bare, new_picture

MOST = 96  # rows of a contact sheet: more take minutes to draw, and nobody looks at them
_RIGHT, _WRONG = "#009E73", "#D55E00"
# Inches of a grid of neighbours: an encoder's name, a label, the titles, between strips, around.
_NAME, _LABEL, _HEAD, _GAP, _EDGE = 0.66, 0.21, 0.3, 0.1, 0.04


def _row(frames: Frames, gap: int = 2) -> Frames:
    """Frames (T, H, W, 3) side by side with a white gap: (H, T * (W + gap) - gap, 3)."""
    t, h, w, _ = frames.shape
    out = np.full((h, t * (w + gap) - gap, 3), 255, np.uint8)
    for i, frame in enumerate(frames):
        out[:, i * (w + gap) : i * (w + gap) + w] = frame
    return out


def _draw_row(
    ax: Axes, frames: Frames, indices: Sequence[int] | None, size: float = 8, gap: int = 2
) -> None:
    ax.imshow(_row(frames, gap))
    bare(ax)
    w = frames.shape[2]
    for i, index in enumerate(range(len(frames)) if indices is None else indices):
        x = (i * (w + gap) + w / 2 - 0.5, -0.03)
        ax.text(*x, str(index), transform=ax.get_xaxis_transform(), ha="center", va="top",
                fontsize=size, color="#444444")  # fmt: skip


def flow_colours(flow: Frames, bound: float = 20.0, full: float | None = None) -> Frames:
    """Optical flow as colours: the hue is the direction, the saturation the speed, white stands.

    Right is red, down is yellow-green, left is cyan, up is violet.

    Args:
        flow: uint8 (T, H, W, 2) as :func:`thesislib.data.flow_files.read_flow` gives it.
        bound: Pixels that the values 0 and 255 stand for.
        full: Pixels a frame at which the colour is full; default: the fastest hundredth, at
            least 1.

    Returns:
        uint8 (T, H, W, 3) RGB, for :func:`contact_sheet`.
    """
    levels = flow[..., :2].astype(np.float64) - 127.5
    levels[np.abs(levels) < 1] = 0  # 127 and 128 lie on both sides of zero motion
    x, y = np.moveaxis(levels * bound / 127.5, -1, 0)
    speed = np.hypot(x, y)
    full = max(1.0, float(np.percentile(speed, 99))) if full is None else full
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    hsv = np.stack([hue, np.minimum(speed / full, 1), np.ones_like(hue)], axis=-1)
    return (hsv_to_rgb(hsv) * 255).round().astype(np.uint8)


def amplified(flow: Frames, gain: float) -> Frames:
    """Flow as a network gets it, uint8 (T, H, W, 3), with every deviation ``gain`` times as large.

    What stands still is the median of a channel and stays as it is.
    """
    ground = np.median(flow, axis=(0, 1, 2))
    return np.clip(ground + gain * (flow - ground), 0, 255).round().astype(np.uint8)


def contact_sheet(
    videos: Sequence[Frames],
    titles: Sequence[str],
    indices: Sequence[Sequence[int]] | None = None,
    columns: int = 2,
    caption: str = "",
    formulas: bool = False,
) -> Picture:
    """Many videos, each a row of frames with their numbers under its title.

    Args:
        videos: Each uint8 (T, H, W, 3) RGB; T and the sizes may differ.
        titles: One a video.
        indices: Frame numbers of each video.
        columns: Videos side by side.
        caption: Kept with the picture.
        formulas: Whether titles hold any, between dollar signs; names of people's videos may not.
    """
    lines = math.ceil(len(videos) / columns)
    wide = (WIDTH / columns) - 0.1
    tall = max(wide / len(v) * v.shape[1] / v.shape[2] for v in videos) + 0.36
    alt = f"{len(videos)} videos as rows of frames: {', '.join(dict.fromkeys(titles))}."
    picture = new_picture(WIDTH, lines * tall, alt, caption)
    axes = picture.subplots(lines, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for i, (ax, video, title) in enumerate(zip(axes, videos, titles, strict=False)):
        ax.set_axis_on()
        _draw_row(ax, video, None if indices is None else indices[i], size=7)
        ax.set_title(title, loc="left", fontsize=9, pad=2, parse_math=formulas)
    return picture


def write_contact_sheet(
    manifest: Manifest, path: str | Path, per_class: int = 1, frames: int = 6, seed: int = 0
) -> Path:
    """Writes a contact sheet of a data set: some videos of each class, or twelve without classes.

    Of more than :data:`MOST` videos so many are shown, spread evenly over the classes, and a line
    on stderr says so.

    Args:
        manifest: The data set.
        path: PNG file to write.
        per_class: Videos of each class.
        frames: Frames of each video, evenly spread over it.
        seed: Which videos.

    Returns:
        ``path``. A file that cannot be read is shown as an empty row that names the reason.
    """
    count = per_class if manifest.classes else max(per_class, 12)
    chosen = manifest.select(per_class=count, seed=seed)
    rows = sorted(chosen.videos, key=lambda v: (v.label, v.path))
    if len(rows) > MOST:
        sys.stderr.write(f"{manifest.name}: the sheet shows {MOST} of {len(rows)} videos\n")
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, MOST).round().astype(int)]
    videos, titles, indices = [], [], []
    for video in rows:
        name = video.label.replace("_", " ") or Path(video.path).stem
        title = f"{name} ({video.split})"
        try:
            reader = open_video(manifest.file(video))
            numbers = np.linspace(0, len(reader) - 1, min(frames, len(reader))).round().astype(int)
            shown = np.stack([shrunk(f) for f in reader.frames(numbers)])
        except VideoError as error:
            shown, numbers = np.full((frames, 64, 64, 3), 235, np.uint8), np.arange(frames)
            title = f"{Path(video.path).name}: {error.reason}"
        videos.append(shown)
        titles.append(title)
        indices.append([int(n) for n in numbers])
    columns = 2 if len(videos) > 1 else 1
    # A file to look at, not a figure of a page: sharp, however many classes there are.
    return contact_sheet(videos, titles, indices, columns).save(path, limit=4_000_000)


def shrunk(frame: Frames, side: int = 120) -> Frames:
    """A frame (H, W, 3) made smaller so that its longer side is at most ``side`` pixels."""
    scale = side / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))


def retrieval_grid(
    queries: Frames,
    query_labels: Sequence[str],
    neighbours: Mapping[str, Frames],
    labels: Mapping[str, Sequence[Sequence[str]]],
    caption: str = "",
) -> Picture:
    """Queries and their nearest neighbours, a line for each encoder; every video a strip of frames.

    A neighbour of the query's class has a full frame and a tick, another one a dashed frame and a
    cross: colour is never alone. Without labels no strip is marked.

    Args:
        queries: uint8 (Q, T, H, W, 3) RGB, T frames of each query, read from left to right.
        query_labels: Q class names.
        neighbours: Encoder name -> uint8 (Q, K, T, H, W, 3), best first.
        labels: Encoder name -> Q lists of K class names.
        caption: Kept with the picture.
    """
    k = next(iter(neighbours.values())).shape[1]
    wide = (WIDTH - _NAME - k * _GAP - 2 * _EDGE) / (1 + k)
    pixels = _row(queries[0]).shape
    tall = wide * pixels[0] / pixels[1]
    block = len(neighbours) * (tall + _LABEL) + _GAP  # the lines of one query
    height = _HEAD + len(queries) * block
    alt = _retrieval_alt(queries, query_labels, neighbours, labels)
    picture = new_picture(WIDTH, height, alt, caption, tight=False)

    def place(query: int, line: int, column: int) -> Axes:
        """Axes for a strip; column 0 is the query's, and names stand to the right of it."""
        left = _EDGE + column * (wide + _GAP) + (_NAME if column else 0)
        below = height - _HEAD - query * block - line * (tall + _LABEL) - tall
        return picture.add_axes((left / WIDTH, below / height, wide / WIDTH, tall / height))

    for q, label in enumerate(query_labels):
        ax = place(q, 0, 0)
        mark_strip(ax, queries[q], label)
        if q == 0:
            ax.set_title("query", fontsize=10, pad=5, loc="left")
        else:
            y = 1 - (_HEAD + q * block - 0.75 * _GAP) / height
            picture.add_artist(Line2D((0.01, 0.99), (y, y), color="#CCCCCC", linewidth=0.8))
        for line, name in enumerate(neighbours):
            for j in range(k):
                ax = place(q, line, 1 + j)
                near = labels[name][q][j]
                mark_strip(ax, neighbours[name][q, j], near, near == label if label else None)
                if j == 0:
                    ax.set_ylabel(textwrap.fill(name, 10), rotation=0, ha="right", va="center",
                                  fontsize=8.5, labelpad=5)  # fmt: skip
                if (q, line, j) == (0, 0, 0):
                    ax.set_title("nearest videos, best first", fontsize=10, pad=5, loc="left")
    return picture


def _retrieval_alt(
    queries: Frames,
    query_labels: Sequence[str],
    neighbours: Mapping[str, Frames],
    labels: Mapping[str, Sequence[Sequence[str]]],
) -> str:
    """How many neighbours of each encoder are right, in words."""
    q, t = queries.shape[:2]
    k = next(iter(neighbours.values())).shape[1]
    alt = f"{q} query videos and their {k} nearest neighbours, {t} frames of each"
    if not any(query_labels):
        return f"{alt}, by {', '.join(neighbours)}."
    found = {
        name: sum(a == b for b, row in zip(query_labels, labels[name], strict=True) for a in row)
        for name in neighbours
    }
    return (
        f"{alt}. Of the same class: "
        + ", ".join(f"{name} {right} of {q * k}" for name, right in found.items())
        + "."
    )


def mark_strip(ax: Axes, frames: Frames, label: str, right: bool | None = None) -> None:
    """Draws frames (T, H, W, 3) over a label; marked as right or wrong, unless that is ``None``."""
    ax.imshow(_row(frames), aspect="auto")
    ax.set(xticks=[], yticks=[])
    # The label begins beside the mark, which stands below a corner: above it would hide hands.
    after = 0.0 if right is None else 0.17 / (WIDTH * ax.get_position().width)
    ax.set_xlabel(label.replace("_", " "), fontsize=8.5, labelpad=2, x=after, ha="left")
    for spine in ax.spines.values():
        spine.set_visible(right is not None)
        spine.set(color=_RIGHT if right else _WRONG, linewidth=2)
        spine.set_linestyle("-" if right else (0, (1.6, 1.2)))
    if right is not None:
        ax.text(0, -0.04, "✓" if right else "✗", transform=ax.transAxes, ha="left", va="top",
                fontsize=9, color="white", fontweight="bold",
                bbox={"facecolor": _RIGHT if right else _WRONG, "edgecolor": "none",
                      "boxstyle": "square,pad=0.1"})  # fmt: skip
