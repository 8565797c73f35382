"""The losses between seconds of videos and sentences (thesis chapter 7)."""

from __future__ import annotations

import torch
from torch import Tensor


def alignment_nce(
    logits: Tensor,
    positives: Tensor,
    padding: Tensor | None = None,
    chosen: Tensor | None = None,
    negatives: str = "batch",
    sides: str = "both",
) -> Tensor:
    """The contrastive loss of TAN, thesis equation 7.6, on both sides as released.

    A sentence looks for its seconds among all seconds, and a second for its sentences among all
    sentences; the right ones are to win together. Seconds without a sentence look for none. What
    is padded of the videos stays among the candidates, as released.

    Args:
        logits: ``(B, S, T, B, N)``, second t of video a and sentence n of video b at stage s:
            cosines over the temperature.
        positives: bool ``(B, N, T)``, the seconds of each sentence in its own video.
        padding: bool ``(B, N)``, True for sentences that are not there.
        chosen: bool ``(B, N)``, the sentences that look, and whose seconds do; the others are found
            by these all the same. ``None``: all.
        negatives: ``batch``, or ``own``: of the sentence's own video alone, as the equation reads.
        sides: ``both``, or ``text``: the sentences look alone, as the equation reads.

    Returns:
        Scalar: the mean over stages and sentences, and of the two sides. 0 where nothing is chosen.
    """
    real = torch.ones_like(positives[..., 0]) if padding is None else ~padding
    learnt = real if chosen is None else real & chosen
    right = positives.transpose(1, 2) & real[:, None]  # (B, T, N)
    taken = right & learnt[:, None]
    texts, rows = taken.any(1), taken.any(2)
    if not texts.any():
        return logits.sum() * 0
    own = logits.diagonal(0, 0, 3).permute(3, 1, 2, 0)  # (B, T, N, S), where the right ones are
    best = own.masked_fill(~right[..., None], -torch.inf)
    if negatives == "own":
        against = own.transpose(1, 2)[texts].logsumexp(1)
    else:
        against = logits.logsumexp((0, 2)).permute(1, 2, 0)[texts]
    text = (against - best.transpose(1, 2)[texts].logsumexp(1)).mean()
    if sides == "text":
        return text
    if negatives == "own":
        against = own.masked_fill(~real[:, None, :, None], -torch.inf)[rows].logsumexp(1)
    else:
        against = logits.masked_fill(~real, -torch.inf).logsumexp((3, 4)).transpose(1, 2)[rows]
    video = (against - best[rows].logsumexp(1)).mean()
    return (text + video) / 2


def mil_nce(video: Tensor, text: Tensor) -> Tensor:
    """MIL-NCE (Miech et al., CVPR 2020): a clip and one of its C candidate sentences are to agree.

    Args:
        video: ``(B, D)``.
        text: ``(B * C, D)``, the candidates of clip i in rows ``i * C`` to ``i * C + C - 1``.

    Returns:
        Scalar. The candidates are to win together, against all sentences for the clip and all clips
        for the sentences; own pairs stand twice among these, as released.
    """
    scores = (video @ text.T).unflatten(1, (len(video), -1))  # (B, B, C)
    own = scores.diagonal().T  # (B, C)
    every = torch.cat([scores.flatten(1), scores.transpose(0, 1).flatten(1)], 1)
    return (every.logsumexp(1) - own.logsumexp(1)).mean()
