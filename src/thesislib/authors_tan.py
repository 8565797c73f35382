"""Published checkpoints of chapter 7: the authors' TAN, and the MIL-NCE network under it.

By the rules of :mod:`thesislib.authors`: every tensor is mapped or named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from thesislib.authors import LoadReport, load_by_name

_START = r"^(?:(online|target)\.)?"
_WORDS = (
    (r"(?:bert|lang_model|text_module)\.word_embd\.", "text.table."),
    (r"(?:bert|lang_model|text_module)\.", "text."),
)
_TAN = (
    *(
        (
            rf"{theirs}_temporal_encoder\.resblocks\.(\d+)\.{part}\.",
            rf"network.{ours}.blocks.\2.{new}.",
        )
        for theirs, ours in (("video", "dual"), ("joint", "joint"))
        for part, new in (
            ("ln_1", "norm_1"), ("ln_2", "norm_2"), ("attn", "attention"),
            (r"mlp\.c_fc", "mlp.0"), (r"mlp\.c_proj", "mlp.2"),
        )
    ),
    (r"temporal_pos_embed$", "network.positions"),
    (r"(video|text)_pre_proj\.", r"network.project_\2."),
    (r"ln_(video|text)_init\.", r"network.norm_\2."),
    (r"ln_position_init\.", "network.norm_positions."),
    (r"ln_video_post_enc\.", "network.dual.norm."),
    (r"ln_joint_post_enc\.", "network.joint.norm."),
    (r"binary_head\.", "network.head."),
    *_WORDS,
)  # fmt: skip
TAN_NAMES = tuple((_START + theirs, rf"\1.{ours}") for theirs, ours in _TAN)
# Of no use in the released code either; a file of both stages has them twice.
UNUSED = tuple(
    f"{part}{name}"
    for part in ("", "online.", "target.")
    for name in ("mlp.", "text_temporal_pos_embed")
)
_BRANCHES = (
    *((rf"\.conv_b{b}(?:_a)?\.(conv|bn)1\.", rf".branch{b}.0.\1.") for b in (0, 1, 2)),
    *((rf"\.conv_b{b}_b\.", rf".branch{b}.1.") for b in (1, 2)),
    (r"\.conv_b3_b\.(conv|bn)1\.", r".branch3.1.\1."),
    (r"\.gating_b(\d)\.", r".gates.\1."),
)
MILNCE_NAMES = (
    (r"^conv1\.(conv|bn)1\.", r"network.conv_1a.\1."),
    (r"^conv_2b\.(conv|bn)1\.", r"network.conv_2b.\1."),
    (r"^gating\.", "network.conv_2c.gate."),
    (r"^fc\.", "project."),
    *((rf"^{theirs}", ours) for theirs, ours in _WORDS),
    (r"^(conv_2c|mixed_..)\.", r"network.\1."),
)


def load_tan(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Fills a :class:`~thesislib.methods.tan.TAN` with its own text module, likewise.

    Files of either stage: those of the second hold ``online.`` and ``target.``. A model of the
    first stage leaves the target's tensors unused; a model of the second takes the one network of a
    first-stage file for both. ``mlp.`` and ``text_temporal_pos_embed`` have no use in the released
    code either.

    Raises:
        ThesisError: Tensors of the model are not in ``state``; nothing is changed then.
    """
    theirs = {name.removeprefix("module."): value for name, value in state.items()}
    if not any(name.startswith(("online.", "target.")) for name in theirs):
        parts = [part for part in ("online", "target") if getattr(model, part, None) is not None]
        theirs = {f"{part}.{name}": value for part in parts for name, value in theirs.items()}
    return load_by_name(model, theirs, TAN_NAMES)


def load_mil_nce(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Fills a :class:`~thesislib.nn.s3dg.MilNce` from the published file, likewise.

    Raises:
        ThesisError: Tensors of the model are not in ``state``; nothing is changed then.
    """
    theirs = {}
    for name, value in state.items():
        name = name.removeprefix("module.")
        if name.startswith("mixed_"):
            for pattern, ours in _BRANCHES:
                name = re.sub(pattern, ours, name)
        theirs[name] = value
    return load_by_name(model, theirs, MILNCE_NAMES)
