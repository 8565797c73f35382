"""InfoNCE, UberNCE and CoCLR (thesis chapter 4; Han, Xie and Zisserman, NeurIPS 2020).

Instance discrimination with a momentum encoder and a queue, and three answers to the question what
else than another view of the clip itself counts as a positive: nothing (InfoNCE), whatever has the
same label (UberNCE, the oracle), or what a network that looks at the *other* stream finds alike
(CoCLR). Who trains which stream when is the business of :mod:`thesislib.cotraining`; two networks
that learn at once are in :mod:`thesislib.methods.coclr_pairs`.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.config import SMALL_CLIPS, Augment, RunConfig, check_share, choose
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
from thesislib.methods import count, input_shape
from thesislib.nn.classifier import ClipClassifier, joined
from thesislib.nn.momentum import FeatureQueue, MomentumPair, ProjectedEncoder
from thesislib.nn.s3d import MIXED, S3D

OBJECTIVES = ("infonce", "ubernce", "coclr", "cmc", "simultaneous")
OTHER = {"rgb": "flow", "flow": "rgb"}
# Random crop, flip, blur and colour, "all are clip-wise consistent" (4.4.2); strengths as released.
CLIP_WISE = Augment(
    crop_area=(0.2, 1.0),
    interpolation="bicubic",
    grey=0.2,
    grey_scope="clip",
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_p=0.8,
    jitter_scope="clip",
    blur_p=0.5,
)


# Found on validation data (book, "rooms of their own"): a shallow S3D, a queue that holds about as
# many videos of each class as the thesis's does, a copy that is fast enough for a thousand steps.
SMALL: dict[str, Any] = {
    **SMALL_CLIPS,
    "dataset": "synthetic_rooms",
    "num_workers": 1,
    "seq_len": 8,
    "stride": 3,
    "epochs": 14,
    "cycle_epochs": 8,
    "batch_size": 32,
    "bn_splits": 2,
    "schedule": "cosine",
    "milestones": (),
    "width": 0.25,
    "mixed": ("3b", "4b", "5b"),
    "queue": 128,
    "momentum": 0.97,
    "one_window": 0.0,
    "heavy": 0.3,
    "fill_first": True,
    "older_self": False,
    "augment": replace(
        CLIP_WISE,
        crop_area=(0.5, 1.0),
        interpolation="bilinear",
        jitter=(0.5, 0.5, 0.5, 0.1),
        jitter_p=1.0,
        blur_p=0.0,
        flow_colour=False,
    ),
}


@dataclass(frozen=True)
class CoCLRConfig(RunConfig):
    """Settings of chapter 4's methods (presets: small, gpu, paper, as_released)."""

    augment: Augment = CLIP_WISE
    num_seq: int = 1
    seq_len: int = 32
    stride: int = 1
    views: int = 2
    one_window: float = 0.5  # as released, the thesis is silent
    heavy: float = 0.3
    objective: str = "infonce"  # infonce, ubernce, coclr; cmc, simultaneous (two networks at once)
    width: float = 1.0  # of S3D
    gating: bool = False  # S3D-G
    mixed: tuple[str, ...] = tuple(MIXED)  # the mixed blocks that S3D has; all nine in the thesis
    dim: int = 128  # of the projection
    queue: int = 2048  # features K kept; 16384 for Kinetics-400
    temperature: float = 0.07  # tau
    momentum: float = 0.999  # m of the key encoder
    topk: int = 5  # positives mined for each clip
    siblings: bool = False  # clips of the same group are positives: cut from one UCF101 video
    drop_self: float = 0.0  # how often a batch's own keys are no positives, where others are
    fill_first: bool = False  # no step before the queue, in which to mine, is full
    older_self: bool = True  # InfoNCE: earlier keys of the same video are negatives, not left out
    bn_splits: int = 1  # parts of a batch, each with its own batch norm, as on so many devices
    cycles: int = 2  # of the alternation; 1 on Kinetics-400
    cycle_epochs: int = 100  # of each network in each cycle; 50 on Kinetics-400
    init: str = ""  # name of the finished run whose weights start this one
    sampler: str = ""  # name of the finished run that mines the positives

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("objective", self.objective, OBJECTIVES)
        choose("stream to judge", self.modality, OTHER)
        for block in self.mixed:
            choose("mixed block", block, MIXED)
        if not self.mixed:
            raise ThesisError("mixed is empty: S3D needs at least one mixed block.")
        for name in ("cycles", "cycle_epochs", "dim", "width", "temperature"):
            if not getattr(self, name) > 0:
                raise ThesisError(f"{name} must be above 0, not {getattr(self, name)}.")
        for name in ("momentum", "drop_self"):
            check_share(name, getattr(self, name))
        if self.views != 2:
            raise ThesisError(f"views={self.views}: a query needs one key, so views=2.")
        if self.queue < self.batch_size:
            raise ThesisError(
                f"queue={self.queue} does not hold a batch of {self.batch_size}: make it larger."
            )
        if not 0 < self.topk < self.queue:
            raise ThesisError(
                f"topk={self.topk} must leave negatives in a queue of {self.queue}: at least 1, "
                "less than the queue."
            )
        if not 1 <= self.bn_splits <= self.batch_size // 2:
            raise ThesisError(
                f"bn_splits={self.bn_splits} of {self.batch_size} clips: at least 1, at most half."
            )

    @property
    def streams(self) -> str:
        """What a training clip has to hold: one stream, or both."""
        return self.modality if self.objective in ("infonce", "ubernce") else "both"

    @property
    def mines(self) -> bool:
        """Whether positives are mined in the queue, from two networks trained before."""
        return self.objective in ("coclr", "simultaneous")

    @classmethod
    def preset(cls, name: str) -> Self:
        """``small``, ``gpu``, ``paper`` or ``as_released``.

        ``paper`` is thesis 4.4.2: 300 epochs of initialisation, then two cycles of 100 epochs for
        each network (``cycle_epochs``); what the thesis leaves open is as released. ``as_released``
        adds what the code does and the thesis does not say: siblings of one UCF101 video are
        positives, nine batches in ten leave a clip's own key out, and no step is taken before the
        queue is full.
        """
        paper = cls(
            profile="paper",
            dataset="ucf101",
            epochs=300,
            batch_size=128,
            bn_splits=4,  # four GPUs with 32 clips each
            size=128,
            schedule="steps",
            milestones=(250, 280),
            short="pad",
        )
        presets = {
            "small": replace(paper, **SMALL),
            "gpu": replace(
                paper, profile="gpu", dataset="synthetic_rooms", epochs=40, batch_size=64,
                seq_len=16, stride=2, size=112, queue=1024, schedule="constant", milestones=(),
                precision="bf16", momentum=0.99,
            ),
            "paper": paper,
            "as_released": replace(
                paper, profile="as_released", siblings=True, drop_self=0.9, fill_first=True,
                augment=replace(CLIP_WISE, grey_kind="channels", crop_fallback="whole"),
            ),
        }  # fmt: skip
        return presets[choose("preset", name, presets)]


