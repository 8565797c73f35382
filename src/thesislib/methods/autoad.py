"""AutoAD, movie description in context (thesis chapter 8; Han et al., CVPR 2023).

A clip of a film becomes a few vectors, which a frozen language model reads before words: those of
the descriptions and of the dialogue so far. It goes on with the description of the clip.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.losses import next_token_loss
from thesislib.methods.autoad_config import AutoADConfig
from thesislib.methods.blocks import count
from thesislib.nn.mapping import MappingNetwork
from thesislib.nn.reader import Reader

PLACES, LATENTS = 0.1, 0.3  # of what is drawn, where the language model has seen nothing else


class AutoAD(nn.Module, PyTorchModelHubMixin):
    """The mapping network, the special tokens, and a language model.

    Shapes: ``features`` ``(B, T, D)``, frames of each clip; ``context``, ``subtitles`` and ``text``
    int64 ``(B, n)`` token ids, each with its own n, -1 for padding. All may have one more axis, as
    sequences ``(B, S, ...)`` of clips that follow one another.

    Only what learns is a parameter and in a checkpoint; the language model, unless it learns, is
    brought again: ``AutoAD.from_pretrained(folder, language=...)``.

    Args:
        config: Settings.
        language: The language model that ``config`` names, a causal one of transformers.
    """

    def __init__(self, config: AutoADConfig, language: nn.Module):
        super().__init__()
        self.config = config
        self.reader = Reader(language, config.tuned != "no", config.tuned == "here")
        width = self.reader.width
        sizes = (config.dim, config.latents, config.depth, config.heads, config.places)
        self.mapping = MappingNetwork(
            *sizes, standardised=config.standardised and config.learns_from == "frames"
        )
        self.project = nn.Linear(config.dim, width)
        nn.init.normal_(self.project.weight, std=config.dim**-0.5)
        nn.init.zeros_(self.project.bias)
        self.context = nn.Parameter(torch.randn(2, width))  # begin and end
        self.subtitle = nn.Parameter(torch.randn(2, width))
        self.begin = nn.Parameter(torch.randn(1, width))  # of a description
        # A part that is never used has no gradient, and processes that train together wait for one.
        for part in (self.mapping, self.project):
            part.requires_grad_("visual" in config.active)
        self.context.requires_grad_("context" in config.active)
        self.subtitle.requires_grad_("subtitles" in config.active)

    # -- inputs ------------------------------------------------------------------------------

    def see(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The vectors that stand for each clip, ``(B, P, W)``.

        CapDec (``learns_from="sentence"``) takes ``sentence`` ``(B, D)`` in training, the image-
        text model's feature of the description itself, moved by noise; else the mean of the frames.
        """
        config, features = self.config, batch["features"]
        if config.learns_from == "sentence":
            if self.training:
                mean = F.normalize(batch["sentence"].float(), dim=-1)
                mean = mean + config.noise**0.5 * torch.randn_like(mean)
            else:
                mean = F.normalize(features.float(), dim=-1).mean(1)
            features = F.normalize(mean, dim=-1)[:, None]
        return self.project(self.mapping(features.float()))

    def wrap(self, vectors: Tensor, pair: Tensor) -> Tensor:
        """Equation 8.1: vectors ``(B, n, W)`` between the two of a pair, ``(B, n + 2, W)``."""
        first, last = (one.expand(len(vectors), 1, -1) for one in pair)
        return torch.cat([first, vectors.to(pair.dtype), last], 1)

    def prompt(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """All that is read before the first word of a description.

        Args:
            batch: What :attr:`AutoADConfig.active` names: ``features``, ``context``, ``subtitles``.

        Returns:
            Vectors ``(B, n, W)``, and bool ``(B, n)``, False where there is only padding.

        Raises:
            ThesisError: An input that the settings ask for is missing.
        """
        vectors, masks = [], []
        for part in self.config.active:
            name = "features" if part == "visual" else part
            if name not in batch:
                raise ThesisError(
                    f"This model reads {' and '.join(self.config.active)}: give {name} too."
                )
            if part == "visual":
                vectors.append(self.see(batch))
                masks.append(torch.ones_like(vectors[-1][..., 0], dtype=torch.bool))
            else:
                ids = trimmed(batch[part])
                pair = self.context if part == "context" else self.subtitle
                vectors.append(self.wrap(self.reader.embed(ids), pair))
                masks.append(F.pad(ids >= 0, (1, 1), value=True))
        size = len(vectors[0]) if vectors else len(batch["text"])
        vectors.append(self.begin.expand(size, 1, -1))
        masks.append(torch.ones(size, 1, dtype=torch.bool, device=self.begin.device))
        return torch.cat(vectors, 1), torch.cat(masks, 1)

    # -- training ----------------------------------------------------------------------------

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 8.2: how unlikely each token of the descriptions was, its end among them.

        Args:
            batch: The inputs, and ``text``: ids with the end-of-text token, -1 for padding.

        Logged: ``tokens``, the share of the tokens that were the likeliest.
        """
        batch = flat(batch)
        loss, right = next_token_loss(*self.logits(batch))
        return loss, {"loss": loss.detach(), "tokens": right}

    def logits(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What each token of given descriptions is predicted by.

        Returns:
            Logits ``(B, n, V)``, and the ids ``(B, n)``, -1 for padding.
        """
        text = trimmed(batch["text"])
        before, mask = self.prompt(batch)
        words = self.reader.embed(text[:, :-1]).to(before.dtype)
        mask = torch.cat([mask, text[:, :-1] >= 0], 1)
        return self.reader(torch.cat([before, words], 1), mask, keep=text.shape[1]).logits, text

    def parameter_groups(self, config: Any) -> list[dict[str, Any]]:
        """No weight decay of biases and norms."""
        learnt = [p for p in self.parameters() if p.requires_grad]
        return [
            {"params": [p for p in learnt if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in learnt if p.ndim == 1], "weight_decay": 0.0},
        ]

    @torch.no_grad()
    def start_as_words(self, end: int, full_stop: int) -> None:
        """First values among those of words, for a language model that has seen nothing else.

        As drawn, all that is learnt is several times as long as a word's vector, and unlike any. So
        texts begin as after the mark of an end, go on as after a full stop, and the vectors of a
        clip are as long as words. Places and latents, too, are drawn as large as what is seen: they
        start small, so that it is seen.

        Args:
            end: Id of the end-of-text token.
            full_stop: Id of the full stop.
        """
        words = self.reader.model.get_input_embeddings().weight
        for pair in (self.context, self.subtitle):
            pair.copy_(words[[end, full_stop]])
        self.begin.copy_(words[[full_stop]])
        self.project.weight.mul_(words.std())
        self.mapping.positions.mul_(PLACES)
        self.mapping.latents.mul_(LATENTS)

    @torch.no_grad()
    def start_from(self, other: "AutoAD") -> None:
        """Takes what another model has learnt (8.3.3): of its parts those that it used.

        So a model trained on pictures alone and one trained on text alone can both be a beginning;
        where both have a part, the later one's is taken.

        Raises:
            ThesisError: Its parts have other sizes, or its language model learnt and this one's
                would not be kept.
        """
        used = other.config.active
        names = {"visual": ("mapping.", "project."), "context": ("context",)}
        starts = [s for part in used for s in names.get(part, ("subtitle",))] + ["begin"]
        if other.config.tuned != "no":
            if self.config.tuned == "no":
                raise ThesisError(
                    "The language model of the run to start from has learnt: set tuned=before to "
                    "take it as it is, or tuned=here to go on."
                )
            starts.append("reader.")
        own, theirs = self.state_dict(), other.state_dict()
        for name, value in theirs.items():
            if name.startswith(tuple(starts)):
                if name not in own or own[name].shape != value.shape:
                    raise ThesisError(
                        f"{name} of the run to start from does not fit: take the same language "
                        "model and the same sizes."
                    )
                own[name].copy_(value)


def flat(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sequences of clips ``(B, S, ...)`` as clips ``(B * S, ...)``."""
    if batch["text"].ndim == 2:
        return dict(batch)
    return {k: v.flatten(0, 1) if v.ndim > 1 else v for k, v in batch.items()}


def trimmed(ids: Tensor) -> Tensor:
    """Token ids ``(B, n)`` without the columns that are padding in all rows."""
    return ids if ids.is_meta else ids[:, (ids >= 0).any(0)]


def summary(model: AutoAD) -> dict[str, Any]:
    """Parameter counts and shapes, for ``thesislib info autoad``."""
    config, reader = model.config, model.reader
    mapping, whole = count(model.mapping), count(model)
    projection = count(model.project)
    own = whole - count(reader)
    return {
        "parameters": {
            "mapping network": mapping,
            "projection": projection,
            "special tokens": own - mapping - projection,
            "in all, without the language model": own,
            f"language model, {'learns' if reader.learns else 'frozen'}": count(reader.model),
        },
        "shapes": {
            "features (B, S, T, D)": str(
                (config.batch_size, config.pairs, config.frames, config.dim)
            ),
            "vectors of a clip (P, W)": str((config.latents, reader.width)),
        },
        "reads": {part: part for part in (*config.active, "begin")},
    }


def forward_one(model: AutoAD) -> Any:
    """One clip with full context and a description, to count their operations."""
    config = model.config
    lengths = {
        "context": config.context_tokens, "subtitles": config.subtitle_tokens,
        "text": config.text_tokens,
    }  # fmt: skip
    batch = {name: torch.zeros(1, n, dtype=torch.long) for name, n in lengths.items()}
    return model.logits({"features": torch.empty(1, config.frames, config.dim), **batch})


CONFIG, MODEL = AutoADConfig, AutoAD
