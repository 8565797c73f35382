"""The frozen image-text model of a chapter, and its features of frames, kept with a data set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from thesislib import processes
from thesislib.data.extraction import extract_features, feature_folder
from thesislib.data.features import FeatureStore, Rows, Times, canonical, fingerprint, look
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError
from thesislib.image_text import ImageText, load_image_text
from thesislib.train import Log, placed

RANDOM = "random"
DTYPE = "float16"
KEPT = 1 << 28  # bytes of features that stay in memory: all of a small data set
_STORES: dict[tuple[str, str, str], FeatureStore] = {}  # found whole in this process


@cache
def encoder(model: str, weights: str = "", seed: int = 0) -> ImageText:
    """A frozen model on the device of training; loaded once a process.

    Args:
        model: As :func:`thesislib.image_text.load_image_text` takes it.
        weights: Likewise.
        seed: Draws random weights.
    """
    processes.meet()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = load_image_text(model, weights)
    placed(found.model)
    return found


def features_of(
    manifest: Manifest, image_text: ImageText, rate: float | None, log: Log = print
) -> FeatureStore:
    """Features of a data set's frames; missing ones are extracted.

    They lie in the data set's folder, apart for each model, weights and rate.

    Args:
        manifest: The whole data set.
        image_text: Looks at the frames.
        rate: Rows a second; ``None``: every frame.
        log: Is told when there is something to extract.

    Raises:
        ThesisError: As :func:`~thesislib.data.extraction.extract_features`.
    """
    name = f"{Path(image_text.name).name}-{image_text.weights_hash[:8]}"
    folder = feature_folder(manifest, name if rate is None else f"{name}-{rate:g}fps")
    wanted = {**image_text.describe(), "rate": rate, "dtype": DTYPE}
    key = (str(folder), canonical(wanted), manifest.fingerprint)
    if key not in _STORES:
        with PartialState().main_process_first():
            if not _whole(manifest, folder, wanted):
                if log:
                    log(f"{manifest.name}: features of frames by {image_text.name}, into {folder}")
                extract_features(
                    manifest, image_text, folder, rate=rate, dtype=DTYPE, progress=log is not None
                )
        _STORES[key] = Kept(folder, wanted)
    return _STORES[key]


class Kept(FeatureStore):
    """Features that are read from the disk once, as far as there is room.

    A trial of few examples takes less time than reading its videos again would.
    """

    def __init__(self, folder: str | Path, wanted: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder, wanted)
        self._rows: dict[str, tuple[Rows, Times]] = {}
        self._room = KEPT

    def read(
        self, video: Video | str, first: int = 0, last: int | None = None
    ) -> tuple[Rows, Times]:
        """See :meth:`thesislib.data.features.FeatureStore.read`."""
        name = video if isinstance(video, str) else video.path
        if name not in self._rows:
            if self._room <= 0:
                return super().read(video, first, last)
            self._rows[name] = super().read(video)
            self._room -= self._rows[name][0].nbytes
        features, times = self._rows[name]
        return features[first:last], times[first:last]


def _whole(manifest: Manifest, folder: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether nothing is left to extract; it takes no lock, so runs may share the features."""
    try:
        kept = FeatureStore(folder, wanted)
        videos = [video for video in manifest.videos if video.path not in kept.skipped]
        return all(
            look(kept.file(video)).source == fingerprint(manifest.file(video)) for video in videos
        )
    except (ThesisError, OSError):
        return False
