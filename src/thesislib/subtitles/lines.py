"""SubRip (srt) and WebVTT (vtt): lines of times, each with lines of text below it.

Of a library's readers, pysubs2's leave out cues with times that they do not know and take ``NOTE``
and ``STYLE`` for text; webvtt-py's refuse the file. This one reads both kinds by one rule: a line
of times begins a cue, whatever stands around it.
"""

from __future__ import annotations

import re

from thesislib.subtitles.cues import Found, Parsed, plain
from thesislib.subtitles.times import Span, spanned

_BLOCKS = re.compile(r"(NOTE|STYLE|REGION)(?:\s|$)")
_NUMBER = re.compile(r"\s*\d+\s*")


def parse_srt(text: str) -> Parsed:
    """The cues of SubRip.

    A number above the times is no text; a blank line inside a text ends it not, for only the next
    line of times does. Lines before the first time are counted.
    """
    return _Lines(text.split("\n"), vtt=False).parsed


def parse_vtt(text: str) -> Parsed:
    """The cues of WebVTT (https://www.w3.org/TR/webvtt1/).

    ``NOTE``, ``STYLE`` and ``REGION`` blocks and what follows the word ``WEBVTT`` are counted; cue
    settings and identifiers are left. A text without times, which browsers leave out in silence, is
    counted as well.
    """
    return _Lines(text.split("\n"), vtt=True).parsed


class _Lines:
    def __init__(self, lines: list[str], vtt: bool) -> None:
        self.lines = lines
        self.vtt = vtt
        self.parsed = Parsed()
        spans = [spanned(line) for line in lines]
        starts = [i for i, span in enumerate(spans) if span is not None]
        first = self._named(starts[0], 0) if starts else len(lines)
        self._others(0, first, header=vtt)
        for at, following in zip(starts, [*starts[1:], len(lines)], strict=False):
            end = self._named(following, at + 1) if following < len(lines) else following
            span = spans[at]
            assert span is not None
            self._cue(span, at + 1, end)

    def _named(self, times: int, least: int) -> int:
        """The line where a cue begins: that of its number or identifier, or of its times."""
        above = times - 1
        if above < least or not self.lines[above].strip():
            return times
        after_blank = above == 0 or not self.lines[above - 1].strip()
        number = _NUMBER.fullmatch(self.lines[above]) is not None
        # A number ends a text even without a blank line; an identifier needs one, and is no block.
        if number and (after_blank or above > least):
            return above
        named = after_blank and self.vtt and not _BLOCKS.match(self.lines[above])
        return above if named and not self.lines[above].startswith("WEBVTT") else times

    def _cue(self, span: Span, begin: int, end: int) -> None:
        if self.vtt:  # an empty line ends the text; YouTube's hold lines of one blank
            last = begin
            while last < end and self.lines[last]:
                last += 1
            self._others(last, end)
            end = last
        raw = "\n".join(self.lines[begin:end]).strip()
        self.parsed.cues.append(Found(span.start, span.end, plain(raw), raw, span.odd))

    def _others(self, begin: int, end: int, header: bool = False) -> None:
        """Counts the blocks between two lines that are no cues."""
        fresh = True
        for line in self.lines[begin:end]:
            if not line.strip():
                fresh, header = True, False
            elif header and not line.startswith("WEBVTT"):
                self.parsed.another("lines of the header")
            elif fresh and not header:
                match = _BLOCKS.match(line) if self.vtt else None
                self.parsed.another(f"{match[1]} blocks" if match else "texts without times")
                fresh = False
