"""Names in lists, in manifests and in prompts: who is meant, and what to call it."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from thesislib.data.containers import VIDEO_SUFFIXES
from thesislib.data.few_shot import OpenSet, Trial, class_of, plain
from thesislib.data.manifest import Manifest
from thesislib.data.public.lists import read_json, unexpected
from thesislib.errors import ThesisError

_CLIP = re.compile(r"(.+)_\d{6,}_\d{6,}$")  # <youtube id>_<start>_<end>
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z\s_]+")


def match_trials(
    trials: Sequence[Trial], manifest: Manifest, *, missing: bool = False
) -> tuple[Trial, ...]:
    """Trials in the words of a manifest: its paths and its class names.

    A name is the stem of a file, else the same letters and digits in the same class, else the one
    video of its YouTube id. A trial without queries gets the test split of its classes.

    Args:
        trials: As read.
        manifest: Of the same data set.
        missing: Leave out videos that the manifest lacks (some of Kinetics have left YouTube) and
            say how many, instead of refusing.

    Raises:
        ThesisError: Names are unknown, or a class is left without a video to learn from.
    """
    find = _Finder(manifest)
    unknown: dict[str, None] = {}
    matched = []
    for trial in trials:
        support, query = (
            tuple(path for name in names if (path := find(name, unknown)))
            for names in (trial.support, trial.query)
        )
        classes = _known_classes(trial.classes, manifest)
        if not trial.query:
            known = set(classes)
            query = tuple(v.path for v in manifest.videos if v.split == "test" and v.label in known)
        matched.append(replace(trial, classes=classes, support=support, query=query))
    if unknown:
        asked = len({name for trial in trials for name in (*trial.support, *trial.query)})
        sentence = (
            f"{len(unknown):,} of the {asked:,} videos in the lists are not in the data set "
            f"{manifest.name!r}, e.g. {next(iter(unknown))}"
        )
        if not missing:
            raise ThesisError(f"{sentence}: prepare it with all videos, or go on without them.")
        sys.stderr.write(f"{sentence}\n")
    for trial in matched:
        taught = {find.label[path] for path in trial.support}
        if untaught := [name for name in trial.classes if name not in taught]:
            raise ThesisError(
                f"Trial {trial.number} has no video left to learn {untaught[0]!r} from: more of "
                f"the videos of {manifest.name!r} are needed."
            )
    return tuple(matched)


def match_open_set(split: OpenSet, classes: Sequence[str]) -> OpenSet:
    """An open-set split in the spelling of a data set.

    Args:
        split: As read.
        classes: The class names of the data set, e.g. ``manifest.classes``.

    Raises:
        ThesisError: The data set has no such class.
    """
    seen, unseen = (_spelt(names, classes, "lists") for names in (split.seen, split.unseen))
    return replace(split, seen=seen, unseen=unseen)


def read_names(file: str | Path) -> dict[str, str]:
    """Words to put into a prompt for each class, e.g. ``{"brush_hair": "brush hairs"}``.

    Raises:
        ThesisError: The file is not such JSON.
    """
    content: Any = read_json(Path(file))
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise unexpected(Path(file), f"words for classes, e.g. {json.dumps({'run': 'running'})}")
    return content


def words_of(classes: Sequence[str], names: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What a prompt calls each class.

    Without ``names``, a class name is cut at underscores and capitals: ``ApplyEyeMakeup`` and
    ``brush_hair`` become "apply eye makeup" and "brush hair"; ``BMX`` stays.

    Raises:
        ThesisError: ``names`` lacks a class.
    """
    if names is None:
        return tuple(_words(name) for name in classes)
    known = {plain(key): value for key, value in names.items()}
    if unknown := [name for name in classes if plain(name) not in known]:
        raise ThesisError(
            f"{len(unknown)} of the {len(classes)} classes have no words, e.g. {unknown[0]!r}."
        )
    return tuple(known[plain(name)] for name in classes)


def _words(name: str) -> str:
    words = _WORD.findall(name.replace("_", " "))
    return " ".join(w.lower() if len(w) == 1 or w[1:].islower() else w for w in words)


class _Finder:
    """Finds the video of a manifest that a list means."""

    def __init__(self, manifest: Manifest) -> None:
        self.label = {video.path: video.label for video in manifest.videos}
        self.stems = {_stem(video.path): video.path for video in manifest.videos}
        self.loose: dict[tuple[str, str], list[str]] = {}
        self.groups: dict[str, list[str]] = {}
        for video in manifest.videos:
            key = (plain(video.label), plain(_stem(video.path)))
            self.loose.setdefault(key, []).append(video.path)
            self.groups.setdefault(video.group, []).append(video.path)

    def __call__(self, name: str, unknown: dict[str, None]) -> str:
        """The path; "" if there is none or not one, and the name is noted."""
        stem = _stem(name)
        if stem in self.stems:
            return self.stems[stem]
        found = self.loose.get((plain(class_of(name)), plain(stem)), [])
        if not found and (clip := _CLIP.match(stem)):
            found = self.groups.get(clip[1], [])
        if len(found) == 1:
            return found[0]
        unknown[name] = None
        return ""


def _known_classes(names: Sequence[str], manifest: Manifest) -> tuple[str, ...]:
    return _spelt(names, manifest.classes, f"lists for {manifest.name!r}")


def _spelt(names: Sequence[str], classes: Sequence[str], whose: str) -> tuple[str, ...]:
    """Names in the spelling of ``classes``: letters and digits count, nothing else."""
    known = {plain(name): name for name in classes}
    if unknown := [name for name in names if plain(name) not in known]:
        raise ThesisError(
            f"{len(unknown)} of the {len(names)} classes in the {whose} are unknown to the data "
            f"set, e.g. {unknown[0]!r}: is it the right data set?"
        )
    return tuple(known[plain(name)] for name in names)


def _stem(path: str) -> str:
    """The name without its folder and without the suffix of a video."""
    name = PurePosixPath(path)
    stem = name.stem if name.suffix.lower() in VIDEO_SUFFIXES else name.name
    return unicodedata.normalize("NFC", stem)
