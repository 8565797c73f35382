"""Windows of narrated videos with the sentences that are heard there (thesis 7.3.3, 7.4.2).

Features of a video are a row a second, sentences a row each (a frozen encoder's, or ids of words).
The network sees when a sentence is *heard*, never when it is seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from thesislib.data.loader import Key
from thesislib.data.narrations import Narration
from thesislib.errors import ThesisError

STREAM = 7  # of the draws of windows


class Told(NamedTuple):
    """A video and what is said in it.

    Its fields:

    - ``features``: ``(T, D)``, a row a second.
    - ``narrations``: S sentences, in the order in which they are spoken.
    - ``texts``: ``(S, ...)``, a row each.
    - ``name``: Of the video.
    """

    features: Tensor
    narrations: tuple[Narration, ...]
    texts: Tensor
    name: str = ""


def window_start(
    narrations: Sequence[Narration], seconds: int, length: int, rng: np.random.Generator
) -> int:
    """The first second of a window: where a sentence begins that leaves the window filled.

    Args:
        narrations: Of one video; those without a time or behind its end are never drawn.
        seconds: Of the window.
        length: T of the video.
        rng: Draws the sentence. A video without one that is early enough begins with the last that
            has a time.

    Raises:
        ThesisError: No sentence is heard in the video.
    """
    begins = [_rounded(one.start) for one in narrations if not math.isnan(one.start)]
    begins = [b for b in begins if 0 <= b < length]
    if not begins:
        raise ThesisError(
            f"No sentence is heard in a video of {length} s: leave it out, or look to its times."
        )
    early = [b for b in begins if b <= length - seconds]
    if early:
        return early[int(rng.integers(len(early)))]
    return max(0, min(max(begins), length - seconds))


def heard_inside(
    narrations: Sequence[Narration], start: int, stop: int
) -> list[tuple[int, int, int]]:
    """The sentences of which a second is heard in a window: place in the list, first second, end.

    Seconds are whole, of the video, and inside the window.
    """
    found = []
    for row, one in enumerate(narrations):
        if math.isnan(one.start):
            continue
        begin, end = max(_rounded(one.start), start), min(_rounded(one.end), stop)
        if end > begin:
            found.append((row, begin, end))
    return found


def cut(
    features: Tensor, narrations: Sequence[Narration], texts: Tensor, start: int, seconds: int
) -> dict[str, Tensor]:
    """One window.

    Args:
        features: ``(T, D)``, a row a second of the whole video.
        narrations: S sentences of it, in the order to keep.
        texts: ``(S, ...)``, a row each.
        start: First second, in ``[0, T)``.
        seconds: Of the window; what the video lacks repeats its last second, and is padding.

    Returns:
        ``video (seconds, D)``, ``video_padding (seconds,)``, ``text (N, ...)``, ``start``, ``end``
        ``(N,)``, whole seconds from the start of the window, and ``middle (N,)``, a share of the
        video. A sentence is there with what of its time, rounded to whole seconds, lies in the
        window; with less than a second of it, it is not.

    Raises:
        ThesisError: The window is outside the video, lengths differ, or no sentence is left.
    """
    length = len(features)
    if not 0 <= start < length:
        raise ThesisError(f"A window cannot begin at second {start} of a video of {length} s.")
    if len(texts) != len(narrations):
        raise ThesisError(f"{len(narrations)} sentences have {len(texts)} rows: give one each.")
    stop = min(length, start + seconds)
    heard = heard_inside(narrations, start, stop)
    if not heard:
        raise ThesisError(
            f"No sentence is heard for a second between {start} and {stop} s: begin the window at "
            "another one."
        )
    rows = [row for row, *_ in heard]
    middles = [(narrations[row].start + narrations[row].end) / 2 / length for row in rows]
    place = torch.arange(start, start + seconds)
    return {
        "video": features[place.clamp(max=length - 1)],
        "video_padding": place >= length,
        "text": texts[rows],
        "start": torch.tensor([begin - start for _, begin, _ in heard], dtype=torch.float32),
        "end": torch.tensor([end - start for *_, end in heard], dtype=torch.float32),
        "middle": torch.tensor(middles, dtype=torch.float32).clamp(0, 1),
    }


def collate(windows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of windows of :func:`cut`: sentences that are not there repeat the last one.

    Returns:
        The same with a first axis more, and ``text_padding`` bool ``(B, N)``.
    """
    most = max(len(window["text"]) for window in windows)
    batch: dict[str, list[Tensor]] = {name: [] for name in (*windows[0], "text_padding")}
    for window in windows:
        count = len(window["text"])
        place = torch.arange(most)
        for name, value in window.items():
            whole = name.startswith("video")
            batch[name].append(value if whole else value[place.clamp(max=count - 1)])
        batch["text_padding"].append(place >= count)
    return {name: torch.stack(values) for name, values in batch.items()}


class NarratedWindows(Dataset[dict[str, Tensor]]):
    """A window of each video, drawn anew each epoch; items are those of :func:`cut`.

    Args:
        videos: To learn from; those in which no sentence is heard for a second are left out.
        seconds: Of a window.
        train: Draw windows anew each epoch; else each video keeps the one of epoch 0.
        seed: Of the draws.

    Raises:
        ThesisError: No video is left.
    """

    collate = staticmethod(collate)

    def __init__(self, videos: Sequence[Told], seconds: int, *, train: bool, seed: int = 0) -> None:
        self.seconds, self.train, self.seed = seconds, train, seed
        lasting = [(video, _lasting(video)) for video in videos]
        self.videos = [(video, some) for video, some in lasting if some]
        if not self.videos:
            raise ThesisError(
                "No sentence is heard for a second in any of these videos: look to their times."
            )

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        """One window; ``key`` is ``(epoch, index)``, or an index of epoch 0."""
        video, start = self.place(key)
        return cut(video.features, video.narrations, video.texts, start, self.seconds)

    def place(self, key: int | Key) -> tuple[Told, int]:
        """The video of an item, and the first second of its window."""
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)
        video, lasting = self.videos[index]
        drawn = [self.seed, epoch if self.train else 0, index, STREAM]
        rng, length = np.random.default_rng(drawn), len(video.features)
        return video, window_start(lasting, self.seconds, length, rng)


def _lasting(video: Told) -> list[Narration]:
    """The sentences that are heard for a second within the video."""
    length = len(video.features)
    return [
        one
        for one in video.narrations
        if not math.isnan(one.start) and _rounded(one.start) < min(_rounded(one.end), length)
    ]


def _rounded(seconds: float) -> int:
    return math.floor(seconds + 0.5)
