"""What happens when in a video: a lane a class, the truth over what each method reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from thesislib.data.reader import Frames
from thesislib.viz.style import CYCLE, WIDTH, Picture, bare, new_picture

Span = tuple[float, float, str, float]  # start and end in seconds, class, score in [0, 1]

TRUTH = "#444444"
_BAR, _LANE, _FOOT = (
    0.085,
    0.07,
    0.85,
)  # inches of a bar, of the space between lanes, of what is below


def timeline(
    truth: Sequence[Span],
    found: Mapping[str, Sequence[Span]],
    length: float,
    frames: Frames | None = None,
    caption: str = "",
) -> Picture:
    """A time line of one video.

    Each class that happens or is reported has a lane: the truth dark on top, below it a line of
    bars for each method, in its colour. The surer a method is, the fuller its bar.

    Args:
        truth: What happens.
        found: Method -> what it reports; scores are compared within a method.
        length: Of the video, seconds.
        frames: uint8 ``(T, H, W, 3)`` RGB, evenly spaced over the video, shown above.
        caption: Kept with the picture.
    """
    lanes = list(dict.fromkeys(span[2] for some in (truth, *found.values()) for span in some))
    tall = _LANE + _BAR * (1 + len(found))  # of a lane
    strip = 0.0 if frames is None else _strip_height(frames)
    height = strip + tall * max(1, len(lanes)) + _FOOT
    picture = new_picture(WIDTH, height, _alt(truth, found, length), caption)
    ratios = [strip, height - strip] if strip else [1]
    axes = picture.subplots(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    if frames is not None:
        _film(axes[0], frames, length)
    ax = axes[-1]
    rows = {"what happens": list(truth), **{name: list(some) for name, some in found.items()}}
    colours = dict(zip(rows, [TRUTH, *_colours(len(found))], strict=True))
    for line, (name, spans) in enumerate(rows.items()):
        most = max((score for *_, score in spans), default=1.0) or 1.0
        for start, end, label, score in spans:
            y = lanes.index(label) * tall + line * _BAR
            ax.broken_barh(
                [(start, end - start)], (y, 0.85 * _BAR), facecolor=colours[name],
                alpha=1.0 if not line else 0.25 + 0.75 * max(0.0, score / most),
                edgecolor=colours[name], linewidth=0.6,
            )  # fmt: skip
    for lane in range(1, len(lanes)):
        ax.axhline(lane * tall - _LANE / 2, color="#DDDDDD", linewidth=0.6, zorder=0)
    centres = [lane * tall + (tall - _LANE) / 2 for lane in range(len(lanes))]
    ax.set_yticks(centres, [label.replace("_", " ") for label in lanes], fontsize=8.5)
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, length), ylim=(max(1, len(lanes)) * tall, -_LANE))
    ax.set_xlabel("seconds", fontsize=9)
    ax.tick_params(axis="x", labelsize=8.5)
    ax.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="upper center", bbox_to_anchor=(0.5, -0.36 / (height - strip - 0.5)),
        ncols=min(4, len(rows)), fontsize=8.5,
    )  # fmt: skip
    return picture


def _strip_height(frames: Frames) -> float:
    """Inches, for frames that are about three quarters of the page wide together."""
    return 0.75 * WIDTH / len(frames) * frames.shape[1] / frames.shape[2]


def _film(ax: Axes, frames: Frames, length: float) -> None:
    """Frames side by side over the whole length, each centred at its time."""
    edges = np.linspace(0, length, len(frames) + 1)
    for frame, left, right in zip(frames, edges[:-1], edges[1:], strict=True):
        ax.imshow(frame, extent=(left, right, 0, 1), aspect="auto")
    ax.set(xlim=(0, length), ylim=(0, 1))
    bare(ax)


def _colours(count: int) -> list[str]:
    return [colour for colour, _ in zip(cycle(CYCLE), range(count), strict=False)]


def _alt(truth: Sequence[Span], found: Mapping[str, Sequence[Span]], length: float) -> str:
    """What happens, in words, and how much of it each method has at half overlap."""
    words = ", ".join(f"{label} from {start:.0f} to {end:.0f} s" for start, end, label, _ in truth)
    alt = f"A video of {length:.0f} seconds: {words.replace('_', ' ') or 'nothing happens'}."
    for name, spans in found.items():
        hits = sum(any(_alike(one, other) for other in spans) for one in truth)
        alt += f" {name} reports {len(spans)}; {hits} of {len(truth)} overlap by half or more."
    return alt


def _alike(one: Span, other: Span) -> bool:
    """Whether two spans of one class have an overlap over union of a half."""
    both = min(one[1], other[1]) - max(one[0], other[0])
    union = max(one[1], other[1]) - min(one[0], other[0])
    return one[2] == other[2] and both > 0 and both >= 0.5 * union
