"""InfoNCE, UberNCE and CoCLR (thesis chapter 4; Han, Xie and Zisserman, NeurIPS 2020).

Instance discrimination with a momentum encoder and a queue, and three answers to the question what
else than another view of the clip itself counts as a positive: nothing (InfoNCE), whatever has the
same label (UberNCE, the oracle), or what a network that looks at the *other* stream finds alike
(CoCLR). Who trains which stream when is the business of :mod:`thesislib.chapters.coclr.cycles`;
two networks that learn at once are in :mod:`thesislib.methods.coclr_pairs`.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.losses import (
    info_nce,
    leave_out,
    multi_instance_nce,
    nearest_entries,
    queue_logits,
    queue_measures,
    same,
    similarity,
    uber_nce,
    with_own_key,
    without_own_key,
)
from thesislib.methods.blocks import count, input_shape
from thesislib.methods.coclr_config import (
    OTHER,
    CoCLRConfig,
    encoder,
    momentum_pair,
    source_of,
    streams_of,
    waits,
)
from thesislib.methods.coclr_pairs import CoCLRPairs
from thesislib.nn.classifier import ClipClassifier, joined
from thesislib.nn.momentum import FeatureQueue


class CoCLR(nn.Module, PyTorchModelHubMixin):
    """One stream learns: by InfoNCE, UberNCE, or CoCLR with a frozen sampler on the other stream.

    Shapes: views of a clip ``(B, 2, N, 3, T, H, W)``, whose N blocks are joined in time.
    """

    def __init__(self, config: CoCLRConfig):
        super().__init__()
        self.config = config
        self.pair = momentum_pair(config)
        mines = config.mines
        self.sampler = encoder(config).requires_grad_(False).eval() if mines else None
        self.queue = FeatureQueue(config.queue, config.dim, streams=1 + mines)

    def train(self, mode: bool = True) -> Self:
        """Training mode; the sampler always stays in evaluation mode."""
        super().train(mode)
        if self.sampler is not None:
            self.sampler.eval()
        return self

    def positives(self, batch: dict[str, Tensor], other: Tensor | None) -> tuple[Tensor, Tensor]:
        """Which queue entries are positives of which query.

        Args:
            batch: With ``index``, ``source`` and, for UberNCE, ``label``.
            other: Features of the keys' clips in the other stream, ``(B, D)``; for CoCLR.

        Returns:
            bool ``(B, Q)`` each: entries that the objective found (by label, or among the nearest
            in the other stream), and earlier keys of the same source, which do not use these up
            (in training alone: videos of the validation split are numbered for themselves).
        """
        older = same(source_of(batch, self.config), self.queue.source) & self.training
        if self.config.objective == "ubernce":
            return same(batch["label"], self.queue.label), older
        if other is None or not self.queue.full:  # random vectors are nobody's neighbours
            return torch.zeros_like(older), older
        near = similarity(other, self.queue.features[1])
        return nearest_entries(near, self.config.topk, older), older

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of thesis equation 4.1, of UberNCE, or of equations 4.2 and 4.4, and its logs.

        The queue is read before the keys of this batch, and the sampler's features of the same
        clips, are written into it.

        Logged: what :func:`thesislib.losses.queue_measures` says (its ``precision`` is nowhere used
        in training), and ``waiting``: 1 while the loss has no gradient as the queue is not full.
        """
        config = self.config
        clips = streams_of(batch, config)
        own = clips[config.modality]
        query, key = self.pair(own[:, 0], own[:, 1])
        other = None
        if self.sampler is not None:
            with torch.no_grad():
                other = self.sampler(clips[OTHER[config.modality]][:, 1])
        logits = queue_logits(query, key, self.queue.features[0].clone(), config.temperature)
        found, older = self.positives(batch, other)
        mask = with_own_key(found | older if config.objective == "coclr" else found)
        if config.objective == "infonce":
            if not config.older_self:
                logits = leave_out(logits, older)
            loss = info_nce(logits)
        elif config.objective == "ubernce":
            if bool((batch["label"] < 0).any()):
                raise ThesisError(
                    "UberNCE is an oracle that knows all labels, and some videos have none: label "
                    "them, or train infonce or coclr."
                )
            loss = uber_nce(logits, mask)
        else:
            if self.training and torch.rand(()) < config.drop_self:
                mask = without_own_key(mask)
            loss = multi_instance_nce(logits, mask)
        waiting = waits(self)
        logs = queue_measures(logits, mask, found, batch["label"], self.queue.label)
        if self.training:
            features = torch.stack([key] if other is None else [key, other])
            self.queue.enqueue(features, source_of(batch, config), batch["label"])
        logs |= {"loss": loss.detach(), "waiting": torch.tensor(float(waiting))}
        return loss.detach() if waiting else loss, logs

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)

    def start_from(self, own: "CoCLR", sampler: "CoCLR | None" = None) -> None:
        """Hands weights over at the start of a stage: a new queue, the query's weights for both.

        Args:
            own: What this stream learnt before.
            sampler: The other stream's network, whose *query* encoder mines positives.
        """
        self.pair.start_from(own.pair.query)
        if self.sampler is not None and sampler is not None:
            self.sampler.load_state_dict(sampler.pair.query.state_dict())

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """What is judged (4.4.3): the query's backbone without head, mean over places: ``(B, D)``.

        ``batch["video"]`` is one clip of its own stream, ``(B, N, 3, T, H, W)``.
        """
        return self.pair.query.features(joined(batch["video"]))

    def classifier(
        self, classes: int, dropout: float = 0.9, frozen: bool = False
    ) -> ClipClassifier:
        """An action classifier that starts from this model's backbone."""
        return self.pair.classifier(classes, dropout, frozen)


