"""The descriptions of a film as one web page: frames, what precedes a cue, and the cue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from thesislib.descriptions.writing import EXTENDED, SILENT, Described
from thesislib.viz.timeline_page import LAZY, Picture, between, image, pictures_at, ticks
from thesislib.viz.web import OVER_TIME, breaking, link, over_time, paragraphs, text

FRAMES, MOST = 3, 300  # pictures of a clip, and of a page: some 1.5 MB
SAYS = {EXTENDED: "the film has to stop for it", SILENT: "nothing is said"}


def pictures_of_clips(
    path: str | Path, clips: Sequence[Described], most: int = MOST
) -> dict[tuple[int, int], Picture]:
    """Frames of clips: three of each, in long films one, or one of every so many.

    Args:
        path: The film.
        clips: In order.
        most: Pictures.

    Returns:
        (number of the clip, number of its frame) to the picture.
    """
    each = FRAMES if FRAMES * len(clips) <= most else 1
    step = -(-len(clips) // most)
    moments = {
        (number, k): one.start + (one.end - one.start) * (k + 0.5) / each
        for number, one in enumerate(clips)
        if number % max(step, 1) == 0
        for k in range(each)
    }
    return pictures_at(path, moments)


def described_page(
    film: str | Path,
    seconds: float,
    clips: Sequence[Described],
    dialogue: Sequence[Sequence[str]],
    *,
    notes: Sequence[str] = (),
    warning: str = "",
    pictures: Mapping[tuple[int, int], Picture] | None = None,
) -> str:
    """The page: each clip with its frames, the dialogue and the description before it, and its cue.

    Every text that comes from outside is escaped, and the page forbids scripts to itself.

    Args:
        film: Its path.
        seconds: Its length.
        clips: What was made of each.
        dialogue: The lines before each, oldest first.
        notes: Paragraphs on top, plain text.
        warning: What must not be overlooked; or "".
        pictures: Of :func:`pictures_of_clips`.
    """
    path = Path(film).absolute()
    title = f"{path.name} described"
    heading = f'<a href="{link(str(path))}">{breaking(path.name)}</a> described'
    head = f"<h1>{heading}</h1>{paragraphs(notes, warning)}"
    rows, before = [], ""
    for number, (one, lines) in enumerate(zip(clips, dialogue, strict=True)):
        some = [p for (n, _), p in (pictures or {}).items() if n == number]
        rows.append(_row(number, one, lines, before, seconds, some))
        before = one.text or before
    listed = "\n".join(rows)
    return over_time(title, STYLE, head, f"{_lanes(clips, seconds)}\n<ol>\n{listed}\n</ol>")


def _row(
    number: int,
    one: Described,
    lines: Sequence[str],
    before: str,
    seconds: float,
    pictures: Sequence[Picture],
) -> str:
    frames = "".join(image(picture, seconds, LAZY) for picture in pictures)
    heard = "".join(f"<q>{text(line)}</q> " for line in lines)
    context = f"<p class=quiet>heard before: {heard}</p>" if heard else ""
    if before:
        context += f"<p class=quiet>described before: {text(before)}</p>"
    cue = text(one.text) or f"({SAYS[SILENT]})"
    told = [between(one.start, one.until if one.text else one.end, seconds)]
    if one.kind == EXTENDED:
        told.append(SAYS[EXTENDED])
    if one.note:
        told.append(f"{one.note} (written: {one.written})")
    return (
        f'<li id="c{number}" class={one.kind}><div class=frames>{frames}</div><div>{context}'
        f"<p class=cue>{cue}</p><p class=quiet>{text('; '.join(told))}</p></div></li>"
    )


def _lanes(clips: Sequence[Described], seconds: float) -> str:
    """Which parts of the film can be described, and which are."""
    scale = 1000 / max(seconds, 1e-9)
    marks = "".join(
        f"<path class={name} d="
        f'"M{one.start * scale:.1f} {y}H{(one.until if name == "said" else one.end) * scale:.1f}"/>'
        for name, y in (("gap", 30), ("said", 70))
        for one in clips
        if name == "gap" or one.text
    )
    words = "Parts of the film that can be described, above, and when a cue is spoken, below"
    return (
        f'<figure><figcaption>gaps</figcaption><svg viewBox="0 0 1000 100" '
        f'preserveAspectRatio="none" role="img" aria-label="{words}">{marks}</svg>'
        f"<figcaption>cues</figcaption>{ticks(seconds)}</figure>"
    )


STYLE = (
    OVER_TIME
    + """
a:focus-visible { outline: 3px solid var(--fill); outline-offset: 2px; }
figure { margin: 1rem 0; } figcaption { font-size: .8rem; color: var(--quiet); }
svg { display: block; width: 100%; height: 3rem; background: var(--tile); border-radius: 4px; }
path { stroke-width: 10px; vector-effect: non-scaling-stroke; }
.gap { stroke: var(--quiet); } .said { stroke: var(--fill); }
ol { list-style: none; padding: 0; margin: 0; }
li { display: grid; grid-template-columns: 18rem 1fr; gap: 1rem; padding: .6rem 0;
 border-top: 1px solid var(--line); align-items: start; }
li p { margin: 0 0 .2rem; } li .quiet { font-size: .85rem; font-variant-numeric: tabular-nums; }
.frames { display: flex; gap: 4px; } .frames img { flex: 1; min-width: 0; aspect-ratio: 4 / 3;
 object-fit: contain; background: var(--tile); border-radius: 4px; }
.cue { font-weight: 600; } .silent .cue { font-weight: 400; color: var(--quiet); }
li > div { min-width: 0; }
@media (max-width: 40rem) { li { grid-template-columns: minmax(0, 1fr); } }
"""
)
