"""What an alignment says of a video's subtitles, as one web page: frames beside sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from thesislib.subtitles.aligned import Aligned, tally
from thesislib.viz.timeline_page import LAZY, Picture, between, image, pictures_at, ticks
from thesislib.viz.web import OVER_TIME, breaking, link, over_time, paragraphs, text

PICTURES = 300  # at most: some 1.5 MB
MEANING = (
    "Heard is when a sentence is spoken, as the subtitles say; seen is when what it says is to be "
    "seen, as a network finds it. Played as subtitles, the times of seen would be wrong."
)


def pictures_of(
    path: str | Path, cues: Sequence[Aligned], most: int = PICTURES
) -> dict[int, Picture]:
    """For cues that are seen, the frame in the middle of that time.

    Args:
        path: The video.
        cues: What was found of it.
        most: Pictures; of more cues some are chosen, evenly.

    Returns:
        Number of a cue to its picture. Empty where the video cannot be read (it has been, so this
        is no news to tell).
    """
    seen = [one for one in cues if one.alignable]
    if len(seen) > most:
        seen = [seen[i] for i in np.linspace(0, len(seen) - 1, most).round().astype(int)]
    return pictures_at(path, {one.cue.number: (one.start + one.end) / 2 for one in seen})


def aligned_page(
    video: str | Path,
    seconds: float,
    cues: Sequence[Aligned],
    *,
    notes: Sequence[str] = (),
    warning: str = "",
    pictures: Mapping[int, Picture] | None = None,
) -> str:
    """The page: a line from heard to seen for each sentence, then the sentences with their frames.

    Every text that comes from outside is escaped, and the page forbids scripts to itself.

    Args:
        video: Its path.
        seconds: Its length.
        cues: What was found, one for each cue, in the order of the subtitles.
        notes: Paragraphs on top, plain text: the model, what was mended in the subtitles.
        warning: What must not be overlooked; or "".
        pictures: Of :func:`pictures_of`.
    """
    path = Path(video).absolute()
    title = f"When {path.name} shows what is said"
    first = f"{tally(cues, 'sentence')}. {MEANING}"
    heading = f'When <a href="{link(str(path))}">{breaking(path.name)}</a> shows what is said'
    head = f"<h1>{heading}</h1>{paragraphs((first, *notes), warning)}"
    rows = "\n".join(_row(one, seconds, (pictures or {}).get(one.cue.number)) for one in cues)
    return over_time(title, STYLE, head, f"{_lines(cues, seconds)}\n<ol>\n{rows}\n</ol>")


def _row(one: Aligned, seconds: float, picture: Picture | None) -> str:
    heard = f"heard {between(one.cue.start, one.cue.end, seconds)}"
    seen = f"seen {between(one.start, one.end, seconds)}" if one.alignable else "not seen"
    score = f", score {one.score:.2f}" if np.isfinite(one.score) else ""
    frame = "<div class=none></div>" if picture is None else image(picture, seconds, LAZY)
    said = "<br>".join(map(text, one.text.split("\n"))) or "(no text)"
    kind = "seen" if one.alignable else "unseen"
    return (
        f'<li id="c{one.cue.number}" class={kind}>{frame}<div><p>{said}</p>'
        f"<p class=quiet><strong>{seen}</strong>{score}; {heard}</p></div></li>"
    )


def _lines(cues: Sequence[Aligned], seconds: float) -> str:
    """Above when sentences are heard, below when they are seen, a line from each to the same."""
    scale = 1000 / max(seconds, 1e-9)
    marks = []
    for one in cues:
        a = min((one.cue.start + one.cue.end) / 2 * scale, 1000)
        kind = "line" if one.alignable else "tick"
        b = min((one.start + one.end) / 2 * scale, 1000) if one.alignable else a
        marks.append(f'<path class={kind} d="M{a:.1f} 0L{b:.1f} {100 if one.alignable else 12}"/>')
    words = "When each sentence is heard, above, and when it is seen, below; the list has the times"
    return (
        f"<figure><figcaption>heard</figcaption>"
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{words}">'
        f"{''.join(marks)}</svg><figcaption>seen</figcaption>"
        f"{ticks(seconds)}</figure>"
    )


STYLE = (
    OVER_TIME
    + """
a:focus-visible { outline: 3px solid var(--fill); outline-offset: 2px; }
figure { margin: 1rem 0; } figcaption { font-size: .8rem; color: var(--quiet); }
svg { display: block; width: 100%; height: 6rem; background: var(--tile); border-radius: 4px; }
path { stroke-width: 1.5px; vector-effect: non-scaling-stroke; }
.line { stroke: var(--fill); } .tick { stroke: var(--quiet); }
ol { list-style: none; padding: 0; margin: 0; }
li { display: grid; grid-template-columns: 10rem 1fr; gap: 1rem; padding: .6rem 0;
 border-top: 1px solid var(--line); align-items: start; }
li p { margin: 0 0 .2rem; } li .quiet { font-size: .85rem; font-variant-numeric: tabular-nums; }
li img { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: var(--tile);
 border-radius: 4px; display: block; }
.seen strong { color: var(--right); } .unseen strong { font-weight: 400; }
.unseen p:first-child { color: var(--quiet); }
@media (max-width: 40rem) { li { grid-template-columns: 6rem 1fr; } }
"""
)