def encoder(config: CoCLRConfig) -> ProjectedEncoder:
    """S3D, the mean over time and space, and the projection head (4.4.2)."""
    return ProjectedEncoder(S3D(config.width, config.gating, config.mixed), config.dim)


def momentum_pair(config: CoCLRConfig) -> MomentumPair:
    """A query encoder and the slow copy of it that makes the keys."""
    return MomentumPair(encoder(config), config.momentum, config.bn_splits)


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
            other: Features of the keys' clips in the other stream, ``(B, dim)``; for CoCLR.

        Returns:
            bool ``(B, K)`` each: entries that the objective found (by label, or among the nearest
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

        Logged: what :func:`thesislib.losses.queue_measures` says (its ``precision`` is nowhere used
        in training), and ``waiting``: 1 while no step is to be taken as the queue is not full.
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
        return loss, logs | {"loss": loss.detach(), "waiting": torch.tensor(float(waiting))}

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


def streams_of(batch: dict[str, Tensor], config: CoCLRConfig) -> dict[str, Tensor]:
    """Two views of each stream that the batch holds, by name: ``(B, 2, 3, T, H, W)``."""
    if "flow" in batch:
        return {"rgb": joined(batch["video"]), "flow": joined(batch["flow"])}
    return {config.modality: joined(batch["video"])}


def source_of(batch: dict[str, Tensor], config: CoCLRConfig) -> Tensor:
    """What a clip was cut from: its video, or with ``siblings`` its group of videos."""
    return batch["source" if config.siblings else "index"]


def waits(model: Any) -> bool:
    """Whether no step is to be taken, because the queue in which to mine is not full."""
    config: CoCLRConfig = model.config
    return model.training and config.fill_first and config.mines and not model.queue.full


def build(config: CoCLRConfig) -> Any:
    """The model of an objective: one stream that learns, or both at once."""
    if config.objective in ("cmc", "simultaneous"):
        from thesislib.methods.coclr_pairs import CoCLRPairs

        return CoCLRPairs(config)
    return CoCLR(config)


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
            "queue (K, dim)": str((config.queue, config.dim)),
            "logits (B, 1 + K)": str((batch, 1 + config.queue)),
        },
        "of one query": {
            "positives": mined,
            "candidates": 1 + config.queue,
            "batches in the queue": f"{batches:.6g}{note}",
            "clips that share batch norm": config.batch_size // config.bn_splits,
        },
    }


CONFIG, MODEL = CoCLRConfig, build
