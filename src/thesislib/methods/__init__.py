"""The methods of the thesis, one file a paper, each in its paper's order."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from thesislib.config import SMALL_CLIPS, Augment, RunConfig, choose
from thesislib.errors import ThesisError

METHODS = ("dpc", "memdpc", "coclr")

# Colour per frame, against the optical-flow shortcut (thesis 2.3.3).
FRAME_WISE = Augment(grey=0.5, grey_scope="frame", jitter=(0.5, 0.5, 0.5, 0.25))
# Small pre-training on blocks, found on validation data (book, "the small regime"): without the
# random crop, which gives every clip a signature, and with milder colour, so that minutes suffice.
SMALL_BLOCKS: dict[str, Any] = {
    **SMALL_CLIPS,
    "epochs": 9,
    "batch_size": 16,
    "schedule": "constant",
    "width": 16,
    "dropout": 0.0,
    "augment": replace(
        FRAME_WISE,
        jitter=(0.2, 0.2, 0.2, 0.1),
        crop_area=(1.0, 1.0),
        crop_aspect=(1.0, 1.0),
    ),
}


def settings(method: str, preset: str, changes: Mapping[str, Any] | None = None) -> Any:
    """The resolved settings of a method: its preset, then what the caller changes."""
    return _module(method).CONFIG.preset(preset).override(changes or {})


def _module(method: str) -> ModuleType:
    return importlib.import_module(f"thesislib.methods.{choose('method', method, METHODS)}")


def describe(method: str, preset: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``thesislib info`` prints: parameters by part, operations, shapes, settings.

    Operations are those of one clip, forward, one multiply-add counted as two.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module, config = _module(method), settings(method, preset, changes)
    # Counting needs shapes alone: on the meta device even the largest model costs nothing.
    with torch.device("meta"):
        model = module.MODEL(config)
        clip = torch.empty(1, *module.input_shape(config)[1:])
    report: dict[str, Any] = module.summary(model)
    with FlopCounterMode(display=False) as counter:
        # Two views and a queue are training's alone: there, the clip is encoded.
        (model if config.views == 1 else model.encode)({"video": clip})
    report["operations"] = {"GFLOPs per clip, forward": counter.get_total_flops() / 1e9}
    report["settings"] = {k: v for k, v in config.to_dict().items() if k != "augment"}
    report["augmentation"] = config.to_dict()["augment"]
    return report


def input_shape(config: RunConfig) -> tuple[int, ...]:
    """Shape of one training batch of blocks, ``(B, N, 3, T, H, W)``."""
    size, blocks = config.size, (config.num_seq, 3, config.seq_len)
    return (config.batch_size, *blocks, size, size)


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
