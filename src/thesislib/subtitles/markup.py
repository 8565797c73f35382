"""Captions in XML: TTML (with its kin DFXP and IMSC) and YouTube's srv1, srv2 and srv3.

pysubs2's reader of TTML knows no frames, no ticks, no nested ``div`` and no ``dur``, and none of
YouTube's.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

from thesislib.errors import ThesisError
from thesislib.subtitles.cues import LONGEST, UNKNOWN, Found, Parsed, plain
from thesislib.subtitles.times import clock

_OFFSET = re.compile(r"\s*([-+]?[\d.]+)\s*(h|m|s|ms|f|t)\s*")
_FRAMES = re.compile(r"\s*(\d{1,4}:\d{1,2}:\d{1,2}):(\d{1,6})(?:\.\d+)?\s*")
_PARAMETER = "{http://www.w3.org/ns/ttml#parameter}"


def parse_xml(text: str, name: str) -> tuple[str, Parsed]:
    """The cues of TTML or YouTube's XML, and which of the two it is.

    Raises:
        ThesisError: It is no XML, or another.
    """
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ThesisError(
            f"{name} is not valid XML ({error}): fetch it again, or save it as srt."
        ) from None
    kind = _local(root)
    if kind == "tt":
        return "ttml", _Ttml(root).parsed
    if kind in ("timedtext", "transcript"):
        return "youtube", _youtube(root)
    raise ThesisError(f"{name} is XML of another kind, <{kind[:40]}>: save the subtitles as srt.")


def _local(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: ET.Element) -> str:
    """The text of an element, with ``<br/>`` as ends of lines and none of its own."""
    parts: list[str] = []
    for event, one in _events(element):
        if event == "start":
            parts += ["\n"] if _local(one) == "br" else [_folded(one.text)]
        elif one is not element:
            parts.append(_folded(one.tail))
    return "".join(parts).strip()


def _events(element: ET.Element) -> list[tuple[str, ET.Element]]:
    stack: list[tuple[str, ET.Element]] = [("start", element)]
    order = []
    while stack:
        event, one = stack.pop()
        order.append((event, one))
        if event == "start":
            stack.append(("end", one))
            stack += [("start", child) for child in reversed(one)]
    return order


def _folded(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


class _Ttml:
    """TTML's clock, and its cues: a time is counted from the start of what holds it."""

    def __init__(self, root: ET.Element) -> None:
        self.parsed = Parsed()
        rate = _number(root.get(f"{_PARAMETER}frameRate"), 30.0)
        up, _, down = root.get(f"{_PARAMETER}frameRateMultiplier", "1 1").partition(" ")
        self.frames = rate * _number(up, 1.0) / _number(down, 1.0)
        self.ticks = _number(root.get(f"{_PARAMETER}tickRate"), self.frames)
        bodies = [one for one in root if _local(one) == "body"]
        self._all([(one, 0.0, UNKNOWN) for one in bodies])

    def _all(self, stack: list[tuple[ET.Element, float, float]]) -> None:
        """Each element with the start and the end of its parent, in the order of the file."""
        stack = stack[::-1]
        while stack:
            one, base, until = stack.pop()
            begin, end = self._span(one, base, until)
            kind = _local(one)
            timed = any("begin" in inner.attrib for inner in one)
            own = "begin" in one.attrib or "end" in one.attrib or not timed
            if kind == "span" or (kind == "p" and own):
                known = "begin" in one.attrib or begin > 0 or "end" in one.attrib or end == end
                self._cue(one, begin if known else UNKNOWN, end)
            elif kind in ("body", "div", "p"):
                stack += self._children(one, begin, end)[::-1]

    def _children(
        self, one: ET.Element, begin: float, end: float
    ) -> list[tuple[ET.Element, float, float]]:
        if one.get("timeContainer") != "seq":
            return [(inner, begin, end) for inner in one]
        chain = []
        for inner in one:  # each begins when the one before has ended
            chain.append((inner, begin, end))
            begin = self._span(inner, begin, end)[1]
        return chain

    def _span(self, one: ET.Element, base: float, until: float) -> tuple[float, float]:
        begin = base + self._seconds(one.get("begin", "0s"))
        end = base + self._seconds(one.get("end"))
        if "dur" in one.attrib or "duration" in one.attrib:
            last = begin + self._seconds(one.get("dur") or one.get("duration"))
            end = last if math.isnan(end) else min(end, last)
        return begin, until if "end" not in one.attrib and math.isnan(end) else end

    def _seconds(self, text: str | None) -> float:
        if text is None:
            return UNKNOWN
        if match := _OFFSET.fullmatch(text):
            units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
            units |= {"f": 1 / self.frames, "t": 1 / self.ticks}
            return _bounded(_number(match.group(1), UNKNOWN, least=None) * units[match.group(2)])
        if match := _FRAMES.fullmatch(text):
            return _bounded(clock(match.group(1))[0] + int(match.group(2)) / self.frames)
        return clock(text)[0] if ":" in text else _bounded(_number(text, UNKNOWN, least=None))

    def _cue(self, one: ET.Element, begin: float, end: float) -> None:
        raw = _text(one)
        self.parsed.cues.append(Found(begin, end, plain(raw, tags=False, entities=False), raw))


def _youtube(root: ET.Element) -> Parsed:
    """srv1 ``<text start dur>`` in seconds, srv2 ``<text t d>`` and srv3 ``<p t d>`` in ms."""
    parsed = Parsed()
    for one in root.iter():
        if _local(one) not in ("text", "p"):
            continue
        names, scale = (("start", "dur"), 1.0) if "start" in one.attrib else (("t", "d"), 0.001)
        start, length = (
            _bounded(_number(one.get(name), UNKNOWN, least=None) * scale) for name in names
        )
        raw = "".join(one.itertext()).strip()
        # Their text is escaped once more than XML asks for.
        found = Found(start, start + length, plain(raw, tags=False), raw)
        if one.get("a") == "1" and not found.text:
            parsed.another("ends of lines")
        else:
            parsed.cues.append(found)
    return parsed


def _number(text: str | None, otherwise: float, least: float | None = 0.0) -> float:
    """A finite number, above ``least`` where that is one."""
    try:
        value = float(text or "")
    except ValueError:
        return otherwise
    return value if math.isfinite(value) and (least is None or value > least) else otherwise


def _bounded(value: float) -> float:
    return round(value, 6) if abs(value) <= LONGEST else UNKNOWN
