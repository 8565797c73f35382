"""Temporal Alignment Networks (thesis chapter 7; Han, Xie and Zisserman, CVPR 2022).

A narrated video and its sentences: when is each seen, and is it at all? A dual encoder sees the
video alone, a joint one video and sentences together. Both learn from the times at which sentences
were spoken (stage 1), then from the times on which slow copies of the two agree (stage 2).
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
import copy
from typing import Any, NamedTuple

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.alignment_losses import alignment_nce
from thesislib.errors import ThesisError
from thesislib.methods.blocks import count
from thesislib.methods.tan_config import TanConfig
from thesislib.methods.tan_labels import (
    Agreement,
    agreement,
    alignability_loss,
    alignable,
    best_share,
    confidence,
    likeliest,
)
from thesislib.methods.tan_lists import lists_loss
from thesislib.nn.alignment import AlignmentNetwork, Encoded, all_pairs
from thesislib.nn.momentum import momentum_update
from thesislib.nn.word_text import WordText

# What the released network holds and never uses: a square layer, and positions of sentences.
UNUSED = "in all, with two unused tables of the released code"


class TanEncoder(nn.Module):
    """The text module, if it is inside, and the two encoders."""

    def __init__(self, config: TanConfig) -> None:
        super().__init__()
        self.text = None
        if config.texts == "words":
            sizes = (config.words, config.word_dim, config.word_hidden, config.text_dim)
            self.text = WordText(*sizes)
        self.network = AlignmentNetwork(
            config.dim, config.text_dim, config.width, config.depth, config.joint_depth,
            config.heads, config.places, config.one_space, config.dropout, config.drop_path,
        )  # fmt: skip

    def sentences(self, text: Tensor) -> Tensor:
        """Ids ``(..., L)`` or features ``(..., E)`` to features ``(..., E)``."""
        if self.text is None or text.is_floating_point():
            return text
        return self.text(text)

    def forward(
        self, batch: dict[str, Tensor], offset: int = 0, stretched: int = 0
    ) -> tuple[Encoded, Encoded | None]:
        """See :meth:`thesislib.nn.alignment.AlignmentNetwork.forward`."""
        padding = batch.get("video_padding"), batch.get("text_padding")
        text = self.sentences(batch["text"])
        return self.network(batch["video"], text, *padding, offset, stretched)


class Found(NamedTuple):
    """What the second stage makes of a batch, beside its loss.

    Its fields:

    - ``times``: :class:`~thesislib.methods.tan_labels.Agreement`.
    - ``chosen``: bool ``(B, N)``, the sentences that are learnt.
    - ``label``: int64 ``(B, N)``: 1 alignable, 0 not, 2 ignored.
    """

    times: Agreement
    chosen: Tensor
    label: Tensor


class TAN(nn.Module, PyTorchModelHubMixin):
    """The network of stage 1, and in stage 2 the slow copy that finds times for it.

    Shapes: ``video`` ``(B, T, D)``, a feature a second; ``text`` int64 ``(B, N, L)`` or float
    ``(B, N, E)``; ``start``, ``end`` ``(B, N)`` in seconds from the start of the window, of which a
    sentence has those t with start <= t < end. Optional: ``video_padding`` bool ``(B, T)`` and
    ``text_padding`` bool ``(B, N)``, True for what is not there; ``middle`` ``(B, N)`` in
    ``[0, 1]``, where in its whole video a sentence is spoken.
    """

    def __init__(self, config: TanConfig):
        super().__init__()
        self.config = config
        self.online = TanEncoder(config)
        self.target = None
        if config.stage == 2 and config.momentum:
            self.target = copy.deepcopy(self.online).requires_grad_(False)

    # -- training ----------------------------------------------------------------------------

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """A stage on a batch.

        Logged: ``dual`` and ``joint``, their contrastive losses; in stage 2 also ``head``,
        ``agree`` (share of the sentences with a new time) and ``alignable`` (share of positives).
        """
        config = self.config
        if config.stage == 3:
            return lists_loss(self.online, batch, config)
        spoken = check_batch(batch)
        if self.training and self.target is not None:
            momentum_update(self.target, self.online, config.of_a_batch(config.momentum))
        encoded = self.online(batch, self._offset(batch["video"].shape[1]))
        pairs = [None if one is None else all_pairs(one) for one in encoded]
        if config.stage == 1:
            return self._contrast(pairs, spoken, batch.get("text_padding"), None)
        found = self.find(batch, spoken, [p for p in pairs if p is not None])
        padding = batch.get("text_padding")
        loss, logs = self._contrast(pairs, found.times.target, padding, found.chosen)
        real = spoken.any(2)
        logs["agree"] = found.times.agree[real].float().mean()
        logs["alignable"] = (found.label[real] == 1).float().mean()
        if config.head_weight:
            one = encoded[0] if encoded[1] is None else encoded[1]
            stage = min(config.head_stage, one.head.shape[1]) - 1
            head = alignability_loss(one.head[:, stage][real], found.label[real])
            loss = loss + config.head_weight * head
            logs |= {"head": head.detach(), "loss": loss.detach()}
        return loss, logs

    def _offset(self, seconds: int) -> int:
        if not (self.training and self.config.random_offset):
            return 0
        most = min(seconds // 2, self.config.places - seconds)
        return int(torch.randint(max(1, most), ()))

    def _contrast(
        self,
        pairs: list[Tensor | None],
        target: Tensor,
        padding: Tensor | None,
        chosen: Tensor | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean of the encoders' contrastive losses."""
        config = self.config
        losses = {}
        names = (("dual", config.negatives), ("joint", config.joint_negatives))
        for (name, negatives), cosines in zip(names, pairs, strict=True):
            if cosines is not None:
                logits = cosines / config.temperature
                losses[name] = alignment_nce(
                    logits, target, padding, chosen, negatives, config.sides
                )
        loss = torch.stack(list(losses.values())).mean()
        return loss, {"loss": loss.detach(), **{k: v.detach() for k, v in losses.items()}}

    @torch.no_grad()
    def find(self, batch: dict[str, Tensor], spoken: Tensor, online: list[Tensor]) -> Found:
        """Times by the slow copy, and which sentences are learnt by the network itself.

        Args:
            batch: As in training.
            spoken: bool ``(B, N, T)`` of :func:`check_batch`.
            online: Cosines of :func:`~thesislib.nn.alignment.all_pairs` by the network, of the
                dual encoder and, where there is one, the joint.
        """
        slow = online
        if self.target is not None:
            whole = self.target.eval()(batch)  # which leaves nothing out
            slow = [all_pairs(one) for one in whole if one is not None]
        by_slow, by_online = ([own_pairs(p) for p in some] for some in (slow, online))
        return find(self.config, batch, spoken, by_slow, by_online)

    def parameter_groups(self, config: Any) -> list[dict[str, Any]]:
        """No weight decay of biases and norms."""
        learnt = [(n, p) for n, p in self.named_parameters() if p.requires_grad]
        return [
            {"params": [p for _, p in learnt if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for _, p in learnt if p.ndim == 1], "weight_decay": 0.0},
        ]

    # -- use ---------------------------------------------------------------------------------

    def sentences(self, text: Tensor) -> Tensor:
        """Features ``(..., E)`` of ids ``(..., L)``, which :meth:`window` takes as well."""
        return self.online.sentences(text)

    @torch.no_grad()
    def window(self, video: Tensor, text: Tensor, stretched: int = 0) -> dict[str, Tensor]:
        """What it makes of one window, by the last stages.

        Args:
            video: ``(T, D)``.
            text: int64 ``(N, L)`` or float ``(N, E)``.
            stretched: Positions of so many seconds, drawn out over all T ("global" alignment).

        Returns:
            ``dual`` and ``joint``, cosines ``(N, T)``, and ``head``, logits of alignability
            ``(N,)``. Without a joint encoder there are the dual one's alone.
        """
        batch = {"video": video[None], "text": text[None]}
        dual, joint = self.online(batch, 0, stretched)
        one = dual if joint is None else joint
        head = one.head[0, min(self.config.head_stage, one.head.shape[1]) - 1]
        found = {"dual": dual.text[0, -1] @ dual.video[0, -1].T, "head": head.float()}
        if joint is not None:
            found["joint"] = joint.text[0, -1] @ joint.video[0, -1].T
        return found

    @torch.no_grad()
    def encode_video(self, batch: dict[str, Tensor]) -> Tensor:
        """Seconds by the dual encoder, ``(B, T, W)`` unit vectors: for retrieval."""
        dual = self.online.network.alone(batch["video"], batch.get("video_padding"))
        return nn.functional.normalize(dual[:, -1].float(), dim=-1)

    @torch.no_grad()
    def encode_text(self, text: Tensor) -> Tensor:
        """Sentences by the dual encoder, ``(B, N, W)`` unit vectors."""
        text = self.online.network.sentences(self.online.sentences(text))
        return nn.functional.normalize(text.float(), dim=-1)


