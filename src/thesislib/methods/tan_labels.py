"""The pseudo-labels of TAN's second stage (thesis 7.3.4): when a sentence is seen, and whether.

Each rule is there as the thesis tells it and as it was released; they differ in every step, see
:class:`~thesislib.methods.tan_config.TanConfig`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

POSITIVE, NEGATIVE, IGNORED = 1, 0, 2


class Agreement(NamedTuple):
    """New times of a batch's sentences.

    Its fields:

    - ``target``: bool ``(B, N, T)``, the seconds of each sentence.
    - ``agree``: bool ``(B, N)``, whether both encoders found the same time, so that it was taken.
    - ``windows``: int64 ``(2, B, N)``, the first second that either encoder found.
    """

    target: Tensor
    agree: Tensor
    windows: Tensor


def likeliest(
    cosines: Tensor,
    spoken: Tensor,
    temperature: float,
    sharpened: bool,
    video_padding: Tensor | None = None,
    text_padding: Tensor | None = None,
) -> Tensor:
    """Where a window as long as a sentence was spoken fits best, its first second ``(B, N)``.

    Args:
        cosines: ``(B, N, T)``, sentences and seconds of their own video.
        spoken: bool ``(B, N, T)``, when it was spoken; a run of seconds.
        temperature: Of the softmaxes.
        sharpened: The seconds compete for a sentence after the sentences have competed for each
            second (as released); else the mean of plain cosines decides (thesis).
        video_padding: bool ``(B, T)``; there is no window in what is padded.
        text_padding: bool ``(B, N)``.
    """
    score = cosines.double()
    if sharpened:
        score = score / temperature
        if text_padding is not None:
            score = score.masked_fill(text_padding[..., None], -torch.inf)
        score = score.softmax(1) / temperature
        if video_padding is not None:
            score = score.masked_fill(video_padding[:, None], -torch.inf)
        score = score.softmax(2)
        score[..., 0] = score[..., -1] = 0  # the ends of a window attract everything
    elif video_padding is not None:
        score = score.masked_fill(video_padding[:, None], -2.0)  # below every cosine
    seconds = score.shape[2]
    length = spoken.sum(2)
    summed = F.pad(score.cumsum(2), (1, 0))
    last = torch.arange(seconds, device=score.device) + length[..., None]  # behind the window
    sums = summed.gather(2, last.clamp(max=seconds)) - summed[..., :-1]
    return sums.masked_fill(last > seconds, -torch.inf).argmax(2)


def agreement(
    windows: Tensor,
    spoken: Tensor,
    least: float,
    deduplicated: bool,
    padding: Tensor | None = None,
) -> Agreement:
    """Takes the union of two windows where they overlap, and keeps the spoken time elsewhere.

    Args:
        windows: int64 ``(2, B, N)`` of :func:`likeliest`, of either encoder. The same twice: one
            encoder decides alone.
        spoken: bool ``(B, N, T)``.
        least: IoU that counts as agreement; 0: any overlap.
        deduplicated: A second belongs to one sentence, the first that has it, and a sentence keeps
            the first run of what is left to it; one that has lost all is back at its spoken time.
        padding: bool ``(B, N)``, sentences that are not there.
    """
    length = spoken.sum(2)
    first, last = windows.amin(0), windows.amax(0)
    shared = (first + length - last).clamp(min=0)
    union = last + length - first
    iou = shared / union.clamp(min=1)
    agree = (iou >= least if least else shared > 0) & (length > 0)
    at = torch.arange(spoken.shape[2], device=spoken.device)
    found = (at >= first[..., None]) & (at < (last + length)[..., None])
    if padding is not None:
        agree = agree & ~padding
        spoken = spoken & ~padding[..., None]
    target = torch.where(agree[..., None], found, spoken)
    if deduplicated:
        free = target & (target.cumsum(1) == 1)
        begun = free.cumsum(2)
        ended = (~free & (begun > 0)).cumsum(2) > 0
        run = free & ~ended
        target = torch.where(run.any(2, keepdim=True), run, spoken)
    return Agreement(target, agree, windows)


def confidence(cosines: Tensor, target: Tensor, inside: bool) -> Tensor:
    """How near a sentence is to its video, ``(B, N)``.

    Args:
        cosines: ``(B, N, T)``.
        target: bool ``(B, N, T)``.
        inside: The mean within the target (thesis equation 7.10); else the largest of all seconds
            (as released).
    """
    if not inside:
        return cosines.amax(2)
    return (cosines * target).sum(2) / target.sum(2).clamp(min=1)


def best_share(scores: Tensor, alpha: float) -> Tensor:
    """bool ``(S,)``: the ``alpha`` of all sentences that have the largest scores."""
    return -scores <= torch.quantile(-scores, alpha)


def alignable(
    scores: Tensor, chosen: Tensor, middle: Tensor | None, by_median: bool, edge: float = 0.2
) -> Tensor:
    """Pseudo-labels of alignability, int64 ``(S,)``: 1, 0, or 2 for ignored.

    Args:
        scores: ``(E, S)``, the confidences of each encoder in the S sentences of a batch.
        chosen: bool ``(S,)`` of :func:`best_share`.
        middle: ``(S,)`` in ``[0, 1]``, where in its whole video a sentence is spoken. Those in its
            first and last ``edge`` are negative: greetings and farewells. ``None``: unknown.
        by_median: Positive where each score is above its median, negative where each is below (as
            released); else what is chosen is positive, the rest negative (thesis).
        edge: A share of the video; 0: the place does not matter.
    """
    label = torch.where(chosen, POSITIVE, NEGATIVE)
    if by_median:
        half = scores.median(1, keepdim=True).values
        label = torch.full_like(label, IGNORED)
        label[(scores > half).all(0)] = POSITIVE
        label[(scores < half).all(0)] = NEGATIVE
    if middle is not None and edge:
        label[(middle < edge) | (middle > 1 - edge)] = NEGATIVE
    return label


def alignability_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Binary cross-entropy, in which both kinds weigh the same.

    Args:
        logits: ``(S,)``.
        label: Of :func:`alignable`. 0 where one of the two kinds is missing.
    """
    known = label != IGNORED
    truth = label[known].to(logits.dtype)
    share = truth.mean() if len(truth) else logits.new_zeros(())
    if not 0 < float(share) < 1:
        return logits.sum() * 0
    weight = (1 - share) / share
    return F.binary_cross_entropy_with_logits(logits[known], truth, pos_weight=weight)