def build(config: CoCLRConfig) -> Any:
    """The model of an objective: one stream that learns, or both at once."""
    both = config.objective in ("cmc", "simultaneous")
    return CoCLRPairs(config) if both else CoCLR(config)


def forward_one(model: Any) -> Any:
    """One clip through the encoder, to count its operations: views and queue are training's."""
    # As at test time: a single clip has nothing to be normalised against.
    return model.eval().encode({"video": torch.empty(1, *input_shape(model.config)[1:])})


def summary(model: Any) -> dict[str, Any]:
    """Parameter counts, shapes and effective numbers, for ``thesislib info coclr``."""
    config: CoCLRConfig = model.config
    with torch.device("meta"):
        network = encoder(config)
    backbone, whole = count(network.backbone), count(network)
    batches = config.queue / config.batch_size
    note = "" if batches.is_integer() else " (not whole: the oldest batch is overwritten in parts)"
    mined = {
        "infonce": "own key alone",
        "ubernce": "own key and all entries of its class",
        "cmc": "own key of the other stream",
    }.get(config.objective, f"own key and {config.topk} mined (and older keys of its own video)")
    batch, *clip = input_shape(config)
    return {
        "parameters": {
            "backbone": backbone,
            "projection head": whole - backbone,
            "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "in all": count(model),
            "InfoNCE, query and key": 2 * whole,
            "CoCLR, query, key and sampler": 3 * whole,
        },
        "shapes": {
            "training input (B, views, N, 3, T, H, W)": str((batch, config.views, *clip)),
            "features (B, D)": str((batch, network.backbone.feature_dim)),
            "queue (Q, D)": str((config.queue, config.dim)),
            "logits (B, 1 + Q)": str((batch, 1 + config.queue)),
        },
        "of one query": {
            "positives": mined,
            "candidates": 1 + config.queue,
            "batches in the queue": f"{batches:.6g}{note}",
            "clips that share batch norm": config.batch_size // config.bn_splits,
        },
    }


CONFIG, MODEL = CoCLRConfig, build