def own_pairs(cosines: Tensor) -> Tensor:
    """``(A, S, T, B, N)`` to the last stage's of each video with itself, ``(B, N, T)``."""
    return cosines[:, -1].diagonal(0, 0, 2).permute(2, 1, 0)


def find(
    config: TanConfig,
    batch: dict[str, Tensor],
    spoken: Tensor,
    slow: list[Tensor],
    online: list[Tensor],
) -> Found:
    """The pseudo-labels of a batch from cosines ``(B, N, T)`` of one or two encoders.

    Args:
        config: The rules.
        batch: ``video_padding``, ``text_padding`` and ``middle`` of it, where they are there.
        spoken: bool ``(B, N, T)``.
        slow: Of the slow copies, dual and joint: they find the times.
        online: Of the network: it says how sure it is.
    """
    padding = batch.get("text_padding")
    if config.deciders != "both" and len(slow) == 2:
        slow = [slow[("dual", "joint").index(config.deciders)]]
    rule = (config.temperature, config.sharpened, batch.get("video_padding"), padding)
    windows = [likeliest(x, spoken, *rule) for x in slow]
    two = torch.stack([windows[0], windows[-1]])
    times = agreement(two, spoken, config.agreement, config.deduplicated, padding)
    if not config.retime:
        times = times._replace(target=spoken)
    real = spoken.any(2)
    sure = [confidence(x, times.target, config.confidence_inside)[real] for x in online]
    scores = torch.stack(sure)
    if config.confidence_inside:
        total = scores.sum(0)
    else:
        spread = scores.std(1, keepdim=True, correction=min(1, scores.shape[1] - 1))
        total = ((scores - scores.mean(1, keepdim=True)) / spread.clamp(min=1e-8)).sum(0)
    best = best_share(total, config.alpha)
    middle = batch["middle"][real] if "middle" in batch else None
    label = alignable(scores, best, middle, config.label_by_median, config.edge)
    chosen, labels = torch.zeros_like(real), torch.full(real.shape, 2, device=real.device)
    chosen[real], labels[real] = best, label
    return Found(times, chosen, labels)


