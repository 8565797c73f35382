"""Prompting image-text models for video (thesis chapter 5; Ju, Han, Zheng, Zhang and Xie, 2022).

A model of images and texts stays frozen, and two small things learn to use it for videos: prompt
vectors that stand around every class name where a sentence would ("a photo of ..."), and a few
Transformer layers over the features of a video's frames. A video then belongs to the name, or to
the caption, whose text feature is nearest to its own.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.config import RunConfig
from thesislib.errors import ThesisError, choose
from thesislib.fields import (
    Count,
    Frames,
    Layers,
    MaybeLayers,
    NonNegative,
    Positive,
    between,
    filled,
    one_of,
)
from thesislib.losses import candidates, cosine_logits, pair_nce, top1
from thesislib.methods.blocks import count
from thesislib.nn.text_tower import TextTower
from thesislib.nn.transformer import Block

STD = 0.01  # of everything learnt that is added to, or stands among, frozen vectors

# A trial's: with fewer than 600 steps or half the rate the order of frames stays unlearnt.
SMALL: dict[str, Any] = {
    "profile": "small", "dataset": "synthetic_captions", "model": "small", "weights": "",
    "num_workers": 0, "epochs": 20, "lr": 2e-3, "schedule": "cosine", "warmup": 30, "heads": 4,
    "strides": (1,), "rate": 0.0, "code_gap": False, "test_clips": 1, "val_every": 5,
}  # fmt: skip
# Not measured yet.
GPU: dict[str, Any] = {"profile": "gpu", "epochs": 60, "precision": "bf16", "num_workers": 1}


@dataclass(frozen=True)
class ClipPromptConfig(RunConfig):
    """Settings of prompting; the defaults are the thesis's (presets: see :meth:`preset`)."""

    batch_size: int = 64  # videos
    optimiser: str = "adamw"
    lr: float = 1e-4
    weight_decay: float = 0.01  # as released, the thesis is silent
    model: str = "ViT-B-16"  # the image-text model, as open_clip names it; small: our own
    weights: str = "openai"  # which of its trained weights
    # k: learnt vectors before a name, and as many after it; 0: none
    context: Annotated[int, between(0, 1000)] = 16
    # The same 2 k vectors around every name; as_released: one to each slot of the text window, so
    # names of different length meet different ones.
    layout: Annotated[str, one_of("layout", ("thesis", "as_released"))] = "thesis"
    layers: MaybeLayers = 2  # Transformer layers over time; 0: frames are only averaged
    heads: Layers = 8  # of these layers
    frames: Frames = 16  # T, of a video
    # Frame gaps, of which one is drawn for a video; 10, 15, 30 for retrieval.
    strides: Annotated[tuple[Frames, ...], filled] = (1, 2, 3, 4, 5, 6, 10, 15)
    rate: NonNegative = 30.0  # frames a second that gaps count in; 0: those of the video
    code_gap: bool = True  # the position code tells the gap as well as the index (not as released)
    # Frame features are multiplied by it before the layers over time, which in a trial needed about
    # 0.4 a number: more drowns the position code.
    feature_scale: Positive = 1.0
    temperature: Positive = 0.07  # tau
    most_classes: Count = 400  # in a training softmax: those of the batch, and others by chance
    both_ways: bool = True  # captions look for videos too; false: as equation 5.2 has it
    test_clips: Count = 5  # drawn of a test video as for training; probabilities are averaged

    @classmethod
    def preset(cls, name: str) -> Self:
        """``small``, ``gpu``, ``paper`` or ``as_released``.

        ``paper`` is thesis 5.4.1, with as many epochs as the released command makes.
        ``as_released`` ties the vectors to slots, codes the index alone, counts gaps in the video's
        own frames and draws them otherwise. Its rate is constant: the released cosine falls by less
        than one part in ten thousand over the 1,100 steps of the released command.
        """
        paper = cls(profile="paper", dataset="kinetics400", epochs=20)
        presets = {
            "small": replace(paper, **SMALL),
            "gpu": replace(paper, **{**SMALL, **GPU}),
            "paper": paper,
            "as_released": replace(
                paper, profile="as_released", dataset="hmdb51", layout="as_released",
                strides=(1, 2, 3, 3, 3, 4), rate=0.0, code_gap=False,
            ),
        }  # fmt: skip
        return presets[choose("preset", name, presets)]


