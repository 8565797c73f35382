"""Action classifiers: of DPC and MemDPC on a context vector, of chapter 4 on one clip."""

from __future__ import annotations

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.losses import top1
from thesislib.nn.convgru import ConvGRU, context_vector
from thesislib.nn.resnet2d3d import ResNet2D3D


def joined(video: Tensor) -> Tensor:
    """``(..., N, 3, T, H, W)`` to ``(..., 3, N * T, H, W)``: blocks become one clip."""
    return video.movedim(-5, -4).flatten(-4, -3)


def take_weights(
    head: nn.Module,
    model: nn.Module,
    *,
    without: tuple[str, ...] = (),
    new: tuple[str, ...] = ("norm.", "linear."),
    fresh_statistics: bool = False,
) -> None:
    """Starts a classifier from a trained model; every tensor must be known on both sides.

    Args:
        head: The classifier.
        model: Gives the weights.
        without: What begins so in the model is left out.
        new: What begins so in the classifier stays as it was drawn.
        fresh_statistics: The classifier's batch norms keep statistics that the model's do not.

    Raises:
        ThesisError: A tensor of one side has no counterpart on the other.
    """
    found = head.load_state_dict(model.state_dict(), strict=False)
    lacking = [name for name in found.missing_keys if not name.startswith(new)]
    if fresh_statistics:
        lacking = [n for n in lacking if not n.endswith(("running_mean", "running_var", "tracked"))]
    over = [name for name in found.unexpected_keys if not name.startswith(without)]
    if lacking or over:
        raise ThesisError(
            f"The classifier cannot start from this model: {(lacking + over)[0]} has no "
            "counterpart; use the settings it was trained with."
        )


class Classifier(nn.Module):
    """What all have: cross-entropy on :meth:`predict`; a trunk that can be frozen."""

    frozen = False

    def trunk(self) -> list[nn.Module]:
        """What :meth:`freeze` leaves as it is."""
        raise NotImplementedError

    def freeze(self) -> None:
        """The last layers alone learn from now on; the trunk's statistics do not move either."""
        self.frozen = True
        for part in self.trunk():
            part.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Training mode; of a frozen classifier for its last layers alone."""
        super().train(mode)
        if self.frozen:
            for part in self.trunk():
                part.eval()
        return self

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits ``(B, classes)``."""
        raise NotImplementedError

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy against ``batch["label"]`` and top-1 accuracy."""
        logits = self.predict(batch)
        loss = F.cross_entropy(logits, batch["label"])
        return loss, {"loss": loss.detach(), "top1": top1(logits, batch["label"])}

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)


class ContextClassifier(Classifier):
    """Encoder, ConvGRU, spatial mean, batch norm, dropout, linear layer (thesis 2.4, 3.4).

    Args:
        backbone: The encoder f.
        aggregator: The ConvGRU g.
        backward_aggregator: A second one that reads the blocks last to first, or ``None``.
        classes: Number of classes.
        dropout: Rate before the linear layer.
        relu_first: ReLU before the time pool, or after it.
        frozen: Train batch norm and linear layer alone, for a linear probe of the network. The rest
            stays in evaluation mode, so that neither its weights nor its statistics move.
    """

    def __init__(
        self,
        backbone: ResNet2D3D,
        aggregator: ConvGRU,
        backward_aggregator: ConvGRU | None = None,
        *,
        classes: int,
        dropout: float,
        relu_first: bool,
        frozen: bool,
    ) -> None:
        super().__init__()
        self.relu_first = relu_first
        self.backbone = backbone
        self.aggregator = aggregator
        self.backward_aggregator = backward_aggregator
        dim = backbone.feature_dim * (1 if backward_aggregator is None else 2)
        self.norm = nn.BatchNorm1d(dim)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(dim, classes)
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        if frozen:
            self.freeze()

    def trunk(self) -> list[nn.Module]:
        parts = (self.backbone, self.aggregator, self.backward_aggregator)
        return [part for part in parts if part is not None]

    def features(self, video: Tensor) -> Tensor:
        """``(B, N, 3, T, H, W)`` to rectified ``(B, N, D, h, w)``."""
        z = self.backbone(video.flatten(0, 1))
        # The released classifiers rectify before they pool time, their pre-training after.
        z = torch.relu(z).mean(2) if self.relu_first else torch.relu(z.mean(2))
        return z.unflatten(0, video.shape[:2])

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Context vector before batch norm, ``(B, D)``, or ``(B, 2D)`` of both directions."""
        z = self.features(batch["video"])
        return context_vector(z, self.aggregator, self.backward_aggregator)

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits ``(B, classes)``."""
        return self.linear(self.dropout(self.norm(self.encode(batch))))


class ClipClassifier(Classifier):
    """Backbone, mean over time and space, linear layer (thesis 4.4.3).

    Args:
        backbone: An S3D, or what else has a ``feature_dim`` and makes ``(B, D, t, h, w)`` of a
            clip.
        classes: Number of classes.
        dropout: Rate before the linear layer; not in a frozen classifier.
        frozen: The linear probe: the backbone stays as it is, in evaluation mode, and its feature
            is scaled to length one and normalised over the batch, as released.
    """

    def __init__(self, backbone: nn.Module, classes: int, dropout: float, frozen: bool) -> None:
        super().__init__()
        self.backbone = backbone
        dim = int(backbone.feature_dim)  # type: ignore[arg-type]  # a number of the backbone's
        self.norm = nn.BatchNorm1d(dim) if frozen else nn.Identity()
        self.dropout = nn.Identity() if frozen else nn.Dropout(dropout)
        self.linear = nn.Linear(dim, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)
        if frozen:
            self.freeze()

    def trunk(self) -> list[nn.Module]:
        return [self.backbone]

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """``(B, N, 3, T, H, W)``, whose N blocks are joined in time, to ``(B, D)``."""
        feature = self.backbone(joined(batch["video"])).mean((2, 3, 4))
        return F.normalize(feature, dim=1) if self.frozen else feature

    def predict(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits ``(B, classes)``."""
        return self.linear(self.dropout(self.norm(self.encode(batch))))

    def parameter_groups(self, config: Any) -> list[dict[str, Any]]:
        """The backbone learns ``config.backbone_lr`` times as fast as the linear layer."""
        head = [p for n, p in self.named_parameters() if not n.startswith("backbone.")]
        body = [p for p in self.backbone.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [{"params": head}]
        if body:
            groups.append({"params": body, "lr_scale": config.backbone_lr})
        return [group | {"weight_decay": config.weight_decay} for group in groups]
