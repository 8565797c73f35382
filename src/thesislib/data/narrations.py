"""What is said in narrated videos, and what of it is seen when: two side files of a data set.

``narrations.csv`` lies beside ``manifest.csv`` and has the columns ``path`` (as in the manifest),
``start``, ``end`` (when a sentence is *heard*, seconds; empty where nobody knows) and ``text``. It
is what learning may read.

``alignments.csv`` is the truth for judging, and has a row for each of those sentences: ``path``,
``number`` (its place among the sentences of its video, from 0), ``alignable`` (1 or 0: whether what
it says is to be seen at all), ``start``, ``end`` (when it is *seen*; empty if it is not) and
``kind`` (why, in a word; may be empty). The two are apart so that no loader meets the truth by
accident: heard and seen are different times, and taking one for the other is the mistake that
users of the original files make most.

``dataset.json`` may hold the checksums of both; then other files are refused.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from thesislib.data.manifest import Manifest
from thesislib.data.side_files import checksum_key, read_side_file, write_side_file
from thesislib.errors import ThesisError
from thesislib.files import csv_text, read_table

NARRATIONS_FILE = "narrations.csv"
ALIGNMENTS_FILE = "alignments.csv"
HEARD = ("path", "start", "end", "text")
DIGITS = 1000  # Python refuses to count many more
SEEN = ("path", "number", "alignable", "start", "end", "kind")


class Narration(NamedTuple):
    """A sentence as it is heard.

    Its fields:

    - ``start``: Seconds from the start of the video; NaN where nobody knows.
    - ``end``: Seconds, not before the start; NaN likewise.
    - ``text``: What is said.
    """

    start: float
    end: float
    text: str


class Alignment(NamedTuple):
    """What of a sentence is seen.

    Its fields:

    - ``alignable``: Whether it is seen at all.
    - ``start``: Seconds from the start of the video; NaN if it is not.
    - ``end``: Seconds, not before the start (a time without length is a point, as in HTM-AA).
    - ``kind``: Why, in a word: the studio says ``shown``, ``mentioned`` or ``chatter``.
    """

    alignable: bool
    start: float
    end: float
    kind: str = ""


UNKNOWN = float("nan")
UNSEEN = Alignment(False, UNKNOWN, UNKNOWN)


def write_narrations(
    manifest: Manifest,
    narrations: Mapping[str, Sequence[Narration]],
    alignments: Mapping[str, Sequence[Alignment]] | None = None,
) -> None:
    """Writes both files into the data set's folder, and their checksums into ``manifest.info``.

    Args:
        manifest: The data set; write it afterwards.
        narrations: Path of a video to its sentences, in the order to keep.
        alignments: The same of what is seen, one for each sentence; without it, nobody knows.

    Raises:
        ThesisError: A path is none of the data set's, a time is none, or the two do not fit.
    """
    known = {video.path for video in manifest.videos}
    for name in [*narrations, *(alignments or {})]:
        if name not in known:
            raise ThesisError(f"There is no video {name!r} in the data set {manifest.name!r}.")
    heard = [(path, *_checked_heard(one, path)) for path, one in _each(manifest, narrations)]
    write_side_file(manifest, NARRATIONS_FILE, csv_text(HEARD, heard))
    if alignments is None:
        (manifest.root / ALIGNMENTS_FILE).unlink(missing_ok=True)
        manifest.info.pop(checksum_key(ALIGNMENTS_FILE), None)
        return
    rows = []
    for video in manifest.videos:
        some = alignments.get(video.path, ())
        _fit(video.path, len(narrations.get(video.path, ())), len(some))
        rows += [(video.path, i, *_checked_seen(one, video.path)) for i, one in enumerate(some)]
    write_side_file(manifest, ALIGNMENTS_FILE, csv_text(SEEN, rows))


def read_narrations(manifest: Manifest) -> dict[str, tuple[Narration, ...]]:
    """The sentences of each video of ``manifest`` that has one, in the manifest's order.

    Raises:
        ThesisError: No such file, not the one that was written, an unreadable line, or no sentence
            of these videos.
    """
    path = manifest.root / NARRATIONS_FILE
    if not path.is_file():
        raise ThesisError(
            f"The videos of {manifest.name!r} have no narration: write {path} with the columns "
            f"{','.join(HEARD)}, or take the data set of `thesislib prepare synthetic_narrated`."
        )
    found: dict[str, list[Narration]] = {video.path: [] for video in manifest.videos}
    for line, row in _read(manifest, NARRATIONS_FILE, HEARD):
        if row["path"] in found:  # else of another split
            where = f"{path}, line {line}"
            start, end = _span(row["start"], row["end"], where)
            if not (text := row["text"].strip()):
                raise ThesisError(f"{where}: needs a text.")
            found[row["path"]].append(Narration(start, end, text))
    if not any(found.values()):
        raise ThesisError(f"{path} says nothing of the videos of this selection.")
    return {video: tuple(some) for video, some in found.items() if some}


def read_alignments(manifest: Manifest) -> dict[str, tuple[Alignment, ...]]:
    """What is seen of each sentence of :func:`read_narrations`: the same videos, the same order.

    Raises:
        ThesisError: No such file, not the one that was written, an unreadable line, or sentences
            that have none or several.
    """
    path = manifest.root / ALIGNMENTS_FILE
    if not path.is_file():
        raise ThesisError(
            f"Nobody knows what of the narration of {manifest.name!r} is seen: write {path} with "
            f"the columns {','.join(SEEN)}, or judge on another data set."
        )
    counts = {video: len(some) for video, some in read_narrations(manifest).items()}
    found: dict[str, dict[int, Alignment]] = {video: {} for video in counts}
    others = {video.path for video in manifest.videos} - counts.keys()
    for line, row in _read(manifest, ALIGNMENTS_FILE, SEEN):
        where = f"{path}, line {line}"
        if row["path"] in others:
            raise ThesisError(f"{where}: {row['path']} has no sentence in {NARRATIONS_FILE}.")
        if row["path"] not in found:
            continue
        number = -1
        if row["number"].isdecimal() and len(row["number"]) < DIGITS:
            number = int(row["number"])
        if not 0 <= number < counts[row["path"]] or number in found[row["path"]]:
            raise ThesisError(
                f"{where}: {row['number']!r} is no sentence, or one for the 2nd time."
            )
        found[row["path"]][number] = _alignment(row, where)
    for video, some in found.items():
        _fit(video, counts[video], len(some))
    return {video: tuple(some[i] for i in sorted(some)) for video, some in found.items()}


def has_side_files(manifest: Manifest, *names: str) -> bool:
    """Whether a data set has these of :data:`NARRATIONS_FILE` and :data:`ALIGNMENTS_FILE`."""
    return all((manifest.root / name).is_file() for name in names)


def fingerprint(manifest: Manifest) -> str:
    """Of a data set with what is heard and seen in it, as far as anybody says, 64 hex digits."""
    text = manifest.fingerprint
    if has_side_files(manifest, NARRATIONS_FILE):
        text += f" {read_narrations(manifest)!r}"
    if has_side_files(manifest, ALIGNMENTS_FILE):
        text += f" {read_alignments(manifest)!r}"
    return hashlib.sha256(text.encode()).hexdigest()


def _alignment(row: Mapping[str, str], where: str) -> Alignment:
    if row["alignable"] not in ("0", "1"):
        raise ThesisError(f"{where}: alignable is {row['alignable']!r}, which is neither 0 nor 1.")
    start, end = _span(row["start"], row["end"], where)
    alignable = row["alignable"] == "1"
    if alignable == math.isnan(start):
        raise ThesisError(f"{where}: what is alignable has a time, and nothing else has one.")
    return Alignment(alignable, start, end, row["kind"])


def _checked_heard(one: Narration, video: str) -> tuple[str, str, str]:
    text = " ".join(one.text.split())
    if not text:
        raise ThesisError(f"{video}: {one!r} says nothing: leave it out.")
    return (*_times(one.start, one.end, video), text)


def _checked_seen(one: Alignment, video: str) -> tuple[int, str, str, str]:
    start, end = _times(one.start, one.end, video)
    if one.alignable != bool(start):
        raise ThesisError(
            f"{video}: {one!r}: what is alignable has a time, and nothing else has one."
        )
    return int(one.alignable), start, end, one.kind


def _times(start: float, end: float, video: str) -> tuple[str, str]:
    if math.isnan(start) and math.isnan(end):
        return "", ""
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
        raise ThesisError(f"{video}: {start} to {end} s is no span of time.")
    return f"{round(float(start), 3):.12g}", f"{round(float(end), 3):.12g}"


def _span(start: str, end: str, where: str) -> tuple[float, float]:
    if not start and not end:
        return UNKNOWN, UNKNOWN
    try:
        a, b = float(start), float(end)
    except ValueError:
        a, b = UNKNOWN, UNKNOWN
    if not (math.isfinite(a) and math.isfinite(b) and 0 <= a <= b):
        raise ThesisError(f"{where}: {start!r} to {end!r} s is no span of time.")
    return a, b


def _fit(video: str, sentences: int, alignments: int) -> None:
    if sentences != alignments:
        raise ThesisError(
            f"{video} has {sentences} sentences and {alignments} alignments: give one for each."
        )


def _each(
    manifest: Manifest, narrations: Mapping[str, Sequence[Narration]]
) -> Iterable[tuple[str, Narration]]:
    for video in manifest.videos:
        for one in narrations.get(video.path, ()):
            yield video.path, one


def _read(
    manifest: Manifest, name: str, columns: Sequence[str]
) -> Iterable[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a file that is whole and the one that was prepared."""
    text, remedy = read_side_file(manifest, name), f"write it with the columns {','.join(columns)}."
    return read_table(manifest.root / name, columns, remedy, text=text, strip=True)
