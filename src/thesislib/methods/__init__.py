"""The methods of the thesis, one file a paper, each in its paper's order."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from thesislib.config import choose

METHODS = ("dpc",)


def describe(method: str, preset: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``thesislib info`` prints: parameters by part, operations, shapes, settings.

    Operations are those of one clip, forward, one multiply-add counted as two.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module = importlib.import_module(f"thesislib.methods.{choose('method', method, METHODS)}")
    config = module.CONFIG.preset(preset).override(changes or {})
    model = module.MODEL(config)
    report: dict[str, Any] = module.summary(model)
    with torch.device("meta"):
        clip = torch.empty(1, *module.input_shape(config)[1:])
    # Counting needs shapes alone: on the meta device even the largest model costs nothing.
    with FlopCounterMode(display=False) as counter:
        model.to("meta")({"video": clip})
    report["operations"] = {"GFLOPs per clip, forward": counter.get_total_flops() / 1e9}
    report["settings"] = {k: v for k, v in config.to_dict().items() if k != "augment"}
    report["augmentation"] = config.to_dict()["augment"]
    return report


def count(module: Any) -> int:
    """Parameters of a module, each counted once."""
    return sum(p.numel() for p in module.parameters())
