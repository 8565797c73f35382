"""Which classes and videos a protocol of chapter 5 takes: the authors' lists, or draws of our own.

The authors' lists are looked for in ``<data root>/efficient_prompt``, where the folder that they
published may be put as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from thesislib.data.few_shot import (
    OpenSet,
    Trial,
    draw_open_sets,
    draw_trials,
    list_folder,
    plain,
    read_open_sets,
    read_trials,
)
from thesislib.data.few_shot_names import match_open_set, match_trials, read_names, words_of
from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError
from thesislib.places import data_root

FOLDER = "efficient_prompt"
SHOTS = 5
TRIALS = {5: 200, None: 10}  # ways -> how many
SEEN = 4 / 7  # of the classes: 400 of the 700 of Kinetics
DRAWS = 3  # of seen classes, where there is no list


def _listed(manifest: Manifest, *words: str) -> Path | None:
    """The folder of lists of a data set that is named so, if it is there."""
    with suppress(ThesisError):
        return list_folder(data_root() / FOLDER, *words, _short(manifest.name))
    return None


def _short(name: str) -> str:
    """As the authors call a data set: K400 is kinetics400."""
    return name.replace("kinetics", "k")


def class_words(manifest: Manifest, classes: Sequence[str] | None = None) -> tuple[str, ...]:
    """What a prompt calls classes: the data set's own words, the authors', or the names cut up.

    Args:
        manifest: ``info["class_texts"]`` may hold the words of each class.
        classes: Default: all.
    """
    words = manifest.info.get("class_texts")
    for file in sorted((data_root() / FOLDER).rglob("*_clsname.json")):
        if words is None and plain(file.stem).startswith(plain(_short(manifest.name))):
            words = read_names(file)
    return words_of(manifest.classes if classes is None else classes, words)


def trials(
    manifest: Manifest, ways: int | None, seed: int, split: str = "test"
) -> tuple[Trial, ...]:
    """Few-shot trials: 5-shot-5-way is 200 of them, 5-shot-C-way ten rounds.

    Args:
        manifest: The whole data set.
        ways: Classes a trial; ``None``: all.
        seed: Of our own draws.
        split: Where they take the videos to classify; lists have their own.
    """
    if folder := _listed(manifest, f"{SHOTS}-shot-{ways or 'C'}-way"):
        return match_trials(read_trials(folder), manifest, missing=True)
    count = TRIALS[ways]
    return draw_trials(manifest, ways=ways, shots=SHOTS, trials=count, seed=seed, split=split)


def open_sets(manifest: Manifest, seed: int) -> tuple[OpenSet, ...]:
    """Seen and unseen classes, a split or several.

    Args:
        manifest: The whole data set.
        seed: Of our own draws, so that seeds see different classes.
    """
    if folder := _listed(manifest, "open", "recognition"):
        splits = read_open_sets(folder)
        return tuple(match_open_set(split, manifest.classes) for split in splits)
    return draw_open_sets(manifest.classes, seen=SEEN, draws=DRAWS, seed=seed)
