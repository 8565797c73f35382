"""Clips and windows labelled by where they lie to the moment at which an action fails.

Thesis 3.4 and 3.5.7, table 3.4, after Oops (Epstein et al. 2020): the clip that contains the
failing moment is *transitional*, those before are *intentional* and those after *unintentional*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from thesislib.clip_config import ClipConfig
from thesislib.data.dataset import ClipDataset, WindowDataset
from thesislib.data.failures import read_failures
from thesislib.data.manifest import Manifest, Video
from thesislib.data.video_dataset import VideoDataset

KINDS = ("intentional", "transitional", "unintentional")


def kind_of(start: int, span: int, failure: int) -> int:
    """Place in :data:`KINDS` of the window of frames ``start`` to ``start + span - 1``."""
    if start + span <= failure:
        return 0
    return 1 if start <= failure else 2


class _Labelled(VideoDataset):
    moments: Mapping[str, int]

    def label(self, video: Video, start: int) -> int:
        return kind_of(start, self.config.span, self.moments[video.path])


class MomentClips(_Labelled, ClipDataset):
    """Training clips whose label says where they lie to the failing moment."""


class MomentWindows(_Labelled, WindowDataset):
    """Test windows whose label says where they lie to the failing moment."""

    def labels(self) -> list[int]:
        """Of all windows, in their order."""
        return [self.label(self.manifest.videos[v], start) for v, _, start in self.windows]


def moment_clips(manifest: Manifest, config: ClipConfig) -> MomentClips:
    """One training clip a video and epoch; videos whose moment nobody knows are left out."""
    known, failures = _known(manifest)
    dataset = MomentClips(known, config, train=True)
    dataset.moments = failures
    return dataset.at_least(config.min_clips)


def moment_windows(manifest: Manifest, config: ClipConfig) -> MomentWindows:
    """All windows, half overlapping; videos whose moment nobody knows are left out."""
    known, failures = _known(manifest)
    dataset = MomentWindows(known, replace(config, cache=False))
    dataset.moments = failures
    return dataset


def _known(manifest: Manifest) -> tuple[Manifest, dict[str, int]]:
    failures = read_failures(manifest)
    videos = tuple(v for v in manifest.videos if v.path in failures)
    return replace(manifest, videos=videos, class_names=KINDS), failures
