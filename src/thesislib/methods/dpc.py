"""Dense Predictive Coding (thesis chapter 2; Han, Xie and Zisserman, ICCV workshops 2019).

A video clip is cut into blocks. An encoder f turns each block into a feature map, a ConvGRU g
sums up the past, a small predictor phi guesses the feature maps of the blocks to come, and a
contrastive loss asks every guess, at every place, to find its own truth among all others.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.clip_config import FRAME_WISE, Augment, ClipConfig
from thesislib.errors import ThesisError, choose
from thesislib.fields import Channels, Frames, Share
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


@dataclass(frozen=True)
class DPCConfig(ClipConfig):
    """Settings of DPC; the defaults are the thesis's (presets: small, gpu, paper, as_released)."""

    augment: Augment = FRAME_WISE  # colour per frame, against the optical-flow shortcut (2.3.3)
    network: Network = "resnet18"
    width: Channels = 64  # channels of the stem
    stem_pool: bool = True
    running_stats: bool = True  # of batch norm; the released pre-training has none
    dropout: Share = 0.1  # on the state of the ConvGRU
    pred_step: Frames = 3  # blocks to predict: 3 is 5pred3, 4 is 4pred4
    sequential: bool = True  # False: all steps at once by separate predictors ("remove Seq.")
    dense: bool = True  # False: one pooled vector a block ("remove Map")
    relu_first: bool = False  # classifier: ReLU before the time pool (as released), or after it
    init: str = ""  # name of a finished run whose weights start this one (the curriculum)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_pred_step(self.pred_step, self.num_seq)

    @classmethod
    def preset(cls, name: str) -> Self:
        """``small``, ``gpu``, ``paper`` or ``as_released``.

        ``paper`` follows the thesis, ``as_released`` the authors' code where it differs: batch
        norm without running statistics, one random colour channel as grey, nearest-neighbour
        resize of a random 224 crop, ReLU before the pool in the classifier.
        """
        paper = cls(
            profile="paper", dataset="ucf101", epochs=300, batch_size=64, schedule="plateau"
        )
        presets = {
            "small": replace(paper, **SMALL_BLOCKS),
            "gpu": replace(paper, **GPU_BLOCKS),
            "paper": paper,
            "as_released": replace(
                paper, profile="as_released", running_stats=False, relu_first=True, batch_size=32,
                schedule="constant", epochs=470,
                augment=replace(
                    FRAME_WISE, crop="random", crop_size=224, grey_kind="channel",
                    interpolation="nearest",
                ),
            ),
        }  # fmt: skip
        return presets[choose("preset", name, presets)]


