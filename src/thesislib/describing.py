"""``thesislib describe``: audio description of a film, and what a track of it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thesislib.data.streaming import Stream
from thesislib.descriptions.checking import Limits, check_track
from thesislib.descriptions.names import read_names
from thesislib.own_videos import Say, to_stderr
from thesislib.subtitles import Subtitles, read_subtitles
from thesislib.subtitles.siblings import STDIN, beside, subtitles_of


def check(
    file: str | Path,
    film: str | Path | None = None,
    subtitles: str | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    names: str | Path | None = None,
    language: str = "en",
    encoding: str | None = None,
    log: Say = to_stderr,
) -> dict[str, Any]:
    """Judges a track of descriptions; see :func:`~thesislib.descriptions.checking.check_track`.

    Args:
        file: The track, of any kind that subtitles have.
        film: Gives its length, and the subtitles beside it.
        subtitles: The dialogue; ``-``: the standard input.
        limits: What is asked.
        names: A file with a name of the cast a line.
        language: Of the subtitles, where several lie beside the film.
        encoding: Of the subtitles, where it is known.
        log: Where what was mended in the files is told.

    Returns:
        Plain JSON: the report, ``file``, ``subtitles`` and ``limits``.

    Raises:
        ThesisError: A file cannot be used.
    """
    track = read_subtitles(file)
    seconds = Stream(film).duration if film is not None else None
    dialogue = dialogue_of(film, subtitles, language=language, encoding=encoding)
    for read in (track, dialogue):
        for line in read.summary() if read else ():
            log(line)
    cast: Sequence[str] = read_names(names) if names is not None else ()
    report = check_track(track, dialogue.cues if dialogue else None, seconds, limits, cast)
    about = {"file": str(file), "subtitles": dialogue.name if dialogue else None}
    return {**about, **report.as_dict(), "limits": asdict(limits)}


def dialogue_of(
    film: str | Path | None, subtitles: str | None, *, language: str, encoding: str | None
) -> Subtitles | None:
    """What is spoken in a film: the file that is named, or lies beside it; ``None``: neither."""
    if subtitles is not None or (film is not None and beside(film, language)):
        where = film if film is not None else STDIN
        return subtitles_of(where, subtitles, language=language, encoding=encoding)
    return None
