"""Reads the authors' published checkpoints: their names to ours, loudly.

Every tensor of the file is either mapped or named as unused, and every tensor of our model is
either filled or named as missing; a load that leaves something missing is refused.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from thesislib.errors import ThesisError

# What checkpoints may hold besides tensors: constructors of data alone. numpy's stood under another
# name when most of these files were written.
_SCALAR = np.float64(0).__reduce__()[0]
PLAIN: Any = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
]

# (pattern in the authors' name, replacement); the first that matches wins.
DPC_NAMES = (
    (r"^agg\.cell_list\.0\.", "aggregator."),
    (r"^agg\.ConvGRUCell_00\.", "aggregator."),  # the same tensors under a second name
    (r"^network_pred\.(0|2)\.", r"predictors.0.\1."),
    (r"^final_bn\.", "norm."),
    (r"^final_fc\.1\.", "linear."),
    (r"^backbone\.", "backbone."),
)
MEMDPC_NAMES = (
    (r"^agg_f\.(cell_list\.0|ConvGRUCell_00)\.", "aggregator."),
    (r"^agg_b\.(cell_list\.0|ConvGRUCell_00)\.", "backward_aggregator."),
    (r"^network_pred\.", "address_head."),
    (r"^mb$", "memory"),
    (r"^final_bn\.", "norm."),
    (r"^final_fc\.1\.", "linear."),
)
# S3D's units a second time, under the stage that holds them.
S3D_ALIASES = {
    "1.0": "conv_1a", "2.1": "conv_2b", "2.2": "conv_2c", "3.1": "mixed_3b", "3.2": "mixed_3c",
    "4.1": "mixed_4b", "4.2": "mixed_4c", "4.3": "mixed_4d", "4.4": "mixed_4e", "4.5": "mixed_4f",
    "5.1": "mixed_5b", "5.2": "mixed_5c",
}  # fmt: skip
S3D_PARTS = (
    *((rf"\bblock{re.escape(stage)}\.", f"{unit}.") for stage, unit in S3D_ALIASES.items()),
    (r"\bConv_", "conv_"),
    (r"\bMixed_", "mixed_"),
)
COCLR_NAMES = tuple(
    (rf"^{theirs}\.{place}\.", f"{ours}.{part}.")
    for theirs, ours in (("encoder_q", "pair.query"), ("encoder_k", "pair.key"), ("sampler",) * 2)
    for place, part in ((0, "backbone"), (2, "head.0"), (4, "head.2"))
) + ((r"^final_bn\.", "norm."), (r"^final_fc\.\d\.", "linear."))
TOWER = "clipmodel."  # the frozen image-text model in their files of prompts
PROMPT_NAMES = (
    (r"^embedding\.weight$", "text.vectors"),
    (r"^temporalEmbedding\.weight$", "temporal.positions"),
    *(
        (rf"^temporalModelling\.resblocks\.(\d+)\.{theirs}\.", rf"temporal.blocks.\1.{ours}.")
        for theirs, ours in (
            ("ln_1", "norm_1"), ("attn", "attention"), ("ln_2", "norm_2"),
            (r"mlp\.c_fc", "mlp.0"), (r"mlp\.c_proj", "mlp.2"),
        )
    ),
)  # fmt: skip

VIDEOMAE_NAMES = (
    (r"^(encoder\.)?patch_embed\.proj\.", "encoder.patches."),
    *(
        (rf"^{start}blocks\.(\d+)\.{theirs}", rf"{part}.blocks.\1.{ours}")
        for start, part in (("(?:encoder\\.)?", "encoder"), ("decoder\\.", "decoder"))
        for theirs, ours in (
            (r"norm(\d)\.", r"norm_\2."), (r"attn\.proj\.", "attention.out."),
            (r"attn\.", "attention."), (r"mlp\.fc1\.", "mlp.0."), (r"mlp\.fc2\.", "mlp.2."),
        )
    ),
    (r"^(fc_norm|norm)\.", "encoder.norm."),
    (r"^encoder_to_decoder\.", "decoder.project."),
    (r"^mask_token$", "decoder.mask_token"),
    (r"^head\.", "linear."),
)  # fmt: skip
# The same network in transformers' names, to theirs; queries, keys and values are apart there.
TRANSFORMERS_NAMES = (
    (r"^videomae\.embeddings\.patch_embeddings\.projection\.", "encoder.patch_embed.proj."),
    (r"^videomae\.layernorm\.", "encoder.norm."),
    (r"^videomae\.encoder\.layer\.", "encoder.blocks."),
    (r"^decoder\.decoder_layers\.", "decoder.blocks."),
    (r"^classifier\.", "head."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layernorm_before\.", ".norm1."), (r"\.layernorm_after\.", ".norm2."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."), (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.query\.bias$", ".q_bias"), (r"\.value\.bias$", ".v_bias"),
)  # fmt: skip


@dataclass(frozen=True)
class LoadReport:
    """What a load did with every tensor.

    Attributes:
        mapped: Names of ours that were filled.
        unused: Names of theirs that nothing of ours takes.
        missing: Names of ours that nothing of theirs fills.
        compared: Names of theirs that were found equal in a frozen part which we hold already.
    """

    mapped: tuple[str, ...]
    unused: tuple[str, ...]
    missing: tuple[str, ...]
    compared: tuple[str, ...] = ()


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The state dict in one of the authors' files. Nothing in the file is executed.

    Raises:
        ThesisError: No such file, or not a checkpoint of tensors.
    """
    return read_told(path)[0]


