"""What an alignment says of every cue, as files: when it is heard, and when it is *seen*.

The two are different times, and taking one for the other is the mistake that users of such files
make most. So each has its name, the JSON and the WebVTT (of kind metadata, which no player shows)
hold both, and files that a player does show are written on request alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from thesislib.errors import ThesisError, choose
from thesislib.files import derived, write_text
from thesislib.subtitles.cues import Cue
from thesislib.subtitles.siblings import ALIGNED
from thesislib.subtitles.writing import WRITERS, metadata_vtt, untouched

MEANING = (
    "heard: when a cue is spoken, as its subtitles say. seen: when what it says is to be seen, as "
    "a network finds it; null where it is not. Played as subtitles, the times of seen are wrong."
)


class Aligned(NamedTuple):
    """A cue and what was found of it.

    Its fields:

    - ``cue``: As it was read; its times are those at which it is heard.
    - ``start``: When it is seen, seconds; NaN if it is not, or nobody knows.
    - ``end``: Seconds, not before the start; NaN likewise.
    - ``score``: How sure that is; higher is surer, not a probability.
    - ``alignable``: Whether it is seen at all. A cue that is not has no such time.
    """

    cue: Cue
    start: float
    end: float
    score: float
    alignable: bool

    @property
    def text(self) -> str:
        """Of the cue."""
        return self.cue.text


def aligned_path(video: str | Path, ending: str) -> Path:
    """Beside the video: ``film.mp4`` and ``.json`` give ``film.aligned.json``."""
    video = Path(video)
    return video.with_name(derived(video.stem, f"{ALIGNED}{ending}"))


def tally(cues: Sequence[Aligned], kind: str) -> str:
    """How many there are and are seen; of one, whether it is."""
    seen = sum(one.alignable for one in cues)
    if len(cues) == 1:
        return f"1 {kind}, {'seen' if seen else 'not seen'}"
    return f"{len(cues):,} {kind}s, {seen:,} of them seen"


def as_row(one: Aligned) -> dict[str, Any]:
    """A cue for JSON, times and score to the thousandth; ``score`` is null where there is none.

    Raises:
        ThesisError: A cue that is alignable has no span of time, or one that is not has one.
    """
    span = math.isfinite(one.start) and math.isfinite(one.end) and one.start <= one.end
    if span != one.alignable:
        raise ThesisError(
            f"Cue {one.cue.number}: what is alignable has a time at which it is seen, and nothing "
            "else has one."
        )
    return {
        "number": one.cue.number,
        "text": one.text,
        "heard": {"start": round(one.cue.start, 3), "end": round(one.cue.end, 3)},
        "seen": {"start": round(one.start, 3), "end": round(one.end, 3)} if span else None,
        "score": round(one.score, 4) if math.isfinite(one.score) else None,
        "alignable": one.alignable,
    }


def aligned_text(
    ending: str, cues: Sequence[Aligned], about: Mapping[str, Any] | None = None
) -> str:
    """An alignment as a file of one kind holds it.

    - ``.json``: every cue, in the order given; ``about`` (video, subtitles, model, ...) on top.
    - ``.vtt``: kind metadata: at the time when a cue is seen, its row of the JSON. Cues that are
      not seen come at the time when they are heard; their row says so.
    - ``.srt``, ``.ass``: for players: the cues that are seen, at the time when they are.

    Args:
        ending: One of these.
        cues: One for each cue of the subtitles.
        about: What else the JSON says.

    Raises:
        ThesisError: See :func:`as_row`; or another ending.
    """
    rows = [as_row(one) for one in cues]
    if ending == ".json":
        value = {"meaning": MEANING, **(about or {}), "cues": rows}
        return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    if ending == ".vtt":
        spans = (row["seen"] or row["heard"] for row in rows)
        payloads = ((s["start"], s["end"], row) for s, row in zip(spans, rows, strict=True))
        return metadata_vtt(payloads, f"kind: metadata. {MEANING}")
    kind = choose("kind of alignment", ending.removeprefix("."), ("json", *WRITERS))
    return WRITERS[kind]([one for one in cues if one.alignable])


def write_aligned(
    path: str | Path,
    cues: Sequence[Aligned],
    about: Mapping[str, Any] | None = None,
    *,
    never: Iterable[str | Path] = (),
) -> None:
    """Writes an alignment in the kind that the path ends with; see :func:`aligned_text`.

    Args:
        path: Where to; see :func:`aligned_path`.
        cues: One for each cue of the subtitles.
        about: What else the JSON says.
        never: Files that must not be replaced: the video, its subtitles.

    Raises:
        ThesisError: Likewise; the path is one of ``never``, or cannot be written.
    """
    path = Path(path)
    text = aligned_text(path.suffix.lower(), cues, about)
    untouched(path, never)
    write_text(path, text)
