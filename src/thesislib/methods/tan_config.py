"""Settings of Temporal Alignment Networks (thesis chapter 7)."""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

from thesislib.config import RunConfig
from thesislib.errors import ThesisError, choose
from thesislib.fields import (
    Channels,
    Count,
    Frames,
    Layers,
    MaybeLayers,
    Positive,
    Share,
    between,
    one_of,
)

TEXTS = ("words", "features")
# How the times of the second stage are found and by whom: see tan_labels.py.
DECIDERS = ("both", "dual", "joint")

# Found on validation videos: from random projections stage 1 falls below the cosines of the frozen
# encoder (34 to 40 % R@1 of 40.8), as 130 videos do not teach a new space; from its own it rises to
# 47. Half the rate leaves it at 43. As many further steps on the times of speech lose again. On 100
# other videos (two seeds) the stages have 43 and 46; two to three times as many steps, with or
# without dropout and drop_path, gain nothing in the second and lose in the first, and random
# projections come to 35 and 45.
SMALL: dict[str, Any] = {
    "profile": "small", "dataset": "synthetic_narrated", "epochs": 16, "batch_size": 16,
    "lr": 1e-3, "warmup": 0, "num_workers": 0, "texts": "features", "dim": 128, "text_dim": 128,
    "width": 128, "depth": 2, "joint_depth": 2, "heads": 4, "places": 256, "momentum": 0.99,
    "joint_negatives": "own", "head_stage": 2, "one_space": True, "val_every": 16,
    "precision": "no",  # as everywhere in this profile: bf16 is slower on a processor
}  # fmt: skip

# Not measured yet.
GPU: dict[str, Any] = {
    "profile": "gpu", "dataset": "synthetic_narrated", "epochs": 60, "batch_size": 64, "lr": 3e-4,
    "warmup": 200, "precision": "bf16", "texts": "features", "dim": 512, "text_dim": 512,
    "width": 256, "depth": 4, "joint_depth": 4, "heads": 4, "momentum": 0.99,
}  # fmt: skip


@dataclass(frozen=True)
class TanConfig(RunConfig):
    """Settings of TAN; the defaults are as released (presets: small, gpu, paper, as_released).

    ``stage=1`` learns from the time stamps as given. ``stage=2`` goes on from there with times that
    a slow copy of the network finds, and learns which sentences can be seen at all. ``stage=3``
    tunes it on whole videos and the lists of their steps, by soft-DTW (thesis 7.6).
    """

    optimiser: str = "adamw"
    lr: float = 1e-4
    schedule: str = "cosine"
    stage: Annotated[int, between(1, 3)] = 1
    source: str = ""  # a finished run to start from; stage 2 starts from one of stage 1
    seconds: Annotated[int, between(2, 100_000)] = 64  # T of a window, a feature each
    dim: Channels = 1024  # of a second's feature
    # words: ids, with a text module inside; features: of sentences, from a frozen encoder.
    texts: Annotated[str, one_of("kind of texts", TEXTS)] = "words"
    model: str = "small"  # the image-text model of both, unless their features are given:
    features: str = ""  # folder of the videos' features, at any rate
    vocabulary: str = ""  # file of the words (and vectors) for texts=words; or glove
    words: Count = 66_250  # rows of the table of words, the first for none
    word_dim: Channels = 300
    word_hidden: Channels = 2048
    text_dim: Channels = 512  # of a sentence's feature
    width: Channels = 512
    depth: MaybeLayers = 6  # of the dual encoder; 0: each second for itself
    joint_depth: MaybeLayers = 6  # of the joint encoder; 0: none
    heads: Layers = 8
    places: Frames = 1024  # seconds that have a position
    # Features of both are of one space, with whose cosines the network begins.
    one_space: bool = False
    dropout: Share = 0.0  # of the numbers of a feature, in training
    drop_path: Share = 0.0  # how often an item passes half a layer by, in training
    random_offset: bool = True  # positions begin anywhere in training; never at test time
    temperature: Positive = 0.07
    # Negatives of a sentence and a second: of the batch, or of their own video.
    negatives: Annotated[str, one_of("negatives", ("batch", "own"))] = "batch"
    joint_negatives: Annotated[str, one_of("negatives", ("batch", "own"))] = "batch"
    # Who looks: both sentences and seconds, or sentences alone (thesis equation 7.6).
    sides: Annotated[str, one_of("sides", ("both", "text"))] = "both"
    # -- stage 2 --
    momentum: Share = 0.999  # of the slow copy; 0: none, the network teaches itself
    deciders: Annotated[str, one_of("decider", DECIDERS)] = "both"
    sharpened: bool = True  # softmaxes before the best window is looked for; else plain cosines
    agreement: Share = 0.5  # least IoU of two windows; 0: any overlap
    retime: bool = True  # take the times that were found; else all stay as they were given
    deduplicated: bool = True  # a second belongs to one sentence
    alpha: Share = 0.5  # share of a batch's sentences that is learnt
    # Confidence: the largest cosine, or the mean within the sentence's seconds (equation 7.10).
    confidence_inside: bool = False
    label_by_median: bool = True  # alignability; else the alpha that is learnt are the positive
    edge: Share = 0.2  # sentences in so much of a video's ends are not alignable; 0: no such rule
    head_stage: Layers = 3  # the stage of the joint encoder on which the head learns
    head_weight: Annotated[float, between(0)] = 1.0  # of its loss; 0: no alignability head
    # -- stage 3 --
    softness: Positive = 1.0  # gamma of soft-DTW

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seconds > self.places:
            raise ThesisError(
                f"seconds={self.seconds} is more than places={self.places}: raise places."
            )
        if self.one_space and self.dim != self.text_dim:
            raise ThesisError(
                f"Features of {self.dim} and {self.text_dim} numbers are not of one space: "
                "set one_space=false."
            )
        if self.deciders == "joint" and not self.joint_depth:
            raise ThesisError(
                "deciders=joint needs a joint encoder: set joint_depth above 0, or deciders=dual."
            )

    @property
    def says_alignable(self) -> bool:
        """Whether the head is trained, so that it can say which sentences are seen at all."""
        return self.stage == 2 and self.head_weight > 0

    @classmethod
    def preset(cls, name: str) -> Self:
        """``small``, ``gpu``, ``paper`` (model D of Table 7.1) or ``as_released``.

        ``paper`` takes the thesis's text literally: sentences look for seconds of their own video
        alone, any overlap is agreement, plain cosines decide, and the alpha most confident
        sentences are the alignable ones. Released are other rules (``tan_labels.py``), a slower
        copy, and batches of 128.
        """
        released = cls(
            profile="as_released", dataset="htm_370k", epochs=20, batch_size=128, warmup=1000,
            precision="bf16",
        )  # fmt: skip
        paper = replace(
            released, profile="paper", epochs=9, batch_size=64, warmup=0, negatives="own",
            joint_negatives="own", sides="text", random_offset=False, momentum=0.99,
            sharpened=False, agreement=0.0, deduplicated=False, confidence_inside=True,
            label_by_median=False, edge=0.0, head_stage=6,
        )  # fmt: skip
        presets = {
            "small": replace(released, **SMALL),
            "gpu": replace(released, **GPU),
            "paper": paper,
            "as_released": released,
        }
        return presets[choose("preset", name, presets)]
