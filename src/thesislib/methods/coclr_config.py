"""Settings of chapter 4's methods, and what its networks share (thesis 4.4.2)."""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from torch import Tensor

from thesislib.clip_config import SMALL_CLIPS, Augment, ClipConfig
from thesislib.errors import ThesisError, choose
from thesislib.fields import Channels, Count, Positive, Share, between, filled, one_of
from thesislib.nn.classifier import joined
from thesislib.nn.momentum import MomentumPair, ProjectedEncoder
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
    "seq_len": 8, "stride": 3, "one_window": 0.0, "heavy": 0.3,
    "epochs": 14, "cycle_epochs": 8, "batch_size": 32, "schedule": "cosine", "milestones": (),
    "width": 0.25, "mixed": ("3b", "4b", "5b"), "bn_splits": 2,
    "queue": 128, "momentum": 0.97, "fill_first": True, "older_self": False,
    "augment": replace(
        CLIP_WISE, crop_area=(0.5, 1.0), interpolation="bilinear", jitter=(0.5, 0.5, 0.5, 0.1),
        jitter_p=1.0, blur_p=0.0, flow_colour=False,
    ),
}  # fmt: skip


Mixed = Annotated[str, one_of("mixed block", MIXED)]


@dataclass(frozen=True)
class CoCLRConfig(ClipConfig):
    """Settings of chapter 4's methods (presets: small, gpu, paper, as_released)."""

    augment: Augment = CLIP_WISE
    num_seq: int = 1
    seq_len: int = 32
    stride: int = 1
    views: int = 2
    one_window: float = 0.5  # as released, the thesis is silent
    heavy: float = 0.3
    # infonce, ubernce, coclr; cmc, simultaneous (two networks at once)
    objective: Annotated[str, one_of("objective", OBJECTIVES)] = "infonce"
    width: Annotated[float, between(0, 64, above=True)] = 1.0  # of S3D
    gating: bool = False  # S3D-G
    # The mixed blocks that S3D has; all nine in the thesis.
    mixed: Annotated[tuple[Mixed, ...], filled] = tuple(MIXED)
    dim: Channels = 128  # of the projection
    queue: Annotated[int, between(1, 10**7)] = 2048  # length Q of the queue; 16384 for Kinetics-400
    temperature: Positive = 0.07  # tau
    momentum: Share = 0.999  # m of the key encoder
    topk: Count = 5  # positives mined for each clip
    siblings: bool = False  # clips of the same group are positives: cut from one UCF101 video
    drop_self: Share = 0.0  # how often a batch's own keys are no positives, where others are
    fill_first: bool = False  # no step before the queue, in which to mine, is full
    older_self: bool = True  # InfoNCE: earlier keys of the same video are negatives, not left out
    bn_splits: Count = 1  # parts of a batch, each with its own batch norm, as on so many devices
    cycles: Count = 2  # of the alternation; 1 on Kinetics-400
    cycle_epochs: Count = 100  # of each network in each cycle; 50 on Kinetics-400
    init: str = ""  # name of the finished run whose weights start this one
    sampler: str = ""  # name of the finished run that mines the positives

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("stream to judge", self.modality, OTHER)
        if self.views != 2:
            raise ThesisError(f"views={self.views}: a query needs one key, so views=2.")
        if self.queue < self.batch_size:
            raise ThesisError(
                f"queue={self.queue} does not hold a batch of {self.batch_size}: make it larger."
            )
        if self.topk >= self.queue:
            raise ThesisError(
                f"topk={self.topk} must leave negatives in a queue of {self.queue}: lower it."
            )
        if self.bn_splits > self.batch_size // 2:
            raise ThesisError(
                f"bn_splits={self.bn_splits} of {self.batch_size} clips: at most half of them."
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
            profile="paper", dataset="ucf101", epochs=300, size=128, batch_size=128,
            bn_splits=4,  # four GPUs with 32 clips each
            schedule="steps", milestones=(250, 280), short="pad",
        )  # fmt: skip
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
    return MomentumPair(encoder(config), config.of_a_batch(config.momentum), config.bn_splits)


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
