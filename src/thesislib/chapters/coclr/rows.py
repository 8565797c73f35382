"""The rows of chapter 4."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from thesislib.chapters import clips
from thesislib.chapters.coclr.cycles import cycles
from thesislib.chapters.row import Job, Row
from thesislib.config import FULL_SCALE
from thesislib.errors import ThesisError

FLOW = {"modality": "flow"}
# The whole set's flow is needed in every `make book`: TV-L1 with far fewer steps.
QUICK = {"flow.algorithm": "tvl1_quick", "flow.bound": 5.0}


def tuning(config: Any, changes: Mapping[str, Any]) -> Any:
    """Fine-tuning on the same clips and augmentation as pre-training, except blur (4.4.3).

    Rates are as released.
    """
    own: dict[str, Any] = {
        name: getattr(config, name) for name in ("num_seq", "seq_len", "stride", "size")
    }
    own["augment"] = dataclasses.asdict(dataclasses.replace(config.augment, blur_p=0.0))
    if config.profile in FULL_SCALE:
        own |= {"epochs": 500, "milestones": (400, 450), "batch_size": 64, "short": "pad"}
        own |= {"dropout": 0.9, "backbone_lr": 0.1, "crops": 10}
    if config.profile == "as_released":
        own |= {"protocol": "as_released_coclr"}
    return clips.tuning(config, changes, **own)


def as_long(config: Any, job: Job) -> Any:
    """Trained for the epochs that each network of the cycles has in all."""
    if config.sampler:
        raise ThesisError(f"{job.row} mines nothing, so leave sampler out; the cycles name theirs.")
    config, last = clips.flow_at_hand(config, job), config.epochs
    epochs = last + config.cycles * config.cycle_epochs
    # The rate falls as long before the end as in the shorter training.
    moved = tuple(epochs - (last - m) for m in config.milestones)
    return dataclasses.replace(config, epochs=epochs, milestones=moved)


_row = partial(Row, judges=(clips.judge,), more=clips.MORE, tuning=tuning)
_random = partial(_row, train=clips.untrained, settle=clips.flow_at_hand)
_alone = partial(_row, train=clips.pretrain, settle=as_long)
_mined = partial(_row, train=cycles, settle=clips.flow_at_hand, small=QUICK)
COCLR = {"objective": "coclr"}
# On Kinetics-400: one cycle, shorter stages, a longer queue (4.4.2).
K400 = COCLR | {"dataset": "kinetics400", "cycles": 1, "cycle_epochs": 50, "queue": 16384}

ROWS = {
    # Not rows of the thesis: where the two streams start from.
    "coclr/random-rgb": _random("random initialisation, RGB"),
    "coclr/random-flow": _random("random initialisation, flow", changes=FLOW, small=QUICK),
    "coclr/infonce-rgb": _alone("InfoNCE, RGB", changes={"objective": "infonce"}),
    "coclr/infonce-flow": _alone(
        "InfoNCE, flow", changes={"objective": "infonce"} | FLOW, small=QUICK
    ),
    "coclr/uber-rgb": _alone("UberNCE, RGB", changes={"objective": "ubernce"}),
    "coclr/cross-entropy": _random(
        "cross-entropy, RGB", judges=(clips.supervised,), more={}, settle=as_long
    ),
    "coclr/cmc": _alone("CMC", changes={"objective": "cmc"}, small=QUICK),
    "coclr/coclr-rgb": _mined("CoCLR, RGB", changes=COCLR),
    "coclr/coclr-flow": _mined("CoCLR, flow", changes=COCLR | FLOW),
    "coclr/coclr-2stream": clips.fused("CoCLR, two streams", "coclr/coclr-rgb", "coclr/coclr-flow"),
    "coclr/coclr-rgb-more-data": _mined("CoCLR, RGB, more videos", changes=K400),
    "coclr/coclr-flow-more-data": _mined("CoCLR, flow, more videos", changes=K400 | FLOW),
    "coclr/coclr-2stream-more-data": clips.fused(
        "CoCLR, two streams, more videos",
        "coclr/coclr-rgb-more-data",
        "coclr/coclr-flow-more-data",
    ),
    "coclr/coclr-rgb-k1": _mined("CoCLR, K = 1", changes=COCLR | {"topk": 1}),
    "coclr/coclr-rgb-k50": _mined("CoCLR, K = 50", changes=COCLR | {"topk": 50}),
    "coclr/coclr-rgb-sim": _mined("CoCLR, simultaneous", changes={"objective": "simultaneous"}),
}
