"""Turbo training with token dropout (thesis chapter 6; Han, Xie and Zisserman, BMVC 2022).

A video Transformer sees a share of a clip's tokens, and learns two things from them: its task, and
to reconstruct some of the tokens that it does not see (the *partial masked autoencoder*). What is
neither seen nor reconstructed costs nothing. At test time the same network sees all tokens.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.losses import cosine_logits, pair_nce, similarity, top1
from thesislib.methods.blocks import count, input_shape
from thesislib.methods.turbo_config import TurboConfig, gflops
from thesislib.nn.classifier import Classifier, joined
from thesislib.nn.tokens import (
    Drawn,
    Grid,
    check_ratios,
    count_tokens,
    draw,
    random_scores,
    run_scores,
    runs_kept,
)
from thesislib.nn.video_vit import (
    PatchDecoder,
    VideoViT,
    by_token,
    grid_of,
    pixel_target,
    put,
    take,
)

# Of the pixels that the loader serves; targets are made of pixels in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Turbo(Classifier, PyTorchModelHubMixin):
    """Encoder, decoder, and the head of one task.

    The task follows from the settings: ``classes`` actions (equation 6.1); sentences whose features
    have ``text_dim`` numbers (6.2); with neither, reconstruction alone, which is VideoMAE.

    Shapes: video ``(B, N, 3, T, H, W)``, whose N blocks are joined in time.
    """

    def __init__(self, config: TurboConfig):
        super().__init__()
        self.config = config
        steps = max(1, config.trained_frames // config.tubelet[0])
        places: dict[str, Any] = {"positions": config.positions, "steps": steps}
        self.encoder = VideoViT(
            config.width, config.depth, config.heads, config.tubelet, config.pool,
            drop_path=config.drop_path, **places,
        )  # fmt: skip
        self.decoder = None
        if config.recon_ratio:
            sizes = (config.decoder_width, config.decoder_depth, config.decoder_heads)
            self.decoder = PatchDecoder(
                config.width, *sizes, 3 * math.prod(config.tubelet), **places
            )
        self.dropout = nn.Dropout(config.dropout)
        self.linear: nn.Module = nn.Identity()  # text features as long as the video's: as they are
        out = config.classes or config.text_dim
        if config.classes or config.text_dim not in (0, config.width):
            self.linear = nn.Linear(config.width, out)
            nn.init.trunc_normal_(self.linear.weight, std=0.02)
            nn.init.zeros_(self.linear.bias)

    def trunk(self) -> list[nn.Module]:
        return [self.encoder]

    # -- which tokens ------------------------------------------------------------------------

    def draw(self, video: Tensor, mask_ratio: float, recon_ratio: float) -> Drawn | None:
        """Visible tokens and targets of a batch; ``None``: all tokens are visible.

        Args:
            video: ``(B, 3, T, H, W)``.
            mask_ratio: m.
            recon_ratio: r.
        """
        config = self.config
        patches = by_token(video, config.tubelet)
        grid = grid_of(patches)
        whole = math.prod(grid)
        seen, wanted = count_tokens(grid, mask_ratio, recon_ratio, config.masking)
        by_change = config.masking == "runs" and config.run_threshold > 0 and mask_ratio > 0
        if seen == whole and not by_change:
            return None
        if config.masking == "runs":
            scores = run_scores(patches)
        else:
            scores = random_scores(len(video), grid, config.masking == "tube", video.device)
        if by_change:
            seen = runs_kept(scores, config.run_threshold)
            wanted = min(wanted, whole - seen)
        return draw(scores, grid, seen, wanted, config.targets)

    # -- the partial masked autoencoder ------------------------------------------------------

    def reconstruct(self, encoded: Tensor, drawn: Drawn, grid: Grid) -> Tensor:
        """Guessed pixels of the wanted tokens, ``(B, R, P)``, of what the encoder gives."""
        if self.decoder is None:
            raise ThesisError("This model has no decoder: build it with recon_ratio above 0.")
        tokens = self.encoder.tokens(encoded)
        return self.decoder(tokens, drawn.visible, drawn.wanted, grid)

    @torch.no_grad()
    def target(self, video: Tensor, wanted: Tensor) -> Tensor:
        """True pixels of the wanted tokens as the decoder is to guess them, ``(B, R, P)``."""
        pixels = take(by_token(video, self.config.tubelet), wanted)
        if self.config.augment.normalise:
            mean, std = (pixels.new_tensor(x).view(3, 1, 1, 1) for x in (MEAN, STD))
            pixels = pixels * std + mean
        return pixel_target(pixels, self.config.normalised_target)

    def partial_mae(self, encoded: Tensor, video: Tensor, drawn: Drawn) -> Tensor:
        """L_PMAE: the mean squared error over the wanted tokens."""
        grid = grid_of(by_token(video, self.config.tubelet))
        guess = self.reconstruct(encoded, drawn, grid)
        return F.mse_loss(guess, self.target(video, drawn.wanted))

    # -- training ----------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 6.1 or 6.2, on the tokens of one draw.

        The loss of the task is over the logarithm of the number of its candidates, so that it
        begins near 1, as the reconstruction's does.

        Args:
            batch: ``video``; and ``label (B,)``, or ``text (B, text_dim)``, features of sentences.

        Logged: ``top1`` of the clips (of pairs also ``top1_text``), each loss before its weight.
        """
        config = self.config
        video = joined(batch["video"])
        drawn = self.draw(video, config.mask_ratio, config.recon_ratio)
        encoded = self.encoder(video, None if drawn is None else drawn.visible, config.embed_all)
        loss = encoded.new_zeros(())
        logs: dict[str, Tensor] = {}
        if config.classes or config.text_dim:
            task, size, logs = self._task(self.encoder.summary(encoded), batch)
            loss = task / math.log(size)
            logs["task"] = task.detach()
        if self.decoder is not None and drawn is not None and drawn.wanted.shape[1]:
            pmae = self.partial_mae(encoded, video, drawn)
            loss = loss + pmae
            logs["pmae"] = pmae.detach()
        return loss, {"loss": loss.detach(), **logs}

    def _task(
        self, feature: Tensor, batch: dict[str, Tensor]
    ) -> tuple[Tensor, int, dict[str, Tensor]]:
        """Loss of the task, how many candidates there are, and how often the right one wins."""
        if self.config.classes:
            logits, right = self.linear(self.dropout(feature)), batch["label"]
            smoothing = self.config.smoothing if self.training else 0.0
            loss = F.cross_entropy(logits, right, label_smoothing=smoothing)
            return loss, self.config.classes, {"top1": top1(logits, right)}
        logits = self.pair_logits(self.linear(feature), batch["text"])
        own = torch.arange(len(logits), device=logits.device)
        logs = {"top1": top1(logits, own), "top1_text": top1(logits.T, own)}
        return pair_nce(logits), max(2, len(logits)), logs

    def pair_logits(self, video: Tensor, text: Tensor) -> Tensor:
        """Of features ``(B, E)`` and ``(C, E)``: ``(B, C)``, cosines over the temperature."""
        if video.shape[1] != text.shape[1]:
            raise ThesisError(
                f"Features of sentences have {text.shape[1]} numbers, not text_dim="
                f"{video.shape[1]}: set text_dim to the encoder's."
            )
        temperature = self.config.temperature
        return cosine_logits(video, text, temperature) if temperature else similarity(video, text)

    # -- use ---------------------------------------------------------------------------------

    def encode(self, batch: dict[str, Tensor], mask_ratio: float | None = None) -> Tensor:
        """The feature of a clip from the tokens of one draw, ``(B, D)``; m as in testing."""
        video = joined(batch["video"])
        drawn = self.draw(video, self._at_test(mask_ratio), 0.0)
        return self.encoder.summary(self.encoder(video, None if drawn is None else drawn.visible))

    def encode_video(self, batch: dict[str, Tensor], mask_ratio: float | None = None) -> Tensor:
        """The feature that is compared with sentences, ``(B, text_dim)``."""
        return self.linear(self.encode(batch, mask_ratio))

    def predict(
        self, batch: dict[str, Tensor], mask_ratio: float | None = None, samples: int | None = None
    ) -> Tensor:
        """Logits ``(B, classes)``.

        Args:
            batch: ``video``.
            mask_ratio: m at test time, any in ``[0, 1)``; by default ``test_mask``.
            samples: Draws of tokens whose probabilities are averaged, by default ``test_samples``;
                with m = 0 there is only one way to draw.
        """
        if not self.config.classes:
            raise ThesisError("This model has no classifier: build it with classes above 0.")
        ratio = self._at_test(mask_ratio)
        times = (samples or self.config.test_samples) if ratio else 1
        logits = [self.linear(self.dropout(self.encode(batch, ratio))) for _ in range(times)]
        if times == 1:
            return logits[0]
        return torch.stack(logits).log_softmax(2).logsumexp(0) - math.log(times)

    def _at_test(self, mask_ratio: float | None) -> float:
        ratio = self.config.test_mask if mask_ratio is None else mask_ratio
        check_ratios(ratio, 0.0)
        return ratio

    @torch.no_grad()
    def pictures(self, batch: dict[str, Tensor], mask_ratio: float, recon_ratio: float) -> Any:
        """What it sees and what it makes of it: two videos ``(B, 3, T, H, W)`` of the input's kind.

        In the first, dropped tokens are grey (the mean colour). In the second, the wanted ones are
        reconstructed, with the mean and deviation of the truth where the target is without.
        """
        config, video = self.config, joined(batch["video"])
        patches = by_token(video, config.tubelet)
        drawn = self.draw(video, mask_ratio, recon_ratio)
        if drawn is None:
            return video, video
        encoded = self.encoder(video, drawn.visible)
        guess = self.reconstruct(encoded, drawn, grid_of(patches))
        true = take(patches, drawn.wanted)
        pixels = guess.unflatten(2, (-1, 3)).transpose(2, 3)  # (B, R, C, P)
        mean, std = (video.new_tensor(x).view(3, 1) for x in (MEAN, STD))
        if config.normalised_target:
            flat = true.flatten(3)
            pixels = pixels * flat.std(3, keepdim=True) + flat.mean(3, keepdim=True)
        elif config.augment.normalise:
            pixels = (pixels - mean) / std
        grey = 0.0 if config.augment.normalise else 0.45
        seen = put(
            torch.full_like(video, grey), drawn.visible, take(patches, drawn.visible),
            config.tubelet,
        )  # fmt: skip
        return seen, put(seen, drawn.wanted, pixels.view_as(true), config.tubelet)

    # -- beginnings --------------------------------------------------------------------------

    def start_from(self, other: "Turbo") -> None:
        """Takes over the encoder, and the decoder where both have one; heads stay as drawn."""
        self.encoder.load_state_dict(other.encoder.state_dict())
        if self.decoder is not None and other.decoder is not None:
            self.decoder.load_state_dict(other.decoder.state_dict())

    def classifier(self, classes: int, dropout: float = 0.0, frozen: bool = False) -> "Turbo":
        """A classifier that starts from this model, trained by Turbo too.

        Frozen, its linear layer learns alone, from all tokens and without a decoder.
        """
        config = replace(self.config, classes=classes, text_dim=0, dropout=dropout)
        if frozen:
            config = replace(config, mask_ratio=0.0, recon_ratio=0.0)
        head = Turbo(config)
        head.start_from(self)
        if frozen:
            head.freeze()
        return head

    def parameter_groups(self, config: Any) -> list[dict[str, Any]]:
        """Rates by layer, and no weight decay of biases, norms and single tokens, as in VideoMAE.

        The head learns at the full rate, each block ``layer_decay`` times as fast as the next, the
        embedding slowest. The decoder learns at the full rate.
        """
        decay, full = self.config.layer_decay, self.config.depth + 1
        groups: dict[tuple[float, bool], dict[str, Any]] = {}
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            own = name.removeprefix("encoder.")
            scale = decay ** (full - (full if own == name else self.encoder.level(own)))
            plain = parameter.ndim == 1 or name.endswith(("cls", "mask_token"))
            new = {"params": [], "lr_scale": scale, "weight_decay": config.weight_decay}
            group = groups.setdefault(
                (scale, plain), new | ({"weight_decay": 0.0} if plain else {})
            )
            group["params"].append(parameter)
        return list(groups.values())


