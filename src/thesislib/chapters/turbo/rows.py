"""The rows of chapter 6."""

from __future__ import annotations

from functools import partial
from typing import Any

from thesislib.chapters import clips
from thesislib.chapters.row import Row
from thesislib.chapters.turbo import language


def ratios(mask: float, recon: float) -> dict[str, Any]:
    """m and r."""
    return {"mask_ratio": mask, "recon_ratio": recon}


# -- video and language (6.5.2) --------------------------------------------------------------

# A mirror image would make a lie of left and right, of which sentences tell.
UNMIRRORED: dict[str, Any] = {"augment.flip": 0.0}
# The studio's videos have two frames a second: a clip of eight is four seconds of a step of eight.
NCE_SMALL: dict[str, Any] = {"stride": 1, "epochs": 10, "val_every": 10}
_pairs = partial(
    Row, judges=(language.judge,), settle=language.settle, fingerprint=language.fingerprint,
    identity=language.identity, home=language.HOME,
)  # fmt: skip
_nce = partial(_pairs, train=language.pretrained, small=NCE_SMALL)

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
}  # fmt: skip