class PromptedText(nn.Module):
    """Learnt vectors around tokenised names, [k + X + k], and the frozen tower that reads them.

    Token ids are ``(C, n)`` as open_clip's tokenizers make them: start, name, end, then zeros; n is
    the window or any other length. A name of e - 1 tokens fills the slots of the window so: start
    in 0, learnt vectors in 1 .. k, the name, k learnt vectors, end in 2 k + e, whose feature is the
    text's, and which does not see what follows.

    Attributes:
        vectors: What is learnt: ``(2 k, W)``, k before and k after the name; with the released
            layout one row for each slot, ``(window, W)``; ``None`` for k = 0.
    """

    def __init__(self, tower: TextTower, context: int, layout: str) -> None:
        super().__init__()
        self.tower, self.context, self.by_slot = tower, context, layout == "as_released"
        if self.room < 1:
            raise ThesisError(
                f"context={context} leaves no room for a name in a text window of {tower.window}: "
                f"at most {(tower.window - 3) // 2}."
            )
        rows = tower.window if self.by_slot else 2 * context
        self.vectors = nn.Parameter(STD * torch.randn(rows, tower.width)) if context else None

    @property
    def room(self) -> int:
        """Most tokens of a name, without start and end; longer names lose their last ones."""
        return self.tower.window - 2 - 2 * self.context

    def cut(self, tokens: Tensor) -> Tensor:
        """Which names are too long and lose tokens, bool ``(C,)``."""
        return self.tower.end(tokens) > self.room + 1

    def lay_out(self, tokens: Tensor, prompted: bool = True) -> tuple[Tensor, Tensor]:
        """The vectors that the tower reads, and where each text ends.

        Args:
            tokens: int64 ``(C, n)``.
            prompted: Put the learnt vectors around; else names stand as they are.

        Returns:
            ``(C, window, W)``, and int64 ``(C,)``.
        """
        k = self.context if prompted else 0
        end = self.tower.end(tokens)[:, None]  # e
        kept = end.clamp(max=self.tower.window - 1 - 2 * k)  # e of the name as far as there is room
        last = kept + 2 * k
        slot = torch.arange(self.tower.window, device=tokens.device)[None]
        name = (slot > k) & (slot < k + kept)
        # Which of its own tokens stands in a slot; the end is taken from where it was, so a name
        # that is cut keeps it.
        source = torch.where(slot == last, end, (slot - k).clamp(0, tokens.shape[1] - 1))
        ids = tokens.gather(1, source).masked_fill(slot > last, 0)
        vectors = self.tower.embed(ids)
        if k and self.vectors is not None:
            if self.by_slot:
                learnt, row = (slot > 0) & ~name & (slot != last), slot.expand_as(ids)
            else:
                learnt = (slot > 0) & ~name & (slot < last)
                row = torch.where(slot <= k, slot - 1, slot - kept).clamp(0, 2 * k - 1)
            vectors = torch.where(learnt[..., None], self.vectors[row].to(vectors), vectors)
        return vectors, last[:, 0]

    def forward(self, tokens: Tensor, prompted: bool = True) -> Tensor:
        """Text features ``(C, D)``, not normalised."""
        return self.tower(*self.lay_out(tokens, prompted))


class TemporalModel(nn.Module):
    """A position code and Transformer layers over the features of frames (5.3.2).

    No norm after the last layer, and the input is not added to the output, as released.

    Args:
        dim: Length D of a frame feature.
        config: Frames, gaps, layers, heads, scale.
    """

    gaps: Tensor

    def __init__(self, dim: int, config: ClipPromptConfig) -> None:
        super().__init__()
        self.scale = config.feature_scale
        self.positions = nn.Parameter(STD * torch.randn(config.frames, dim))
        gaps = sorted(set(config.strides))
        self.register_buffer("gaps", torch.tensor(gaps), persistent=False)
        coded = config.code_gap
        self.gap_code = nn.Parameter(STD * torch.randn(len(gaps), dim)) if coded else None
        self.blocks = nn.ModuleList(Block(dim, config.heads) for _ in range(config.layers))

    def forward(self, features: Tensor, gap: Tensor | None = None) -> Tensor:
        """Dense features of a video's frames.

        Args:
            features: ``(B, T, D)``, not normalised, T at most that of the settings.
            gap: ``(B,)``, frames from one to the next; one that was not trained has the code of the
                nearest that was.

        Returns:
            ``(B, T, D)``.

        Raises:
            ThesisError: More frames than positions, or no gap where it is coded.
        """
        if features.shape[1] > len(self.positions):
            raise ThesisError(
                f"{features.shape[1]} frames are more than the {len(self.positions)} that have a "
                "position: sample fewer, or train with more frames."
            )
        x = features * self.scale + self.positions[: features.shape[1]]
        if self.gap_code is not None:
            if gap is None:
                raise ThesisError(
                    "The gap between frames is part of the position code: give gap of each video, "
                    "or set code_gap=false."
                )
            x = x + self.gap_code[(gap[:, None] - self.gaps).abs().argmin(1)][:, None]
        for block in self.blocks:
            x = block(x)
        return x


