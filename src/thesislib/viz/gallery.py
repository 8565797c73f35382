"""Queries and their nearest videos as one web page: no script, no request, nothing beside it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thesislib.data.checking import in_parallel, printable
from thesislib.data.manifest import Video
from thesislib.data.opening import check_readable
from thesislib.data.passage import Going
from thesislib.data.pyav_reader import Frames, PyAVReader
from thesislib.data.streaming import frame_times
from thesislib.errors import VideoError
from thesislib.viz.web import COLOURS, HEAD, breaking, inline, link, text

SIDE, FRAMES, SECONDS, QUALITY = 128, 8, 2.0, 35  # of a moving thumbnail: 6 to 15 kB
FPS = 25.0  # of a video that does not say


@dataclass(frozen=True)
class Shot:
    """What a picture shows: a video with an absolute path, or a span of seconds in it."""

    video: Video
    span: tuple[float, float] | None = None

    @property
    def when(self) -> str:
        """The span in words, ``0:07.4 to 0:08.2``; "" of a whole video."""
        return " to ".join(_clock(seconds) for seconds in self.span or ())

    @property
    def address(self) -> str:
        """Of the file, and the second at which a player is to begin."""
        return link(self.video.path) + ("" if self.span is None else f"#t={self.span[0]:.2f}")


@dataclass(frozen=True)
class Match:
    """One neighbour of a query."""

    shot: Shot
    cosine: float

    def right(self, query: Video) -> bool | None:
        """Whether it has the query's class; ``None`` where either has none."""
        label = self.shot.video.label
        return label == query.label if label and query.label else None

    def same_group(self, query: Video) -> bool:
        """Whether both were cut from one recording, as far as the data set knows."""
        return bool(query.group) and self.shot.video.group == query.group


Rows = Sequence[tuple[Shot, Sequence[Match]]]


@dataclass(frozen=True)
class Thumbnail:
    """A video in small: WebP pictures, moving and still; or why there is none."""

    moving: bytes = b""
    still: bytes = b""
    reason: str = ""


def pictures_of(shots: Sequence[Shot]) -> list[Thumbnail]:
    """Of each of some shots of one video: its span, or the two seconds in the middle.

    All are read in one pass; those behind a frame that does not decode have its reason alone.
    """
    found: dict[Shot, Thumbnail] = {}
    reason = ""
    try:
        video = shots[0].video
        check_readable(Path(video.path))
        reader, rate = PyAVReader(Path(video.path)), video.fps or FPS
        times = frame_times(video.path) if any(shot.span for shot in shots) else np.zeros(0)
        parts = {shot: _part(shot, reader, rate, times) for shot in shots}
        order = sorted(shots, key=parts.__getitem__)
        windows = [
            np.linspace(first, first + length - 1, min(FRAMES, length)).round().astype(int).tolist()
            for first, length in map(parts.__getitem__, order)
        ]
        going = Going(reader, windows, min(1.0, SIDE / max(reader.size)))
        for shot in order:
            found[shot] = _thumbnail(going.next(), parts[shot][1] / rate)
    except (VideoError, OSError) as error:
        reason = getattr(error, "reason", "cannot be read")
    return [found.get(shot, Thumbnail(reason=reason)) for shot in shots]


def _part(
    shot: Shot, reader: PyAVReader, rate: float, times: NDArray[np.float64]
) -> tuple[int, int]:
    """First frame of a shot, and how many it has."""
    if shot.span is None:
        length = max(1, min(len(reader), round(SECONDS * rate)))
        return (len(reader) - length) // 2, length
    first, end = np.searchsorted(times, np.array(shot.span) - 1e-6).tolist()
    return first, max(1, min(end, len(times)) - first)


