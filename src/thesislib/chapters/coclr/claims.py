"""What the thesis asserts in chapter 4, each as a comparison of rows of the ledger."""

from __future__ import annotations

from thesislib.claims import Greater, by_readers

READERS = ("probe_top1", "finetune_top1", "retrieval_r1")  # the chapter's own first

# fmt: off
CLAIMS: tuple[Greater, ...] = (
    *by_readers("coclr-infonce", "4.1", "coclr/infonce-rgb", "coclr/random-rgb",
        "Instance discrimination on RGB beats random weights, {}.", READERS),
    *by_readers("coclr-flow", "4.1", "coclr/infonce-flow", "coclr/infonce-rgb",
        "InfoNCE on optical flow beats InfoNCE on RGB, {}.", READERS),
    *by_readers("coclr-oracle", "4.1", "coclr/uber-rgb", "coclr/infonce-rgb",
        "Positives by label (UberNCE) beat positives by instance (InfoNCE), {}.", READERS),
    *by_readers("coclr-mining", "4.1", "coclr/coclr-rgb", "coclr/infonce-rgb",
        "Positives mined in the other stream (CoCLR) beat positives by instance, {}.", READERS),
    *by_readers("coclr-oracle-ahead", "4.1", "coclr/uber-rgb", "coclr/coclr-rgb",
        "The oracle stays ahead of mined positives, {}.", READERS),
    *by_readers("coclr-cmc", "4.1", "coclr/coclr-rgb", "coclr/cmc",
        "CoCLR beats CMC, which pairs the streams of one clip alone, {}.", READERS),
    *by_readers("coclr-two-streams", "4.1", "coclr/coclr-2stream", "coclr/coclr-rgb",
        "Both streams together beat RGB alone, {}.", READERS),
    *by_readers("coclr-one-neighbour", "4.1", "coclr/coclr-rgb", "coclr/coclr-rgb-k1",
        "Five mined positives beat one, {}.", READERS),
    *by_readers("coclr-many-neighbours", "4.1", "coclr/coclr-rgb", "coclr/coclr-rgb-k50",
        "Five mined positives beat fifty, {}.", READERS),
    *by_readers("coclr-alternating", "4.1", "coclr/coclr-rgb", "coclr/coclr-rgb-sim",
        "Streams that learn in turn beat streams that learn at once, {}.", READERS),
    Greater("coclr-cycles-rgb", "4.2", "coclr/coclr-rgb", "coclr/coclr-rgb",
        "What flow mines for RGB is right more often in the second cycle than in the first.",
        "precision_rgb_cycle2", "precision_rgb_cycle1", figure=True),
    Greater("coclr-cycles-flow", "4.2", "coclr/coclr-flow", "coclr/coclr-flow",
        "What RGB mines for flow is right more often in the second cycle than in the first.",
        "precision_flow_cycle2", "precision_flow_cycle1", figure=True),
)
# fmt: on