def check_batch(batch: dict[str, Tensor]) -> Tensor:
    """The seconds of each sentence, bool ``(B, N, T)``; all False where it is padding.

    Raises:
        ThesisError: No second or no sentence, a feature that is not finite, or a sentence without a
            second inside the window.
    """
    video, text, start, end = (batch[name] for name in ("video", "text", "start", "end"))
    check_window(video, text)
    at = torch.arange(video.shape[1], device=video.device)
    spoken = (at >= start[..., None]) & (at < end[..., None])
    real = torch.ones_like(spoken[..., 0])
    if "text_padding" in batch:
        real = ~batch["text_padding"]
    if not real.any():
        raise ThesisError("No video of the batch has a sentence: choose windows that hold one.")
    lost = (real & ~spoken.any(2)).nonzero()
    if len(lost):
        number, sentence = lost[0].tolist()
        when = f"{float(start[number, sentence]):g} to {float(end[number, sentence]):g} s"
        raise ThesisError(
            f"Sentence {sentence} of video {number} lasts from {when} and has no whole second in a "
            f"window of {video.shape[1]} s: round its times, or leave it out."
        )
    return spoken & real[..., None]


def check_window(video: Tensor, text: Tensor) -> None:
    """Refuses what cannot be aligned: ``(..., T, D)`` and ``(..., N, L or E)``.

    Raises:
        ThesisError: No second, no sentence, or a feature that is not finite.
    """
    if not video.shape[-2]:
        raise ThesisError("A window shorter than a second has no feature: give one second or more.")
    if not text.shape[-2]:
        raise ThesisError("There is no sentence to align: give one or more.")
    for name, values in (("video", video), ("sentences", text)):
        if values.is_floating_point() and not values.isfinite().all():
            raise ThesisError(f"Features of the {name} are not all finite: extract them again.")


def forward_one(model: TAN) -> Any:
    """One video and five sentences, to count their operations."""
    config = model.config
    video = torch.empty(1, config.seconds, config.dim)
    text = torch.empty(1, 5, config.text_dim)
    if config.texts == "words":
        text = torch.zeros(1, 5, 32, dtype=torch.long)
    return model.online({"video": video, "text": text})


def summary(model: TAN) -> dict[str, Any]:
    """Parameter counts and shapes, for ``thesislib info tan``."""
    config, online = model.config, model.online
    text = 0 if online.text is None else count(online.text)
    joint = 0 if online.network.joint is None else count(online.network.joint)
    dual, whole = count(online.network.dual), count(online)
    unused = config.width * (config.width + 1) + config.places * config.width
    return {
        "parameters": {
            "text module": text,
            "dual encoder": dual,
            "joint encoder": joint,
            "projections, positions, head": whole - text - joint - dual,
            "in all": whole,
            UNUSED: whole + unused,
            "slow copy": 0 if model.target is None else count(model.target),
        },
        "shapes": {
            "video (B, T, D)": str((config.batch_size, config.seconds, config.dim)),
            "stages": f"{max(1, config.depth)} dual, {config.joint_depth} joint",
        },
    }


CONFIG, MODEL = TanConfig, TAN
