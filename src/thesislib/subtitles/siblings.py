"""The subtitles of a video: named, from the standard input, or the file beside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from thesislib.errors import ThesisError
from thesislib.files import reading
from thesislib.subtitles.cues import Subtitles
from thesislib.subtitles.reading import parse_subtitles, read_subtitles

ENDINGS = (".srt", ".vtt", ".ass", ".ssa", ".ttml", ".dfxp", ".json3", ".srv3", ".srv2", ".srv1")
STDIN = "-"
ALIGNED = ".aligned"  # in the names of what `thesislib align` writes
DESCRIPTIONS = ".descriptions"  # in those of audio description, which is no dialogue


def beside(video: str | Path, language: str = "en") -> list[Path]:
    """Subtitle files that are named after a video, the best first.

    ``film.srt`` before ``film.en.vtt`` before ``film.en-US.vtt`` before ``film.de.srt``; of one
    language the kinds in the order of ``ENDINGS``.

    Args:
        video: ``film.mp4``; need not be there itself.
        language: The one to take where there are several.

    Raises:
        ThesisError: Its folder cannot be read.
    """
    video = Path(video)
    with reading(video.parent, "look to the name."):
        names = sorted(os.listdir(video.parent))
    ranked = []
    for name in names:
        stem, ending = os.path.splitext(name)
        if ending.lower() not in ENDINGS or not (video.parent / name).is_file():
            continue
        tag = stem[len(video.stem) :] if stem.startswith(video.stem) else "?"
        if tag and (not tag.startswith(".") or tag.startswith(ALIGNED) or DESCRIPTIONS in tag):
            continue
        code = tag[1:].lower().replace("_", "-")
        wanted = [code == "", code == language, code.split("-")[0].split(".")[0] == language]
        rank = wanted.index(True) if True in wanted else len(wanted)
        ranked.append((rank, ENDINGS.index(ending.lower()), name))
    return [video.parent / name for *_, name in sorted(ranked)]


def subtitles_of(
    video: str | Path,
    named: str | None = None,
    *,
    language: str = "en",
    encoding: str | None = None,
    duration: float | None = None,
) -> Subtitles:
    """The subtitles to a video.

    Args:
        video: The file.
        named: Its subtitles; ``-``: the standard input; default: the file beside the video.
        language: See :func:`beside`.
        encoding: See :func:`~thesislib.subtitles.read_subtitles`.
        duration: Likewise.

    Raises:
        ThesisError: There are none, or they cannot be read.
    """
    if named == STDIN:
        data = sys.stdin.buffer.read()
        return parse_subtitles(data, encoding=encoding, duration=duration)
    if named is not None:
        return read_subtitles(named, encoding=encoding, duration=duration)
    found = beside(video, language)
    if not found:
        raise ThesisError(
            f"There are no subtitles beside {video}: name the file, or call it "
            f"{Path(video).stem}.srt (or {Path(video).stem}.en.vtt, ...)."
        )
    return read_subtitles(found[0], encoding=encoding, duration=duration)


def dialogue_of(
    film: str | Path | None,
    named: str | None,
    *,
    language: str = "en",
    encoding: str | None = None,
    track: str | Path | None = None,
) -> Subtitles | None:
    """What is spoken in a film: the file that is named, or lies beside it; ``None``: neither.

    Args:
        film: The file.
        named: Its subtitles; ``-``: the standard input.
        language: See :func:`beside`.
        encoding: See :func:`~thesislib.subtitles.read_subtitles`.
        track: A track of descriptions, which is no dialogue whatever its name.

    Raises:
        ThesisError: They cannot be read, or the track itself is named.
    """

    def is_track(path: str | Path) -> bool:
        return track is not None and Path(path).exists() and Path(path).samefile(track)

    if named is not None and named != STDIN and is_track(named):
        raise ThesisError(f"{named} is the track itself: name the dialogue, or nothing.")
    if named is None and film is not None:
        named = next((str(one) for one in beside(film, language) if not is_track(one)), None)
    if named is None:
        return None
    return subtitles_of(film or STDIN, named, language=language, encoding=encoding)
