"""Cues back to files: srt, WebVTT for people and for programs (kind metadata), ass."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pysubs2

from thesislib.errors import ThesisError, choose
from thesislib.files import write_text
from thesislib.subtitles.cues import plain
from thesislib.subtitles.times import spanned

ASS_LONGEST = 35999.99  # seconds: ass has one digit for hours
_CODES = re.compile(r"\\(?=[Nnh{}])")  # what ass would take for a code
JOINER = "\u2060"  # no width; parts a backslash from what it would escape


class Timed(Protocol):
    """What can be written: a :class:`~thesislib.subtitles.cues.Cue`, a sentence, anything alike."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...


def srt(cues: Iterable[Timed]) -> str:
    """SubRip, sorted by start and numbered from 1.

    A text that would read as markup or as times has entities for the signs that make it so.
    """
    blocks = []
    for number, cue in enumerate(_sorted(cues), 1):
        bare = plain(cue.text) == cue.text and not any(map(spanned, cue.text.split("\n")))
        text = cue.text if bare else _escaped(cue.text)
        times = f"{_clock(cue.start)} --> {_clock(cue.end)}".replace(".", ",")
        blocks.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(blocks)


def vtt(cues: Iterable[Timed], note: str = "") -> str:
    """WebVTT, sorted by start, with signs that mean something there as entities.

    Args:
        cues: In any order.
        note: A remark on top.
    """
    return _vtt(((cue.start, cue.end, _escaped(cue.text)) for cue in _sorted(cues)), note)


def metadata_vtt(payloads: Iterable[tuple[float, float, Mapping[str, Any]]], note: str = "") -> str:
    """WebVTT of kind metadata: each cue holds one line of JSON, which no player shows.

    A page reads it by ``<track kind="metadata">`` and ``JSON.parse(cue.text)``.

    Args:
        payloads: Start and end (seconds) and what the cue holds.
        note: A remark on top.
    """
    rows = sorted(payloads, key=lambda row: row[0])
    return _vtt(
        ((a, b, json.dumps(value, ensure_ascii=False).replace("-->", "--\\u003e"))
         for a, b, value in rows),
        note,
    )  # fmt: skip


def ass(cues: Iterable[Timed]) -> str:
    """SubStation Alpha (v4+), in hundredths of a second.

    Raises:
        ThesisError: A time of ten hours or more, which it cannot hold.
    """
    subtitles = pysubs2.SSAFile()
    for cue in _sorted(cues):
        if cue.end > ASS_LONGEST:
            raise ThesisError("ass holds no time of ten hours and more: write srt or WebVTT.")
        text = _CODES.sub(lambda match: f"\\{JOINER}", cue.text)
        text = re.sub(r"([{}])", r"\\\1", text).replace("\n", "\\N")
        subtitles.append(
            pysubs2.SSAEvent(start=round(cue.start * 1000), end=round(cue.end * 1000), text=text)
        )
    return subtitles.to_string("ass")


WRITERS: dict[str, Callable[[Iterable[Timed]], str]] = {"srt": srt, "vtt": vtt, "ass": ass}


def write_subtitles(
    path: str | Path, cues: Sequence[Timed], *, never: Iterable[str | Path] = ()
) -> None:
    """Writes cues in the kind that the path ends with: ``.srt``, ``.vtt`` or ``.ass``.

    Args:
        path: Where to.
        cues: In any order.
        never: Files that must not be replaced: those that the cues were read from.

    Raises:
        ThesisError: The path ends otherwise, is one of ``never``, or cannot be written.
    """
    path = Path(path)
    kind = choose("kind of subtitles", path.suffix.lower().removeprefix("."), WRITERS)
    untouched(path, never)
    write_text(path, WRITERS[kind](cues))


def untouched(path: Path, inputs: Iterable[str | Path]) -> None:
    """Refuses to write over what was read.

    Raises:
        ThesisError: ``path`` is one of ``inputs``, under whatever name.
    """
    for one in inputs:
        same = path.exists() and Path(one).exists() and path.samefile(one)
        if same or path.absolute() == Path(one).absolute():
            raise ThesisError(f"{path} is what was read, and is never changed: name another file.")


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).replace("{\\", "&#123;\\")  # as in {\an8}


def _sorted(cues: Iterable[Timed]) -> list[Timed]:
    return sorted(cues, key=lambda cue: (cue.start, cue.end))


def _vtt(rows: Iterable[tuple[float, float, str]], note: str = "") -> str:
    head = f"WEBVTT\n\nNOTE\n{note}\n" if note else "WEBVTT\n"
    blocks = [head]
    for start, end, text in rows:  # a cue has to end after its start there
        end = max(end, start + 0.001)
        blocks.append(f"{_clock(start)} --> {_clock(end)}\n{text}\n")
    return "\n".join(blocks)


def _clock(seconds: float) -> str:
    ms = max(round(seconds * 1000), 0)
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
