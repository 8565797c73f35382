"""What the thesis asserts in chapter 2, each as a comparison of rows of the ledger."""

from __future__ import annotations

from thesislib.claims import FROZEN, Above, Greater, Rises, by_readers

CONTEXT = ("probe_context_top1", "retrieval_context_r1")

# fmt: off
CLAIMS: tuple[Above | Greater | Rises, ...] = (
    *by_readers("dpc-pretraining", "2.1", "dpc/5pred3", "dpc/random",
        "Pre-training with DPC beats random weights, {}.", FROZEN + CONTEXT),
    Above("dpc-times", "2.1", "dpc/5pred3", "pretext_top1_temporal", 1 / 3,
        "DPC tells the right moment from the clip's two others more often than guessing."),
    # Ours: the thesis's batches are all drawn at large.
    *by_readers("dpc-batches", "2.1", "dpc/5pred3", "dpc/at-large",
        "Batches of one session teach more than batches at large, {}.", FROZEN + CONTEXT),
    *by_readers("dpc-at-large", "2.1", "dpc/at-large", "dpc/random",
        "Batches at large beat random weights, {}.", FROZEN + CONTEXT),
    *by_readers("dpc-dense", "2.1", "dpc/5pred3", "dpc/pooled",
        "Predicting the dense feature map beats predicting one pooled vector, {}."),
    *by_readers("dpc-sequential", "2.1", "dpc/5pred3", "dpc/parallel",
        "Predicting the steps one after the other beats predicting them in parallel, {}."),
    # Of thesis 2.3.3, which has no number for it.
    *by_readers("dpc-colours", "2.1", "dpc/5pred3", "dpc/clip-wise",
        "Colours drawn anew for each frame beat colours drawn once a clip, {}."),
    Greater("dpc-more-data", "2.2", "dpc/5pred3-more-data", "dpc/5pred3",
        "A larger, more varied pre-training set gives a better representation."),
    Rises("dpc-pretext-downstream", "2.3", "dpc/5pred3",
        "pretext_top1", ("finetune_top1", "probe_top1"),
        "A higher pretext accuracy comes with a higher downstream accuracy."),
    Greater("dpc-longer-is-harder", "2.3", "dpc/5pred3", "dpc/4pred4",
        "Predicting four steps from four is a harder pretext task than three from five.",
        "pretext_top1"),
    Greater("dpc-curriculum", "2.3", "dpc/5pred3+4pred4", "dpc/4pred4",
        "The curriculum from 5pred3 to 4pred4 beats 4pred4 from scratch."),
    Greater("dpc-further", "2.3", "dpc/5pred3+4pred4", "dpc/5pred3",
        "The curriculum that predicts further beats 5pred3 alone."),
)
# fmt: on
