"""Memory-augmented Dense Predictive Coding (thesis chapter 3; Han, Xie and Zisserman, ECCV 2020).

DPC with one change: the future is not computed from the context but put together from memory. The
context gives a probability for each slot of one compressive memory, which is learned with the
network and shared by all videos, and the prediction is the expectation over the slots; so several
futures can be held possible at once. A second aggregator may predict the past in the same way.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from dataclasses import dataclass, replace
from typing import Annotated, Any, NamedTuple, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.clip_config import FRAME_WISE, Augment, ClipConfig
from thesislib.errors import ThesisError, choose
from thesislib.fields import Channels, Frames, Positive, Share, between, one_of
from thesislib.losses import contrastive_accuracy, dense_nce, pair_kinds
from thesislib.methods.blocks import (
    GPU_BLOCKS,
    SMALL_BLOCKS,
    Network,
    block_shape,
    check_pred_step,
    count,
    input_shape,
    pairs,
)
from thesislib.methods.blocks import forward_one as forward_one
from thesislib.nn.classifier import ContextClassifier, take_weights
from thesislib.nn.convgru import ConvGRU, context_vector
from thesislib.nn.heads import pointwise_mlp
from thesislib.nn.resnet2d3d import ResNet2D3D

COLOUR = replace(FRAME_WISE, grey=0.25)  # the thesis names no probability of grey: as released


@dataclass(frozen=True)
class MemDPCConfig(ClipConfig):
    """Settings of MemDPC (presets: small, gpu, paper, as_released)."""

    augment: Augment = COLOUR
    network: Network = "resnet18"
    width: Channels = 64  # channels of the stem
    stem_pool: bool = True
    dropout: Share = 0.1  # on the states of the ConvGRUs
    pred_step: Frames = 3  # blocks to predict
    # S (thesis: k); the thesis also tries 512 and 2048.
    memory_slots: Annotated[int, between(2, 10**6)] = 1024
    bidirectional: bool = False  # a second aggregator predicts the past (3.3.3)
    # Of the two directions: mean (thesis), or sum (as released).
    loss_reduction: Annotated[str, one_of("loss reduction", ("mean", "sum"))] = "mean"
    relu_first: bool = False  # classifier: ReLU before the time pool (as released), or after it
    # Of the orthogonal initialisation of aggregators and address head (as released).
    gain: Positive = 0.1
    init: str = ""  # name of a finished run whose weights start this one

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pred_step(self.pred_step, self.num_seq)

    @classmethod
    def preset(cls, name: str) -> Self:
        """``small``, ``gpu``, ``paper`` or ``as_released``.

        ``paper`` follows the thesis (3.5.2) and, where it is silent, the authors' code: 500 epochs.
        ``as_released`` follows the code where the two differ: losses of the directions added, one
        random colour channel as grey, area crop and nearest-neighbour resize (here in one step),
        the channels of flow as an RGB reader finds them in the released files, ReLU before the
        pool in the classifier, and the rate lowered once, after 300 epochs (its second milestone
        has no effect). The two and ``gpu`` predict in both directions, ``small``
        in one; data and augmentation of ``small`` and ``gpu`` are DPC's, so that the two compare.
        """
        paper = cls(
            profile="paper", dataset="ucf101", epochs=500, batch_size=16, schedule="plateau",
            bidirectional=True, augment=replace(COLOUR, crop="random", crop_size=224),
        )  # fmt: skip
        presets = {
            # With the small gain the first two epochs pass before anything is learnt; with 1 the
            # pretext accuracy on validation data is after three epochs where it was after nine.
            "small": replace(
                paper, **SMALL_BLOCKS, memory_slots=128, bidirectional=False, gain=1.0
            ),
            "gpu": replace(paper, **GPU_BLOCKS),
            "paper": paper,
            "as_released": replace(
                paper, profile="as_released", loss_reduction="sum", relu_first=True,
                schedule="steps", milestones=(300,),
                augment=replace(
                    COLOUR, grey_kind="channel", interpolation="nearest", flow_channels="0yx"
                ),
            ),
        }  # fmt: skip
        return presets[choose("preset", name, presets)]


class Prediction(NamedTuple):
    """One direction's predictions of P blocks; all tensors but the context are ``(B, P, ...)``."""

    predicted: Tensor  # (B, P, D, h, w): z hat of equation 3.4
    true: Tensor  # (B, P, D, h, w): z of the same blocks, in the same order
    address: Tensor  # (B, P, S, h, w): p of equation 3.3, sums to 1 over the slots
    context: Tensor  # (B, D, h, w): c_t of equation 3.2, after the blocks that were seen


