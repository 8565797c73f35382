"""Learning an image-text model from pairs: symmetric InfoNCE over a batch (Radford et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset

from thesislib.config import RunConfig
from thesislib.data.loader import Key
from thesislib.fields import Channels, Count, Frames, Layers, Pixels, Share, between
from thesislib.image_text import Preprocess
from thesislib.losses import pair_nce, top1

LARGEST_SCALE = math.log(100)  # of the logits
BUCKETS = 4  # of texts of like length: none is padded to the longest of a batch


@dataclass(frozen=True)
class ContrastConfig(RunConfig):
    """Settings of the recipe; the defaults made the weights that ship."""

    dataset: str = "studio_pairs"
    epochs: int = 4
    batch_size: int = 128
    optimiser: str = "adamw"
    lr: float = 1.5e-3
    weight_decay: float = 0.05
    clip_grad: float = 1.0
    schedule: str = "cosine"
    warmup: int = 100
    precision: str = "bf16"
    num_workers: int = 0
    groups: Count = 1000  # sessions that the pictures are taken from, each in a world of its own
    videos: Count = 8  # of a session
    frames: Frames = 8  # of a video
    val_groups: Count = 16  # sessions set aside to watch the loss
    joined: Share = 0.2  # share of pictures with several captions in one text: late slots learn
    merges: Annotated[int, between(1, 10**6)] = 2046  # of the tokenizer
    window: Annotated[int, between(3, 100_000)] = 77  # tokens of a text, as in the thesis
    size: Pixels = 64  # pixels
    width: Channels = 20  # channels of the image tower's stem
    text_width: Channels = 128
    text_layers: Layers = 4
    embed: Channels = 128  # numbers of a feature

    def architecture(self) -> dict[str, Any]:
        """In the words of open_clip: a residual network of four blocks and a small transformer."""
        vision = {
            "image_size": self.size, "layers": [1, 1, 1, 1], "width": self.width,
            "head_width": 2 * self.width, "patch_size": None,
        }  # fmt: skip
        text = {
            "context_length": self.window, "vocab_size": 512 + self.merges + 2,
            "width": self.text_width, "heads": max(1, self.text_width // 32),
            "layers": self.text_layers, "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"},
        }  # fmt: skip
        return {"embed_dim": self.embed, "vision_cfg": vision, "text_cfg": text}


class Pairs(Protocol):
    """Pictures and what can be said of them."""

    def __len__(self) -> int:
        """Pictures."""

    def images(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """(B, H, W, 3) uint8 RGB."""

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """One of many sentences that are true of the picture."""


class PairDataset(Dataset[dict[str, Tensor]]):
    """A picture and a caption that is drawn anew each time, from ``[seed, epoch, index]``.

    Items: ``image`` (H, W, 3) uint8; ``tokens`` (window,) int64.
    """

    def __init__(
        self, pairs: Pairs, tokenizer: Callable[..., Tensor], seed: int, joined: float
    ) -> None:
        self.pairs, self.tokenizer, self.seed, self.joined = pairs, tokenizer, seed, joined

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, epoch, index])
        # Up to three in one text: learnt vectors around a name reach slots that one never fills.
        count = 1 + int(rng.random() < self.joined) * int(rng.integers(1, 3))
        text = ", ".join(self.pairs.caption(index, rng) for _ in range(count))
        image = torch.from_numpy(self.pairs.images([index])[0])
        return {"image": image, "tokens": self.tokenizer(text)[0]}


class Contrast(nn.Module):
    """An image-text model that learns.

    Args:
        model: open_clip's ``CLIP``.
        preprocess: What its image tower wants.
    """

    def __init__(self, model: Any, preprocess: Preprocess) -> None:
        super().__init__()
        model.visual.to(memory_format=torch.channels_last)  # a fifth quicker on a processor
        self.model = model
        self.preprocess = preprocess

    def parameter_groups(self, config: RunConfig) -> list[dict[str, Any]]:
        """Matrices decay; gains, biases, positions and the scale do not. Betas as published."""
        groups: tuple[list[Tensor], list[Tensor]] = ([], [])
        for name, p in self.named_parameters():
            groups[p.ndim < 2 or "positional" in name].append(p)
        decays = (config.weight_decay, 0.0)
        return [
            {"params": group, "weight_decay": decay, "betas": (0.9, 0.98)}
            for group, decay in zip(groups, decays, strict=True)
        ]

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of ``image`` (B, H, W, 3) uint8 against ``tokens`` (B, window), and its measures."""
        images = F.normalize(self.model.encode_image(self.preprocess(batch["image"])), dim=-1)
        texts = F.normalize(encode_tokens(self.model, batch["tokens"]), dim=-1)
        scale = self.model.logit_scale.clamp(max=LARGEST_SCALE).exp()
        logits = scale * images.float() @ texts.float().T  # (B, B)
        loss = pair_nce(logits)
        hits = top1(logits, torch.arange(len(logits), device=logits.device))
        return loss, {"loss": loss.detach(), "right": hits, "scale": scale.detach()}


def encode_tokens(model: Any, tokens: Tensor, buckets: int = BUCKETS) -> Tensor:
    """What open_clip's ``encode_text`` gives, without computing the slots after a text's end.

    No slot looks ahead, so the empty ones change nothing; a quarter of the time is left.

    Args:
        model: open_clip's ``CLIP``, whose texts end with the largest number.
        tokens: (B, window) int64.
        buckets: Parts of the batch, by length.

    Returns:
        (B, D), not of unit length.
    """
    ends = tokens.argmax(1)
    order = ends.argsort()
    # The fused kernel's gradient in bf16 takes twice the time of everything else on a processor.
    with sdpa_kernel(SDPBackend.MATH):
        parts = [_encode(model, tokens[rows], ends[rows]) for rows in order.chunk(buckets)]
    return torch.cat(parts)[order.argsort()]


def _encode(model: Any, tokens: Tensor, ends: Tensor) -> Tensor:
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)[torch.arange(len(x), device=x.device), ends]
    return x @ model.text_projection
