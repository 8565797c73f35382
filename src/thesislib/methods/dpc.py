"""Dense Predictive Coding (thesis chapter 2; Han, Xie and Zisserman, ICCV workshops 2019).

A video clip is cut into blocks. An encoder f turns each block into a feature map, a ConvGRU g
sums up the past, a small predictor phi guesses the feature maps of the blocks to come, and a
contrastive loss asks every guess, at every place, to find its own truth among all others.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.config import Augment, RunConfig, choose
from thesislib.errors import ThesisError
from thesislib.losses import contrastive_accuracy, count_pairs, dense_nce, pair_kinds
from thesislib.methods import count
from thesislib.nn.convgru import ConvGRU
from thesislib.nn.resnet2d3d import LAYERS, ResNet2D3D

FRAME_WISE = Augment(grey=0.5, grey_scope="frame", jitter=(0.5, 0.5, 0.5, 0.25))


@dataclass(frozen=True)
class DPCConfig(RunConfig):
    """Settings of DPC; the defaults are the thesis's (presets: small, gpu, paper, as_released)."""

    augment: Augment = FRAME_WISE  # colour per frame, against the optical-flow shortcut (2.3.3)
    network: str = "resnet18"
    width: int = 64  # channels of the stem
    stem_pool: bool = True
    running_stats: bool = True  # of batch norm; the released pre-training has none
    dropout: float = 0.1  # on the state of the ConvGRU
    pred_step: int = 3  # blocks to predict: 3 is 5pred3, 4 is 4pred4
    sequential: bool = True  # False: all steps at once by separate predictors ("remove Seq.")
    dense: bool = True  # False: one pooled vector a block ("remove Map")
    relu_first: bool = False  # classifier: ReLU before the time pool (as released), or after it
    init: str = ""  # name of a finished run whose weights start this one (the curriculum)

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("network", self.network, LAYERS)
        if not 0 < self.pred_step < self.num_seq:
            raise ThesisError(
                f"pred_step={self.pred_step} must leave at least one of the {self.num_seq} blocks "
                "to look at: choose a smaller pred_step or a larger num_seq."
            )

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
            # Found on validation data (book, "the small regime"): without the random crop, which
            # gives every clip a signature, and with milder colour, so that minutes suffice.
            "small": replace(
                paper,
                profile="small",
                dataset="synthetic",
                epochs=9,
                batch_size=16,
                schedule="constant",
                width=16,
                dropout=0.0,
                size=48,
                seq_len=3,
                stride=2,
                num_workers=0,
                cache=True,
                augment=replace(
                    FRAME_WISE,
                    jitter=(0.2, 0.2, 0.2, 0.1),
                    crop_area=(1.0, 1.0),
                    crop_aspect=(1.0, 1.0),
                ),
            ),
            "gpu": replace(
                paper, profile="gpu", dataset="synthetic", epochs=40, stride=1, precision="bf16"
            ),
            "paper": paper,
            "as_released": replace(
                paper,
                running_stats=False,
                relu_first=True,
                batch_size=32,
                schedule="constant",
                epochs=470,
                augment=replace(
                    FRAME_WISE,
                    crop="random",
                    crop_size=224,
                    grey_kind="channel",
                    interpolation="nearest",
                ),
            ),
        }
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
        self.predictors = nn.ModuleList(predictor(dim) for _ in range(heads))

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

    def classifier(self, classes: int, dropout: float = 0.5) -> "DPCClassifier":
        """An action classifier that starts from this model's encoder and aggregator."""
        head = DPCClassifier(self.config, classes, dropout)
        head.load_state_dict(self.state_dict(), strict=False)
        return head


class DPCClassifier(nn.Module, PyTorchModelHubMixin):
    """Encoder, ConvGRU over all blocks, spatial mean, batch norm, dropout, linear (thesis 2.4)."""

    def __init__(self, config: DPCConfig, classes: int, dropout: float = 0.5):
        super().__init__()
        self.config = config
        self.backbone = ResNet2D3D(config.network, config.width, True, config.stem_pool)
        dim = self.backbone.feature_dim
        self.aggregator = ConvGRU(dim, config.dropout)
        self.norm = nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, classes)
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def features(self, video: Tensor) -> Tensor:
        """``(B, N, 3, T, H, W)`` to rectified ``(B, N, D, h, w)``."""
        z = self.backbone(video.flatten(0, 1))
        # The released classifier rectifies before it pools time, its pre-training after.
        z = torch.relu(z).mean(2) if self.config.relu_first else torch.relu(z.mean(2))
        return z.unflatten(0, video.shape[:2])

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Context vector ``(B, D)`` before batch norm."""
        return self.aggregator(self.features(batch["video"])).mean((-2, -1))

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits ``(B, classes)``."""
        return self.linear(self.dropout(self.norm(self.encode(batch))))

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy against ``batch["label"]`` and top-1 accuracy."""
        logits = self.predict(batch)
        loss = F.cross_entropy(logits, batch["label"])
        top1 = (logits.argmax(1) == batch["label"]).float().mean()
        return loss, {"loss": loss.detach(), "top1": top1}

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)


def predictor(dim: int) -> nn.Sequential:
    """phi: two 1 x 1 convolutions with a ReLU between, orthogonal weights, linear output."""
    layers = nn.Conv2d(dim, dim, 1), nn.ReLU(), nn.Conv2d(dim, dim, 1)
    for layer in (layers[0], layers[2]):
        nn.init.orthogonal_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has a bias
    return nn.Sequential(*layers)


def input_shape(config: DPCConfig) -> tuple[int, ...]:
    """Shape of one training batch, ``(B, N, 3, T, H, W)``."""
    size, blocks = config.size, (config.num_seq, 3, config.seq_len)
    return (config.batch_size, *blocks, size, size)


def summary(model: DPC) -> dict[str, Any]:
    """Parameter counts, shapes and numbers of negatives, for ``thesislib info dpc``."""
    config = model.config
    backbone, predictors = count(model.backbone), count(model.predictors)
    batch, blocks, *_ = video = input_shape(config)
    # Sizes come from running an empty clip through the encoder, not from a formula.
    with torch.device("meta"):
        clip = torch.empty(1, *video[2:])
        encoder = ResNet2D3D(config.network, config.width, True, config.stem_pool).eval()
        shape = encoder(clip).shape[1:]
    height, width = shape[2:] if config.dense else (1, 1)
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
            "scores": str((batch * config.pred_step * height * width,) * 2),
        },
        "pairs of one prediction": count_pairs(batch, config.pred_step, height, width),
    }


CONFIG, MODEL = DPCConfig, DPC
