"""TAN tuned on lists of steps (thesis 7.6): their order is known, their times are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from thesislib.methods.tan_config import TanConfig
from thesislib.soft_dtw import soft_dtw


def lists_loss(
    encoders: Any, batch: Mapping[str, Iterable[Tensor]], config: TanConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean :func:`order_loss` of a batch, and the same for the log.

    Args:
        encoders: See :func:`whole_matrix`.
        batch: ``video`` and ``text``, for each item ``(T, D)`` and ``(K, ...)``.
        config: Length of a window, temperature and softness.
    """
    pairs = zip(batch["video"], batch["text"], strict=True)
    matrices = [whole_matrix(encoders, video, text, config.seconds) for video, text in pairs]
    losses = [order_loss(one, config.temperature, config.softness) for one in matrices]
    loss = torch.stack(losses).mean()
    return loss, {"loss": loss.detach()}


def whole_matrix(encoders: Any, video: Tensor, steps: Tensor, seconds: int) -> Tensor:
    """Cosines of the steps and seconds of one video, the mean of the encoders, ``(K, T)``.

    Args:
        encoders: Batch to what the dual and the joint encoder make of it, as of
            :class:`~thesislib.methods.tan.TanEncoder`.
        video: ``(T, D)``.
        steps: ``(K, ...)``, a row each.
        seconds: Of a window. Windows lie side by side, the last ends with the video.
    """
    length = min(seconds, len(video))
    starts = [*range(0, len(video) - length, length), len(video) - length]
    windows = torch.stack([video[start : start + length] for start in starts])
    text = steps.expand(len(starts), *steps.shape)
    both = [one for one in encoders({"video": windows, "text": text}) if one is not None]
    cosines = torch.stack([one.text[:, -1] @ one.video[:, -1].mT for one in both]).mean(0)
    ends = [0, *(start + length for start in starts)]  # what the window before has seen
    return torch.cat([c[:, e - s :] for c, e, s in zip(cosines, ends, starts, strict=False)], 1)


def order_loss(cosines: Tensor, temperature: float, softness: float) -> Tensor:
    """Soft-DTW over how unlikely each second's steps are, a second's share of it.

    Steps compete for each second: of plain distances the least sum is that of a network to which
    everything is alike.

    Args:
        cosines: ``(K, T)``, steps in their order.
        temperature: That they are divided by.
        softness: Gamma of soft-DTW, in nats.
    """
    cost = -(cosines / temperature).log_softmax(0)
    return soft_dtw(cost, softness) / cosines.shape[1]
