"""The data sets that can be prepared by name: one entry a set, the same call for all."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thesislib.data.manifest import MANIFEST_FILE, SPLITS, Manifest
from thesislib.errors import ThesisError, choose
from thesislib.places import user_path


@dataclass(frozen=True)
class Recipe:
    """Where the function of a recipe stands, and what it can be told besides name and root."""

    module: str
    function: str
    options: tuple[str, ...]
    path: bool = False  # whether it needs the user's own files


_FILMED = ("clips", "size", "seed", "jobs", "force")
_LISTED = ("annotations", "val", "full_check", "lists_only", "seed", "jobs", "force")
_OWN = ("val", "test", "copy", "seed", "jobs", "force")
RECIPES = {
    "synthetic": Recipe("synthetic", "prepare", _FILMED),
    "synthetic_oops": Recipe("synthetic", "prepare_oops", _FILMED),
    "synthetic_rooms": Recipe("synthetic", "prepare_rooms", _FILMED),
    "synthetic_captions": Recipe("synthetic", "prepare_captions", _FILMED),
    "synthetic_untrimmed": Recipe("synthetic", "prepare_untrimmed", _FILMED),
    "synthetic_narrated": Recipe("synthetic", "prepare_narrated", _FILMED),
    "synthetic_films": Recipe("synthetic", "prepare_films", _FILMED),
    "big_buck_bunny": Recipe("data.big_buck_bunny", "prepare", ("size", "jobs")),
    "folder": Recipe("data.folder", "prepare_folder", _OWN, path=True),
    "ucf101": Recipe("data.public", "prepare_ucf101", ("split", *_LISTED), path=True),
    "hmdb51": Recipe("data.public", "prepare_hmdb51", ("split", *_LISTED), path=True),
    "kinetics400": Recipe("data.public", "prepare_kinetics400", _LISTED, path=True),
    "kinetics700": Recipe("data.public", "prepare_kinetics700", _LISTED, path=True),
    "thumos14": Recipe("data.public", "prepare_thumos14", _LISTED, path=True),
    "activitynet": Recipe("data.public", "prepare_activitynet", _LISTED, path=True),
    "msrvtt": Recipe("data.public", "prepare_msrvtt", _LISTED, path=True),
    "lsmdc": Recipe("data.public", "prepare_lsmdc", _LISTED, path=True),
    "smit": Recipe("data.public", "prepare_smit", _LISTED, path=True),
    "didemo": Recipe("data.public", "prepare_didemo", _LISTED, path=True),
    "breakfast": Recipe("data.public", "prepare_breakfast", ("split", *_LISTED), path=True),
    "coin": Recipe("data.public", "prepare_coin", _LISTED, path=True),
    "htm_align": Recipe("data.public", "prepare_htm_align", _LISTED, path=True),
    "htm_370k": Recipe("data.public", "prepare_htm_370k", _LISTED, path=True),
    "htm_aa": Recipe("data.public", "prepare_htm_aa", _LISTED, path=True),
    "youcook2": Recipe("data.public", "prepare_youcook2", _LISTED, path=True),
    "mad": Recipe("data.mad", "prepare_mad", ("annotations", "force"), path=True),
    "webvid": Recipe("data.public", "prepare_webvid", _LISTED, path=True),
    "cc3m": Recipe("data.public", "prepare_cc3m", _LISTED, path=True),
}
OPTIONS = tuple(dict.fromkeys(option for one in RECIPES.values() for option in one.options))


def takers(option: str) -> str:
    """The recipes that take an option, for people; "" where all do."""
    names = [name for name, one in RECIPES.items() if option in one.options]
    return "" if len(names) == len(RECIPES) else ", ".join(names)


def prepare(
    recipe: str,
    *,
    path: str | Path | None = None,
    name: str | None = None,
    root: str | Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Makes a data set and says in short what it holds.

    Args:
        recipe: One of :data:`RECIPES`.
        path: Your own videos, for the recipes that need them.
        name: Name of the data set; default the recipe's, with the number of an official split
            beyond 1 (a folder: its last part).
        root: Folder of the data sets; default :func:`thesislib.places.data_root`.
        options: What the recipe takes, see :data:`RECIPES`: ``clips`` (number of videos), ``size``
            (pixels), ``split`` (number of the official split), ``annotations`` (folder of the
            official lists), ``val`` and ``test`` (shares), ``full_check`` (decode every frame),
            ``lists_only`` (what the lists say; no video is looked for), ``copy`` (the videos into
            the data set), ``seed`` (of everything drawn), ``jobs`` (processes or threads; default
            one a core), ``force`` (replace what another recipe left under this name).
            ``None`` means its default.

    Returns:
        Plain JSON: name, manifest, videos, classes, splits, skipped, fingerprint; of a public set
        also the official split and how many listed videos are not on disk.

    Raises:
        ThesisError: There is no such recipe or option, or it cannot be carried out.
    """
    one = RECIPES[choose("data set recipe", recipe, RECIPES)]
    if one.path and path is None:
        raise ThesisError(
            f"The recipe {recipe!r} needs your videos: thesislib prepare {recipe} PATH"
            + (" --name NAME." if recipe == "folder" else ".")
        )
    if not one.path and path is not None:
        raise ThesisError(f"The recipe {recipe!r} takes no path, but {str(path)!r} was given.")
    given: dict[str, Any] = {k: v for k, v in options.items() if v is not None and v is not False}
    for option in given.keys() - set(one.options):
        raise ThesisError(f"The recipe {recipe!r} takes no {option}: leave it out.")
    if path is not None:
        given["path"] = path
    if recipe == "folder" and path is not None:
        name = name or name_of(path)
    if name:  # else each recipe has its own, which can depend on the split
        given["name"] = name
    # It loads what it needs when it is asked for: the command line starts at once.
    make = getattr(importlib.import_module(f"thesislib.{one.module}"), one.function)
    return summary(make(root=root, **given))


def name_of(path: str | Path) -> str:
    """The name that a folder of videos, or a csv of them, gives its data set."""
    source = user_path(path, "the folder of videos").resolve()
    # What follows the last point of a folder's name is no suffix: session.2024-05-01.
    return source.name if source.is_dir() else source.stem


def summary(manifest: Manifest) -> dict[str, Any]:
    """What a manifest holds, in a few numbers."""
    counts, info = Counter(v.split for v in manifest.videos), manifest.info
    official: dict[str, Any] = {
        key: info[key] for key in ("official_split", "listed_counts", "not_on_disk") if key in info
    }
    return {
        "name": manifest.name,
        "manifest": str(manifest.root / MANIFEST_FILE),
        "videos": len(manifest),
        "classes": len(manifest.classes),
        "splits": {split: counts[split] for split in SPLITS},
        **official,
        "skipped": info.get("skipped_reasons", {}),
        "licence": info.get("licence", ""),
        "fingerprint": manifest.fingerprint,
    }
