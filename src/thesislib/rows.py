"""The rows of the thesis's tables: which method each trains, and what it changes.

A row's key is ``chapter's method/row``, as in the ledger and in ``published.py``. Its settings are
the preset of its method, then what the row changes, then what the caller changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from thesislib.config import FULL_SCALE, choose
from thesislib.data.flow_files import read_note
from thesislib.data.manifest import read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    name: str  # as the thesis names it
    changes: Mapping[str, Any] = field(default_factory=dict)  # against the method's preset
    small: Mapping[str, Any] = field(default_factory=dict)  # instead, in the small profile
    trains: str = ""  # the method behind it, where the table is another chapter's
    start: str = ""  # the row whose weights start this one
    pretrain: bool = True
    fuse: tuple[str, ...] = ()  # late fusion of these rows: nothing is trained
    supervised: bool = False  # all labels, cross-entropy
    as_long: bool = False  # trained for the epochs that co-training has in all
    moments: bool = False  # judged on unintentional actions instead of classes


ONE_WAY, BOTH_WAYS = {"bidirectional": False}, {"bidirectional": True}
FLOW = {"modality": "flow"}
# TV-L1 of the studio takes two hours of one core as published, a quarter of it with fewer steps.
# A bound of 5 pixels is to a 64-pixel video what 20 are to one of 256.
FAST = {"flow.algorithm": "tvl1_fast", "flow.bound": 5.0}

ROWS = {
    "dpc/random": Row("random initialisation", pretrain=False),
    "dpc/5pred3": Row("DPC, 5pred3"),
    "dpc/parallel": Row("remove Seq.", {"sequential": False}),
    "dpc/pooled": Row("remove Map", {"dense": False}),
    "dpc/4pred4": Row("DPC, 4pred4", {"pred_step": 4}),
    "dpc/5pred3+4pred4": Row("DPC, 5pred3 then 4pred4", {"pred_step": 4}, start="dpc/5pred3"),
    # Not a row of the thesis: what per-frame colour is worth, see thesis 2.3.3.
    "dpc/clip-wise": Row(
        "colour per clip", {"augment.grey_scope": "clip", "augment.jitter_scope": "clip"}
    ),
    "memdpc/dpc": Row("DPC", trains="dpc"),
    "memdpc/random-rgb": Row("random initialisation", ONE_WAY, pretrain=False),
    "memdpc/random-flow": Row("random, flow", ONE_WAY | FLOW, FAST, pretrain=False),
    "memdpc/random-2stream": Row(
        "random, two streams", fuse=("memdpc/random-rgb", "memdpc/random-flow")
    ),
    # The small profile has an eighth of the memory, as it has a fraction of the videos.
    "memdpc/rgb-m512": Row(
        "half the memory", ONE_WAY | {"memory_slots": 512}, {"memory_slots": 64}
    ),
    "memdpc/rgb": Row("MemDPC", ONE_WAY),
    "memdpc/rgb-m2048": Row(
        "twice the memory", ONE_WAY | {"memory_slots": 2048}, {"memory_slots": 256}
    ),
    "memdpc/flow": Row("MemDPC, flow", ONE_WAY | FLOW, FAST),
    "memdpc/2stream": Row("MemDPC, two streams", fuse=("memdpc/rgb", "memdpc/flow")),
    "memdpc/bd-rgb": Row("both directions", BOTH_WAYS),
    "memdpc/bd-flow": Row("both directions, flow", BOTH_WAYS | FLOW, FAST),
    # The thesis pre-trains on the task's own training videos as well; ours on actions alone.
    "memdpc/oops": Row("MemDPC, unintentional actions", ONE_WAY, moments=True),
    "memdpc/oops-random": Row("random, unintentional", ONE_WAY, pretrain=False, moments=True),
    "memdpc/bd-2stream": Row("both, two streams", fuse=("memdpc/bd-rgb", "memdpc/bd-flow")),
}


# Chapter 4 needs the flow of a whole set in every `make book`: TV-L1 with far fewer steps.
QUICK = {"flow.algorithm": "tvl1_quick", "flow.bound": 5.0}


def _chapter4() -> dict[str, Row]:
    def one(name: str, objective: str, **changes: Any) -> Row:
        flow = changes.get("modality") == "flow"
        both = objective not in ("infonce", "ubernce")
        return Row(
            name,
            {"objective": objective, **changes},
            QUICK if flow or both else {},
            as_long=objective not in ("coclr", "simultaneous"),
        )

    return {
        # Not rows of the thesis: where the two streams start from.
        "coclr/random-rgb": Row("random initialisation, RGB", pretrain=False),
        "coclr/random-flow": Row("random initialisation, flow", FLOW, QUICK, pretrain=False),
        "coclr/infonce-rgb": one("InfoNCE, RGB", "infonce"),
        "coclr/infonce-flow": one("InfoNCE, flow", "infonce", **FLOW),
        "coclr/uber-rgb": one("UberNCE, RGB", "ubernce"),
        "coclr/cross-entropy": Row(
            "cross-entropy, RGB", pretrain=False, supervised=True, as_long=True
        ),
        "coclr/cmc": one("CMC", "cmc"),
        "coclr/coclr-rgb": one("CoCLR, RGB", "coclr"),
        "coclr/coclr-flow": one("CoCLR, flow", "coclr", **FLOW),
        "coclr/coclr-2stream": Row(
            "CoCLR, two streams", fuse=("coclr/coclr-rgb", "coclr/coclr-flow")
        ),
        "coclr/coclr-rgb-k1": one("CoCLR, K = 1", "coclr", topk=1),
        "coclr/coclr-rgb-k50": one("CoCLR, K = 50", "coclr", topk=50),
        "coclr/coclr-rgb-sim": one("CoCLR, simultaneous", "simultaneous"),
    }


ROWS |= _chapter4()
HEADLINE = {"dpc": "dpc/5pred3", "memdpc": "memdpc/rgb", "coclr": "coclr/coclr-rgb"}


def method_name(row: str) -> str:
    """The method that a row trains."""
    return ROWS[choose("row", row, ROWS)].trains or row.partition("/")[0]


def row_method(row: str) -> ModuleType:
    """The module of that method: its ``CONFIG`` and ``MODEL``."""
    return importlib.import_module(f"thesislib.methods.{method_name(row)}")


def row_config(
    row: str, profile: str, dataset: str, seed: int, changes: Mapping[str, Any] | None = None
) -> Any:
    """The resolved settings of pre-training one row."""
    entry = ROWS[choose("row", row, ROWS)]
    config: Any = row_method(row).CONFIG.preset(profile)
    home = config.dataset == dataset  # the data set that the preset was made for
    config = config.override({"dataset": dataset, "seed": seed}).override(entry.changes)
    if profile == "small":
        small = {k: v for k, v in entry.small.items() if home or not k.startswith("flow.")}
        config = config.override(small)
    if not home and config.streams != "rgb":
        config = config.override({"flow": _flow_at_hand(dataset)})
    config = config.override(changes or {})
    if entry.as_long:
        last = config.epochs
        config = config.override({"epochs": last + config.cycles * config.cycle_epochs})
        # The rate falls as long before the end as in the shorter training.
        moved = [config.epochs - (last - m) for m in config.milestones]
        config = config.override({"milestones": moved})
    return config


# What the released tests do, and how long MemDPC is fine-tuned: its second milestone has no effect.
AS_RELEASED: dict[str, dict[str, Any]] = {
    "dpc": {"protocol": "as_released_dpc"},
    "memdpc": {"protocol": "as_released", "epochs": 500, "milestones": (300,)},
    "coclr": {"protocol": "as_released_coclr"},
}


def row_tuning(row: str, config: Any, changes: Mapping[str, Any] | None = None) -> FinetuneConfig:
    """The settings of fine-tuning one row: the same for all rows of a table.

    Args:
        row: A key of :data:`ROWS`.
        config: Settings of its pre-training, as :func:`row_config` gives them. Profile, data set,
            seed, the stream, its flow and, in chapter 4, the clips are theirs.
        changes: Settings of fine-tuning that differ from these.
    """
    profile = config.profile
    tuning = FinetuneConfig.preset(profile)
    tuning = tuning.override({"dataset": config.dataset, "seed": config.seed})
    if row.startswith("memdpc/") and profile != "small":
        tuning = tuning.override({"dropout": 0.9})  # thesis 3.5.3
    if profile == "as_released":
        tuning = tuning.override(AS_RELEASED.get(row.partition("/")[0], {}))
    if row.startswith("coclr/"):
        tuning = tuning.override(clip_tuning(config))
    stream = {"modality": config.modality, "flow": dataclasses.asdict(config.flow)}
    return tuning.override(stream).override(changes or {})


def clip_tuning(config: Any) -> dict[str, Any]:
    """What fine-tuning changes for the networks of chapter 4 (4.4.3; rates as released).

    The same clips and augmentation as in pre-training, except blur.
    """
    changes = {name: getattr(config, name) for name in ("num_seq", "seq_len", "stride", "size")}
    changes["augment"] = dataclasses.asdict(dataclasses.replace(config.augment, blur_p=0.0))
    if config.profile in FULL_SCALE:
        changes |= {"epochs": 500, "milestones": (400, 450), "batch_size": 64, "short": "pad"}
        changes |= {"dropout": 0.9, "backbone_lr": 0.1, "crops": 10}
    return changes


def _flow_at_hand(dataset: str) -> dict[str, Any]:
    """The settings of the flow that was computed for a data set; none before it was."""
    with contextlib.suppress(ThesisError):
        note = read_note(read_manifest(dataset))
        return dict(note["settings"])
    return {}
