"""Clips and sentences of narrated videos: pairs to learn from, and a clip for every second.

Thesis 6.4.2: a sentence and a short clip at the time at which it is seen, after HTM-AA, whose times
a network found (chapter 7). Heard and seen are different times; what is seen is read here from the
training and validation split alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from thesislib.clip_config import ClipConfig
from thesislib.data.composition import Composition
from thesislib.data.loader import Key
from thesislib.data.manifest import Manifest, Video
from thesislib.data.narrations import Alignment, Narration, read_alignments, read_narrations
from thesislib.data.video_dataset import Item, VideoDataset
from thesislib.errors import ThesisError, choose

PAIRS = ("aligned", "heard")
STREAM = 6  # of the draws of windows


class Pair(NamedTuple):
    """A sentence and when its clip is to be looked for."""

    video: int  # place in the manifest
    start: float  # seconds from the start of the video
    end: float  # seconds, not before the start; the same for a point in time
    text: str


def pairs_of(manifest: Manifest, kind: str = "aligned") -> list[Pair]:
    """The sentences of videos to learn from, in the order of the manifest.

    Args:
        manifest: Of the training or validation split.
        kind: ``aligned``: sentences that are seen, at the time at which they are: the list of
            HTM-AA, where a network says so. In the studio the truth stands in for that list, of
            these splits alone (chapter 7 finds such times itself). ``heard``: all sentences that
            have a time of speech, as a recogniser gives them (HTM).

    Raises:
        ThesisError: A video of the test split is among them, whose truth is for judging alone; or
            there is no such sentence.
    """
    choose("kind of pairs", kind, PAIRS)
    for video in manifest.videos:
        if video.split == "test":
            raise ThesisError(
                f"{video.path} is a test video: pairs to learn from are those of select('train')."
            )
    said = read_narrations(manifest)
    times: Mapping[str, Sequence[Narration | Alignment]] = said
    if kind == "aligned":
        times = read_alignments(manifest)
    found = [
        Pair(number, when.start, when.end, one.text)
        for number, video in enumerate(manifest.videos)
        for one, when in zip(said.get(video.path, ()), times.get(video.path, ()), strict=True)
        if not math.isnan(when.start)
    ]
    if not found:
        raise ThesisError(
            f"No sentence of {manifest.name!r} has a time at which it is {kind}: choose other "
            f"pairs of {', '.join(PAIRS)}."
        )
    return found


def window_start(
    pair: Pair, fps: float, span: int, n_frames: int, rng: np.random.Generator | None
) -> int:
    """First frame of the clip of a pair.

    It lies within the time of the sentence, or around it if that is shorter: any start between the
    two places at which an end of one meets an end of the other. Near an end of the video it is
    moved inside.

    Args:
        pair: When.
        fps: Frames a second.
        span: Frames that the clip covers.
        n_frames: Length of the video.
        rng: Draws the start; ``None``: half-way.

    Returns:
        A frame of the video, 0 where it is shorter than the clip.
    """
    ends = (pair.start * fps, pair.end * fps - span)
    first, last = math.ceil(min(ends)), math.floor(max(ends))
    if rng is None or first > last:
        start = math.floor(sum(ends) / 2 + 0.5)
    else:
        start = int(rng.integers(first, last + 1))
    return max(0, min(start, n_frames - span))


class NarratedClips(VideoDataset):
    """A clip for each sentence, and the sentence's feature.

    Args:
        manifest: Videos of the training or validation split.
        config: What a clip is.
        pairs: Of :func:`pairs_of`.
        texts: ``(P, E)`` float32, a feature for each pair; frozen, so they are computed once.
        train: A clip anew each epoch, augmented; else the middle one.

    Items:
        Those of :class:`~thesislib.data.dataset.ClipDataset`; ``text`` float32 ``(E,)``; ``pair``
        int64, the place among the pairs. ``config.batch_groups`` draws a batch from few groups of
        videos, as for clips.

    Raises:
        ThesisError: Texts and pairs do not fit, or no video can be used.
    """

    def __init__(
        self,
        manifest: Manifest,
        config: ClipConfig,
        pairs: Sequence[Pair],
        texts: NDArray[np.float32],
        *,
        train: bool,
    ) -> None:
        super().__init__(manifest, config, config.modality, train)
        if len(pairs) != len(texts):
            raise ThesisError(
                f"There are {len(pairs)} pairs and {len(texts)} features of sentences: give one "
                "for each."
            )
        used = set(self.videos)
        self.places = [i for i, pair in enumerate(pairs) if pair.video in used]
        if not self.places:
            raise ThesisError(f"No video of {manifest.name!r} that can be used has a sentence.")
        self.pairs, self.texts, self.train = list(pairs), texts, train

    def composition(self, batch_size: int, processes: int = 1) -> Composition | None:
        """Which pairs share a batch; ``None``: any."""
        names = [self.manifest.videos[self._number(i)].group for i in range(len(self))]
        if not self.train or not self.config.batch_groups or not all(names):
            return None
        groups = np.unique(names, return_inverse=True)[1]
        return Composition(groups, batch_size, self.config.batch_groups, processes=processes)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: int | Key) -> Item:
        """One item; ``key`` is ``(epoch, index)``, or an index of epoch 0.

        A key's index may lie beyond the length: a composition fills its last batches up.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if index < 0 or (index >= len(self) and not isinstance(key, tuple)):
            raise IndexError(index)

        def load(place: int) -> Item:
            which = self.places[place % len(self)]
            pair, config = self.pairs[which], self.config
            video = self.manifest.videos[pair.video]
            rng = np.random.default_rng([config.seed, epoch, index, STREAM])
            how = (video.fps, config.span, video.n_frames)
            start = window_start(pair, *how, rng if self.train else None)
            return {
                **self.streams(self.raw(pair.video, [start])[0], rng, self.transform),
                **self.facts(pair.video, start),
                "text": torch.from_numpy(self.texts[which]),
                "pair": torch.tensor(which),
            }

        return self._first_readable(len(self), index, load)

    def _number(self, place: int) -> int:
        return self.pairs[self.places[place % len(self)]].video


