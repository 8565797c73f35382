"""What a classifier says of videos over time, as one web page that needs nothing beside it."""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thesislib.data.class_list import shortened
from thesislib.data.reader import open_video
from thesislib.errors import VideoError
from thesislib.viz.video import shrunk
from thesislib.viz.web import OVER_TIME, breaking, inline, link, over_time, paragraphs, text

K = TypeVar("K", bound=Hashable)

LANES = 6  # classes that are drawn over time; the table names all
BINS = 240  # points of a time line at most: of a long video neighbours are averaged
ROWS = 60  # lines of the table of moments at most
PICTURES, SIDE, QUALITY = 8, 160, 45  # under a time line
LAZY = "loading=lazy "  # of pictures on a long page


@dataclass(frozen=True)
class Picture:
    """A frame in small."""

    seconds: float
    webp: bytes

    @classmethod
    def of(cls, seconds: float, frame: NDArray[np.uint8]) -> Picture:
        """Of (H, W, 3) uint8 RGB."""
        file = io.BytesIO()
        Image.fromarray(shrunk(frame, SIDE)).save(file, "WEBP", quality=QUALITY)
        return cls(seconds, file.getvalue())


@dataclass(frozen=True)
class TimeLine:
    """What a classifier says of one video.

    Attributes:
        path: Absolute.
        name: As the user knows it.
        seconds: Length, as far as it could be read.
        starts: (W,) seconds at which each window starts, rising.
        ends: (W,) seconds at which it ends.
        probabilities: (W, C), each row adds up to 1.
        pictures: Some frames, in order.
        note: What the reader should know of the file; or "".
    """

    path: str
    name: str
    seconds: float
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    pictures: tuple[Picture, ...] = ()
    note: str = ""

    @property
    def mean(self) -> NDArray[np.float32]:
        """The answer for the whole video, (C,): the mean over windows."""
        return np.asarray(self.probabilities.mean(0))

    @property
    def middles(self) -> NDArray[np.float64]:
        """(W,) seconds in the middle of each window."""
        return np.asarray((self.starts + self.ends) / 2)

    def binned(self, most: int) -> TimeLine:
        """With at most so many windows: neighbours are averaged."""
        count = len(self.starts)
        if count <= most:
            return self
        edges = np.linspace(0, count, most + 1).round().astype(int)
        means = np.add.reduceat(self.probabilities, edges[:-1]) / np.diff(edges)[:, None]
        return TimeLine(
            self.path, self.name, self.seconds, self.starts[edges[:-1]], self.ends[edges[1:] - 1],
            means.astype(np.float32), self.pictures, self.note,
        )  # fmt: skip


def pictures_at(path: str | Path, moments: Mapping[K, float]) -> dict[K, Picture]:
    """The frames that a player shows at some moments.

    Args:
        path: The video.
        moments: Seconds, by whatever names them.

    Returns:
        Their pictures by the same names. Empty where the video cannot be read (it has been, so this
        is no news to tell).
    """
    order = sorted(moments, key=lambda key: moments[key])
    if not order:
        return {}
    try:
        reader = open_video(path)
        times = reader.timestamps()
        wanted = np.array([moments[key] for key in order])
        numbers = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 1)
        return {
            key: Picture.of(float(times[number]), reader.frames([number])[0])
            for key, number in zip(order, numbers, strict=True)
        }
    except VideoError:
        return {}


def clock(seconds: float, whole: float) -> str:
    """``0:07``, ``1:02:03``; ``2.4 s`` where the whole video is shorter than ten seconds."""
    if whole < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds + 1e-6), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def between(start: float, end: float, whole: float) -> str:
    """``0:07 to 0:09``."""
    return f"{clock(start, whole).removesuffix(' s')} to {clock(end, whole)}"


def image(picture: Picture, whole: float, how: str = "") -> str:
    """The HTML of a frame of a video so many seconds long; ``how``: further attributes."""
    at = text(f"frame at {clock(picture.seconds, whole)}")
    return f'<img src="data:image/webp;base64,{inline(picture.webp)}" {how}alt="{at}">'


def ticks(whole: float) -> str:
    """Five times under a line as long as the video."""
    times = "".join(f"<span>{clock(whole * k / 4, whole)}</span>" for k in range(5))
    return f"<div class=ticks aria-hidden=true>{times}</div>"


