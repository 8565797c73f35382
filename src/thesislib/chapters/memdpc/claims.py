"""What the thesis asserts in chapter 3, each as a comparison of rows of the ledger."""

from __future__ import annotations

from thesislib.claims import FROZEN, Above, Greater, by_readers

ALL = (*FROZEN, "probe_z_top1", "retrieval_z_r1")

# fmt: off
CLAIMS: tuple[Above | Greater, ...] = (
    *by_readers("memdpc-pretraining", "3.1", "memdpc/rgb", "memdpc/random-rgb",
        "Pre-training with MemDPC on RGB beats random weights, {}.", ALL),
    Above("memdpc-times", "3.1", "memdpc/rgb", "pretext_top1_temporal", 1 / 3,
        "MemDPC on RGB tells the right moment from the two others more often than guessing."),
    Greater("memdpc-memory", "3.1", "memdpc/rgb", "memdpc/dpc",
        "Predicting out of a compressive memory beats DPC's prediction from the context, "
        "fine-tuned."),
    Greater("memdpc-memory-probe", "3.1", "memdpc/rgb", "memdpc/dpc",
        "Predicting out of a memory beats the context, by linear probe of the context.",
        "probe_top1", "probe_context_top1"),
    Greater("memdpc-memory-retrieval", "3.1", "memdpc/rgb", "memdpc/dpc",
        "Predicting out of a memory beats the context, by nearest neighbours in it.",
        "retrieval_r1", "retrieval_context_r1"),
    Greater("memdpc-smaller-memory", "3.1", "memdpc/rgb", "memdpc/rgb-m512",
        "A memory of the usual size (1024 slots; 128 here) beats half as many."),
    Greater("memdpc-larger-memory", "3.1", "memdpc/rgb", "memdpc/rgb-m2048",
        "A memory of the usual size beats twice as many."),
    *by_readers("memdpc-both-directions", "3.1", "memdpc/bd-rgb", "memdpc/rgb",
        "Predicting in both directions beats predicting the future alone, on RGB, {}."),
    *by_readers("memdpc-both-directions-flow", "3.1", "memdpc/bd-flow", "memdpc/flow",
        "Predicting in both directions beats predicting the future alone, on flow, {}."),
    *by_readers("memdpc-flow-pretraining", "3.1", "memdpc/flow", "memdpc/random-flow",
        "Pre-training with MemDPC on optical flow beats random weights, {}.", ALL),
    Above("memdpc-times-flow", "3.1", "memdpc/flow", "pretext_top1_temporal", 1 / 3,
        "MemDPC on flow tells the right moment from the two others more often than guessing."),
    *by_readers("memdpc-flow", "3.1", "memdpc/flow", "memdpc/rgb",
        "MemDPC on optical flow beats MemDPC on RGB, {}.", FROZEN[:2]),
    Greater("memdpc-two-streams", "3.1", "memdpc/2stream", "memdpc/flow",
        "Both streams together beat flow alone."),
    Greater("memdpc-retrieval-flow", "3.3", "memdpc/flow", "memdpc/rgb",
        "Neighbours by flow show the same action more often than neighbours by RGB.",
        "retrieval_r1"),
    Greater("memdpc-two-streams-rgb", "3.1", "memdpc/2stream", "memdpc/rgb",
        "Both streams together beat RGB alone."),
    Greater("memdpc-moments", "3.4", "memdpc/oops", "memdpc/oops-random",
        "MemDPC tells the moment of an accident better than random weights, frozen.",
        "oops_probe_top1"),
    Greater("memdpc-moments-finetune", "3.4", "memdpc/oops", "memdpc/oops-random",
        "MemDPC tells the moment of an accident better than random weights, fine-tuned.",
        "oops_finetune_top1"),
    Greater("memdpc-nonlinear", "3.2", "memdpc/rgb", "memdpc/rgb",
        "A small network reads more out of frozen features than a linear layer.",
        "nonlinear_top1", "probe_top1", quoted="memdpc/2stream-more-data"),
)
# fmt: on
