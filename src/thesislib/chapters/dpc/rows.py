"""The rows of chapter 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from thesislib.chapters import clips, run
from thesislib.chapters.row import Job, Row
from thesislib.train import Trained

# The larger network and pictures of Table 2.4, on more videos.
LARGE: dict[str, Any] = {"dataset": "kinetics400", "network": "resnet34", "size": 224}


def tuning(config: Any, changes: Mapping[str, Any], **own: Any) -> Any:
    """Fine-tuning as in thesis 2.4; the released test leaves short videos out."""
    own |= {"protocol": "as_released_dpc"} if config.profile == "as_released" else {}
    return clips.tuning(config, changes, **own)


def curriculum(job: Job, first: str, **alike: Any) -> Trained:
    """Half of the steps for each task: ``first``, then this row's from its weights.

    Args:
        job: Of the second task.
        first: Row of the first task.
        alike: Settings of it that are this row's.
    """
    config = run.settings(job)
    half = config.epochs // 2
    before = run.train(job.also(first, epochs=half, **alike))
    assert before.run is not None
    config = replace(config, epochs=config.epochs - half, init=before.run.name)
    return clips.pretrain_with(job, config, before.run.load_into)


_row = partial(
    Row, judges=(clips.judge,), more=clips.MORE, tuning=tuning, settle=clips.flow_at_hand
)
_trained = partial(_row, train=clips.pretrain)
_further = partial(curriculum, first="dpc/5pred3")

ROWS = {
    "dpc/random": _row("random initialisation", train=clips.untrained),
    "dpc/5pred3": _trained("DPC, 5pred3"),
    "dpc/parallel": _trained("remove Seq.", changes={"sequential": False}),
    "dpc/pooled": _trained("remove Map", changes={"dense": False}),
    "dpc/4pred4": _trained("DPC, 4pred4", changes={"pred_step": 4}),
    "dpc/5pred3+4pred4": _row("DPC, 5pred3 then 4pred4", train=_further, changes={"pred_step": 4}),
    "dpc/5pred3-more-data": _trained("DPC, 5pred3", changes={"dataset": "kinetics400"}),
    "dpc/5pred3+4pred4-r34-224": _row(
        "DPC, larger",
        train=partial(_further, **LARGE),
        changes={"pred_step": 4, **LARGE},
        tuning=partial(tuning, size=LARGE["size"]),
    ),
    # Not a row of the thesis, whose batches are all like this: the same training in as many steps,
    # with clips of any videos in a batch. The page shows what our batches of one session do.
    "dpc/at-large": _trained(
        "batches at large", changes={"batch_groups": 0, "batch_clips": 1}, small={"epochs": 10}
    ),
    # Not a row of the thesis: what per-frame colour is worth, see thesis 2.3.3.
    "dpc/clip-wise": _trained(
        "colour per clip", changes={"augment.grey_scope": "clip", "augment.jitter_scope": "clip"}
    ),
}
