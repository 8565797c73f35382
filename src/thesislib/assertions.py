"""What the thesis asserts, each as a comparison of rows of the ledger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Greater:
    """Row ``better`` beats row ``worse``."""

    id: str
    statement: str
    table: str
    better: str
    worse: str
    metric: str = "finetune_top1"
    worse_metric: str = ""  # of the worse row, where it is another one
    quoted: str = ""  # the thesis's row, where it has measured this on another one
    figure: bool = False  # the number is that of a figure, which prints no values


@dataclass(frozen=True)
class Rises:
    """Two metrics rise together over the checkpoints of one row."""

    id: str
    statement: str
    table: str
    row: str
    x: str
    y: tuple[str, ...]  # the first one that was measured counts


ASSERTIONS: tuple[Greater | Rises, ...] = (
    Greater(
        "dpc-pretraining",
        "Pre-training with DPC beats random initialisation after the same fine-tuning.",
        "2.1",
        "dpc/5pred3",
        "dpc/random",
    ),
    Greater(
        "dpc-dense",
        "Predicting the dense feature map beats predicting one pooled vector.",
        "2.1",
        "dpc/5pred3",
        "dpc/pooled",
    ),
    Greater(
        "dpc-sequential",
        "Predicting the steps one after the other beats predicting them in parallel.",
        "2.1",
        "dpc/5pred3",
        "dpc/parallel",
    ),
    Greater(
        "dpc-more-data",
        "A larger, more varied pre-training set gives a better representation.",
        "2.2",
        "dpc/5pred3-more-data",
        "dpc/5pred3",
    ),
    Rises(
        "dpc-pretext-downstream",
        "A higher pretext accuracy comes with a higher downstream accuracy.",
        "2.3",
        "dpc/5pred3",
        "pretext_top1",
        ("finetune_top1", "probe_top1"),
    ),
    Greater(
        "dpc-longer-is-harder",
        "Predicting four steps from four is a harder pretext task than three from five.",
        "2.3",
        "dpc/5pred3",
        "dpc/4pred4",
        "pretext_top1",
    ),
    Greater(
        "dpc-curriculum",
        "The curriculum from 5pred3 to 4pred4 beats 4pred4 from scratch.",
        "2.3",
        "dpc/5pred3+4pred4",
        "dpc/4pred4",
    ),
    Greater(
        "dpc-further",
        "The curriculum that predicts further beats 5pred3 alone.",
        "2.3",
        "dpc/5pred3+4pred4",
        "dpc/5pred3",
    ),
    Greater(
        "memdpc-pretraining",
        "Pre-training with MemDPC beats random initialisation after the same fine-tuning.",
        "3.1",
        "memdpc/rgb",
        "memdpc/random-rgb",
    ),
    Greater(
        "memdpc-memory",
        "Predicting out of a compressive memory beats DPC's prediction from the context.",
        "3.1",
        "memdpc/rgb",
        "memdpc/dpc",
    ),
    Greater(
        "memdpc-smaller-memory",
        "1024 slots beat half as many.",
        "3.1",
        "memdpc/rgb",
        "memdpc/rgb-m512",
    ),
    Greater(
        "memdpc-larger-memory",
        "1024 slots beat twice as many.",
        "3.1",
        "memdpc/rgb",
        "memdpc/rgb-m2048",
    ),
    Greater(
        "memdpc-both-directions",
        "Predicting in both directions beats predicting the future alone, on RGB.",
        "3.1",
        "memdpc/bd-rgb",
        "memdpc/rgb",
    ),
    Greater(
        "memdpc-both-directions-flow",
        "Predicting in both directions beats predicting the future alone, on flow.",
        "3.1",
        "memdpc/bd-flow",
        "memdpc/flow",
    ),
    Greater(
        "memdpc-flow-pretraining",
        "Pre-training on optical flow beats random initialisation on flow.",
        "3.1",
        "memdpc/flow",
        "memdpc/random-flow",
    ),
    Greater(
        "memdpc-flow",
        "MemDPC on optical flow beats MemDPC on RGB.",
        "3.1",
        "memdpc/flow",
        "memdpc/rgb",
    ),
    Greater(
        "memdpc-two-streams",
        "Both streams together beat flow alone.",
        "3.1",
        "memdpc/2stream",
        "memdpc/flow",
    ),
    Greater(
        "memdpc-retrieval-flow",
        "Neighbours by flow show the same action more often than neighbours by RGB.",
        "3.3",
        "memdpc/flow",
        "memdpc/rgb",
        "retrieval_r1",
    ),
    Greater(
        "memdpc-two-streams-rgb",
        "Both streams together beat RGB alone.",
        "3.1",
        "memdpc/2stream",
        "memdpc/rgb",
    ),
    Greater(
        "memdpc-probe",
        "Frozen features of MemDPC beat those of random weights, by a linear probe.",
        "3.2",
        "memdpc/rgb",
        "memdpc/random-rgb",
        "probe_top1",
    ),
    Greater(
        "memdpc-nonlinear",
        "A small network reads more out of frozen features than a linear layer.",
        "3.2",
        "memdpc/rgb",
        "memdpc/rgb",
        "nonlinear_top1",
        "probe_top1",
        quoted="memdpc/2stream-more-data",
    ),
    Greater(
        "memdpc-retrieval",
        "Neighbours by MemDPC show the same action more often than neighbours by random weights.",
        "3.3",
        "memdpc/rgb",
        "memdpc/random-rgb",
        "retrieval_r1",
    ),
    Greater(
        "coclr-infonce",
        "Instance discrimination on RGB beats random weights, by a linear probe.",
        "4.1",
        "coclr/infonce-rgb",
        "coclr/random-rgb",
        "probe_top1",
    ),
    Greater(
        "coclr-flow",
        "InfoNCE on optical flow beats InfoNCE on RGB.",
        "4.1",
        "coclr/infonce-flow",
        "coclr/infonce-rgb",
        "probe_top1",
    ),
    Greater(
        "coclr-oracle",
        "Positives by label (UberNCE) beat positives by instance (InfoNCE).",
        "4.1",
        "coclr/uber-rgb",
        "coclr/infonce-rgb",
        "probe_top1",
    ),
    Greater(
        "coclr-mining",
        "Positives mined in the other stream (CoCLR) beat positives by instance.",
        "4.1",
        "coclr/coclr-rgb",
        "coclr/infonce-rgb",
        "probe_top1",
    ),
    Greater(
        "coclr-oracle-ahead",
        "The oracle stays ahead of mined positives.",
        "4.1",
        "coclr/uber-rgb",
        "coclr/coclr-rgb",
        "probe_top1",
    ),
    Greater(
        "coclr-cmc",
        "CoCLR beats CMC, which pairs the streams of one clip alone.",
        "4.1",
        "coclr/coclr-rgb",
        "coclr/cmc",
        "probe_top1",
    ),
    Greater(
        "coclr-retrieval",
        "With CoCLR the nearest neighbour shows the same action more often than with InfoNCE.",
        "4.1",
        "coclr/coclr-rgb",
        "coclr/infonce-rgb",
        "retrieval_r1",
    ),
    Greater(
        "coclr-two-streams",
        "Both streams together beat RGB alone.",
        "4.1",
        "coclr/coclr-2stream",
        "coclr/coclr-rgb",
        "probe_top1",
    ),
    Greater(
        "coclr-one-neighbour",
        "Five mined positives beat one.",
        "4.1",
        "coclr/coclr-rgb",
        "coclr/coclr-rgb-k1",
        "probe_top1",
    ),
    Greater(
        "coclr-many-neighbours",
        "Five mined positives beat fifty.",
        "4.1",
        "coclr/coclr-rgb",
        "coclr/coclr-rgb-k50",
        "probe_top1",
    ),
    Greater(
        "coclr-alternating",
        "Streams that learn in turn beat streams that learn at once.",
        "4.1",
        "coclr/coclr-rgb",
        "coclr/coclr-rgb-sim",
        "probe_top1",
    ),
    Greater(
        "coclr-cycles-rgb",
        "What flow mines for RGB is right more often in the second cycle than in the first.",
        "4.2",
        "coclr/coclr-rgb",
        "coclr/coclr-rgb",
        "precision_rgb_cycle2",
        "precision_rgb_cycle1",
        figure=True,
    ),
    Greater(
        "coclr-cycles-flow",
        "What RGB mines for flow is right more often in the second cycle than in the first.",
        "4.2",
        "coclr/coclr-flow",
        "coclr/coclr-flow",
        "precision_flow_cycle2",
        "precision_flow_cycle1",
        figure=True,
    ),
)
