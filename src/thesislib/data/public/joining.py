"""Joins what a publisher's lists say with the videos on disk, and writes the data set.

The official train and test lists are kept. Where the publisher has no validation list, a share is
taken from the training list by whole groups.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from thesislib.data.captions import CAPTIONS_FILE, write_captions
from thesislib.data.containers import VIDEO_SUFFIXES
from thesislib.data.folder import claim, write_checked
from thesislib.data.manifest import SPLITS, Manifest, Video, write_manifest
from thesislib.data.narrations import (
    ALIGNMENTS_FILE,
    NARRATIONS_FILE,
    Alignment,
    Narration,
    write_narrations,
)
from thesislib.data.scan import Candidate, walk
from thesislib.data.segments import SEGMENTS_FILE, write_segments
from thesislib.data.splits import draw_splits, group_of
from thesislib.errors import ThesisError


class Span(NamedTuple):
    """A listed action in time.

    Its fields:

    - ``start``: Seconds from the start of the video.
    - ``end``: Seconds, not before the start (the truth of ActivityNet has some of no length).
    - ``label``: Class name.
    - ``ambiguous``: Neither right nor wrong to find.
    """

    start: float
    end: float
    label: str
    ambiguous: bool = False


class Said(NamedTuple):
    """A listed sentence: when it is heard, and when it is seen; None: nobody knows, of any."""

    heard: Narration
    seen: Alignment | None


@dataclass(frozen=True)
class Listed:
    """What the lists of a data set say; no video is needed for it.

    Attributes:
        rows: One a video. ``path`` is the listed file: a video of this stem is looked for on disk.
        segments: Actions in time of a video, by the ``name`` of its row; seconds.
        captions: Sentences of a video, likewise.
        said: Sentences of a video with their times, likewise.
        lengths: Frames and frames a second of a video, where the lists say them.
        notes: For ``dataset.json``: which files were read, what was set aside and why.
    """

    rows: Sequence[Candidate]
    segments: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    captions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    said: Mapping[str, Sequence[Said]] = field(default_factory=dict)
    lengths: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many videos, segments, captions and sentences each split lists, and of which kind."""
        split = {row.name: row.split for row in self.rows}
        counted = {
            "videos": Counter(split.values()),
            "segments": Counter(split[n] for n, some in self.segments.items() for _ in some),
            "ambiguous": Counter(
                split[n] for n, some in self.segments.items() for one in some if one.ambiguous
            ),
            "captions": Counter(split[n] for n, some in self.captions.items() for _ in some),
            "sentences": Counter(split[n] for n, some in self.said.items() for _ in some),
            "alignable": Counter(
                split[n]
                for n, some in self.said.items()
                for one in some
                if one.seen and one.seen.alignable
            ),
        }
        return {
            what: {name: count[name] for name in SPLITS if count[name]}
            for what, count in counted.items()
            if count
        }


@dataclass(frozen=True)
class PublicSet:
    """A data set that its publisher describes by lists.

    Attributes:
        name: Of the recipe.
        licence: In a few words.
        read: From the folder of the lists and the number of the split to what they say.
        numbered: Whether there are several official splits to choose from.
        aliases: Other stems a video may have on disk, in the order of preference. One that fits
            several listed videos counts for none.
        stem: What a file on disk is called in the lists.
    """

    name: str
    licence: str
    read: Callable[[Path, int], Listed]
    numbered: bool = False
    aliases: Callable[[str], Iterable[str]] = lambda stem: ()
    stem: Callable[[Path], str] = lambda file: file.stem


def prepare_listed(
    one: PublicSet,
    path: str | Path,
    *,
    annotations: str | Path | None = None,
    split: int = 1,
    name: str | None = None,
    root: str | Path | None = None,
    full_check: bool = False,
    lists_only: bool = False,
    val: float = 0.1,
    seed: int = 0,
    jobs: int | None = None,
    progress: bool = True,
    force: bool = False,
) -> Manifest:
    """Joins official lists with the videos on disk.

    Args:
        one: Which data set.
        path: Folder of videos.
        annotations: Folder of the lists; default somewhere in ``path``.
        split: Number of the official split, from 1 (UCF101, HMDB51, Breakfast).
        name: Name of the data set; default the recipe's, with the number of a split beyond 1.
        root: Folder of the data sets; default :func:`thesislib.places.data_root`.
        full_check: Decode every frame (an hour for UCF101), instead of reading the containers.
        lists_only: Write what the lists say and look for no video: for features that somebody else
            has extracted. Sizes are then 0, and lengths where the lists do not say them.
        val: Share of the training groups set aside for validation, where the publisher has no
            validation list; 0 keeps the list whole.
        seed: Of that draw.
        jobs: Threads; default one a core.
        progress: Show a bar on stderr.
        force: Replace a data set of this name that came from elsewhere.

    Raises:
        ThesisError: The lists or all videos are missing, or the name is another split's.
    """
    source = Path(path).expanduser().resolve()
    if not source.is_dir():
        raise ThesisError(f"{source} is not a folder of videos.")
    said = re.search(r"split(\d+)$", name or "")
    if one.numbered and said and int(said[1]) != split:
        raise ThesisError(
            f"{name!r} would hold split {split}: ask for split {said[1]} (--split {said[1]}), or "
            "choose another name."
        )
    lists = Path(annotations).expanduser().resolve() if annotations else source
    if not lists.is_dir():
        raise ThesisError(f"{lists} is not a folder: name the folder of the lists of {one.name}.")
    listed = one.read(lists, split)
    name = name or (one.name if split == 1 else f"{one.name}_split{split}")
    found = (
        {row.name: Path(row.name) for row in listed.rows}
        if lists_only
        else _on_disk(one, listed, source, lists)
    )
    info = {
        "recipe": one.name,
        "source": str(source),
        "licence": one.licence,
        **({"official_split": split} if one.numbered else {}),
        "listed": len(listed.rows),
        "listed_counts": listed.counts(),
        **({"lists_only": True} if lists_only else {"not_on_disk": len(listed.rows) - len(found)}),
        **listed.notes,
    }
    candidates = _with_validation(listed.rows, found, val, seed)
    names = {row.name if lists_only else found[row.name].as_posix(): row.name for row in candidates}

    def beside(manifest: Manifest) -> None:
        _write_beside(listed, manifest, names)

    if lists_only:
        return _write_unseen(candidates, name, root, info, force, listed, beside)
    return write_checked(
        [replace(row, path=found[row.name]) for row in candidates],
        name,
        root=root,
        info=info,
        full_check=full_check,
        val=val,
        test=0,
        seed=seed,
        jobs=jobs,
        progress=progress,
        force=force,
        beside=beside,
    )


