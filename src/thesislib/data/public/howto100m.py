"""HTM-370K: what is said in HowTo100M's videos, cleaned up into sentences (thesis 7.3.1).

The list says when a sentence is *heard*, by a recogniser of speech. When it is seen nobody knows:
that is what chapter 7 finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thesislib.data.manifest import Manifest
from thesislib.data.narrations import Narration
from thesislib.data.public.joining import Listed, PublicSet, Said, prepare_listed
from thesislib.data.public.lists import find_lists, read_json, read_lines, unexpected, within
from thesislib.data.scan import Candidate
from thesislib.errors import ThesisError
from thesislib.subtitles.cues import Cue
from thesislib.subtitles.language import unfit
from thesislib.subtitles.objects import parse_columns
from thesislib.subtitles.repair import repaired
from thesislib.subtitles.sentences import whole_sentences

CLEANED = "sentencified"  # in the name of the authors' file of sentences
LENGTHS = "htm_vlen.csv"  # video,seconds
SHORTEST, LONGEST = 64.0, 1000.0  # seconds: videos between are kept
VAL_SHARE, VAL_MOST = 0.05, 1000  # the first of the ids in order


def prepare_htm_370k(path: str | Path, **options: Any) -> Manifest:
    """HTM-370K, from the authors' sentences or from HowTo100M's own captions.

    Args:
        path: Folder that holds the videos by their YouTube ids.
        **options: As for :func:`~thesislib.data.public.joining.prepare_listed`.

    Raises:
        ThesisError: The list or all videos are missing.
    """
    return prepare_listed(HTM_370K, path, **options)


def htm_370k_lists(lists: Path, split: int = 1) -> Listed:
    """``{id: {"text": [...], "start": [...], "end": [...]}}``, and two lists that may lie beside.

    A file that has ``sentencified`` in its name holds the authors' sentences, which stay as they
    are. Of another (HowTo100M's ``raw_caption.json``) videos are left out whose captions are not
    fit to learn from (see :func:`~thesislib.subtitles.language.unfit`), and the others' become
    sentences. ``htm_vlen.csv`` gives lengths: videos of 64 to 1000 s stay. A file with ``holdout``
    in its name has an id a line: these videos go, as do those of HTM-Align where its list is there.
    """
    file, content = _captions(lists)
    lengths, held = _lengths(lists), _held_out(lists)
    clean = CLEANED not in file.name.lower()
    said: dict[str, list[Said]] = {}
    out: Counter[str] = Counter()
    cues: Counter[str] = Counter()
    for video, value in sorted(content.items()):
        if video in held:
            out["held out"] += 1
        elif lengths and not SHORTEST < lengths.get(video, 0.0) < LONGEST:
            out["of another length"] += 1
        else:
            with within(file):
                reason, some = _sentences(value, f"{file}, {video}", clean, cues)
            if reason:
                out[reason] += 1
            else:
                said[video] = some
    if not said:
        raise ThesisError(
            f"{file} has no video that can be kept ({dict(out)}): is it the publisher's file?"
        )
    ids = sorted(said)
    first = set(ids[: min(int(len(ids) * VAL_SHARE), VAL_MOST)])
    rows = [Candidate(Path(f"{v}.mp4"), v, "", "val" if v in first else "train", v) for v in ids]
    notes = {
        "lists": [file.name],
        "cleaned_here": clean,
        "left_out": dict(sorted(out.items())),
        "captions": dict(sorted(cues.items())),
    }
    return Listed(rows, said=said, notes=notes)


def _captions(lists: Path) -> tuple[Path, Mapping[str, Any]]:
    """The authors' sentences before any other file of the same form."""
    files = find_lists(lists, "*.json")
    for file in sorted(files, key=lambda file: CLEANED not in file.name.lower()):
        content = read_json(file)
        some = next(iter(content.values()), None) if isinstance(content, dict) else None
        if isinstance(some, dict) and {"text", "start", "end"} <= some.keys():
            return file, content
    raise ThesisError(
        f"There is no list of HTM-370K in {lists}: put sentencified_htm_370k.json, or HowTo100M's "
        "raw_caption.json, there."
    )


def _sentences(value: Any, name: str, clean: bool, counts: Counter[str]) -> tuple[str, list[Said]]:
    """Why a video is left out, or what is said in it; counts what became of its captions."""
    parsed = parse_columns(value, name).cues
    cues, repairs = repaired(parsed)
    if not any(cue.text for cue in cues):
        return "without text", []
    if clean and (reasons := unfit(cues)):
        return next(iter(reasons)), []
    found = whole_sentences(cues) if clean else None
    counts["all"] += len(parsed)
    for kind, numbers in (repairs | dict(found.fates if found else {})).items():
        counts[kind] += len(numbers)
    if found is None:
        return "", [_said(cue) for cue in cues if cue.text]
    return "", [Said(Narration(*one[:3]), None) for one in found.sentences]


def _said(cue: Cue) -> Said:
    return Said(Narration(cue.start, cue.end, " ".join(cue.text.split())), None)


def _lengths(lists: Path) -> dict[str, float]:
    """Seconds by video; a header, or a line that is none, has no number in its second cell."""
    lengths: dict[str, float] = {}
    for file in find_lists(lists, LENGTHS)[:1]:
        for line in read_lines(file):
            video, _, seconds = line.partition(",")
            try:
                lengths[video.strip()] = float(seconds)
            except ValueError:
                if lengths:
                    raise unexpected(file, f"video,seconds in the line {line[:60]!r}") from None
    return lengths


def _held_out(lists: Path) -> set[str]:
    held: set[str] = set()
    for file in find_lists(lists, "*holdout*.txt", "*holdout*.csv"):
        held |= {line.partition(",")[0] for line in read_lines(file)}
    for file in find_lists(lists, "htm_align.json"):
        content = read_json(file)
        held |= set(content) if isinstance(content, dict) else set()
    return held


HTM_370K = PublicSet(
    "htm_370k", "see the terms of HowTo100M; the videos belong to their uploaders", htm_370k_lists
)