def _digits(number: float) -> float:
    return float(f"{number:.4g}")


def forward_one(model: Turbo) -> tuple[Tensor, Tensor | None]:
    """One clip through a training step's forward pass, to count its operations."""
    config = model.config
    video = joined(torch.empty(1, *input_shape(config)[1:]))
    drawn = model.draw(video, config.mask_ratio, config.recon_ratio)
    encoded = model.encoder(video, None if drawn is None else drawn.visible, config.embed_all)
    feature = model.linear(model.encoder.summary(encoded))
    if model.decoder is None or drawn is None:
        return feature, None
    return feature, model.reconstruct(encoded, drawn, config.grid)


def summary(model: Turbo) -> dict[str, Any]:
    """Parameter counts, shapes, tokens and operations, for ``thesislib info turbo``."""
    config = model.config
    seen, wanted = count_tokens(config.grid, config.mask_ratio, config.recon_ratio, config.masking)
    whole = math.prod(config.grid)
    full = replace(config, mask_ratio=0.0, recon_ratio=0.0)
    decoder = 0 if model.decoder is None else count(model.decoder)
    return {
        "parameters": {
            "encoder": count(model.encoder),
            "decoder": decoder,
            "head": count(model.linear),
            "in all": count(model),
        },
        "shapes": {
            "input (B, N, 3, T, H, W)": str(input_shape(config)),
            "tokens (t, h, w)": str(config.grid),
        },
        "tokens of a clip": {
            "in all": whole,
            "visible": seen,
            "reconstructed": wanted,
            "ignored": whole - seen - wanted,
        },
        "GFLOPs as Table 6.1 counts them": {
            "a training clip": _digits(gflops(config)),
            "the same, dropped tokens embedded": _digits(gflops(replace(config, embed_all=True))),
            "all tokens, no reconstruction": _digits(gflops(full)),
        },
    }


CONFIG, MODEL = TurboConfig, Turbo
