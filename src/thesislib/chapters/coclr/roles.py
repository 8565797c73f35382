"""Who counts as a positive under four losses, read off the losses themselves (thesis 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from thesislib.losses import (
    info_nce,
    leave_out,
    multi_instance_nce,
    nearest_entries,
    same,
    uber_nce,
    with_own_key,
)
from thesislib.methods.coclr_config import CoCLRConfig

# One query, of action 0 and video 0, and ten entries of a queue. The fourth is an older key of the
# query's own video, the fifth shows another action that looks alike in flow.
ACTION, VIDEO = torch.tensor([0]), torch.tensor([0])
ACTIONS = torch.tensor([1, 0, 2, 0, 1, 0, 2, 1, 0, 2])
VIDEOS = torch.tensor([1, 2, 3, 0, 4, 5, 6, 7, 8, 9])
ALIKE = torch.tensor([[0.35, 0.88, 0.15, 0.97, 0.72, 0.8, 0.25, 0.1, 0.5, 0.3]])  # in flow


class QueueRoles(NamedTuple):
    """What :func:`thesislib.viz.queue_roles` draws of Q entries."""

    actions: list[int]  # (1 + Q,), first the query's own
    alike: list[float]  # (Q,), similarity in flow
    older: list[bool]  # (Q,), earlier keys of the query's own video
    roles: dict[str, list[int]]  # loss -> (1 + Q,): 1 positive, -1 negative, 0 left out


def queue_roles(config: CoCLRConfig, topk: int = 3) -> QueueRoles:
    """What each loss makes of the example's own key and queue.

    Args:
        config: Whether InfoNCE and CMC keep older keys of the same video (``older_self``).
        topk: Entries that CoCLR mines.
    """
    older = same(VIDEO, VIDEOS)
    labelled = with_own_key(same(ACTION, ACTIONS))
    mined = with_own_key(nearest_entries(ALIKE, topk, older) | older)
    apart = torch.zeros_like(older) if config.older_self else older
    own = _roles(lambda logits: info_nce(leave_out(logits, apart)))
    roles = {
        "InfoNCE": own,
        "UberNCE": _roles(lambda logits: uber_nce(logits, labelled)),
        "CoCLR": _roles(lambda logits: multi_instance_nce(logits, mined)),
        "CMC\nflow keys": own,  # the same loss, of the RGB query and the keys of flow
    }
    actions = torch.cat([ACTION, ACTIONS]).tolist()
    return QueueRoles(actions, ALIKE[0].tolist(), older[0].tolist(), roles)


def _roles(loss: Callable[[Tensor], Tensor]) -> list[int]:
    """Signs of a loss's pull on ``(1, 1 + Q)`` similarities, while all are still equal.

    A positive is drawn nearer, a negative pushed away, and what is left out feels nothing. (Later
    UberNCE also pushes away a positive that has more than its share.)
    """
    logits = torch.zeros(1, 1 + len(ACTIONS), requires_grad=True)
    (slope,) = torch.autograd.grad(loss(logits), logits)
    return [int(sign) for sign in -slope[0].sign()]