class MemDPC(nn.Module, PyTorchModelHubMixin):
    """Memory-augmented Dense Predictive Coding: pre-training model.

    Shapes (N blocks of T frames, P predicted steps, S slots): video ``(B, N, 3, T, H, W)``;
    features ``(B, N, D, h, w)`` with ``h = H/32``; memory ``(S, D)``.
    """

    def __init__(self, config: MemDPCConfig):
        super().__init__()
        self.config = config
        self.backbone = ResNet2D3D(
            config.network, config.width, running_stats=True, stem_pool=config.stem_pool
        )
        dim = self.backbone.feature_dim
        self.aggregator = ConvGRU(dim, config.dropout, config.gain)
        self.backward_aggregator = (
            ConvGRU(dim, config.dropout, config.gain) if config.bidirectional else None
        )
        # Both directions share the head and the memory (3.3.3).
        self.address_head = pointwise_mlp(dim, config.memory_slots, config.gain)
        self.memory = nn.Parameter(torch.randn(config.memory_slots, dim))

    def features(self, video: Tensor) -> Tensor:
        """z of equation 3.1: ``(B, N, 3, T, H, W)`` to signed ``(B, N, D, h, w)``."""
        z = self.backbone(video.flatten(0, 1)).mean(2)  # (B*N, D, h, w): time pooled
        return z.unflatten(0, video.shape[:2])

    def read(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """A prediction out of the memory (equations 3.3 and 3.4).

        Args:
            context: ``(B, D, h, w)``.

        Returns:
            The prediction ``(B, D, h, w)`` and the address it was read from, ``(B, S, h, w)``: at
            each place probabilities over the slots, of which the prediction is the expectation.
        """
        address = torch.softmax(self.address_head(context), 1)  # (B, S, h, w), no temperature
        return torch.einsum("bshw,sd->bdhw", address, self.memory), address

    def predict(self, aggregator: ConvGRU, z: Tensor) -> Prediction:
        """Predicts the last P of the blocks ``z`` ``(B, N, D, h, w)`` from the first N - P."""
        past = z.shape[1] - self.config.pred_step
        if past < 1:
            raise ThesisError(
                f"A clip of {z.shape[1]} blocks is too short to predict {self.config.pred_step}: "
                "give it at least one block more."
            )
        context = state = aggregator(torch.relu(z[:, :past]))
        predicted, address = self.read(state)
        predictions, addresses = [predicted], [address]
        for _ in range(1, self.config.pred_step):
            # The prediction is the next input: predictions condition on predictions.
            state = aggregator.step(torch.relu(predicted), state)
            predicted, address = self.read(state)
            predictions.append(predicted)
            addresses.append(address)
        return Prediction(
            torch.stack(predictions, 1), z[:, past:], torch.stack(addresses, 1), context
        )

    def directions(self, video: Tensor) -> list[Prediction]:
        """The forward prediction of ``(B, N, 3, T, H, W)`` and, if there is one, the backward one.

        Backward, the blocks come last to first (frames inside a block keep their order): of 8
        blocks the last five are seen, and blocks 2, 1, 0 predicted, in this order.
        """
        z = self.features(video)
        predictions = [self.predict(self.aggregator, z)]
        if self.backward_aggregator is not None:
            predictions.append(self.predict(self.backward_aggregator, z.flip(1)))
        return predictions

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of equation 3.6, averaged (or added) over the directions, and its logs.

        Logged, mean of the directions: pretext accuracies, overall and by kind of negative. Logged
        of all addresses of the batch: see :func:`memory_use`.
        """
        directions = self.directions(batch["video"])
        losses, accuracies = [], []
        for one in directions:
            loss, scores = dense_nce(one.predicted, one.true)
            kinds = pair_kinds(*one.true.shape[:2], *one.true.shape[-2:]).to(scores.device)
            losses.append(loss)
            accuracies.append(contrastive_accuracy(scores.detach(), kinds))
        total = torch.stack(losses)
        loss = total.sum() if self.config.loss_reduction == "sum" else total.mean()
        logs = {"loss": loss.detach()}
        for name in accuracies[0]:
            logs[name] = torch.stack([accuracy[name] for accuracy in accuracies]).mean()
        return loss, logs | memory_use(torch.cat([one.address.detach() for one in directions]))

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """The embedding for retrieval and probes (thesis 3.5.6): the context of all the blocks.

        Returns:
            The mean over places: ``(B, D)``, or ``(B, 2D)`` of both directions.
        """
        z = torch.relu(self.features(batch["video"]))
        return context_vector(z, self.aggregator, self.backward_aggregator)

    def readings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What frozen readers see, by name: ``context`` is :meth:`encode`, ``z`` as of DPC."""
        z = self.features(batch["video"])
        context = context_vector(torch.relu(z), self.aggregator, self.backward_aggregator)
        return {"context": context, "z": z.mean((1, 3, 4))}

    def predicted_and_true(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Predicted and true features, whose discrepancy tells surprise (thesis 3.4, 3.5.7).

        Returns:
            Both ``(B, P, D, h, w)``, with gradient; of both directions ``(B, 2P, D, h, w)``,
            forward first.
        """
        found = self.directions(batch["video"])
        return torch.cat([d.predicted for d in found], 1), torch.cat([d.true for d in found], 1)

    def address(self, batch: dict[str, Tensor]) -> Tensor:
        """Addresses of the forward predictions, ``(B, P, S, h, w)``; they sum to 1 over slots."""
        return self.predict(self.aggregator, self.features(batch["video"])).address

    def classifier(
        self, classes: int, dropout: float = 0.9, frozen: bool = False
    ) -> "MemDPCClassifier":
        """An action classifier that starts from this model's encoder and aggregators."""
        head = MemDPCClassifier(self.config, classes, dropout, frozen)
        take_weights(head, self, without=("address_head.", "memory"))
        return head


class MemDPCClassifier(ContextClassifier, PyTorchModelHubMixin):
    """The action classifier of thesis 3.5.3; the memory is not part of it.

    ``frozen`` trains batch norm and linear layer alone: the linear probe of Tables 3.2 and 3.4.
    """

    def __init__(
        self, settings: MemDPCConfig, classes: int, dropout: float = 0.9, frozen: bool = False
    ):
        # Not named `config`: beside an argument of that name the hub mixin saves no other.
        backbone = ResNet2D3D(
            settings.network, settings.width, running_stats=True, stem_pool=settings.stem_pool
        )
        directions = 2 if settings.bidirectional else 1
        super().__init__(
            backbone,
            *(
                ConvGRU(backbone.feature_dim, settings.dropout, settings.gain)
                for _ in range(directions)
            ),
            classes=classes,
            dropout=dropout,
            relu_first=settings.relu_first,
            frozen=frozen,
        )
        self.config = settings


def memory_use(address: Tensor) -> dict[str, Tensor]:
    """Tells a memory that is used from one that has collapsed.

    Args:
        address: ``(B, P, S, h, w)``, non-negative, sums to 1 over the slots.

    Returns:
        ``address_perplexity``: exp of the mean entropy of an address, in slots: 1 where every
        prediction is one slot, S where it is the mean of all. ``slots_used``: exp of the entropy
        of the mean address, as a share of the S slots: near 1/S where all predictions read the same
        slot, 1 where all slots are read equally often. A memory with ``address_perplexity`` equal
        to ``S * slots_used`` is read alike at every place, which is a collapse of the other kind.
    """
    p = address.float()
    each = torch.special.entr(p).sum(2).mean()
    overall = torch.special.entr(p.mean((0, 1, 3, 4))).sum()
    return {"address_perplexity": each.exp(), "slots_used": overall.exp() / p.shape[2]}


def summary(model: MemDPC) -> dict[str, Any]:
    """Parameter counts, shapes and numbers of negatives, for ``thesislib info memdpc``."""
    config = model.config
    batch, blocks, *_ = video = input_shape(config)
    shape, candidates = block_shape(config), pairs(config)
    one_aggregator, whole = count(model.aggregator), count(model)
    one_direction = whole - one_aggregator * config.bidirectional
    return {
        "parameters": {
            "encoder": count(model.backbone),
            "ConvGRU of one direction": one_aggregator,
            "address head": count(model.address_head),
            "memory": model.memory.numel(),
            "in all": whole,
            "in all, one direction": one_direction,
            "in all, both directions": one_direction + one_aggregator,
        },
        "shapes": {
            "input (B, N, 3, T, H, W)": str(video),
            "block features (B*N, D, T', H', W')": str((batch * blocks, *shape)),
            "memory (S, D)": str(tuple(model.memory.shape)),
            "addresses (B, P, S, h, w)": str(
                (batch, config.pred_step, config.memory_slots, *shape[2:])
            ),
            "scores": str((sum(candidates.values()),) * 2),
        },
        "pairs of one prediction": candidates,
    }


CONFIG, MODEL = MemDPCConfig, MemDPC
