"""Captions in JSON: YouTube's json3, lists of its older readers, HowTo100M's and Whisper's.

None of them is known to pysubs2 (its own JSON is another).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from thesislib.errors import ThesisError
from thesislib.subtitles.cues import LONGEST, UNKNOWN, Found, Parsed, plain


def parse_json(text: str, name: str) -> tuple[str, Parsed]:
    """The cues of a JSON file, and of which kind it is: ``youtube`` or ``json``.

    - ``{"events": [{tStartMs, dDurationMs, segs}, ...]}``: YouTube's json3;
    - ``[{"text", "start", "duration"}, ...]``: readers of YouTube; ``end`` and ``dur`` do as well;
    - ``{"segments": [{"start", "end", "text"}, ...]}``: Whisper;
    - ``{"start": [...], "end": [...], "text": [...]}``: one video of HowTo100M's file.

    Raises:
        ThesisError: It is no JSON, or another.
    """
    try:
        value = json.loads(text, strict=False)  # with ends of lines within texts
    except (ValueError, RecursionError) as error:
        why = str(error)[:80]
        raise ThesisError(f"{name} is not valid JSON ({why}): fetch it again.") from None
    if isinstance(value, dict) and isinstance(value.get("events"), list):
        return "youtube", _json3(value["events"])
    if isinstance(value, dict) and isinstance(value.get("segments"), list):
        value = value["segments"]
    if isinstance(value, dict) and isinstance(value.get("start"), list):
        return "json", parse_columns(value, name)
    if isinstance(value, list) and (not value or _like_a_cue(value[0])):
        return "json", _rows(value)
    raise ThesisError(
        f"{name} is JSON of another kind: YouTube's json3, Whisper's, or a list of objects with "
        "start, end (or duration) and text is read. Of a file of many videos, take one out."
    )


def _like_a_cue(row: object) -> bool:
    return isinstance(row, dict) and "text" in row and ("start" in row or "offset" in row)


def _json3(events: Sequence[Any]) -> Parsed:
    parsed = Parsed()
    for event in events:
        pieces = event.get("segs") if isinstance(event, dict) else None
        if not isinstance(pieces, list):  # a window of the screen, where the text is to stand
            parsed.another("windows")
            continue
        raw = "".join(
            one["utf8"]
            for one in pieces
            if isinstance(one, dict) and isinstance(one.get("utf8"), str)
        )
        if event.get("aAppend") and not raw.strip():
            parsed.another("ends of lines")
            continue
        start = _seconds(event.get("tStartMs", 0), 0.001)
        length = _seconds(event.get("dDurationMs"), 0.001)
        text = plain(raw, tags=False, entities=False)
        parsed.cues.append(Found(start, start + length, text, raw))
    return parsed


def _rows(rows: Sequence[Any]) -> Parsed:
    parsed = Parsed()
    for row in rows:
        row = row if isinstance(row, Mapping) else {}
        raw = row.get("text")
        raw = raw if isinstance(raw, str) else ""
        start = _seconds(row.get("start", row.get("offset")))
        end = _seconds(row.get("end"))
        if math.isnan(end):
            end = start + _seconds(row.get("duration", row.get("dur")))
        parsed.cues.append(Found(start, end, plain(raw), raw))
    return parsed


def parse_columns(value: Any, name: str) -> Parsed:
    """The cues of ``{"start": [...], "end": [...], "text": [...]}``, one video of HowTo100M's file.

    Raises:
        ThesisError: These are no lists of one length.
    """
    columns = {key: value.get(key) for key in ("start", "end", "text")}
    lengths = {len(one) if isinstance(one, list) else -1 for one in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise ThesisError(f"{name}: its start, end and text are no lists of one length: mend it.")
    return _rows(
        [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    )


def _seconds(value: object, scale: float = 1.0) -> float:
    """A finite number, or a text that is one; anything else is no time."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return UNKNOWN
    try:
        seconds = float(value) * scale
    except (ValueError, OverflowError):
        return UNKNOWN
    return round(seconds, 6) if abs(seconds) <= LONGEST else UNKNOWN