class ClipPrompt(nn.Module, PyTorchModelHubMixin):
    """Prompts and layers over time on a frozen image-text model.

    Shapes: frame features ``(B, T, D)``; token ids ``(C, n)``, see :class:`PromptedText`.

    Only what learns is a parameter and in a checkpoint. The tower, and the names of the classes to
    train, are brought again: ``ClipPrompt.from_pretrained(folder, tower=..., tokens=...)``.

    Args:
        config: Settings.
        tower: The open_clip model that ``config`` names, whose text side is used (and frozen).
        tokens: Ids of the class names to train, ``(C, n)``; not needed for captions.
    """

    tokens: Tensor | None

    def __init__(self, config: ClipPromptConfig, tower: nn.Module, tokens: Tensor | None = None):
        super().__init__()
        self.config = config
        self.text = PromptedText(TextTower(tower), config.context, config.layout)
        dim = self.text.tower.dim
        self.temporal = TemporalModel(dim, config) if config.layers else None
        self.register_buffer("tokens", tokens, persistent=False)

    def encode_text(self, tokens: Tensor, prompted: bool = True) -> Tensor:
        """Text features w ``(C, D)``, not normalised.

        Args:
            tokens: int64 ``(C, n)``: names, captions, or sentences of a template.
            prompted: False leaves the learnt vectors out: open_clip's own ``encode_text``.
        """
        return self.text(tokens, prompted)

    def encode_frames(self, features: Tensor, gap: Tensor | None = None) -> Tensor:
        """Dense features h ``(B, T, D)`` of frame features, see :class:`TemporalModel`."""
        dim = self.text.tower.dim
        if features.shape[-1] != dim:
            raise ThesisError(
                f"Features of frames have {features.shape[-1]} numbers and those of texts {dim}: "
                f"extract them by one model, here {self.config.model}."
            )
        features = features.float()
        return features if self.temporal is None else self.temporal(features, gap)

    def encode_video(self, features: Tensor, gap: Tensor | None = None) -> Tensor:
        """Equation 5.1: the mean of the dense features over time, ``(B, D)``."""
        return self.encode_frames(features, gap).mean(1)

    def classify(self, features: Tensor, text: Tensor, gap: Tensor | None = None) -> Tensor:
        """Logits ``(B, C)``: cosines over the temperature.

        Args:
            features: Frame features ``(B, T, D)``.
            text: Text features ``(C, D)`` of :meth:`encode_text`, computed once for all videos.
            gap: See :class:`TemporalModel`.
        """
        return cosine_logits(self.encode_video(features, gap), text, self.config.temperature)

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of equation 5.2, and how often the right text has the largest logit.

        Args:
            batch: ``features (B, T, D)``; ``gap (B,)`` where it is coded; and ``label (B,)``, or
                for retrieval ``tokens (B, n)``, the caption of each video.

        Logged: ``top1`` of the videos; for captions also ``top1_text``, of the texts.
        """
        if "tokens" in batch:
            text = self.encode_text(batch["tokens"])
            logits = self.classify(batch["features"], text, batch.get("gap"))
            own = torch.arange(len(logits), device=logits.device)
            loss = pair_nce(logits, self.config.both_ways)
            logs = {"top1": top1(logits, own), "top1_text": top1(logits.T, own)}
        else:
            tokens, right = self._candidates(batch["label"])
            logits = self.classify(batch["features"], self.encode_text(tokens), batch.get("gap"))
            loss = F.cross_entropy(logits, right)
            logs = {"top1": top1(logits, right)}
        return loss, {"loss": loss.detach(), **logs}

    def _candidates(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """Names of one softmax, and which of them is that of each video; in evaluation all."""
        if self.tokens is None:
            raise ThesisError("This model was given no class names: give tokens when it is made.")
        if not self.training or len(self.tokens) <= self.config.most_classes:
            return self.tokens, label
        chosen, right = candidates(label, len(self.tokens), self.config.most_classes)
        return self.tokens[chosen], right

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """The feature of a video, ``(B, D)``."""
        return self.encode_video(batch["features"], batch.get("gap"))


def summary(model: ClipPrompt) -> dict[str, Any]:
    """Parameter counts, shapes and room for names, for ``thesislib info clip_prompt``."""
    config, text, temporal = model.config, model.text, model.temporal
    tower = text.tower
    learnt = {"prompt vectors": count(text)}
    if temporal is not None:
        codes = count(temporal) - count(temporal.blocks)
        learnt |= {"position code": codes, "Transformer layers": count(temporal.blocks)}
    return {
        "parameters": {**learnt, "in all": count(model), "frozen text tower": count(tower.parts)},
        "shapes": {
            "frame features (B, T, D)": str((config.batch_size, config.frames, tower.dim)),
            "a text (window, W)": str((tower.window, tower.width)),
        },
        "tokens of a name": {"window": tower.window, "room": text.room},
    }


def forward_one(model: ClipPrompt) -> tuple[Tensor, Tensor]:
    """One video and one name through the model, to count its operations."""
    config, tower = model.config, model.text.tower
    tokens = torch.zeros(1, tower.window, dtype=torch.long)
    features, gap = torch.empty(1, config.frames, tower.dim), torch.ones(1)
    return model.encode_video(features, gap), model.encode_text(tokens)


CONFIG, MODEL = ClipPromptConfig, ClipPrompt
