"""Queries and their nearest videos as one web page: no script, no request, nothing beside it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from thesislib.data.checking import in_parallel, printable
from thesislib.data.manifest import Video
from thesislib.data.reader import open_video
from thesislib.errors import VideoError
from thesislib.viz.video import shrunk
from thesislib.viz.web import COLOURS, HEAD, breaking, inline, link, text

SIDE, FRAMES, SECONDS, QUALITY = 128, 8, 2.0, 35  # of a moving thumbnail: 6 to 15 kB


@dataclass(frozen=True)
class Match:
    """One neighbour of a query."""

    video: Video
    cosine: float

    def right(self, query: Video) -> bool | None:
        """Whether it has the query's class; ``None`` where either has none."""
        return self.video.label == query.label if self.video.label and query.label else None

    def same_group(self, query: Video) -> bool:
        """Whether both were cut from one recording, as far as the data set knows."""
        return bool(query.group) and self.video.group == query.group


Rows = Sequence[tuple[Video, Sequence[Match]]]


@dataclass(frozen=True)
class Thumbnail:
    """A video in small: WebP pictures, moving and still; or why there is none."""

    moving: bytes = b""
    still: bytes = b""
    reason: str = ""


def thumbnail(video: Video) -> Thumbnail:
    """Two seconds from the middle of a video with an absolute path, at most 128 pixels wide."""
    try:
        reader = open_video(video.path)
        length = max(1, min(len(reader), round(SECONDS * (video.fps or 25))))
        start = (len(reader) - length) // 2
        numbers = np.linspace(start, start + length - 1, min(FRAMES, length)).round().astype(int)
        frames = [Image.fromarray(shrunk(frame, SIDE)) for frame in reader.frames(numbers)]
    except (VideoError, OSError) as error:
        return Thumbnail(reason=getattr(error, "reason", "cannot be read"))
    moving, still = io.BytesIO(), io.BytesIO()
    pause = round(1000 * length / (video.fps or 25) / len(frames))  # milliseconds
    frames[0].save(
        moving, "WEBP", save_all=True, append_images=frames[1:], duration=pause, loop=0,
        quality=QUALITY,
    )  # fmt: skip
    frames[len(frames) // 2].save(still, "WEBP", quality=QUALITY)
    return Thumbnail(moving.getvalue(), still.getvalue())


def thumbnails(videos: Iterable[Video], jobs: int | None = None) -> dict[str, Thumbnail]:
    """Path -> :func:`thumbnail`, each video once and in their order, several at a time."""
    once = {v.path: v for v in videos}
    found = dict(in_parallel(lambda v: (v.path, thumbnail(v)), once.values(), jobs))
    return {path: found[path] for path in once}  # threads end in any order


def gallery_page(
    title: str, notes: Sequence[str], rows: Rows, pictures: Mapping[str, Thumbnail]
) -> str:
    """The page: each query on the left, its neighbours beside it, best first.

    Each picture stands in the file once, however often the page shows it. Every text that comes
    from outside (names of files and classes) is escaped, and the page forbids scripts to itself.

    Args:
        title: Of the page, plain text.
        notes: Paragraphs above the rows, plain text.
        rows: Queries with absolute paths, and their neighbours.
        pictures: Path -> its picture, of all the videos of ``rows``.
    """
    numbers = {path: i for i, path in enumerate(pictures)}
    moving, still = (
        "".join(
            f".v{numbers[path]}{{background-image:url(data:image/webp;base64,{inline(data)})}}\n"
            for path, picture in pictures.items()
            if (data := getattr(picture, kind))
        )
        for kind in ("moving", "still")
    )
    base = _common_folder(pictures)

    def tile(video: Video, head: str, marks: str) -> str:
        name = printable(os.path.relpath(video.path, base) if base else video.path)
        label = f" ({video.label})" if video.label else ""
        missing = pictures[video.path].reason
        words = f"no picture: {missing}" if missing else f"video {name}{label}"
        return (
            f'<a href="{link(video.path)}" title="{text(words)}"><span role="img" '
            f'class="pic v{numbers[video.path]}" aria-label="{text(words)}">{text(missing)}'
            "</span></a>"
            f"<figcaption>{head}{marks}<bdi class=path>{breaking(name)}</bdi></figcaption>"
        )

    body = []
    for query, matches in rows:
        found = []
        for rank, match in enumerate(matches, 1):
            head = f"<span class=rank>{rank}</span> <b>{_number(match.cosine)}</b>"
            marks = _label(match.video, match.right(query))
            if match.same_group(query):
                marks += "<span class=group>same recording</span>"
            found.append(f"<li><figure>{tile(match.video, head, marks)}</figure></li>")
        head = "<span class=rank>query</span>"
        body.append(
            f"<article><figure class=query>{tile(query, head, _label(query, None))}</figure>"
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
    first = [matches[0].right(query) for query, matches in rows if matches]
    return {
        "labelled": sum(right is not None for right in first),
        "right": sum(right is True for right in first),
        "neighbours": sum(len(matches) for _, matches in rows),
        "same_group": sum(m.same_group(query) for query, matches in rows for m in matches),
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
.path { display: block; color: var(--quiet); font-size: .75rem; overflow-wrap: anywhere; }
.said { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden;
 white-space: nowrap; }
@media (max-width: 40rem) { article { grid-template-columns: 1fr; }
 .query { display: grid; grid-template-columns: 9rem 1fr; gap: .75rem; align-items: center; }
 ol { grid-template-columns: repeat(2, 1fr); } }
"""
)
