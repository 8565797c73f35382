"""Momentum contrast: a slow copy of the encoder, a queue of its features, shuffled batch norm.

After MoCo (He et al., CVPR 2020), as thesis 4.4.2 uses it. Everything here works alike in one
process and in several (torch.distributed): what one process with ``splits`` parts of a batch
computes is what that many processes compute with a part each.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.nn.classifier import ClipClassifier

Encoder = Callable[[Tensor], Tensor]


class FeatureQueue(nn.Module):
    """The features of the last ``size`` samples, first in, first out.

    Args:
        size: Length Q. A whole number of batches keeps all entries of a batch equally old.
        dim: Length D of a feature.
        streams: Features kept of each sample: 1, or 2 where two networks describe it.

    Attributes:
        features: ``(streams, Q, D)`` unit vectors; random ones until they are overwritten.
        source: int64 ``(Q,)``, what each entry was cut from; -1 for nothing yet.
        label: int64 ``(Q,)``, its class; -1 where unknown.
    """

    features: Tensor
    source: Tensor
    label: Tensor
    pointer: Tensor

    def __init__(self, size: int, dim: int, streams: int = 1) -> None:
        super().__init__()
        self.register_buffer("features", F.normalize(torch.randn(streams, size, dim), dim=2))
        self.register_buffer("source", torch.full((size,), -1))
        self.register_buffer("label", torch.full((size,), -1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    @property
    def full(self) -> bool:
        """Whether every entry has been written."""
        return bool((self.source >= 0).all())

    @torch.no_grad()
    def enqueue(self, features: Tensor, source: Tensor, label: Tensor) -> None:
        """Writes the samples of all processes over the oldest entries.

        Args:
            features: ``(streams, B, D)`` unit vectors.
            source: int64 ``(B,)``, 0 or more.
            label: int64 ``(B,)``.
        """
        features = gathered(features.transpose(0, 1)).transpose(0, 1)
        source, label = gathered(source), gathered(label)
        size = len(self.source)
        features, source, label = features[:, -size:], source[-size:], label[-size:]
        count = len(source)
        places = (self.pointer + torch.arange(count, device=source.device)) % size
        self.features[:, places] = features
        self.source[places] = source
        self.label[places] = label
        self.pointer.copy_((self.pointer + count) % size)


@torch.no_grad()
def momentum_update(key: nn.Module, query: nn.Module, momentum: float) -> None:
    """Moves the keys' parameters towards the query encoder's: by ``1 - momentum`` of the way.

    Buffers are left alone: the statistics of the key's batch norm come from its own batches.
    """
    for slow, fast in zip(key.parameters(), query.parameters(), strict=True):
        slow.mul_(momentum).add_(fast.detach(), alpha=1 - momentum)


def split_encode(encoder: Encoder, clips: Tensor, splits: int = 1) -> Tensor:
    """Encodes a batch in parts as equal as can be, each with batch statistics of its own.

    Raises:
        ThesisError: The batch has fewer than two clips for each part.
    """
    if splits == 1:
        return encoder(clips)
    if len(clips) < 2 * splits:
        raise ThesisError(
            f"A batch of {len(clips)} clips makes no {splits} parts of two or more: lower "
            "bn_splits, or train on more videos."
        )
    return torch.cat([encoder(part) for part in clips.tensor_split(splits)])


@torch.no_grad()
def shuffled_encode(encoder: Encoder, clips: Tensor, splits: int = 1) -> Tensor:
    """Encodes keys in parts that are not those of the queries (shuffled batch norm).

    A query and its key would otherwise share batch statistics, by which they could be matched. The
    clips of all processes are drawn anew onto the processes, or onto the ``splits`` of one, encoded
    there, and their features brought back into order.

    Args:
        encoder: From ``(B, ...)`` to ``(B, D)``.
        clips: ``(B, ...)`` of this process.
        splits: Parts of the batch on this process.
    """
    processes = world_size()
    if processes * splits == 1:
        return encoder(clips)
    everything = gathered(clips)
    order = torch.randperm(len(everything)).to(clips.device)
    if processes > 1:
        dist.broadcast(order, 0)
    mine = slice(rank() * len(clips), (rank() + 1) * len(clips))
    features = gathered(split_encode(encoder, everything[order[mine]], splits))
    return torch.empty_like(features).index_copy_(0, order, features)[mine]


class ProjectedEncoder(nn.Module):
    """A backbone, the mean over time and space, and a projection head of two layers.

    The head is for pre-training alone: what is judged is :meth:`features`.

    Args:
        backbone: From a clip to ``(B, D, t, h, w)``, with ``feature_dim`` D.
        dim: Length of the projection.
    """

    def __init__(self, backbone: nn.Module, dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        width = int(backbone.feature_dim)  # type: ignore[arg-type]  # a number of the backbone's
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))

    def features(self, clip: Tensor) -> Tensor:
        """``(B, 3, T, H, W)`` to ``(B, D)``."""
        return self.backbone(clip).mean((2, 3, 4))

    def forward(self, clip: Tensor) -> Tensor:
        """``(B, 3, T, H, W)`` to unit vectors ``(B, dim)``, always float32."""
        return F.normalize(self.head(self.features(clip)).float(), dim=1)


class MomentumPair(nn.Module):
    """A query encoder and the slow copy of it that makes the keys.

    Args:
        query: The encoder that learns.
        momentum: Of :func:`momentum_update`, what the keys' weights keep in a step.
        splits: Parts of a batch, each with its own batch norm.
    """

    def __init__(self, query: ProjectedEncoder, momentum: float, splits: int = 1) -> None:
        super().__init__()
        self.query = query
        self.key = copy.deepcopy(query).requires_grad_(False)
        self.momentum = momentum
        self.splits = splits

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Queries of the first views, keys of the second, both ``(B, D)`` unit vectors.

        In training the key encoder moves first, and both use the statistics of (parts of) a batch.
        """
        splits = self.splits if self.training else 1
        if self.training:
            momentum_update(self.key, self.query, self.momentum)
        query = split_encode(self.query, first, splits)
        with torch.no_grad():
            key = shuffled_encode(self.key, second, splits) if self.training else self.key(second)
        return query, key

    def start_from(self, query: ProjectedEncoder) -> None:
        """Both encoders take these weights."""
        self.query.load_state_dict(query.state_dict())
        self.key.load_state_dict(query.state_dict())

    def classifier(self, classes: int, dropout: float, frozen: bool) -> ClipClassifier:
        """An action classifier that starts from the query's backbone."""
        return ClipClassifier(copy.deepcopy(self.query.backbone), classes, dropout, frozen)


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


@torch.no_grad()
def gathered(x: Tensor) -> Tensor:
    """The tensors of all processes, one after another: ``(B, ...)`` to ``(processes * B, ...)``."""
    if world_size() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)
