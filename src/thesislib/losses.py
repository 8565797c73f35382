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
        ``top1_temporal``, ``top1_spatial``, ``top1_easy`` against one kind of negatives alone,
        those that occur. A tie counts against the prediction; ``nan`` of scores that hold one.
    """
    own = scores.diagonal()[:, None]
    better = (scores >= own) & (kinds != POSITIVE)
    rank, lost = better.sum(1), scores.isnan().any()
    result = {f"top{k}": share(rank < k, lost) for k in (1, 3, 5)}
    for name, code in (("temporal", TEMPORAL), ("spatial", SPATIAL), ("easy", EASY)):
        mine = kinds == code
        if mine.is_meta or mine.any():  # without content, as `thesislib info` counts, who knows
            result[f"top1_{name}"] = share(~(better & mine).any(1), lost)
    return result


def share(right: Tensor, lost: Tensor) -> Tensor:
    """How often something is right by scores: a scalar in ``[0, 1]``, ``nan`` if they are lost.

    No comparison with ``nan`` holds, so a network that has diverged would look as if nothing beat
    its answers.

    Args:
        right: bool, any shape.
        lost: bool scalar: whether ``nan`` is among what was compared.
    """
    return torch.where(lost, torch.nan, right.float().mean())


def similarity(one: Tensor, other: Tensor) -> Tensor:
    """Dot products of ``(B, D)`` and ``(Q, D)``: ``(B, Q)``, always float32.

    With the eight bits of bfloat16 the cosines of near neighbours could not be told apart.
    """
    with torch.autocast(one.device.type, enabled=False):
        return one.float() @ other.float().T


def cosine_logits(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Cosines of ``(B, D)`` and ``(C, D)``, of any length, over a temperature: ``(B, C)``.

    What the softmax of thesis equation 5.2 is taken of.
    """
    return similarity(F.normalize(one, dim=1), F.normalize(other, dim=1)) / temperature


def pair_nce(logits: Tensor, both_ways: bool = True) -> Tensor:
    """Contrastive loss of B pairs, thesis equation 5.2 (averaged over rows instead of summed).

    Args:
        logits: ``(B, B)``; the positive of row i is column i.
        both_ways: Columns look for their row as well, and the loss is the mean of the two; else
            rows alone do, as the equation says.
    """
    own = torch.arange(len(logits), device=logits.device)
    loss = F.cross_entropy(logits, own)
    return (loss + F.cross_entropy(logits.T, own)) / 2 if both_ways else loss


def top1(logits: Tensor, right: Tensor) -> Tensor:
    """How often the right candidate has the largest logit of its row; of equal ones the first.

    Args:
        logits: ``(B, C)``.
        right: int64 ``(B,)``, in ``[0, C)``.

    Returns:
        A scalar in ``[0, 1]``; ``nan`` of logits that hold one.
    """
    return share(logits.argmax(1) == right, logits.isnan().any())


def candidates(label: Tensor, classes: int, most: int) -> tuple[Tensor, Tensor]:
    """Classes of a softmax: those present, and others at random up to ``most`` (as released).

    Args:
        label: int64 ``(B,)``.
        classes: How many there are.
        most: How many to take; more where more are present.

    Returns:
        Classes, int64 ``(n,)``, each once; and the place of each label among them, ``(B,)``.
    """
    present, place = label.unique(return_inverse=True)
    order = torch.randperm(classes, device=label.device)
    others = order[~torch.isin(order, present)]
    return torch.cat([present, others[: max(0, most - len(present))]]), place


