"""What the thesis asserts in chapter 4, each as a comparison of rows of the ledger."""

from __future__ import annotations

from thesislib.claims import Greater

# fmt: off
CLAIMS: tuple[Greater, ...] = (
    Greater("coclr-infonce", "4.1", "coclr/infonce-rgb", "coclr/random-rgb",
        "Instance discrimination on RGB beats random weights, by a linear probe.", "probe_top1"),
    Greater("coclr-flow", "4.1", "coclr/infonce-flow", "coclr/infonce-rgb",
        "InfoNCE on optical flow beats InfoNCE on RGB.", "probe_top1"),
    Greater("coclr-oracle", "4.1", "coclr/uber-rgb", "coclr/infonce-rgb",
        "Positives by label (UberNCE) beat positives by instance (InfoNCE).", "probe_top1"),
    Greater("coclr-mining", "4.1", "coclr/coclr-rgb", "coclr/infonce-rgb",
        "Positives mined in the other stream (CoCLR) beat positives by instance.", "probe_top1"),
    Greater("coclr-oracle-ahead", "4.1", "coclr/uber-rgb", "coclr/coclr-rgb",
        "The oracle stays ahead of mined positives.", "probe_top1"),
    Greater("coclr-cmc", "4.1", "coclr/coclr-rgb", "coclr/cmc",
        "CoCLR beats CMC, which pairs the streams of one clip alone.", "probe_top1"),
    Greater("coclr-retrieval", "4.1", "coclr/coclr-rgb", "coclr/infonce-rgb",
        "With CoCLR the nearest neighbour shows the same action more often than with InfoNCE.",
        "retrieval_r1"),
    Greater("coclr-two-streams", "4.1", "coclr/coclr-2stream", "coclr/coclr-rgb",
        "Both streams together beat RGB alone.", "probe_top1"),
    Greater("coclr-one-neighbour", "4.1", "coclr/coclr-rgb", "coclr/coclr-rgb-k1",
        "Five mined positives beat one.", "probe_top1"),
    Greater("coclr-many-neighbours", "4.1", "coclr/coclr-rgb", "coclr/coclr-rgb-k50",
        "Five mined positives beat fifty.", "probe_top1"),
    Greater("coclr-alternating", "4.1", "coclr/coclr-rgb", "coclr/coclr-rgb-sim",
        "Streams that learn in turn beat streams that learn at once.", "probe_top1"),
    Greater("coclr-cycles-rgb", "4.2", "coclr/coclr-rgb", "coclr/coclr-rgb",
        "What flow mines for RGB is right more often in the second cycle than in the first.",
        "precision_rgb_cycle2", "precision_rgb_cycle1", figure=True),
    Greater("coclr-cycles-flow", "4.2", "coclr/coclr-flow", "coclr/coclr-flow",
        "What RGB mines for flow is right more often in the second cycle than in the first.",
        "precision_flow_cycle2", "precision_flow_cycle1", figure=True),
)
# fmt: on