def _on_disk(one: PublicSet, listed: Listed, source: Path, lists: Path) -> dict[str, Path]:
    """The file of each listed video that is there; says how many are."""
    files = {_plain(one.stem(file)): file for file in _videos(source)}
    found = {
        row.name: files[_plain(row.path.stem)]
        for row in listed.rows
        if _plain(row.path.stem) in files
    }
    taken = set(found.values())
    claims: dict[Path, list[str]] = {}
    for row in listed.rows:
        if row.name not in found:
            others = (files.get(_plain(stem)) for stem in one.aliases(row.path.stem))
            file = next((file for file in others if file and file not in taken), None)
            if file:
                claims.setdefault(file, []).append(row.name)
    found |= {names[0]: file for file, names in claims.items() if len(names) == 1}
    told = ", ".join(f"{count:,} {part}" for part, count in listed.counts()["videos"].items())
    if not found:
        raise ThesisError(
            f"None of the {len(listed.rows)} videos that the lists in {lists} name ({told}) is in "
            f"{source}: put them there, or ask for the lists alone (--lists-only)."
        )
    sys.stderr.write(
        f"{one.name}: {len(listed.rows)} videos listed ({told}), {len(found)} on disk\n"
    )
    return found


def _with_validation(
    rows: Sequence[Candidate], found: Mapping[str, Path], val: float, seed: int
) -> list[Candidate]:
    """The rows that were found, some training groups set aside if no list is for validation."""
    kept = [row for row in rows if row.name in found]
    if not val or any(row.split == "val" for row in rows):
        return kept
    train = [(row.group, row.label) for row in kept if row.split == "train"]
    drawn = draw_splits(train, val=val, test=0, seed=seed) if train else {}
    return [
        replace(row, split=drawn.get(row.group, row.split)) if row.split == "train" else row
        for row in kept
    ]


def _write_beside(listed: Listed, manifest: Manifest, names: Mapping[str, str]) -> None:
    """Segments, captions and narrations of a manifest's videos; earlier files of others go."""
    spans = {v.path: listed.segments.get(names[v.path], ()) for v in manifest.videos}
    if listed.segments:
        scored, ambiguous = (
            {
                path: [one[:3] for one in some if one.ambiguous == mark]
                for path, some in spans.items()
            }
            for mark in (False, True)
        )
        write_segments(manifest, scored, ambiguous)
    else:
        (manifest.root / SEGMENTS_FILE).unlink(missing_ok=True)
    said = {v.path: listed.captions.get(names[v.path], ()) for v in manifest.videos}
    if listed.captions:
        write_captions(manifest, ((p, text) for p, some in said.items() for text in some if text))
    else:
        (manifest.root / CAPTIONS_FILE).unlink(missing_ok=True)
    told = {v.path: listed.said.get(names[v.path], ()) for v in manifest.videos}
    if listed.said:
        seen = {path: [one.seen for one in some if one.seen] for path, some in told.items()}
        write_narrations(
            manifest,
            {path: [one.heard for one in some] for path, some in told.items()},
            seen if any(seen.values()) else None,
        )
    else:
        for name in (NARRATIONS_FILE, ALIGNMENTS_FILE):
            (manifest.root / name).unlink(missing_ok=True)


def _write_unseen(
    rows: Sequence[Candidate],
    name: str,
    root: str | Path | None,
    info: dict[str, Any],
    force: bool,
    listed: Listed,
    beside: Callable[[Manifest], None],
) -> Manifest:
    """A manifest of what the lists say, of videos that nobody has looked for."""
    videos = [
        Video(
            row.name,
            row.label,
            row.split,
            row.group or group_of(row.name),
            *listed.lengths.get(row.name, (0, 0.0)),
            width=0,
            height=0,
        )
        for row in rows
    ]
    manifest = Manifest(
        name=name,
        root=claim(name, root, info, force),
        videos=tuple(sorted(videos, key=lambda video: video.path)),
        info={**info, "paths": "as listed; no video was looked for"},
    )
    beside(manifest)
    write_manifest(manifest)
    return manifest


def _plain(stem: str) -> str:
    """One spelling of letters with accents: some disks keep them apart."""
    return unicodedata.normalize("NFC", stem)


def _videos(source: Path) -> Iterable[Path]:
    return (file for file in walk(source) if file.suffix.lower() in VIDEO_SUFFIXES)
