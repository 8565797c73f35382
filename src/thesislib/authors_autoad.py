"""Published parts of chapter 8: the mapping network, the projection and the special tokens.

By the rules of :mod:`thesislib.authors`: every tensor is mapped or named.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from thesislib.authors import LoadReport, load_by_name

AUTOAD_NAMES = (
    (r"^perceiver\.latent$", "mapping.latents"),
    (r"^perceiver\.temporal_pos_embed$", "mapping.positions"),
    (r"^perceiver\.visual_prenorm\.", "mapping.norm."),
    *(
        (rf"^perceiver\.encoder\.resblocks\.(\d+)\.{theirs}\.", rf"mapping.blocks.\1.{ours}.")
        for theirs, ours in (
            (r"attn\.out_proj", "attention.out_proj"), ("ln_1", "norm_1"), ("ln_2", "norm_2"),
            (r"mlp\.c_fc", "mlp.0"), (r"mlp\.c_proj", "mlp.2"),
        )
    ),
    (r"^perceiver\.encoder\.resblocks\.(\d+)\.attn\.", r"mapping.blocks.\1.attention."),
    (r"^context_special_token\.weight$", "context"),
    (r"^subtitle_special_token\.weight$", "subtitle"),
    (r"^bos_token\.weight$", "begin"),
)  # fmt: skip


def load_autoad(model: nn.Module, state: Mapping[str, Tensor]) -> LoadReport:
    """Fills an :class:`~thesislib.methods.autoad.AutoAD` from the authors' tensors, likewise.

    The language model that their file may hold (``gpt.``) is left unused: the model has its own.

    Raises:
        ThesisError: Tensors of the model are not in ``state``; nothing is changed then.
    """
    return load_by_name(model, state, AUTOAD_NAMES, without=("reader.",))
