"""The rows of chapter 8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from thesislib.chapters.autoad import films, judging, learning
from thesislib.chapters.row import Row

HEADLINE = "autoad/v+ad"
SEEN, FILMED = "autoad/v", "autoad/v-webvid"
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
    few: Sequence[str] | None = None,
    **changes: Any,
) -> Row:
    """Trained from films, perhaps on from other rows; or on captions or text alone.

    ``few`` are the rows that it starts from where films are few; default: ``starts``, too.
    """
    given = starts if few is None else few
    return _row(
        name, train=partial(learning.trained, starts=starts, data=data, few=given),
        identity=partial(learning.identity, starts=starts, few=given),
        changes=changes, small=small or {},
    )  # fmt: skip


# In the thesis a model learns to look and to read at once. Our films are too few for that: what is
# read is the easier help, and the pictures are passed over. So here it first learns to look alone.
_reading = partial(_trained, few=(SEEN,), small={"epochs": 6})
_both = partial(_trained, starts=(WEBVID, TEXT), few=(FILMED, TEXT), small={"epochs": 6})
_twice = (judging.judge, judging.unnamed)  # on text with names and without (Table 8.3)
_unnamed = replace(_reading("past descriptions, names hidden", names=False), judges=_twice)

ROWS = {
    # What the language model says without the film: the sceptic's.
    "autoad/blind": _trained("no film, no context", small={"epochs": 3}, visual=False, past=0),
    "autoad/ad": _trained("past descriptions alone", small={"epochs": 6}, visual=False),
    # Context (Table 8.2).
    "autoad/v1": _trained("1 frame", **STILL),
    SEEN: _trained("8 frames", **ALONE),
    "autoad/v-cont": _reading("8 frames, as many further steps", **ALONE),
    HEADLINE: replace(_reading("8 frames, past descriptions"), judges=_twice),
    **{
        f"autoad/v+ad-{n}": _reading(f"8 frames, {n} past descriptions", past=n)
        for n in range(1, LONGEST)
    },
    "autoad/v+sub": _reading("8 frames, subtitles", **ALONE, subtitles="all"),
    "autoad/v+subn": _reading("8 frames, names in subtitles", **ALONE, subtitles="names"),
    "autoad/v+ad+sub": _reading("8 frames, past descriptions, subtitles", subtitles="all"),
    "autoad/v+ad+subn": _reading("8 frames, past descriptions, names", subtitles="names"),
    # As the thesis trains it: both at once, in as many steps as the two take together.
    "autoad/v+ad-at-once": _trained("8 frames, past descriptions, at once", small={"epochs": 18}),
    # Partial data (8.3.3): captions without context, text without pictures.
    CC3M: _trained("captions of stills", data="captions", small={"epochs": 1}, **STILL),
    WEBVID: _trained("captions of clips", data="captions", small={"epochs": 1}, **ALONE),
    # At the thesis's own rate. At the small profile's the language model forgets in a text that
    # has none what stage directions are, and with that how a clip's vectors are read: validation
    # CIDEr of the row from text 77, and 128 after the true context; so 107 and 168.
    TEXT: _trained(
        "text alone", data="texts", small={"epochs": 1, "lr": 1e-4}, visual=False, tuned="here"
    ),
    "autoad/v-cc3m": _trained("8 frames, from captions of stills", (CC3M,), **ALONE),
    FILMED: _trained("8 frames, from captions of clips", (WEBVID,), **ALONE),
    "autoad/v+ad-text": _reading(
        "past descriptions, from text", (TEXT,), few=(SEEN, TEXT), **LATER
    ),
    "autoad/v+ad-text+webvid": _both("past descriptions, from captions and text", **LATER),
    "autoad/v+ad+sub-text+webvid": _both(
        "with subtitles, from captions and text", **LATER, subtitles="all"
    ),
    "autoad/v+ad+subn-text+webvid": _both(
        "with names, from captions and text", **LATER, subtitles="names"
    ),
    # Training text without names (Table 8.3).
    "autoad/mad2-unnamed": _unnamed,
    # Others, in the same code (Table 8.4).
    "autoad/clipcap": _trained("ClipCap, from captions of stills", (CC3M,), **STILL),
    "autoad/capdec": _trained(
        "CapDec, from text alone", data="texts", small={"epochs": 1},
        learns_from="sentence", **ALONE,
    ),
    # Five clips in a row (Table 8.5): the same training, judged otherwise.
    "autoad/story": replace(
        _unnamed, name="five clips in a row, names hidden", home="", judges=(judging.story,)
    ),
}  # fmt: skip