def read_told(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The same, and what the file tells beside it in numbers and words: epoch, network, ...

    Raises:
        ThesisError: No such file, or not a checkpoint of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ThesisError(f"There is no checkpoint {path}: give the path of a downloaded file.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path), {}
        # Some files tell the settings of their training beside the weights, or a best accuracy as
        # a number of numpy's; they are plain data.
        with torch.serialization.safe_globals(PLAIN):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
        parts = (content.get(name) for name in ("state_dict", "model", "module"))
        state = next((part for part in parts if isinstance(part, Mapping)), content)
        tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        if not tensors:
            raise ValueError("no tensor")
        return tensors, {} if state is content else _told(content)
    except Exception as error:
        raise ThesisError(
            f"{path} is not a checkpoint that can be read safely: download it again, or convert it "
            f"to a plain state dict ({type(error).__name__})."
        ) from None


def _told(content: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and words of a checkpoint, in plain JSON."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1):
            value = value.item()
        if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
            found[str(name)] = value
    return found


def translate(
    state: Mapping[str, Tensor], names: tuple[tuple[str, str], ...], model: nn.Module
) -> tuple[dict[str, Tensor], LoadReport]:
    """The authors' ``state`` in our names, and what happened to every tensor.

    Axes of length one are removed where our layer has none (2-D or linear for 3-D), and second
    names of one tensor are merged.
    """
    own = model.state_dict()
    result: dict[str, Tensor] = {}
    unused = []
    for key, value in state.items():
        key = key.removeprefix("module.")
        new = _renamed(key, names)
        if new in own and value.squeeze().shape == own[new].squeeze().shape:
            value = value.reshape(own[new].shape)
        if new in own and own[new].shape == value.shape:
            result[new] = value
        else:
            unused.append(key)
    missing = tuple(k for k in own if k not in result)
    return result, LoadReport(tuple(result), tuple(unused), missing)


def _renamed(name: str, names: tuple[tuple[str, str], ...]) -> str:
    """A name of theirs as ours; as it is where no pattern matches."""
    return next((re.sub(p, r, name) for p, r in names if re.search(p, name)), name)


def load_dpc(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Fills a :class:`~thesislib.methods.dpc.DPC` or its classifier from the authors' tensors.

    Raises:
        ThesisError: Tensors of the model are not in ``state``; nothing is changed then.
    """
    return load_by_name(model, state, DPC_NAMES)


def load_memdpc(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Fills a :class:`~thesislib.methods.memdpc.MemDPC` or its classifier, likewise.

    A model of one direction leaves the tensors of the backward aggregator unused.

    Raises:
        ThesisError: Tensors of the model are not in ``state``; nothing is changed then.
    """
    return load_by_name(model, state, MEMDPC_NAMES)


def load_coclr(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Fills a model of chapter 4, its classifier or a bare S3D, likewise.

    The queue is not loaded, as in the released code: its features age while nobody trains.

    Raises:
        ThesisError: Tensors of the model are not in ``state``; nothing is changed then.
    """
    renamed = {}
    for name, value in state.items():
        for pattern, ours in S3D_PARTS:
            name = re.sub(pattern, ours, name)
        renamed[name] = value
    return load_by_name(model, renamed, COCLR_NAMES, without=("queue.",))


def load_clip_prompt(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Fills a :class:`~thesislib.methods.clip_prompt.ClipPrompt` of the released layout, likewise.

    The frozen text tower that their file holds as well (``clipmodel.``) is not loaded, but compared
    with the model's: the vectors mean nothing before another tower.

    Raises:
        ThesisError: Tensors of the model are not in ``state``, or the vectors were learnt before
            another tower; nothing is changed then.
    """
    compared = _same_tower(model, state)
    report = load_by_name(model, state, PROMPT_NAMES)
    unused = tuple(name for name in report.unused if name not in compared)
    return replace(report, unused=unused, compared=compared)


def load_videomae(
    model: nn.Module,
    state: Mapping[str, Tensor],
    fresh: tuple[str, ...] = ("encoder.cls", "linear."),
) -> LoadReport:
    """Fills a :class:`~thesislib.methods.turbo.Turbo` from VideoMAE's tensors, likewise.

    Both its own files are read and transformers' (``MCG-NJU/videomae-base``), pre-trained or
    fine-tuned. A fine-tuned file has no decoder: add ``"decoder."`` to ``fresh``, or build the
    model with ``recon_ratio=0``.

    Args:
        model: Of the file's width, depth and tubelet.
        state: Of :func:`read_checkpoint`.
        fresh: What begins so may stay as it was drawn where ``state`` has nothing of it; the
            report names it as missing.

    Raises:
        ThesisError: Other tensors of the model are not in ``state``, or of another shape; nothing
            is changed then.
    """
    theirs = {name.removeprefix("module."): value for name, value in state.items()}
    if any(name.startswith("videomae.") for name in theirs):
        theirs = _from_transformers(theirs)
    given = [_renamed(name, VIDEOMAE_NAMES) for name in theirs]
    drawn = tuple(part for part in fresh if not any(name.startswith(part) for name in given))
    return load_by_name(model, theirs, VIDEOMAE_NAMES, without=drawn)


def _from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Transformers' tensors in the authors' names, with queries, keys and values in one."""
    result: dict[str, Tensor] = {}
    for name, value in state.items():
        for pattern, new in TRANSFORMERS_NAMES:
            name = re.sub(pattern, new, name)
        result[name] = value
    for name in [n for n in result if n.endswith(".attn.query.weight")]:
        start = name.removesuffix("query.weight")
        parts = [result.pop(f"{start}{part}.weight") for part in ("query", "key", "value")]
        result[f"{start}qkv.weight"] = torch.cat(parts)
    return result


def _same_tower(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names in ``state`` of the tensors that the model's frozen text tower has as well."""
    text: Any = model.get_submodule("text")
    own: dict[str, Tensor] = text.tower.parts.state_dict()
    names = {f"{TOWER}{name}": tensor for name, tensor in own.items()}
    theirs = {name.removeprefix("module."): value for name, value in state.items()}
    shared = tuple(name for name in names if name in theirs)
    # One of the two may have been kept in half precision.
    different = [
        name
        for name in shared
        if theirs[name].shape != names[name].shape
        or not torch.allclose(theirs[name].float(), names[name].float().cpu(), 1e-3, 1e-3)
    ]
    if different:
        raise ThesisError(
            f"The checkpoint was learnt with another text tower: {len(different)} of {len(shared)} "
            f"tensors differ, the first is {different[0]}; take the authors' model (ViT-B-16, "
            "openai)."
        )
    return shared


def load_by_name(
    model: nn.Module,
    state: Mapping[str, Tensor],
    names: tuple[tuple[str, str], ...],
    without: tuple[str, ...] = (),
) -> LoadReport:
    """Fills ``model`` by a table of names; parts that begin as ``without`` says may be missing."""
    translated, report = translate(state, names, model)
    missing = [n for n in report.missing if not n.endswith("num_batches_tracked")]
    missing = [n for n in missing if not n.startswith(without)]
    if missing:
        raise ThesisError(
            f"The checkpoint does not fit: {len(missing)} tensors are missing, the first is "
            f"{missing[0]}; check network, width and the other settings against the file."
        )
    model.load_state_dict({**model.state_dict(), **translated})
    return report
