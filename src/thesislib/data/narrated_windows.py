"""Windows of narrated videos with the sentences that are heard there (thesis 7.3.3, 7.4.2).

Features of a video are a row a second, sentences a row each (a frozen encoder's, or ids of words).
The network sees when a sentence is *heard*, never when it is seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from thesislib.data.narrations import Narration
from thesislib.errors import ThesisError


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
    rows, begins, ends, middles = [], [], [], []
    for row, one in enumerate(narrations):
        if math.isnan(one.start):
            continue
        begin, end = max(_rounded(one.start), start), min(_rounded(one.end), stop)
        if end > begin:
            rows.append(row)
            begins.append(begin - start)
            ends.append(end - start)
            middles.append((one.start + one.end) / 2 / length)
    if not rows:
        raise ThesisError(
            f"No sentence is heard for a second between {start} and {stop} s: begin the window at "
            "another one."
        )
    place = torch.arange(start, start + seconds)
    return {
        "video": features[place.clamp(max=length - 1)],
        "video_padding": place >= length,
        "text": texts[rows],
        "start": torch.tensor(begins, dtype=torch.float32),
        "end": torch.tensor(ends, dtype=torch.float32),
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


def _rounded(seconds: float) -> int:
    return math.floor(seconds + 0.5)
