"""SubStation Alpha (ass, ssa): lines of named cells, with override codes in the text.

pysubs2 reads the codes. Its reader of files takes the cells for standing in the usual order,
whatever their ``Format`` line says, and gives up at the first time that it cannot read.
"""

from __future__ import annotations

import re

import pysubs2

from thesislib.subtitles.cues import UNKNOWN, Found, Parsed, plain
from thesislib.subtitles.times import clock

_USUAL = "layer, start, end, style, name, marginl, marginr, marginv, effect, text"
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")  # {\p1}m 0 0 l 100 0: a shape, no text
_OPEN, _CLOSE = "\ue000", "\ue001"  # stand for braces that are text while pysubs2 reads the codes


def parse_ass(text: str) -> Parsed:
    """The cues of SubStation Alpha: its ``Dialogue`` lines.

    Comments and drawings are counted, they say nothing.
    """
    parsed, names, section = Parsed(), _names(_USUAL), ""
    for line in text.split("\n"):
        key, colon, rest = line.strip().partition(":")
        if key.startswith("[") and key.endswith("]"):
            section = key.casefold()
        elif colon and key == "Format" and section in ("[events]", ""):
            names = _names(rest)
        elif colon and key == "Comment" and section == "[events]":
            parsed.another("comments")
        elif colon and key == "Dialogue":
            _dialogue(parsed, dict(zip(names, rest.split(",", len(names) - 1), strict=False)))
    return parsed


def _names(line: str) -> list[str]:
    return [name.strip().casefold() for name in line.split(",")]


def _dialogue(parsed: Parsed, cells: dict[str, str]) -> None:
    raw = cells.get("text", "").strip()
    event = pysubs2.SSAEvent(text=raw.replace("\\{", _OPEN).replace("\\}", _CLOSE))
    if _DRAWING.search(event.text):
        parsed.another("drawings")
        return
    (start, odd), (end, odd_end) = (
        clock(cells[name], (2, 3)) if name in cells else (UNKNOWN, False)
        for name in ("start", "end")
    )
    text = event.plaintext.replace(_OPEN, "{").replace(_CLOSE, "}")
    text = plain(text, tags=False, entities=False)
    parsed.cues.append(Found(start, end, text, raw, odd or odd_end))
