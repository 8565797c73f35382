"""One reader for all kinds of subtitle files, which are known by what they hold."""

from __future__ import annotations

import re
from pathlib import Path

from thesislib.errors import ThesisError
from thesislib.files import reading
from thesislib.subtitles.cues import Parsed, Subtitles
from thesislib.subtitles.encodings import decode
from thesislib.subtitles.lines import parse_srt, parse_vtt
from thesislib.subtitles.markup import parse_xml
from thesislib.subtitles.objects import parse_json
from thesislib.subtitles.repair import repaired
from thesislib.subtitles.substation import parse_ass
from thesislib.subtitles.times import spanned

LARGEST = 64 * 2**20  # bytes: the subtitles of a day have some two
_MICRODVD = re.compile(r"\{\d+\}\{\d+\}")
_ASS = re.compile(
    r"^\s*(\[(Script Info|V4\+? Styles\+?|Events)\]|Dialogue:[^,\n]*,\s*-?\d+:)",
    re.MULTILINE | re.IGNORECASE,
)


def read_subtitles(
    path: str | Path, *, encoding: str | None = None, duration: float | None = None
) -> Subtitles:
    """The cues of a subtitle file: srt, WebVTT, ass, ssa, TTML, YouTube's XML and JSON, Whisper's.

    The kind is known by the content, so a wrong name does no harm.

    Args:
        path: The file.
        encoding: Where it is known. Else the file's mark says it, or it is UTF-8, or it is guessed,
            which :meth:`~thesislib.subtitles.cues.Subtitles.summary` says.
        duration: Of the video, seconds: cues that reach beyond it are named.

    Raises:
        ThesisError: It cannot be read, is of no known kind, or holds no cue.
    """
    with reading(path, "fetch it again."):
        if (size := Path(path).stat().st_size) > LARGEST:
            raise ThesisError(f"{path} has {size / 1e6:.0f} MB, so it is no subtitle file.")
        data = Path(path).read_bytes()
    return parse_subtitles(data, str(path), encoding=encoding, duration=duration)


def parse_subtitles(
    data: bytes,
    name: str = "The standard input",
    *,
    encoding: str | None = None,
    duration: float | None = None,
) -> Subtitles:
    """The same for the bytes of a file; ``name`` stands for it in errors and in the summary."""
    text, how = decode(data, name, encoding)
    kind, parsed = _parsed(text, name)
    cues, repairs = repaired(parsed.cues, duration)
    if not cues:
        some = f"{len(parsed.cues)} cues and none with a time" if parsed.cues else "no cue"
        raise ThesisError(f"{name} ({kind}, {how}) holds {some}: name another file.")
    return Subtitles(name, kind, how, tuple(cues), len(parsed.cues), repairs, parsed.others)


def _parsed(text: str, name: str) -> tuple[str, Parsed]:
    begin = text.lstrip()
    if begin.startswith("WEBVTT"):
        return "vtt", parse_vtt(begin)
    if (match := _ASS.search(text)) and "-->" not in text[: match.start()]:
        return "ass", parse_ass(text)
    if begin.startswith("<") and not any(spanned(line) for line in begin.split("\n", 3)[:3]):
        return parse_xml(begin, name)
    if _MICRODVD.match(begin):
        raise ThesisError(f"{name} is MicroDVD, which counts frames: save the subtitles as srt.")
    if begin.startswith(("{", "[")) and "-->" not in begin:
        return parse_json(begin, name)
    parsed = parse_srt(text)
    if parsed.cues:
        return "srt", parsed
    what = "is empty" if not begin else "holds no subtitles of a known kind"
    raise ThesisError(f"{name} {what}: srt, WebVTT, ass, TTML and YouTube's json are read.")
