"""Token dropout for video and image Transformers that are not ours (thesis chapter 6)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.nn.tokens import check_ratios, count_tokens
from thesislib.nn.video_vit import gather


class TokenDropout(nn.Module):
    """Lets a Transformer see a random share of its tokens: less time, less memory.

    Three lines make the training of a timm or transformers model faster::

        from thesislib.nn.token_dropout import TokenDropout

        dropout = TokenDropout(0.75)  # a quarter of the tokens stay
        dropout.attach(model)  # train as before; in evaluation the model sees all

    As a layer of one's own model it stands after the places are added and before the first block.

    The patch embedding still embeds all tokens, a hundredth of the work of a ViT-B on all of them;
    :class:`~thesislib.nn.video_vit.VideoViT` saves that as well. It is the encoder's half of Turbo
    training: the partial masked autoencoder needs a decoder.

    Args:
        mask_ratio: m in ``[0, 1)``, the share to drop; floor(N (1 - m)) stay.
        prefix: Tokens in front that always stay, such as CLS; :meth:`attach` finds out.
        in_eval: Drop tokens in evaluation too.

    Raises:
        ThesisError: m out of range.
    """

    def __init__(self, mask_ratio: float, prefix: int = 0, in_eval: bool = False) -> None:
        super().__init__()
        check_ratios(mask_ratio, 0.0)
        self.mask_ratio, self.prefix, self.in_eval = mask_ratio, prefix, in_eval
        self._hook: Any = None

    def extra_repr(self) -> str:
        return f"mask_ratio={self.mask_ratio}, prefix={self.prefix}, in_eval={self.in_eval}"

    def forward(self, x: Tensor) -> Tensor:
        """``(B, prefix + N, D)`` to ``(B, prefix + V, D)``; in evaluation to itself."""
        if self.mask_ratio == 0 or not (self.training or self.in_eval):
            return x
        tokens = x.shape[1] - self.prefix
        kept, _ = count_tokens((1, 1, tokens), self.mask_ratio)
        order = torch.rand(len(x), tokens, device=x.device).argsort(1)
        return self.keep(x, order[:, :kept].sort(1).values)

    def keep(self, x: Tensor, index: Tensor) -> Tensor:
        """The prefix and the tokens of this index, int64 ``(B, V)``, which does not count it."""
        return torch.cat([x[:, : self.prefix], gather(x[:, self.prefix :], index)], 1)

    def attach(self, model: nn.Module) -> TokenDropout:
        """Puts itself behind the embedding of a model, until :meth:`detach`.

        No parameter of the model changes, nor the names in its state dict.

        Args:
            model: timm's ``VisionTransformer`` and its kin, or of transformers a model that embeds
                first and treats its tokens alike then: VideoMAE, ViViT, ViT, TimeSformer with
                attention over space and time at once.

        Raises:
            ThesisError: It is attached already, or the model's kind is unknown or needs all tokens.
        """
        if self._hook is not None:
            raise ThesisError("This dropout is attached already: detach it, or make another.")
        place, self.prefix = _behind_embedding(model)
        self._hook = place.register_forward_hook(self._drop)
        return self

    def detach(self) -> None:
        """Leaves the model as it was."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _drop(self, module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 3:
            raise ThesisError(
                f"{type(module).__name__} gives no tokens (B, N, D): put TokenDropout into the "
                "model as a layer instead."
            )
        self.train(module.training)
        return self(output)


def _behind_embedding(model: nn.Module) -> tuple[nn.Module, int]:
    """The part of a model whose output are tokens with their places, and how many are a prefix."""
    name = type(model).__name__
    dropping = getattr(model, "patch_drop", None)  # timm: an identity, unless told otherwise
    if isinstance(dropping, nn.Module):
        return dropping, int(getattr(model, "num_prefix_tokens", 0))
    body = getattr(model, "base_model", model)  # transformers: the network without its head
    embeddings = getattr(body, "embeddings", None)
    if not isinstance(embeddings, nn.Module):
        raise ThesisError(
            f"TokenDropout does not know where {name} embeds its patches: put it into the model as "
            "a layer, after the positions are added."
        )
    if hasattr(model, "mask_token") or hasattr(model, "decoder"):
        raise ThesisError(
            f"{name} masks tokens itself and needs those that are left: attach to a classifier."
        )
    if getattr(getattr(model, "config", None), "attention_type", "") == "divided_space_time":
        raise ThesisError(
            f"{name} attends to space and to time apart and needs the whole grid of tokens: choose "
            "attention_type='joint_space_time'."
        )
    single = ("cls_token", "distillation_token", "register_tokens")
    found = [getattr(embeddings, part) for part in single if hasattr(embeddings, part)]
    return embeddings, sum(int(part.shape[1]) for part in found if isinstance(part, Tensor))
