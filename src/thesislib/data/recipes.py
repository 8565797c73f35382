"""The data sets that can be prepared by name: one entry a set, the same call for all."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from thesislib.config import choose
from thesislib.data.manifest import MANIFEST_FILE, SPLITS, Manifest
from thesislib.errors import ThesisError

RECIPES = (
    "synthetic",
    "synthetic_oops",
    "synthetic_rooms",
    "big_buck_bunny",
    "folder",
    "ucf101",
    "hmdb51",
    "kinetics400",
)
NEED_PATH = ("folder", "ucf101", "hmdb51", "kinetics400")


def prepare(
    recipe: str,
    *,
    path: str | Path | None = None,
    name: str | None = None,
    root: str | Path | None = None,
    clips: int | None = None,
    size: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Makes a data set and says in short what it holds.

    Args:
        recipe: One of :data:`RECIPES`.
        path: Your own videos, for the recipes that need them.
        name: Name of the data set; default the recipe's (a folder: its last part).
        root: Folder of the data sets; default :func:`thesislib.config.data_root`.
        clips: Number of videos (the synthetic sets).
        size: Pixels (the synthetic sets, big_buck_bunny).
        seed: Of everything drawn.
        jobs: Processes or threads; default one a core.
        force: Replace what another recipe left under this name.

    Returns:
        Plain JSON: name, manifest, videos, classes, splits, skipped, fingerprint.

    Raises:
        ThesisError: There is no such recipe, or it cannot be carried out.
    """
    choose("data set recipe", recipe, RECIPES)
    if recipe in NEED_PATH and path is None:
        raise ThesisError(
            f"The recipe {recipe!r} needs your videos: thesislib prepare {recipe} PATH"
            + (" --name NAME." if recipe == "folder" else ".")
        )
    if recipe not in NEED_PATH and path is not None:
        raise ThesisError(f"The recipe {recipe!r} takes no path, but {str(path)!r} was given.")
    return summary(_make(recipe, path, name, root, clips, size, seed, jobs, force))


def summary(manifest: Manifest) -> dict[str, Any]:
    """What a manifest holds, in a few numbers."""
    counts = Counter(v.split for v in manifest.videos)
    return {
        "name": manifest.name,
        "manifest": str(manifest.root / MANIFEST_FILE),
        "videos": len(manifest),
        "classes": len(manifest.classes),
        "splits": {split: counts[split] for split in SPLITS},
        "skipped": manifest.info.get("skipped_reasons", {}),
        "licence": manifest.info.get("licence", ""),
        "fingerprint": manifest.fingerprint,
    }


def _make(
    recipe: str,
    path: str | Path | None,
    name: str | None,
    root: str | Path | None,
    clips: int | None,
    size: int | None,
    seed: int,
    jobs: int | None,
    force: bool,
) -> Manifest:
    # Each recipe loads what it needs when it is asked for: the command line starts at once.
    if recipe.startswith("synthetic"):
        from thesislib import synthetic

        given = {"clips": clips, "size": size}
        options: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        make = {
            "synthetic": synthetic.prepare,
            "synthetic_oops": synthetic.prepare_oops,
            "synthetic_rooms": synthetic.prepare_rooms,
        }[recipe]
        return make(name or recipe, root, seed=seed, jobs=jobs, force=force, **options)
    if recipe == "big_buck_bunny":
        from thesislib.data import big_buck_bunny

        return big_buck_bunny.prepare(root, size=size or 128, jobs=jobs, name=name or recipe)
    assert path is not None  # checked by the caller
    if recipe == "folder":
        from thesislib.data.folder import prepare_folder

        return prepare_folder(
            path, name or Path(path).resolve().stem, root=root, seed=seed, jobs=jobs, force=force
        )
    from thesislib.data import public

    maker = {
        "ucf101": public.prepare_ucf101,
        "hmdb51": public.prepare_hmdb51,
        "kinetics400": public.prepare_kinetics400,
    }[recipe]
    return maker(path, name=name or recipe, root=root, seed=seed, jobs=jobs, force=force)