def _thumbnail(pictures: Frames, seconds: float) -> Thumbnail:
    """Frames (T, H, W, 3) that last so many seconds together."""
    frames = [Image.fromarray(frame) for frame in pictures]
    moving, still = io.BytesIO(), io.BytesIO()
    pause = round(1000 * seconds / len(frames))  # milliseconds
    frames[0].save(
        moving, "WEBP", save_all=True, append_images=frames[1:], duration=pause, loop=0,
        quality=QUALITY,
    )  # fmt: skip
    frames[len(frames) // 2].save(still, "WEBP", quality=QUALITY)
    return Thumbnail(moving.getvalue(), still.getvalue())


def thumbnails(shots: Iterable[Shot], jobs: int | None = None) -> dict[Shot, Thumbnail]:
    """The picture of each shot, once and in their order; several videos at a time."""
    by_path: dict[str, list[Shot]] = {}
    once = list(dict.fromkeys(shots))
    for shot in once:
        by_path.setdefault(shot.video.path, []).append(shot)
    found: dict[Shot, Thumbnail] = {}
    work = lambda some: (some, pictures_of(some))  # noqa: E731
    for some, pictures in in_parallel(work, by_path.values(), jobs):
        found.update(zip(some, pictures, strict=True))
    return {shot: found[shot] for shot in once}  # threads end in any order


def gallery_page(
    title: str, notes: Sequence[str], rows: Rows, pictures: Mapping[Shot, Thumbnail]
) -> str:
    """The page: each query on the left, its neighbours beside it, best first.

    Each picture stands in the file once, however often the page shows it. Every text that comes
    from outside (names of files and classes) is escaped, and the page forbids scripts to itself.

    Args:
        title: Of the page, plain text.
        notes: Paragraphs above the rows, plain text.
        rows: Queries, and their neighbours.
        pictures: Of all the shots of ``rows``.
    """
    numbers = {shot: i for i, shot in enumerate(pictures)}
    moving, still = (
        "".join(
            f".v{numbers[shot]}{{background-image:url(data:image/webp;base64,{inline(data)})}}\n"
            for shot, picture in pictures.items()
            if (data := getattr(picture, kind))
        )
        for kind in ("moving", "still")
    )
    base = _common_folder(shot.video.path for shot in pictures)

    def tile(shot: Shot, head: str, marks: str) -> str:
        video, missing = shot.video, pictures[shot].reason
        name = printable(os.path.relpath(video.path, base) if base else video.path)
        label = f" ({video.label})" if video.label else ""
        when = f", {shot.when}" if shot.when else ""
        words = f"no picture: {missing}" if missing else f"video {name}{label}{when}"
        time = f"<span class=when>{shot.when}</span>" if shot.when else ""
        return (
            f'<a href="{shot.address}" title="{text(words)}"><span role="img" '
            f'class="pic v{numbers[shot]}" aria-label="{text(words)}">{text(missing)}'
            "</span></a>"
            f"<figcaption>{head}{marks}{time}<bdi class=path>{breaking(name)}</bdi></figcaption>"
        )

    body = []
    for query, matches in rows:
        found = []
        for rank, match in enumerate(matches, 1):
            head = f"<span class=rank>{rank}</span> <b>{_number(match.cosine)}</b>"
            marks = _label(match.shot.video, match.right(query.video))
            if match.same_group(query.video) and match.shot.span is None:
                marks += "<span class=group>same recording</span>"
            found.append(f"<li><figure>{tile(match.shot, head, marks)}</figure></li>")
        head, marks = "<span class=rank>query</span>", _label(query.video, None)
        body.append(
            f"<article><figure class=query>{tile(query, head, marks)}</figure>"
            f"<ol>{''.join(found)}</ol></article>"
        )
    return PAGE.format(
        title=text(title),
        notes="".join(f"<p>{text(note)}</p>" for note in notes),
        body="\n".join(body),
        style=STYLE,
        moving=moving,
        still=still,
    )


def notes_on(rows: Rows) -> dict[str, Any]:
    """Counts over the neighbours that are shown.

    Returns:
        ``labelled`` queries, and in how many the nearest video has the query's class, ``right``;
        ``neighbours``, and how many are of the query's own group, ``same_group``.
    """
    first = [matches[0].right(query.video) for query, matches in rows if matches]
    return {
        "labelled": sum(right is not None for right in first),
        "right": sum(right is True for right in first),
        "neighbours": sum(len(matches) for _, matches in rows),
        "same_group": sum(m.same_group(query.video) for query, matches in rows for m in matches),
    }


def _label(video: Video, right: bool | None) -> str:
    if not video.label:
        return ""
    kind, mark = {True: ("right", "✓ "), False: ("wrong", "✗ "), None: ("", "")}[right]
    said = {True: "same class: ", False: "another class: ", None: ""}[right]
    return (
        f'<span class="label {kind}"><span class=mark aria-hidden=true>{mark}</span>'
        f"<span class=said>{said}</span>{text(video.label.replace('_', ' '))}</span>"
    )


def _clock(seconds: float) -> str:
    """To a tenth of a second, for moments are short: ``0:07.4``, ``1:02:03.0``."""
    minutes, rest = divmod(round(10 * seconds), 600)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}:{minutes:02d}' if hours else minutes}:{rest / 10:04.1f}"


def _number(cosine: float) -> str:
    return f"{cosine:.2f}".replace("-", "\N{MINUS SIGN}")


def _common_folder(paths: Iterable[str]) -> str:
    """The deepest folder that holds all of them; "" where there is none."""
    try:
        return os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:  # on several drives
        return ""


PAGE = (
    HEAD
    + """<style>
{style}{moving}@media print, (prefers-reduced-motion: reduce) {{
{still}}}
</style>
</head>
<body>
<header><h1>{title}</h1>{notes}</header>
<main>
{body}
</main>
</body>
</html>
"""
)
STYLE = (
    COLOURS
    + """body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--ground);
 color: var(--ink); font: 15px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
header p { margin: .3rem 0; max-width: 46rem; color: var(--quiet); overflow-wrap: anywhere; }
article { display: grid; grid-template-columns: 12rem 1fr; gap: 1.25rem; padding: 1rem 0;
 border-top: 1px solid var(--line); margin-top: 1rem; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .75rem;
 list-style: none; margin: 0; padding: 0; }
figure { margin: 0; }
.pic { display: grid; place-items: center; aspect-ratio: 4 / 3; border-radius: 6px; padding: .5rem;
 background: var(--tile) center / contain no-repeat; color: var(--quiet); font-size: .8rem;
 text-align: center; print-color-adjust: exact; }
a { text-decoration: none; }
a:focus-visible .pic { outline: 3px solid var(--ink); outline-offset: 2px; }
figcaption { font-size: .85rem; margin-top: .25rem; font-variant-numeric: tabular-nums; }
.rank { color: var(--quiet); }
.label { margin-left: .4em; overflow-wrap: anywhere; }
.right { color: var(--right); } .wrong { color: var(--wrong); } .mark { font-weight: bold; }
.group { display: block; color: var(--quiet); font-style: italic; }
.when { margin-left: .4em; white-space: nowrap; }
.path { display: block; color: var(--quiet); font-size: .75rem; overflow-wrap: anywhere; }
.said { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden;
 white-space: nowrap; }
@media (max-width: 40rem) { article { grid-template-columns: 1fr; }
 .query { display: grid; grid-template-columns: 9rem 1fr; gap: .75rem; align-items: center; }
 ol { grid-template-columns: repeat(2, 1fr); } }
"""
)
