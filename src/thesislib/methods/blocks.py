"""What the methods on clips share: shapes, checks, and the small regime of those on blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import torch

from thesislib.clip_config import FRAME_WISE, SMALL_CLIPS, ClipConfig
from thesislib.errors import ThesisError
from thesislib.fields import one_of
from thesislib.losses import count_pairs
from thesislib.nn.resnet2d3d import LAYERS, feature_shape

# Batches of one session, eight videos and two clips of each: the clips share actor and room, so
# what tells them apart is what happens and when. A crop or a mirror image drawn for each clip would
# be a signature again.
UNSIGNED = replace(FRAME_WISE, crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0), flip=0.0)

# Small pre-training on blocks, found on validation data (book/data.md): milder colour and a larger
# rate besides, so that minutes suffice.
SMALL_BLOCKS: dict[str, Any] = {
    **SMALL_CLIPS,
    "epochs": 5, "batch_size": 16, "batch_groups": 1, "batch_clips": 2, "width": 16,
    "lr": 3e-3, "schedule": "cosine", "warmup": 30, "dropout": 0.0,
    "augment": replace(UNSIGNED, jitter=(0.2, 0.2, 0.2, 0.1)),
}  # fmt: skip
# The studio at full width: four sessions a batch of 64. Not measured yet.
GPU_BLOCKS: dict[str, Any] = {
    "profile": "gpu", "dataset": "synthetic", "epochs": 40, "stride": 1, "batch_size": 64,
    "batch_groups": 4, "batch_clips": 2, "precision": "bf16", "augment": UNSIGNED,
}  # fmt: skip


Network = Annotated[str, one_of("network", LAYERS)]


def input_shape(config: ClipConfig) -> tuple[int, ...]:
    """Shape of one training batch of blocks, ``(B, N, 3, T, H, W)``."""
    size, blocks = config.size, (config.num_seq, 3, config.seq_len)
    return (config.batch_size, *blocks, size, size)


def block_shape(config: Any) -> tuple[int, ...]:
    """Shape of a 2D3D-ResNet's feature map of one block, ``(D, T', H', W')``."""
    clip = input_shape(config)[2:]
    return feature_shape(clip, config.network, config.width, config.stem_pool)


def pairs(config: Any) -> dict[str, int]:
    """Candidates of one prediction in a batch, by kind (thesis 2.3.2)."""
    pooled = not getattr(config, "dense", True)
    places = (1, 1) if pooled else block_shape(config)[2:]
    return count_pairs(config.batch_size, config.pred_step, *places)


def forward_one(model: Any) -> Any:
    """One clip through a model on blocks, to count its operations."""
    return model({"video": torch.empty(1, *input_shape(model.config)[1:])})


def check_pred_step(pred_step: int, blocks: int) -> None:
    """Refuses to predict all the blocks there are, or none."""
    if not 0 < pred_step < blocks:
        raise ThesisError(
            f"pred_step={pred_step} must leave at least one of the {blocks} blocks "
            "to look at: choose a smaller pred_step or a larger num_seq."
        )


def count(module: Any) -> int:
    """Parameters of a module, each counted once."""
    return sum(p.numel() for p in module.parameters())