def percent(share: float) -> str:
    """``61 %``; what is small and not nothing is ``< 1 %``."""
    number = round(100 * float(share))
    words = "< 1 %" if number == 0 and share > 0 else f"{number} %"
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def timeline_page(
    title: str,
    notes: Sequence[str],
    warning: str,
    classes: Sequence[str],
    lines: Sequence[TimeLine],
    skipped: Sequence[str] = (),
) -> str:
    """The page: for each video its answer, its classes over time, some frames, and the numbers.

    Every text that comes from outside is escaped, and the page forbids scripts to itself.

    Args:
        title: Plain text, as all others.
        notes: Paragraphs on top: how the answers came about.
        warning: What must not be overlooked; or "".
        classes: Their C names.
        lines: The videos.
        skipped: Files that could not be used, ``name: reason``.
    """
    header = f"<h1>{text(title)}</h1>{paragraphs(notes, warning)}"
    if len(lines) > 1:
        jumps = "".join(
            f'<li><a href="#v{i}">{breaking(line.name)}</a> {text(_answer(line, classes))}</li>'
            for i, line in enumerate(lines)
        )
        header += f"<nav aria-label=Videos><ul>{jumps}</ul></nav>"
    body = "\n".join(_video(i, line, classes) for i, line in enumerate(lines))
    if skipped:
        items = "".join(f"<li>{breaking(line)}</li>" for line in skipped)
        body += f"<section><h2>Not used</h2><ul>{items}</ul></section>"
    return over_time(title, STYLE, header, f"\n{body}\n")


def _answer(line: TimeLine, classes: Sequence[str]) -> str:
    best = int(line.mean.argmax())
    return f"{shortened(classes[best])}, {percent(line.mean[best])}"


