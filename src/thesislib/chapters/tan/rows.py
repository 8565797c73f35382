"""The rows of chapter 7."""

from __future__ import annotations

from functools import partial
from typing import Any

from thesislib.chapters import clips
from thesislib.chapters.row import Row
from thesislib.chapters.tan import end_to_end, judging, learning, lookup, narrated, steps
from thesislib.subtitles.placing import PRIOR

FIRST, SECOND = "tan/a", "tan/d"
TWO: dict[str, Any] = {"stage": 2}
# The thesis's text to the letter, as the preset `paper` has it.
LITERAL: dict[str, Any] = {
    "negatives": "own", "joint_negatives": "own", "sides": "text", "random_offset": False,
    "sharpened": False, "agreement": 0.0, "deduplicated": False, "confidence_inside": True,
    "label_by_median": False, "edge": 0.0,
}  # fmt: skip
ALONE: dict[str, Any] = {"depth": 0, "joint_depth": 0}  # each second for itself
RANDOM: dict[str, Any] = {"one_space": False, "epochs": 38, "val_every": 38}
# On validation videos (frame accuracy, two seeds; 46.0 before): lr 1e-4 47.9, 3e-4 51.4, 1e-3 49.1;
# softness 0.1 in the place of 1 gains nothing at either of the first two rates.
LISTED: dict[str, Any] = {"epochs": 4, "lr": 3e-4, "val_every": 4}
FASTER: dict[str, Any] = {"lr": 2e-3}  # on validation videos better than the others' rate
# Turbo's encoder on pairs of clips and sentences, as in chapter 6: a mirror image would make a lie
# of left and right, a batch holds one room and actor. Some 2,400 sentences are aligned and 4,400
# heard: five passes over the first are 830 steps, three over the others 860.
PIXELS: dict[str, Any] = {"augment.flip": 0.0, "mask_ratio": 0.75, "recon_ratio": 0.0}
PIXELS_SMALL: dict[str, Any] = {"epochs": 5, "lr": 1e-3, "batch_groups": 1}

_row = partial(Row, fingerprint=narrated.fingerprint, home=SECOND)
_judged = partial(_row, judges=(lookup.judge, steps.judge, judging.judge))
_stage_1 = partial(_judged, train=learning.trained, identity=learning.identity)
_pixels = partial(
    Row, train=end_to_end.trained, judges=(end_to_end.judge,), method="turbo",
    settle=end_to_end.settle, identity=end_to_end.identity, fingerprint=narrated.fingerprint,
    home="tan/end-to-end",
)  # fmt: skip


def _from(name: str, first: str, small: dict[str, Any] | None = None, **changes: Any) -> Row:
    """Trained on from another row."""
    return _judged(
        name, train=partial(learning.trained, first=first), changes=changes, small=small or {},
        identity=partial(learning.identity_from, first=first),
    )  # fmt: skip


def _near(name: str, row: str, **changes: Any) -> Row:
    """A row with the prior on the time of speech."""
    return _row(
        name, train=partial(learning.another, row=row), changes=changes,
        judges=(partial(judging.judge, prior=PRIOR),),
        identity=partial(learning.identity_like, row=row),
    )  # fmt: skip


ROWS = {
    # What needs no training.
    "tan/chance": _row("a second at random", train=clips.nothing, judges=(judging.chance,)),
    "tan/stamps": _row(
        "seen when it is heard", train=clips.nothing, judges=(judging.stamps,)
    ),
    "tan/zero-shot": _row(
        "cosines of the frozen encoder", train=clips.nothing,
        judges=(lookup.judge, steps.judge, judging.zero_shot), identity=learning.identity,
    ),
    # Stage 1, and its equals in time.
    "tan/a": _stage_1("stage 1"),
    "tan/b": _stage_1(
        "stage 1, half the layers", changes={"depth": 3, "joint_depth": 3},
        small={"depth": 1, "joint_depth": 1},
    ),
    "tan/cont": _from("stage 1, as long as both stages", FIRST),
    # Stage 2.
    "tan/c": _from("stage 2, alpha = 0.25", FIRST, **TWO, alpha=0.25),
    "tan/d": _from("stage 2, alpha = 0.5", FIRST, **TWO),
    "tan/e": _from("stage 2, alpha = 0.75", FIRST, **TWO, alpha=0.75),
    "tan/d-dual": _from("stage 2, the dual encoder decides", FIRST, **TWO, deciders="dual"),
    "tan/d-joint": _from("stage 2, the joint encoder decides", FIRST, **TWO, deciders="joint"),
    "tan/d-stamps": _from("stage 2, times as spoken", FIRST, **TWO, retime=False),
    "tan/d-no-ema": _from("stage 2, no slow copy", FIRST, **TWO, momentum=0.0),
    "tan/d-literal": _from("stage 2, by the letter of the thesis", FIRST, **TWO, **LITERAL),
    # On lists of steps; the thesis tunes for fifty epochs.
    "tan/d-finetuned": Row(
        "stage 2, tuned on lists of steps", train=partial(learning.trained, first=SECOND),
        judges=(steps.judge,), changes={"stage": 3, "epochs": 50}, small=LISTED,
        fingerprint=narrated.fingerprint, settle=learning.on_own_data,
        identity=partial(learning.identity_from, first=SECOND),
    ),
    # A network that sees pixels, on what was aligned and on what is heard.
    "tan/end-to-end": _pixels(
        "trained on aligned sentences", changes=PIXELS | {"pairs": "aligned"}, small=PIXELS_SMALL
    ),
    "tan/end-to-end-heard": _pixels(
        "trained on sentences as heard", changes=PIXELS | {"pairs": "heard"},
        small=PIXELS_SMALL | {"epochs": 3},
    ),
    "tan/end-to-end-random": _pixels(
        "random weights", train=end_to_end.untrained, changes=PIXELS | {"pairs": "heard"},
    ),
    # Context.
    "tan/a-32": _stage_1("stage 1, 32 s", changes={"seconds": 32}),
    "tan/f": _from("stage 2, 32 s", "tan/a-32", **TWO, seconds=32),
    "tan/a-128": _stage_1("stage 1, 128 s", changes={"seconds": 128}),
    "tan/g": _from("stage 2, 128 s", "tan/a-128", **TWO, seconds=128),
    # Each second for itself.
    "tan/alone": _stage_1("stage 1, no Transformer", changes=ALONE, small=FASTER),
    "tan/alone-cont": _from(
        "stage 1, no Transformer, as long as both stages", "tan/alone", FASTER, **ALONE
    ),
    "tan/alone-2": _from(
        "stage 2, no Transformer", "tan/alone", FASTER, **TWO, **ALONE, deciders="dual"
    ),
    # From random projections, as the thesis's: a space has to be learnt, and takes longer.
    "tan/random": _stage_1("stage 1 from random projections", small=RANDOM),
    "tan/random-cont": _from(
        "stage 1 from random projections, as long as both stages", "tan/random", RANDOM
    ),
    "tan/random-2": _from("stage 2 from random projections", "tan/random", RANDOM, **TWO),
    # With the prior on the time of speech.
    "tan/zero-shot-prior": _row(
        "cosines of the frozen encoder, near the speech", train=clips.nothing,
        judges=(partial(judging.zero_shot, prior=PRIOR),), identity=learning.identity,
    ),
    "tan/a-prior": _near("stage 1, near the speech", FIRST),
    "tan/d-prior": _near("stage 2, near the speech", SECOND, **TWO),
}  # fmt: skip
