"""A language model of a few words, for tests: nothing is loaded from anywhere."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from thesislib.image_text.weights import weights_hash
from thesislib.language import LanguageModel
from thesislib.torchvision_here import ensure_torchvision

WORDS = ("<|endoftext|>", ".", "anna", "tom", "waves", "sits", "runs", "red", "ball", "the", "?")


def little(words: tuple[str, ...] = WORDS, width: int = 32, layers: int = 2) -> LanguageModel:
    """A random GPT-2 that knows ``words``, the first of which ends a text."""
    ensure_torchvision()
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(words), n_embd=width, n_layer=layers, n_head=2, n_positions=256,
            eos_token_id=0, bos_token_id=0,
        )
    ).eval().requires_grad_(False)  # fmt: skip
    with torch.no_grad():  # as drawn, it would think all words alike, and hardly look back
        for parameter in model.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.add_special_tokens([words[0]])
    return LanguageModel("little", weights_hash(model), model, tokenizer, 0, 1)