def _video(number: int, line: TimeLine, classes: Sequence[str]) -> str:
    order = np.argsort(-line.mean, kind="stable")
    # Drawn: what is likely in the whole, and what stands out somewhere.
    peaks = np.argsort(-line.probabilities.max(0), kind="stable")
    drawn = list(dict.fromkeys([*order[: LANES // 2], *peaks]))[:LANES]
    drawn.sort(key=lambda c: -line.mean[c])
    short = line.binned(BINS)
    lanes = "".join(_lane(line, short, c, classes[c]) for c in drawn)
    windows = len(line.starts)
    facts = f"{clock(line.seconds, line.seconds)} long, {windows:,} window{'s' * (windows > 1)}"
    if line.note:
        facts += f"; {line.note}"
    return (
        f'<article id="v{number}" aria-labelledby="h{number}"><h2 id="h{number}">'
        f'<a href="{link(line.path)}">{breaking(line.name)}</a></h2>'
        f"<p><strong>{text(_answer(line, classes))}</strong> <span class=quiet>{text(facts)}</span>"
        f"</p><div class=lanes>{lanes}</div>{ticks(line.seconds)}"
        f"{_pictures(line, classes)}{_all(line, classes, order)}{_moments(line, classes, drawn)}"
        "</article>"
    )


def _lane(line: TimeLine, short: TimeLine, number: int, name: str) -> str:
    """One class over time: a step for each window, between the middles of neighbours."""
    drawn, values = short.probabilities[:, number], line.probabilities[:, number]
    whole = max(line.seconds, 1e-9)
    borders = (short.middles[:-1] + short.middles[1:]) / 2
    edges = np.concatenate([[0.0], borders, [whole]]) / whole * 1000
    steps = "".join(
        f"V{100 - 100 * value:.1f}H{edge:.1f}" for value, edge in zip(drawn, edges[1:], strict=True)
    )
    peak = int(values.argmax())
    words = (
        f"{name}: {percent(line.mean[number])} on average, most at "
        f"{clock(line.middles[peak], line.seconds)}, {percent(values[peak])}"
    )
    chance = f"M0 {100 - 100 / line.probabilities.shape[1]:.1f}H1000"
    return (
        f"<figure><figcaption><span>{text(shortened(name))}</span> "
        f"<span class=quiet>{percent(values.mean())}, at most {percent(values[peak])}</span>"
        f'</figcaption><svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(words)}"><path d="M0 100{steps}V100Z"/>'
        f'<path class=halo d="{chance}"/><path class=chance d="{chance}"/></svg></figure>'
    )


def _pictures(line: TimeLine, classes: Sequence[str]) -> str:
    """Frames under the time line, each with what is said of its moment."""
    items = []
    for picture in line.pictures:
        at = int(np.abs(line.middles - picture.seconds).argmin())
        best = int(line.probabilities[at].argmax())
        time = clock(picture.seconds, line.seconds)
        said = f"{shortened(classes[best])} {percent(line.probabilities[at, best])}"
        items.append(f"<li>{image(picture, line.seconds)}<span>{time}</span> {text(said)}</li>")
    return f"<ol class=pictures>{''.join(items)}</ol>" if items else ""


def _all(line: TimeLine, classes: Sequence[str], order: NDArray[np.int64]) -> str:
    """The table of all classes, the likeliest first."""
    rows = []
    for c in order:
        peak = int(line.probabilities[:, c].argmax())
        rows.append(
            f"<tr><th scope=row>{text(classes[c])}</th><td>{percent(line.mean[c])}</td>"
            f"<td>{percent(line.probabilities[peak, c])}</td>"
            f"<td>{clock(line.middles[peak], line.seconds)}</td></tr>"
        )
    return (
        f"<details><summary>All {len(classes)} classes</summary>"
        "<div class=wide tabindex=0><table><thead><tr><th scope=col>class</th>"
        "<th scope=col>on average</th><th scope=col>at most</th><th scope=col>at</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _moments(line: TimeLine, classes: Sequence[str], drawn: Sequence[int]) -> str:
    """The table of what is drawn, over time."""
    short = line.binned(ROWS)
    head = "".join(f"<th scope=col>{text(shortened(classes[c]))}</th>" for c in drawn)
    rows = []
    for start, end, values in zip(short.starts, short.ends, short.probabilities, strict=True):
        cells = "".join(f"<td>{percent(values[c])}</td>" for c in drawn)
        times = between(float(start), float(end), line.seconds)
        rows.append(f"<tr><th scope=row>{times}</th>{cells}</tr>")
    averaged = "" if short is line else ", neighbours averaged"
    return (
        f"<details><summary>Over time{averaged}</summary>"
        f'<div class="wide over" tabindex=0><table><thead><tr><th scope=col>time</th>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div></details>"
    )


STYLE = (
    OVER_TIME
    + """
h2 { font-size: 1.1rem; margin: .2rem 0; }
a:focus-visible, summary:focus-visible, .wide:focus-visible {
 outline: 3px solid var(--fill); outline-offset: 2px; }
nav ul { padding-left: 1.2rem; columns: 22rem; }
article { border-top: 1px solid var(--line); padding: 1rem 0; margin-top: 1rem; }
article > p { margin: .3rem 0; }
figure { margin: .5rem 0 0; }
figcaption { display: flex; justify-content: space-between; gap: 1rem; font-size: .85rem;
 font-variant-numeric: tabular-nums; }
figcaption .quiet { flex: none; }
svg { display: block; width: 100%; height: 2.4rem; background: var(--tile); border-radius: 4px; }
path { fill: var(--fill); }
.halo, .chance { stroke: var(--ground); stroke-width: 2px; vector-effect: non-scaling-stroke; }
.chance { stroke: var(--ink); stroke-width: 1px; stroke-dasharray: 4 4; }
.pictures { list-style: none; padding: 0; margin: .5rem 0; display: grid; gap: 4px;
 grid-template-columns: repeat(8, 1fr); }
.pictures li { font-size: .75rem; line-height: 1.25; min-width: 0; }
.pictures span { display: block; color: var(--quiet); font-variant-numeric: tabular-nums; }
.pictures img { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: var(--tile);
 border-radius: 4px; display: block; }
details { margin-top: .4rem; } summary { cursor: pointer; padding: .25rem 0; }
.wide { overflow-x: auto; overflow-wrap: normal; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem .15rem 0; text-align: right; vertical-align: top; }
th { text-align: left; font-weight: 600; max-width: 20rem; overflow-wrap: break-word; }
td, .over th[scope=row] { white-space: nowrap; }
thead th { border-bottom: 1px solid var(--line); }
@media (max-width: 40rem) { .pictures { grid-template-columns: repeat(4, 1fr); }
 nav ul { columns: 1; } }
"""
)
