"""What a method is: its settings, parameters, operations and shapes, for ``thesislib info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from thesislib.book import method


def settings(name: str, preset: str, changes: Mapping[str, Any] | None = None) -> Any:
    """The resolved settings of a method: its preset, then what the caller changes."""
    return method(name).CONFIG.preset(preset).override(changes or {})


def describe(name: str, preset: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``thesislib info`` prints: parameters by part, operations, shapes, settings.

    Operations are those of one item, forward, one multiply-add counted as two.
    """
    module, config = method(name), settings(name, preset, changes)
    brought = _brought(config)
    # Counting needs shapes alone: on the meta device even the largest model costs nothing.
    with torch.device("meta"):
        model = module.MODEL(config, **brought).to("meta")
        with FlopCounterMode(display=False) as counter:
            module.forward_one(model)
    nested = {k: v for k, v in config.to_dict().items() if isinstance(v, dict)}
    return {
        **module.summary(model),
        "operations": {"GFLOPs per clip, forward": counter.get_total_flops() / 1e9},
        "settings": {k: v for k, v in config.to_dict().items() if k not in nested},
        **nested,
    }


def _brought(config: Any) -> dict[str, Any]:
    """What a method is built on besides its settings: the frozen model of chapters 5 and 8.

    Its weights decide no count, so they need not be on this machine.
    """
    if hasattr(config, "language"):
        from thesislib.language.model import skeleton

        with torch.device("meta"):  # moved there, weights that are tied would count twice
            return {"language": skeleton(config.language)}
    if not hasattr(config, "weights"):
        return {}
    from thesislib.image_text.model import RANDOM, load_image_text

    return {"tower": load_image_text(config.model, RANDOM).model}
