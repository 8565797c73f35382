"""Data sets of untrimmed videos for chapter 5: features, what happens when, seen classes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from thesislib import published
from thesislib.chapters.clip_prompt.frames import image_text, store
from thesislib.chapters.clip_prompt.lists import FOLDER
from thesislib.chapters.row import Job
from thesislib.data.few_shot import OpenSet, draw_open_sets, list_folder, read_open_sets
from thesislib.data.few_shot_names import match_open_set
from thesislib.data.manifest import SPLITS, Manifest, read_manifest
from thesislib.data.segments import labels_of, read_segments
from thesislib.data.untrimmed import Untrimmed
from thesislib.errors import ThesisError
from thesislib.evaluation.localisation import ACTIVITYNET, THUMOS14
from thesislib.image_text import ImageText
from thesislib.methods.clip_prompt import ClipPromptConfig
from thesislib.places import data_root
from thesislib.train import Log

DRAWS = 10  # splits into seen and unseen classes
# Rows a second, where it is not that of the settings: 30 would not fit into memory, and in the
# studio's untrimmed videos proposals from every second frame are as good.
RATES = {"thumos14": 10.0, "activitynet": 5.0, "synthetic_untrimmed": 3.75}


@dataclass(frozen=True)
class Footage:
    """A data set of untrimmed videos, ready.

    Attributes:
        manifest: It.
        classes: Names of all that happens, sorted.
        videos: Features and segments of the videos of each split; those without features are left
            out.
        fingerprint: Of videos, features and segments.
        encoder: The frozen model.
    """

    manifest: Manifest
    classes: tuple[str, ...]
    videos: Mapping[str, list[Untrimmed]]
    fingerprint: str
    encoder: ImageText

    def missing(self, split: str) -> int:
        """Videos of a split without features."""
        return sum(v.split == split for v in self.manifest.videos) - len(self.videos[split])


def footage(config: ClipPromptConfig, dataset: str, log: Log = print) -> Footage:
    """Reads a data set, and extracts its features where that is still to be done.

    All of them are held in memory: choose ``rate`` by it.

    Raises:
        ThesisError: It does not say what happens when, or no video of a split can be read.
    """
    manifest = read_manifest(dataset)
    sure, unsure = read_segments(manifest), read_segments(manifest, ambiguous=True)
    kept = store(manifest, config, log)
    videos: dict[str, list[Untrimmed]] = {split: [] for split in SPLITS}
    for video in manifest.videos:
        if kept.has(video):
            known = sure[video.path], unsure[video.path]
            videos[video.split].append(Untrimmed(video.path, *kept.read(video), *known))
    for split in ("train", "test"):
        if not videos[split]:
            raise ThesisError(
                f"{manifest.name!r} has no readable video in its {split} split: run `thesislib "
                f"doctor {manifest.name}`."
            )
    text = [manifest.fingerprint, kept.fingerprint, repr(sure), repr(unsure)]
    digest = hashlib.sha256("\n".join(text).encode()).hexdigest()
    return Footage(manifest, labels_of(sure), videos, digest, image_text(config))


def fingerprint(dataset: str) -> str:
    """Of a data set with its segments, for the names of rows."""
    manifest = read_manifest(dataset)
    text = f"{manifest.fingerprint} {read_segments(manifest)!r}"
    return hashlib.sha256(text.encode()).hexdigest()


def settle(config: ClipPromptConfig, job: Job) -> ClipPromptConfig:
    """The data set of the table unless another is asked for, and as many rows a second as fit."""
    dataset = job.dataset or str(published.home(job.row, job.profile) or config.dataset)
    config = replace(config, dataset=str(job.changes.get("dataset", dataset)))
    rate = job.changes.get("rate", RATES.get(config.dataset, config.rate))
    return config.override({"rate": rate})


def thresholds(dataset: str) -> tuple[float, ...]:
    """Overlaps at which a data set is judged."""
    return ACTIVITYNET if dataset == "activitynet" else THUMOS14


def open_sets(found: Footage, seen: float, seed: int) -> tuple[OpenSet, ...]:
    """The authors' splits of the classes where they are at hand, else draws of our own.

    Args:
        found: The data set; its name is looked for in ``<data root>/efficient_prompt``.
        seen: Share of the classes to learn.
        seed: Of our draws.
    """
    folder = None
    with suppress(ThesisError):  # no lists of this data set
        folder = list_folder(data_root() / FOLDER, f"train{seen:.0%}", found.manifest.name)
    if folder is not None:
        return tuple(match_open_set(one, found.classes) for one in read_open_sets(folder))
    return draw_open_sets(found.classes, seen=seen, draws=DRAWS, seed=seed)


def showing(videos: Sequence[Untrimmed], classes: Collection[str]) -> list[Untrimmed]:
    """The videos in which something of some classes happens."""
    return [v for v in videos if any(label in classes for *_, label in v.segments)]