def queue_logits(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Similarity of each query to its own key and to all keys of a queue (thesis 4.4.2).

    Args:
        query: ``(B, D)`` unit vectors.
        key: ``(B, D)`` unit vectors: the key of another view of the same clip.
        queue: ``(Q, D)`` unit vectors of earlier batches.
        temperature: tau of thesis equation 4.1, above 0.

    Returns:
        ``(B, 1 + Q)``; column 0 is the own key.
    """
    own = (query * key).sum(1, keepdim=True)
    return torch.cat([own, similarity(query, queue)], 1) / temperature


def info_nce(logits: Tensor) -> Tensor:
    """Thesis equation 4.1: column 0 of ``(B, 1 + Q)`` is the positive, the others negatives."""
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def uber_nce(logits: Tensor, positives: Tensor) -> Tensor:
    """InfoNCE with several positives, each of which is to win (UberNCE, thesis 4.3.1).

    Args:
        logits: ``(B, 1 + Q)`` of :func:`queue_logits`.
        positives: bool, the same shape, at least one in each row.

    Returns:
        Scalar: minus the log probability, mean over the positives of a row, then over rows. (The
        logarithm stands inside the mean: as released; the thesis gives no equation.)
    """
    log_p = F.log_softmax(logits, 1)
    return -(log_p.masked_fill(~positives, 0).sum(1) / positives.sum(1)).mean()


def multi_instance_nce(logits: Tensor, positives: Tensor) -> Tensor:
    """Thesis equations 4.2 and 4.4: the positives of a row are to win *together*.

    One true positive suffices to make a row's loss small, which forgives wrong ones.

    Args:
        logits: ``(B, 1 + Q)`` of :func:`queue_logits`.
        positives: bool, the same shape, at least one in each row.
    """
    every = torch.logsumexp(logits, 1)
    return (every - torch.logsumexp(logits.masked_fill(~positives, -torch.inf), 1)).mean()


def nearest_entries(similarity: Tensor, k: int, apart: Tensor) -> Tensor:
    """topK of thesis equations 4.3 and 4.5.

    Args:
        similarity: ``(B, Q)``, of each sample to each queue entry in the other view.
        k: K, how many entries to take of each row (fewer where fewer are left).
        apart: bool ``(B, Q)``, entries that are not to be taken: those of the same source.

    Returns:
        bool ``(B, Q)``.
    """
    k = min(k, similarity.shape[1])
    index = similarity.masked_fill(apart, -torch.inf).topk(k, dim=1).indices
    taken = torch.zeros_like(apart).scatter_(1, index, True)
    return taken & ~apart


def same(one: Tensor, other: Tensor) -> Tensor:
    """Where two lists of numbers agree, bool ``(B, Q)``; -1 is unknown, and agrees with nothing."""
    return (one[:, None] == other) & (other >= 0)


def with_own_key(found: Tensor) -> Tensor:
    """bool ``(B, Q)`` to ``(B, 1 + Q)``: the own key, then these entries of the queue."""
    return F.pad(found, (1, 0), value=True)


def without_own_key(mask: Tensor) -> Tensor:
    """Takes column 0 out of the rows that have another positive; it becomes a negative there."""
    alone = ~mask[:, 1:].any(1, keepdim=True)
    return torch.cat([alone, mask[:, 1:]], 1)


def leave_out(logits: Tensor, entries: Tensor) -> Tensor:
    """Makes queue entries, bool ``(B, Q)``, neither positives nor negatives."""
    return logits.masked_fill(F.pad(entries, (1, 0), value=False), -torch.inf)


@torch.no_grad()
def queue_measures(
    logits: Tensor, mask: Tensor, found: Tensor, label: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """How well queries find their positives.

    Args:
        logits: ``(B, 1 + Q)``; minus infinity where an entry was left out.
        mask: bool ``(B, 1 + Q)``, the positives.
        found: bool ``(B, Q)``, those among them that an oracle or a sampler found in the queue.
        label: int64 ``(B,)``, classes of the queries; -1 unknown.
        labels: int64 ``(Q,)``, classes of the queue.

    Returns:
        Scalars: ``top1``, how often a positive has the largest logit; ``positives`` and
        ``negatives`` of a query; where a class is known, ``precision``, the share of ``found`` that
        has the query's class.
    """
    known = found & (labels >= 0) & (label >= 0)[:, None]
    measures = {
        "top1": share(mask.gather(1, logits.argmax(1, keepdim=True)), logits.isnan().any()),
        "positives": mask.sum(1).float().mean(),
        "negatives": (~mask & logits.isfinite()).sum(1).float().mean(),
    }
    if known.any():
        measures["precision"] = (known & (label[:, None] == labels)).sum() / known.sum()
    return measures


def next_token_loss(logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """How unlikely each token of texts was, thesis equation 8.2: the mean over tokens.

    Args:
        logits: ``(B, n, V)``, what each token is predicted by.
        ids: int64 ``(B, n)``, -1 for padding.

    Returns:
        The loss, and the share of the tokens that were the likeliest.
    """
    loss = F.cross_entropy(logits.flatten(0, 1), ids.flatten(), ignore_index=-1)
    return loss, (logits.argmax(2) == ids)[ids >= 0].float().mean()
