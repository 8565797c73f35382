"""Few-shot trials and open-set splits: the authors' lists as they are, and draws of our own.

Thesis section 5.4.2: 5-shot-5-way is 200 trials of five classes; 5-shot-C-way is ten rounds of five
videos of every class, tested on the official test split; open set trains on some classes and tests
on the others (Kinetics-700 400/300; localisation 75/25 and 50/50 per cent, ten draws).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from thesislib.data.manifest import Manifest
from thesislib.data.public.lists import find_lists, read_lines
from thesislib.errors import ThesisError

_NUMBERED = re.compile(r"split_(\d+)\.list$")


@dataclass(frozen=True)
class Trial:
    """One few-shot task.

    Attributes:
        number: Of the list or of the draw.
        classes: Names; the place in this tuple is the class number in the trial.
        support: Videos to learn from: names as listed, or paths of a manifest once matched.
        query: Videos to classify, likewise; empty in a list means the official test split.
    """

    number: int
    classes: tuple[str, ...]
    support: tuple[str, ...]
    query: tuple[str, ...]


@dataclass(frozen=True)
class OpenSet:
    """Classes to learn from, and others to be tested on.

    Attributes:
        number: Of the list or of the draw.
        seen: Class names of the training.
        unseen: Class names of the test; none of them is seen.
    """

    number: int
    seen: tuple[str, ...]
    unseen: tuple[str, ...]


def plain(text: str) -> str:
    """Letters and digits alone, in lower case: what two spellings of a name share."""
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())


def class_of(name: str) -> str:
    """The class of a listed ``<class>/<video>``, "" without one."""
    return PurePosixPath(name).parent.name


def list_folder(lists: str | Path, *words: str) -> Path:
    """The folder of one setting and data set in the authors' tree.

    Args:
        lists: Folder of the lists, any part of the tree above.
        words: What the path must name, in any spelling: ``"5-shot-5-way", "HMDB-51"`` or
            ``"train75", "THUMOS14"``.

    Raises:
        ThesisError: No such folder, or several.
    """
    root = Path(lists).expanduser()
    wanted = [plain(word) for word in words]
    held = {file.parent for file in find_lists(root, "*.list")}
    held = {f.parent if f.name in ("train", "test") else f for f in held}
    found = sorted(f for f in held if all(w in plain(str(f.relative_to(root))) for w in wanted))
    if len(found) != 1:
        what = " / ".join(words)
        raise ThesisError(
            f"There are {len(found)} folders of {what} in {root}: put the lists of Efficient-"
            "Prompt (its folder datasplits) there, or name its part."
        )
    return found[0]


def read_trials(folder: str | Path) -> tuple[Trial, ...]:
    """The trials of one setting and data set, by number.

    Args:
        folder: Holds ``train/split_K.list`` (support) and, in 5-way, ``test/split_K.list`` (query);
            a line is ``<class>/<video>`` without a suffix.

    Raises:
        ThesisError: There are none, one lacks its test list, or a line names no class.
    """
    folder = Path(folder)
    support, query = (_numbered(folder / part) for part in ("train", "test"))
    if not support:
        raise ThesisError(f"There is no train/split_0.list in {folder}: name the folder of trials.")
    if query and query.keys() != support.keys():
        odd = min(query.keys() ^ support.keys())
        raise ThesisError(f"{folder}: split_{odd}.list is not in both train and test.")
    trials = []
    for number, file in sorted(support.items()):
        learnt = _videos(file)
        asked = _videos(query[number]) if query else ()
        classes = tuple(dict.fromkeys(class_of(name) for name in learnt))
        strangers = {plain(class_of(name)) for name in asked} - {plain(c) for c in classes}
        if strangers:
            raise ThesisError(f"{query[number]} asks for classes that {file} does not teach.")
        trials.append(Trial(number, classes, learnt, asked))
    return tuple(trials)


def read_open_sets(folder: str | Path) -> tuple[OpenSet, ...]:
    """The open-set splits of a data set, by number; ``train.list`` alone is number 0.

    Args:
        folder: Holds ``train.list`` and ``test.list``, or ``train/split_K.list`` and
            ``test/split_K.list``; a line is a class name.

    Raises:
        ThesisError: There are none, or a class is both seen and unseen.
    """
    folder = Path(folder)
    if (folder / "train.list").is_file() and (folder / "test.list").is_file():
        seen, unseen = ({0: folder / f"{part}.list"} for part in ("train", "test"))
    else:
        seen, unseen = (_numbered(folder / part) for part in ("train", "test"))
    if not seen or seen.keys() != unseen.keys():
        raise ThesisError(f"There are no train and test lists in {folder}: name their folder.")
    splits = []
    for number in sorted(seen):
        both = OpenSet(number, tuple(read_lines(seen[number])), tuple(read_lines(unseen[number])))
        if shared := {plain(c) for c in both.seen} & {plain(c) for c in both.unseen}:
            raise ThesisError(f"{seen[number]}: {min(shared)} is both a seen and an unseen class.")
        splits.append(both)
    return tuple(splits)


def draw_trials(
    manifest: Manifest,
    *,
    ways: int | None = 5,
    shots: int = 5,
    trials: int = 200,
    seed: int = 0,
    queries: int | None = None,
    split: str = "test",
) -> tuple[Trial, ...]:
    """Trials of our own: support from the training split, queries from another.

    A trial depends on the seed, its number and the videos of its classes alone, not on the order of
    rows nor on how many trials are drawn. Fewer shots are among the more.

    Args:
        manifest: With labels.
        ways: Classes a trial; ``None`` takes all (C-way).
        shots: Videos to learn from, a class.
        trials: How many.
        seed: Of the draw.
        queries: Videos to classify, a class; ``None`` takes all of the split.
        split: Where queries come from: ``val`` to choose settings, ``test`` to report.

    Raises:
        ThesisError: Too few classes or videos for such a trial.
    """
    support, query = (_by_class(manifest, part) for part in ("train", split))
    classes = [name for name in sorted(support) if name in query]
    count = len(classes) if ways is None else ways
    if count < 2 or count > len(classes):
        raise ThesisError(
            f"{manifest.name!r} has {len(classes)} classes with videos to learn from and to test "
            f"on: {count} ways cannot be drawn."
        )
    if few := [name for name in classes if len(support[name]) < shots]:
        raise ThesisError(
            f"The class {few[0]!r} of {manifest.name!r} has {len(support[few[0]])} training "
            f"videos: {shots} shots cannot be drawn."
        )
    drawn = []
    for number in range(trials):
        order = np.random.default_rng([seed, number]).permutation(len(classes))
        names = tuple(classes[i] for i in sorted(order[:count]))
        learnt = [p for n in names for p in _draw(support[n], shots, [seed, number, 0], n)]
        asked = [p for n in names for p in _draw(query[n], queries, [seed, number, 1], n)]
        drawn.append(Trial(number, names, tuple(learnt), tuple(asked)))
    return tuple(drawn)


def draw_open_sets(
    classes: Iterable[str], *, seen: float = 0.75, draws: int = 10, seed: int = 0
) -> tuple[OpenSet, ...]:
    """Open-set splits of our own.

    Args:
        classes: Names; their order has no effect.
        seen: Share of the classes to train on, in (0, 1), rounded half up.
        draws: How many splits.
        seed: Of the draw; a split depends on it and on its number alone.

    Raises:
        ThesisError: A side would be empty.
    """
    names = sorted(set(classes))
    count = int(seen * len(names) + 0.5)
    if not 0 < count < len(names):
        raise ThesisError(f"A share of {seen} of {len(names)} classes leaves one side empty.")
    splits = []
    for number in range(draws):
        order = np.random.default_rng([seed, number]).permutation(len(names))
        known, new = (tuple(names[i] for i in sorted(o)) for o in (order[:count], order[count:]))
        splits.append(OpenSet(number, known, new))
    return tuple(splits)


def _videos(file: Path) -> tuple[str, ...]:
    names = tuple(read_lines(file))
    if flat := [name for name in names if not class_of(name)]:
        raise ThesisError(f"{file}: {flat[0][:60]!r} is not <class>/<video>.")
    return names


def _numbered(folder: Path) -> dict[int, Path]:
    files = folder.iterdir() if folder.is_dir() else ()
    return {int(found[1]): file for file in files if (found := _NUMBERED.match(file.name))}


def _by_class(manifest: Manifest, split: str) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for video in manifest.videos:
        if video.split == split and video.label:
            members.setdefault(video.label, []).append(video.path)
    return {label: sorted(paths) for label, paths in members.items()}


def _draw(paths: list[str], count: int | None, seed: list[int], label: str) -> list[str]:
    if count is None:
        return paths
    order = np.random.default_rng([*seed, *label.encode()]).permutation(len(paths))
    return [paths[i] for i in order[:count]]