def seconds_of(video: Video) -> int:
    """Whole seconds of a video, at least one."""
    return max(1, math.floor(video.n_frames / video.fps))


class SecondClips(VideoDataset):
    """A clip around the middle of every second of every video, for judging.

    Args:
        manifest: The videos; a video shorter than a clip repeats its last frame.
        config: What a clip is; nothing is augmented.
        together: Seconds of a video that an item holds; their frames are read and scaled once.

    Items:
        ``video`` float32 ``(K, N, 3, T, size, size)``, K consecutive seconds; ``index`` int64, the
        place of the video in the manifest; ``second`` int64, the first of them. At the ends of a
        video a clip is moved inside.
    """

    def __init__(self, manifest: Manifest, config: ClipConfig, together: int = 32) -> None:
        super().__init__(manifest, config, config.modality, False)
        self.together = together
        self.items = [
            (number, second)
            for number in self.videos
            for second in range(0, seconds_of(manifest.videos[number]), together)
        ]

    def starts(self, number: int, first: int) -> list[int]:
        """First frames of the clips of an item's seconds."""
        video, span = self.manifest.videos[number], self.config.span
        last = min(first + self.together, seconds_of(video))
        starts = [
            math.floor((second + 0.5) * video.fps - span / 2 + 0.5) for second in range(first, last)
        ]
        return [max(0, min(start, video.n_frames - span)) for start in starts]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: int | Key) -> Item:
        """One item; the epoch of a ``(epoch, index)`` key has no effect."""
        index = key[1] if isinstance(key, tuple) else key
        if not 0 <= index < len(self):
            raise IndexError(index)

        def load(place: int) -> Item:
            number, second = self.items[place]
            wanted = np.stack([self.indices(start) for start in self.starts(number, second)])
            frames, where = np.unique(wanted, return_inverse=True)
            seen: Item = {}
            for name, flow in self.held.items():
                rng = np.random.default_rng(0)  # nothing is drawn
                whole = self.transform(self._read(number, frames, flow), rng, flow)
                clips = whole[:, torch.from_numpy(where.reshape(wanted.shape))]  # (3, K, NT, S, S)
                seen[name] = torch.stack([self._blocks(clip) for clip in clips.unbind(1)])
            return {**seen, "index": torch.tensor(number), "second": torch.tensor(second)}

        return self._first_readable(len(self), index, load)

    def _number(self, place: int) -> int:
        return self.items[place][0]
