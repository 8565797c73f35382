"""The losses of the thesis as pure functions of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

POSITIVE, EASY, SPATIAL, TEMPORAL = 1, 0, -3, -1


def dense_scores(prediction: Tensor, target: Tensor) -> Tensor:
    """Dot product of every predicted with every true feature (thesis 2.3.2).

    Args:
        prediction: ``(B, P, D, h, w)``, the predicted features.
        target: The same shape, the true ones.

    Returns:
        ``(B*P*h*w, B*P*h*w)``: rows are predictions, columns targets, both in the order
        (clip, step, row-major position). No normalisation and no temperature.
    """
    rows = prediction.permute(0, 1, 3, 4, 2).flatten(0, 3)  # (B*P*h*w, D)
    columns = target.permute(0, 1, 3, 4, 2).flatten(0, 3)
    return rows @ columns.T


def dense_nce(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Contrastive loss of DPC, thesis equation 2.5 (averaged over rows instead of summed).

    Every prediction must pick its own target among all targets of the batch. Gradients flow
    through both sides, as in the released code.

    Args:
        prediction: ``(B, P, D, h, w)``.
        target: ``(B, P, D, h, w)``.

    Returns:
        The loss (scalar) and the score matrix of :func:`dense_scores`.
    """
    scores = dense_scores(prediction, target)
    return F.cross_entropy(scores, torch.arange(len(scores), device=scores.device)), scores


def pair_kinds(batch: int, steps: int, height: int, width: int) -> Tensor:
    """Which kind each entry of the score matrix is (thesis 2.3.2).

    Easy: another video. Spatial: the same video, another position, any step. Temporal: the same
    video and position, another step. A row holds ``1 : P-1 : (hw-1)P : (B-1)hwP`` of
    positive : temporal : spatial : easy.

    Returns:
        int8 ``(B*P*h*w, B*P*h*w)`` with 1 positive, -1 temporal, -3 spatial, 0 easy (the codes of
        the released implementation).
    """
    index = torch.arange(batch * steps * height * width)
    place = index % (height * width)
    step = index // (height * width) % steps
    clip = index // (height * width * steps)
    same_clip = clip[:, None] == clip
    same_place = place[:, None] == place
    same_step = step[:, None] == step
    kinds = torch.full((len(index), len(index)), EASY, dtype=torch.int8)
    kinds[same_clip & ~same_place] = SPATIAL
    kinds[same_clip & same_place & ~same_step] = TEMPORAL
    kinds[same_clip & same_place & same_step] = POSITIVE
    return kinds


def count_pairs(batch: int, steps: int, height: int, width: int) -> dict[str, int]:
    """How many pairs of each kind one prediction meets, by the formula of thesis 2.3.2."""
    area = height * width
    return {
        "positive": 1,
        "temporal": steps - 1,
        "spatial": (area - 1) * steps,
        "easy": (batch - 1) * area * steps,
    }


def contrastive_accuracy(scores: Tensor, kinds: Tensor) -> dict[str, Tensor]:
    """Pretext accuracy: how often the positive has the largest score of its row.

    Args:
        scores: ``(R, R)`` of :func:`dense_scores`.
        kinds: ``(R, R)`` of :func:`pair_kinds`.

    Returns:
        Scalars in ``[0, 1]``: ``top1``, ``top3``, ``top5`` over all columns, and
        ``top1_temporal``, ``top1_spatial``, ``top1_easy`` against one kind of negatives alone
        (``nan`` where a row has none of that kind). A tie counts against the prediction.
    """
    own = scores.diagonal()[:, None]
    better = (scores >= own) & (kinds != POSITIVE)
    rank = better.sum(1)
    result = {f"top{k}": (rank < k).float().mean() for k in (1, 3, 5)}
    for name, code in (("temporal", TEMPORAL), ("spatial", SPATIAL), ("easy", EASY)):
        mine = kinds == code
        wins = ~(better & mine).any(1)
        result[f"top1_{name}"] = torch.where(mine.any(), wins.float().mean(), torch.nan)
    return result
