"""The rows of chapter 6."""

from __future__ import annotations

from functools import partial
from typing import Any

from thesislib.chapters import clips
from thesislib.chapters.row import Row
from thesislib.chapters.turbo import action_scores, actions, language, long_video, starts


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
# 12.8, m75-r25: 8.7, m75-r0: 7.0, m90-r10: 5.9. The epochs that fit into the four of m = 0.
TIMES = {(0.5, 0.5): 1.25, (0.75, 0.25): 2.0, (0.75, 0.0): 2.5, (0.9, 0.1): 3.0}


def _as_long(name: str, changes: dict[str, Any]) -> Row:
    """As many processor seconds as with all tokens."""
    times = TIMES[changes["mask_ratio"], changes["recon_ratio"]]
    settle = partial(actions.settle, times=times)
    return _action(f"{name}, equal time", changes=changes, settle=settle)


def _from(name: str, first: str) -> Row:
    """Table 6.2: trained on from others' weights, m = r = 0.5."""
    return _action(
        name, train=partial(actions.trained, first=first), judges=(action_scores.finetuned,),
        changes=ratios(0.5, 0.5),
        identity=partial(starts.identity, partial(actions.before, first)),
    )  # fmt: skip


# -- video and language (6.5.2) --------------------------------------------------------------

# A mirror image would make a lie of left and right, of which sentences tell.
UNMIRRORED: dict[str, Any] = {"augment.flip": 0.0}
# The studio's videos have two frames a second: a clip of eight is four seconds of a step of eight.
# A batch holds one room and actor (four videos of other activities): what is left to tell its
# sentences apart is what happens, and half as many of them mean the same (a pair in nine instead of
# one in five; of 76 steps). Tight crops would move what a sentence places to the left or right.
# Found on validation videos; twice the rate loses a tenth.
NCE_SMALL: dict[str, Any] = {"epochs": 8, "lr": 1e-3, "batch_groups": 1}
_pairs = partial(
    Row, judges=(language.judge,), settle=language.settle, fingerprint=language.fingerprint,
    identity=language.identity, home=language.HOME,
)  # fmt: skip
_nce = partial(_pairs, train=language.pretrained, small=NCE_SMALL)

# -- long videos (6.5.3) ---------------------------------------------------------------------

LONG_SMALL: dict[str, Any] = {"epochs": 16, "lr": 1e-3, "warmup": 16}
_long = partial(
    Row, train=long_video.trained, judges=(long_video.judge,), settle=long_video.settle,
    identity=partial(starts.identity, long_video.before), home=long_video.HOME, small=LONG_SMALL,
)  # fmt: skip


def spread(frames: int, mask: float, recon: float) -> dict[str, Any]:
    """So many frames over a whole video, with these ratios."""
    return UNMIRRORED | ratios(mask, recon) | {"seq_len": frames, "classes": 10}  # Breakfast's


ROWS = {
    # Actions: Tables 6.1 and 6.2.
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
    # What a training needs to come near its end.
    "turbo/m75-r0-long": _action(
        "m = 0.75, no reconstruction, long", changes=ratios(0.75, 0.0), small={"epochs": 40},
    ),
    "turbo/m50-r50-time": _as_long("m = 0.5, r = 0.5", ratios(0.5, 0.5)),
    "turbo/m75-r25-time": _as_long("m = 0.75, r = 0.25", ratios(0.75, 0.25)),
    "turbo/m75-r0-time": _as_long("m = 0.75, no reconstruction", ratios(0.75, 0.0)),
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
    "turbo/probe-nce": _action(
        "video and language, linear probe", train=partial(actions.taken, first=actions.SPOKEN),
        judges=(action_scores.as_top1,), changes=ratios(0.0, 0.0), more={},
        identity=partial(starts.identity, partial(actions.before, actions.SPOKEN)),
    ),
    # Video and language: Table 6.3.
    "turbo/nce-chance": Row(
        "a second at random", clips.nothing, (language.guessing,),
        fingerprint=language.fingerprint, settle=language.settle, home=language.HOME,
    ),
    "turbo/nce-random": _pairs(
        "random weights", train=language.untrained, changes=UNMIRRORED | ratios(0.75, 0.25),
        small=NCE_SMALL,
    ),
    "turbo/nce-m0": _nce("all tokens", changes=UNMIRRORED | ratios(0.0, 0.0)),
    "turbo/nce-m50-r50": _nce("m = 0.5, r = 0.5", changes=UNMIRRORED | ratios(0.5, 0.5)),
    "turbo/nce-m75-r25": _nce("m = 0.75, r = 0.25", changes=UNMIRRORED | ratios(0.75, 0.25)),
    "turbo/nce-m75-r25-time": _nce(
        "m = 0.75, r = 0.25, equal time", changes=UNMIRRORED | ratios(0.75, 0.25),
        small={**NCE_SMALL, "epochs": 16},
    ),
    "turbo/nce-heard": _nce(
        "m = 0.75, r = 0.25, times of speech",
        changes=UNMIRRORED | ratios(0.75, 0.25) | {"pairs": "heard"},
    ),
    # Long videos: Table 6.4.
    "turbo/long-f16": _long("F16", changes=spread(16, 0.5, 0.5)),
    "turbo/long-f32": _long("F32", changes=spread(32, 0.75, 0.25)),
    "turbo/long-f64": _long("F64", changes=spread(64, 0.875, 0.125)),
    "turbo/long-f32-mae": _long(
        "F32 from VideoMAE", train=partial(long_video.trained, start=long_video.from_pixels),
        changes=spread(32, 0.75, 0.25),
    ),
    "turbo/long-f32-scratch": _long(
        "F32 from random weights", train=partial(long_video.trained, start=None), identity=None,
        changes=spread(32, 0.75, 0.25),
    ),
    "turbo/long-f16-full": _long("F16, all tokens", changes=spread(16, 0.0, 0.0)),
}  # fmt: skip
