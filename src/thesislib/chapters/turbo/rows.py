"""The rows of chapter 6."""

from __future__ import annotations

from functools import partial
from typing import Any

from thesislib.chapters import clips
from thesislib.chapters.row import Row
from thesislib.chapters.turbo import action_scores, actions


def ratios(mask: float, recon: float) -> dict[str, Any]:
    """m and r."""
    return {"mask_ratio": mask, "recon_ratio": recon}


# -- action classification (6.5.1) -----------------------------------------------------------

_action = partial(
    Row, train=actions.trained, judges=(action_scores.judge,), settle=actions.settle,
    fingerprint=actions.fingerprint, more={"samples": action_scores.samples},
)  # fmt: skip
RUNS: dict[str, Any] = {"masking": "runs"}
# Of training clips half of the tokens change by less than 0.037, the camera's noise, and hardly any
# by 0.04 to 0.06: what changes less repeats. A clip keeps 54 % of its tokens, a batch of 16, which
# is as long as its longest, 73 %.
NOISE = 0.05
# What an epoch of decoded clips takes of one core in whole trainings, in s: m = 0: 17.3, m50-r50:
# 12.8, m75-r25: 8.7, m90-r10: 5.9. The epochs that fit into the four of m = 0: 5, 8 and 12.
TIMES = {0.5: 1.25, 0.75: 2.0, 0.9: 3.0}


def _as_long(name: str, changes: dict[str, Any]) -> Row:
    """As many processor seconds as with all tokens."""
    settle = partial(actions.settle, times=TIMES[changes["mask_ratio"]])
    return _action(f"{name}, equal time", changes=changes, settle=settle)


def _from(name: str, first: str) -> Row:
    """Table 6.2: trained on from others' weights, m = r = 0.5."""
    return _action(
        name, train=partial(actions.trained, first=first), judges=(action_scores.finetuned,),
        changes=ratios(0.5, 0.5), identity=partial(actions.identity, first),
    )  # fmt: skip


ROWS = {
    "turbo/chance": _action("chance", train=clips.nothing, judges=(action_scores.chance,), more={}),
    "turbo/random": _action(
        "random weights, linear probe", train=actions.untrained, judges=(action_scores.as_top1,),
        changes=ratios(0.0, 0.0), more={},
    ),
    "turbo/m0": _action("all tokens", changes=ratios(0.0, 0.0)),
    "turbo/m50-r50": _action("m = 0.5, r = 0.5", changes=ratios(0.5, 0.5)),
    "turbo/m50-r0": _action("m = 0.5, no reconstruction", changes=ratios(0.5, 0.0)),
    "turbo/m75-r75": _action("m = 0.75, r = 0.75", changes=ratios(0.75, 0.75)),
    "turbo/m75-r25": _action("m = 0.75, r = 0.25", changes=ratios(0.75, 0.25)),
    "turbo/m75-r0": _action("m = 0.75, no reconstruction", changes=ratios(0.75, 0.0)),
    "turbo/m90-r90": _action("m = 0.9, r = 0.9", changes=ratios(0.9, 0.9)),
    "turbo/m90-r10": _action("m = 0.9, r = 0.1", changes=ratios(0.9, 0.1)),
    "turbo/m90-r0": _action("m = 0.9, no reconstruction", changes=ratios(0.9, 0.0)),
    "turbo/m50-r50-time": _as_long("m = 0.5, r = 0.5", ratios(0.5, 0.5)),
    "turbo/m75-r25-time": _as_long("m = 0.75, r = 0.25", ratios(0.75, 0.25)),
    "turbo/m90-r10-time": _as_long("m = 0.9, r = 0.1", ratios(0.9, 0.1)),
    "turbo/runs-m50": _action("runs, m = 0.5", changes=RUNS | ratios(0.5, 0.0)),
    "turbo/runs-m75": _action("runs, m = 0.75", changes=RUNS | ratios(0.75, 0.0)),
    "turbo/runs-auto": _action(
        "runs, as many as there are", changes=RUNS | ratios(0.5, 0.0) | {"run_threshold": 0.1},
        small={"run_threshold": NOISE},
    ),
    "turbo/dual-m75-r25": _action(
        "dual masking", changes={"targets": "cells"} | ratios(0.75, 0.25)
    ),
    "turbo/tube-m75-r25": _action("tubes", changes={"masking": "tube"} | ratios(0.75, 0.25)),
    "turbo/mae": _action(
        "reconstruction alone", judges=(action_scores.probe,), more={},
        changes={"classes": 0} | ratios(0.9, 0.9),
    ),
    "turbo/from-mae": _from("from reconstruction", actions.PIXELS),
    "turbo/from-nce": _from("from video and language", actions.LANGUAGE),
}  # fmt: skip
