"""What the thesis asserts in chapter 3, each as a comparison of rows of the ledger."""

from __future__ import annotations

from thesislib.claims import Greater

# fmt: off
CLAIMS: tuple[Greater, ...] = (
    Greater("memdpc-pretraining", "3.1", "memdpc/rgb", "memdpc/random-rgb",
        "Pre-training with MemDPC beats random initialisation after the same fine-tuning."),
    Greater("memdpc-memory", "3.1", "memdpc/rgb", "memdpc/dpc",
        "Predicting out of a compressive memory beats DPC's prediction from the context."),
    Greater("memdpc-smaller-memory", "3.1", "memdpc/rgb", "memdpc/rgb-m512",
        "1024 slots beat half as many."),
    Greater("memdpc-larger-memory", "3.1", "memdpc/rgb", "memdpc/rgb-m2048",
        "1024 slots beat twice as many."),
    Greater("memdpc-both-directions", "3.1", "memdpc/bd-rgb", "memdpc/rgb",
        "Predicting in both directions beats predicting the future alone, on RGB."),
    Greater("memdpc-both-directions-flow", "3.1", "memdpc/bd-flow", "memdpc/flow",
        "Predicting in both directions beats predicting the future alone, on flow."),
    Greater("memdpc-flow-pretraining", "3.1", "memdpc/flow", "memdpc/random-flow",
        "Pre-training on optical flow beats random initialisation on flow."),
    Greater("memdpc-flow", "3.1", "memdpc/flow", "memdpc/rgb",
        "MemDPC on optical flow beats MemDPC on RGB."),
    Greater("memdpc-two-streams", "3.1", "memdpc/2stream", "memdpc/flow",
        "Both streams together beat flow alone."),
    Greater("memdpc-retrieval-flow", "3.3", "memdpc/flow", "memdpc/rgb",
        "Neighbours by flow show the same action more often than neighbours by RGB.",
        "retrieval_r1"),
    Greater("memdpc-two-streams-rgb", "3.1", "memdpc/2stream", "memdpc/rgb",
        "Both streams together beat RGB alone."),
    Greater("memdpc-probe", "3.2", "memdpc/rgb", "memdpc/random-rgb",
        "Frozen features of MemDPC beat those of random weights, by a linear probe.", "probe_top1"),
    Greater("memdpc-nonlinear", "3.2", "memdpc/rgb", "memdpc/rgb",
        "A small network reads more out of frozen features than a linear layer.",
        "nonlinear_top1", "probe_top1", quoted="memdpc/2stream-more-data"),
    Greater("memdpc-retrieval", "3.3", "memdpc/rgb", "memdpc/random-rgb",
        "Neighbours by MemDPC show the same action more often than neighbours by random weights.",
        "retrieval_r1"),
)
# fmt: on
