"""The rows of chapter 6."""

from __future__ import annotations

from functools import partial
from typing import Any

from thesislib.chapters import clips
from thesislib.chapters.row import Row
from thesislib.chapters.turbo import language, long_video


def ratios(mask: float, recon: float) -> dict[str, Any]:
    """m and r."""
    return {"mask_ratio": mask, "recon_ratio": recon}


# -- video and language (6.5.2) --------------------------------------------------------------

# A mirror image would make a lie of left and right, of which sentences tell.
UNMIRRORED: dict[str, Any] = {"augment.flip": 0.0}
# The studio's videos have two frames a second: a clip of eight is four seconds of a step of eight.
# A batch holds one room and actor (four videos of other activities): what is left to tell its
# sentences apart is what happens, and half as many of them mean the same (a pair in nine instead of
# one in five; of 76 steps). Tight crops would move what a sentence places to the left or right.
# Found on validation videos; twice the rate loses a tenth.
NCE_SMALL: dict[str, Any] = {
    "stride": 1, "epochs": 10, "val_every": 10, "batch_groups": 1, "augment.crop_area": (0.8, 1.0)
}  # fmt: skip
_pairs = partial(
    Row, judges=(language.judge,), settle=language.settle, fingerprint=language.fingerprint,
    identity=language.identity, home=language.HOME,
)  # fmt: skip
_nce = partial(_pairs, train=language.pretrained, small=NCE_SMALL)

# -- long videos (6.5.3) ---------------------------------------------------------------------

LONG_SMALL: dict[str, Any] = {"stride": 1, "epochs": 20, "val_every": 20, "warmup": 16}
_long = partial(
    Row, train=long_video.trained, judges=(long_video.judge,), settle=long_video.settle,
    identity=long_video.identity, home=long_video.HOME, small=LONG_SMALL,
)  # fmt: skip


def spread(frames: int, mask: float, recon: float) -> dict[str, Any]:
    """So many frames over a whole video, with these ratios."""
    return UNMIRRORED | ratios(mask, recon) | {"seq_len": frames}


ROWS = {
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
    "turbo/nce-heard": _nce(
        "m = 0.75, r = 0.25, times of speech",
        changes=UNMIRRORED | ratios(0.75, 0.25) | {"pairs": "heard"},
    ),
    "turbo/long-f16": _long("F16", changes=spread(16, 0.5, 0.5)),
    "turbo/long-f32": _long("F32", changes=spread(32, 0.75, 0.25)),
    "turbo/long-f64": _long("F64", changes=spread(64, 0.875, 0.125)),
    "turbo/long-f32-mae": _long(
        "F32 from VideoMAE", train=partial(long_video.trained, start=long_video.from_pixels),
        changes=spread(32, 0.75, 0.25),
    ),
    "turbo/long-f32-scratch": _long(
        "F32 from random weights", train=partial(long_video.trained, start=None),
        changes=spread(32, 0.75, 0.25),
    ),
    "turbo/long-f16-full": _long("F16, all tokens", changes=spread(16, 0.0, 0.0)),
}  # fmt: skip
