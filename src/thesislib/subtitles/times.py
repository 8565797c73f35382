"""Times as subtitle files write them: with and without hours, with a comma, a point, a sign."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from thesislib.subtitles.cues import LONGEST, UNKNOWN

_SIGN = "[-\u2212]?"
_TIME = re.compile(
    rf"({_SIGN})\s*(?:(?:(\d{{1,4}})\s*:\s*)?(\d{{1,3}})\s*:\s*)({_SIGN}\d{{1,2}})"
    r"(?:\s*[.,:]\s*(\d{1,9}))?(?=\s|$)"
)
_ARROW = re.compile("[-\u2013]{1,3}>")
_DAMAGED = re.compile(r"\S*[:.,]\S*")  # one word, as a time is


class Span(NamedTuple):
    """The two times of a line; NaN where one cannot be read. ``odd`` where one is unusual."""

    start: float
    end: float
    odd: bool


def clock(text: str, digits: tuple[int, ...] = (3,)) -> tuple[float, bool]:
    """Seconds of ``[-][h:]m:s[.fraction]`` at the start of a text, and whether it is odd.

    Digits after the point are a decimal fraction, whatever their number: ``1.2345`` is 1.2345 s and
    ``1.5`` is 1.5 s. ``1,1000`` alone is 2 s: some programs round 999.6 ms up to it.

    Args:
        text: Begins with a time.
        digits: How many a fraction has in this kind of file.

    Returns:
        Seconds (NaN where there is no time, or one beyond a thousand hours), and whether its
        fraction has another number of digits, or its minutes or seconds are 60 and more.
    """
    match = _TIME.match(text.strip())
    if match is None:
        return UNKNOWN, False
    sign, hours, minutes, seconds, fraction = match.groups()
    negative = bool(sign) or seconds[0] in "-\u2212"
    s = int(seconds.strip("-\u2212"))
    part = 0.0 if fraction is None else 1.0 if fraction == "1000" else float(f"0.{fraction}")
    value = int(hours or 0) * 3600 + int(minutes) * 60 + s + part
    if value > LONGEST:
        return UNKNOWN, False
    odd = s > 59 or (hours is not None and int(minutes) > 59)
    odd = odd or (fraction is not None and len(fraction) not in digits)
    return round(-value if negative else value, 6), odd


def spanned(line: str) -> Span | None:
    """The times of a line ``start --> end``, or nothing where it is no such line."""
    arrow = _ARROW.search(line)
    if arrow is None:
        return None
    before, after = line[: arrow.start()], line[arrow.end() :]
    (start, odd), (end, odd_end) = clock(before), clock(after)
    if math.isnan(start) and not ("-->" in arrow.group() and _DAMAGED.fullmatch(before.strip())):
        return None  # an arrow in a text
    return Span(start, end, odd or odd_end)