class DPC(nn.Module, PyTorchModelHubMixin):
    """Dense Predictive Coding: pre-training model.

    Shapes (N blocks of T frames, P predicted steps): video ``(B, N, 3, T, H, W)``; features
    ``(B, N, D, h, w)`` with ``h = H/32``; scores ``(B*P*h*w, B*P*h*w)``.
    """

    def __init__(self, config: DPCConfig):
        super().__init__()
        self.config = config
        self.backbone = ResNet2D3D(
            config.network, config.width, config.running_stats, config.stem_pool
        )
        dim = self.backbone.feature_dim
        self.aggregator = ConvGRU(dim, config.dropout)
        heads = 1 if config.sequential else config.pred_step
        self.predictors = nn.ModuleList(pointwise_mlp(dim, dim) for _ in range(heads))

    def features(self, video: Tensor) -> Tensor:
        """z of equation 2.1: ``(B, N, 3, T, H, W)`` to signed ``(B, N, D, h, w)``."""
        z = self.backbone(video.flatten(0, 1)).mean(2)  # (B*N, D, h, w): time pooled
        if not self.config.dense:
            z = z.mean((-2, -1), keepdim=True)  # (B*N, D, 1, 1)
        return z.unflatten(0, video.shape[:2])

    def predict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Guesses the last P blocks from the first N - P (equations 2.2 to 2.4).

        Args:
            z: ``(B, N-P, D, h, w)``, signed features of the past.

        Returns:
            Predictions ``(B, P, D, h, w)`` and the context after the past, ``(B, D, h, w)``.
        """
        context = state = self.aggregator(torch.relu(z))
        if not self.config.sequential:
            return torch.stack([head(state) for head in self.predictors], 1), context
        predictions: list[Tensor] = []
        for step in range(self.config.pred_step):
            if step:  # the guess is the next input: predictions condition on predictions
                state = self.aggregator.step(torch.relu(predictions[-1]), state)
            predictions.append(self.predictors[0](state))
        return torch.stack(predictions, 1), context

    def predicted_and_true(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The guesses of the last P blocks and their truth, both signed ``(B, P, D, h, w)``."""
        z = self.features(batch["video"])
        past = z.shape[1] - self.config.pred_step
        return self.predict(z[:, :past])[0], z[:, past:]

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of equation 2.5 and the pretext accuracies, overall and by kind of negative."""
        prediction, truth = self.predicted_and_true(batch)
        loss, scores = dense_nce(prediction, truth)
        kinds = pair_kinds(*truth.shape[:2], *truth.shape[-2:]).to(scores.device)
        return loss, {"loss": loss.detach(), **contrastive_accuracy(scores.detach(), kinds)}

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """The embedding used for retrieval: f(x) averaged over blocks and places, ``(B, D)``."""
        return self.features(batch["video"]).mean((1, 3, 4))

    def readings(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What frozen readers see, by name, each ``(B, D)``.

        ``z``: :meth:`encode`; ``context``: of all blocks, averaged over places (thesis 3.5.6).
        """
        z = self.features(batch["video"])
        context = context_vector(torch.relu(z), self.aggregator)
        return {"z": z.mean((1, 3, 4)), "context": context}

    def classifier(
        self, classes: int, dropout: float = 0.5, frozen: bool = False
    ) -> "DPCClassifier":
        """An action classifier that starts from this model's encoder and aggregator."""
        head = DPCClassifier(self.config, classes, dropout, frozen)
        # A classifier has running statistics, whether pre-training had them or not.
        fresh = not self.config.running_stats
        take_weights(head, self, without=("predictors.",), fresh_statistics=fresh)
        return head


class DPCClassifier(ContextClassifier, PyTorchModelHubMixin):
    """The action classifier of thesis 2.4; ``frozen`` trains its last layers alone."""

    def __init__(
        self, settings: DPCConfig, classes: int, dropout: float = 0.5, frozen: bool = False
    ):
        # Not named `config`: beside an argument of that name the hub mixin saves no other.
        # Without running statistics a frozen encoder would normalise by numbers nobody measured.
        if frozen and not settings.running_stats:
            raise ThesisError(
                "A frozen classifier needs an encoder pre-trained with running_stats=true."
            )
        backbone = ResNet2D3D(settings.network, settings.width, True, settings.stem_pool)
        super().__init__(
            backbone,
            ConvGRU(backbone.feature_dim, settings.dropout),
            classes=classes,
            dropout=dropout,
            relu_first=settings.relu_first,
            frozen=frozen,
        )
        self.config = settings


def summary(model: DPC) -> dict[str, Any]:
    """Parameter counts, shapes and numbers of negatives, for ``thesislib info dpc``."""
    config = model.config
    backbone, predictors = count(model.backbone), count(model.predictors)
    batch, blocks, *_ = video = input_shape(config)
    shape, candidates = block_shape(config), pairs(config)
    return {
        "parameters": {
            "encoder": backbone,
            "ConvGRU": count(model.aggregator),
            "predictor": predictors,
            "in all": count(model),
            "encoder and predictor": backbone + predictors,
        },
        "shapes": {
            "input (B, N, 3, T, H, W)": str(video),
            "block features (B*N, D, T', H', W')": str((batch * blocks, *shape)),
            "scores": str((sum(candidates.values()),) * 2),
        },
        "pairs of one prediction": candidates,
    }


CONFIG, MODEL = DPCConfig, DPC
