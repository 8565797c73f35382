"""The rows of chapter 8."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from thesislib.chapters.autoad import films, judging, learning
from thesislib.chapters.row import Row

HEADLINE = "autoad/v+ad"
CC3M, WEBVID, TEXT = "autoad/cc3m", "autoad/webvid", "autoad/text"
ALONE: dict[str, Any] = {"past": 0}
STILL: dict[str, Any] = {"frames": 1, "past": 0}
LATER: dict[str, Any] = {"tuned": "before"}  # the language model of the run that it starts from
LONGEST = 6  # past descriptions that the thesis tries (Figure 8.4)

_row = partial(Row, fingerprint=films.fingerprint, home=HEADLINE, judges=(judging.judge,))


def _trained(
    name: str,
    starts: Sequence[str] = (),
    data: str = "films",
    small: dict[str, Any] | None = None,
    **changes: Any,
) -> Row:
    """Trained from films, perhaps on from other rows; or on captions or text alone."""
    return _row(
        name, train=partial(learning.trained, starts=starts, data=data), changes=changes,
        small=small or {}, identity=partial(learning.identity, starts=starts),
    )  # fmt: skip


ROWS = {
    # What the language model says without the film: the sceptic's.
    "autoad/blind": _trained("no film, no context", visual=False, past=0),
    "autoad/ad": _trained("past descriptions alone", visual=False),
    # Context (Table 8.2).
    "autoad/v1": _trained("1 frame", **STILL),
    "autoad/v": _trained("8 frames", **ALONE),
    "autoad/v+ad": _trained("8 frames, past descriptions"),
    **{
        f"autoad/v+ad-{n}": _trained(f"8 frames, {n} past descriptions", past=n)
        for n in range(1, LONGEST)
    },
    "autoad/v+sub": _trained("8 frames, subtitles", **ALONE, subtitles="all"),
    "autoad/v+subn": _trained("8 frames, names in subtitles", **ALONE, subtitles="names"),
    "autoad/v+ad+sub": _trained("8 frames, past descriptions, subtitles", subtitles="all"),
    "autoad/v+ad+subn": _trained("8 frames, past descriptions, names", subtitles="names"),
    # Partial data (8.3.3): captions without context, text without pictures.
    CC3M: _trained("captions of stills", data="captions", small={"epochs": 1}, **STILL),
    WEBVID: _trained("captions of clips", data="captions", small={"epochs": 1}, **ALONE),
    TEXT: _trained(
        "text alone", data="texts", small={"epochs": 1}, visual=False, tuned="here"
    ),
    "autoad/v-cc3m": _trained("8 frames, from captions of stills", (CC3M,), **ALONE),
    "autoad/v-webvid": _trained("8 frames, from captions of clips", (WEBVID,), **ALONE),
    "autoad/v+ad-text": _trained("past descriptions, from text", (TEXT,), **LATER),
    "autoad/v+ad-text+webvid": _trained(
        "past descriptions, from captions and text", (WEBVID, TEXT), **LATER
    ),
    "autoad/v+ad+sub-text+webvid": _trained(
        "with subtitles, from captions and text", (WEBVID, TEXT), **LATER, subtitles="all"
    ),
    "autoad/v+ad+subn-text+webvid": _trained(
        "with names, from captions and text", (WEBVID, TEXT), **LATER, subtitles="names"
    ),
    # Training text without names (Table 8.3).
    "autoad/mad2-unnamed": _trained("past descriptions, names hidden", names=False),
    # Others, in the same code (Table 8.4).
    "autoad/clipcap": _trained("ClipCap, from captions of stills", (CC3M,), **STILL),
    "autoad/capdec": _trained(
        "CapDec, from text alone", data="texts", small={"epochs": 1},
        learns_from="sentence", **ALONE,
    ),
}  # fmt: skip
