"""Aligns sentences with a video of any length, window by window (thesis 7.4.2, as released).

A network sees a window of 64 seconds and the sentences that may belong there; windows overlap, and
what they say of a sentence and a second is averaged. Which sentences a window is asked for may only
depend on when they were *heard*: where the times of a data set are those at which sentences are
seen, as in HTM-Align's alignable ones, they are the answer. Such a sentence is asked for with its
neighbours in the list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thesislib.errors import ThesisError
from thesislib.subtitles.placing import PRIOR

UNSEEN = -6e4  # of a sentence and a second that no window held together
OPEN = 4  # so many windows ask from the first sentence on, and so many to the last

# The first second of a window, the one behind its last, and the sentences asked for, to ``dual``,
# ``joint`` (one of them may lack) ``(N, T)`` and ``head`` ``(N,)``.
Score = Callable[[int, int, slice], Mapping[str, Any]]


@dataclass(frozen=True)
class Stitched:
    """What was found of S sentences in a video of T seconds.

    Attributes:
        similarity: float32 ``(S, T)``, cosines, of the two encoders the mean; :data:`UNSEEN` where
            no window held both.
        head: ``(S,)``, logits of alignability, the mean over windows; 0 without one.
        windows: int ``(S,)``, in how many windows a sentence was asked for.
    """

    similarity: NDArray[np.float32]
    head: NDArray[np.float64]
    windows: NDArray[np.int64]

    @property
    def largest(self) -> NDArray[np.float64]:
        """The largest similarity of each sentence, ``(S,)``: alignability without a head."""
        return self.similarity.max(1, initial=UNSEEN).astype(np.float64)


def window_starts(length: int, seconds: int = 64, hop: int = 16) -> list[int]:
    """First seconds of the windows: every ``hop``, as long as half a window is filled."""
    return list(range(0, length - seconds // 2, hop))


def asked(heard: Any, starts: list[int], seconds: int = 64) -> list[slice | None]:
    """Which sentences each window is asked for.

    Args:
        heard: ``(S,)``, the middle of the time at which each sentence is spoken, in seconds; NaN
            where that is not known, or is not to be looked at.
        starts: Of the windows.
        seconds: Of a window.

    Returns:
        For each window the sentences from the first to the last, in the order of the list, that are
        heard from one window before its start to two windows after; those of the first four windows
        begin with the first sentence, those of the last four end with the last. ``None``: no
        sentence is heard there.
    """
    heard = np.asarray(heard, np.float64)
    found: list[slice | None] = []
    for number, start in enumerate(starts):
        with np.errstate(invalid="ignore"):
            near = (heard >= start - seconds) & (heard <= start + 2 * seconds)
        (places,) = near.nonzero()
        if not len(places):
            found.append(None)
            continue
        first, last = int(places[0]), int(places[-1]) + 1
        if number < OPEN:
            first = 0
        elif number >= len(starts) - OPEN:
            last = len(heard)
        found.append(slice(first, last))
    return found


def stitch(
    score: Score, length: int, heard: Any, seconds: int = 64, hop: int = 16, released: bool = False
) -> Stitched:
    """Scores every window and averages.

    Args:
        score: Of one window.
        length: T of the video.
        heard: See :func:`asked`. If nothing is known, every window is asked for all sentences.
        seconds: Of a window.
        hop: From one window to the next.
        released: As TAN's evaluation: a video of half a window or less has no window, and one of
            which no sentence's time is known has no answer.

    Raises:
        ThesisError: No second, no sentence, or a hop or window that is none.
    """
    heard = np.asarray(heard, np.float64)
    if hop < 1 or seconds < 2:
        raise ThesisError(
            f"Windows of {seconds} s every {hop} s cannot be laid: give 2 s and 1 s or more."
        )
    if length < 1:
        raise ThesisError("A video shorter than a second has no feature: give one second or more.")
    if not len(heard):
        raise ThesisError("There is no sentence to align: give one or more.")
    starts = window_starts(length, seconds, hop)
    slices = asked(heard if released else np.clip(heard, 0, length), starts, seconds)
    if not released:
        starts = starts or [0]
        if len(slices) < len(starts) or np.isnan(heard).all():
            slices = [slice(0, len(heard))] * len(starts)
    total = np.zeros((len(heard), length))
    times = np.zeros((len(heard), length), np.int32)
    head, windows = np.zeros(len(heard)), np.zeros(len(heard), np.int64)
    for start, some in zip(starts, slices, strict=True):
        if some is None:
            continue
        stop = min(length, start + seconds)
        found = {n: np.asarray(x, np.float64) for n, x in score(start, stop, some).items()}
        total[some, start:stop] += np.mean([found[n] for n in ("dual", "joint") if n in found], 0)
        times[some, start:stop] += 1
        head[some] += found["head"]
        windows[some] += 1
    similarity = np.where(times > 0, total / np.maximum(times, 1), UNSEEN).astype(np.float32)
    return Stitched(similarity, head / np.maximum(windows, 1), windows)


def align_windows(
    model: Any, video: Tensor, text: Tensor, heard: Any, seconds: int = 64, hop: int = 16,
    released: bool = False,
) -> Stitched:  # fmt: skip
    """Aligns the sentences of one video.

    Args:
        model: With ``window(video, text)``, as :class:`~thesislib.methods.tan.TAN`, in evaluation
            mode.
        video: ``(T, D)``, a feature a second.
        text: ``(S, ...)``, a row a sentence, in the order in which they are spoken.
        heard: See :func:`asked`.
        seconds: Of a window, as in training.
        hop: From one window to the next.
        released: See :func:`stitch`.

    Raises:
        ThesisError: A feature that is not finite, lengths that do not fit, no second or sentence.
    """
    heard = np.asarray(heard, np.float64)
    if len(text) != len(heard):
        raise ThesisError(
            f"{len(text)} sentences have {len(heard)} times: give one each, NaN where unknown."
        )
    for name, values in (("video", video), ("sentences", text)):
        if values.is_floating_point() and not values.isfinite().all():
            raise ThesisError(f"Features of the {name} are not all finite: extract them again.")
    encoded = text
    if hasattr(model, "sentences"):
        encoded = model.sentences(text)  # once, not in every window that holds it

    def score(start: int, stop: int, some: slice) -> Mapping[str, Any]:
        return {
            k: v.cpu().numpy() for k, v in model.window(video[start:stop], encoded[some]).items()
        }

    with torch.inference_mode():
        return stitch(score, len(video), heard, seconds, hop, released)


def nearer(similarity: Any, heard: Any, weight: float = PRIOR) -> NDArray[np.float32]:
    """Similarities less a little for each second from the time at which a sentence is spoken.

    People mostly tell what they are doing just now; a trial in a small world gained 10 to 20 points
    of R@1 by this prior. It is a row of its own, and no part of the thesis's evaluation.

    Args:
        similarity: ``(S, T)``.
        heard: ``(S,)`` seconds; NaN: no prior.
        weight: What a second costs, in cosines.
    """
    similarity = np.asarray(similarity, np.float32)
    middle = np.arange(similarity.shape[1]) + 0.5
    apart = np.abs(middle - np.asarray(heard, np.float64)[:, None])
    return similarity - (weight * np.nan_to_num(apart)).astype(np.float32)
