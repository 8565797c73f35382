"""BERTScore (Zhang et al., ICLR 2020): how alike texts are in the eyes of a text encoder.

The number means nothing without the name of the encoder, so that its metrics carry it. The thesis's
is of roberta-large, rescaled by a baseline; neither is part of this package, and none is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from thesislib.errors import ThesisError
from thesislib.evaluation.scores import Scores
from thesislib.files import read_json, reading
from thesislib.image_text.offline import offline

BATCH = 64
LONGEST = 512  # tokens of a text; the rest is cut off
REMEDY = "name the folder of a text encoder as transformers writes it."


@dataclass(frozen=True)
class TextEncoder:
    """A text encoder of transformers.

    Attributes:
        name: As metrics carry it.
        model: Gives ``hidden_states``.
        tokenizer: Of transformers.
        layer: Whose states are compared; 0 are the embeddings.
    """

    name: str
    model: Any
    tokenizer: Any
    layer: int

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """Float32 ``(tokens, D)`` of length one for each text; its first and last, which mark where
        it begins and ends, are left out.
        """  # noqa: D205
        out: list[Tensor] = []
        for start in range(0, len(texts), BATCH):
            batch = self.tokenizer(
                list(texts[start : start + BATCH]), return_tensors="pt", padding=True,
                truncation=True, max_length=LONGEST, return_special_tokens_mask=True,
            )  # fmt: skip
            special = batch.pop("special_tokens_mask").bool()
            states = self.model(**batch, output_hidden_states=True).hidden_states[self.layer]
            keep = batch["attention_mask"].bool() & ~special
            rows = F.normalize(states.float(), dim=-1)
            out += [row[kept] for row, kept in zip(rows, keep, strict=True)]
        return out


def load_text_encoder(folder: str | Path, layer: int | None = None, name: str = "") -> TextEncoder:
    """An encoder of a folder; nothing is fetched and nothing in it is executed.

    Args:
        folder: As ``save_pretrained`` writes it, with its tokenizer.
        layer: Default: the last.
        name: Default: the folder's.

    Raises:
        ThesisError: There is none, transformers is missing, or it has no such layer.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ThesisError(
            "BERTScore needs transformers: pip install 'thesislib[models]'."
        ) from error

    folder = Path(folder).expanduser()
    if not (folder / "config.json").is_file():
        raise ThesisError(f"{folder} holds no text encoder: {REMEDY}")
    depth = read_json(folder / "config.json", REMEDY).get("num_hidden_layers", 0)
    layer = depth if layer is None else layer
    if not 0 <= layer <= depth:
        raise ThesisError(f"{folder} has {depth} layers, and layer {layer} was asked for.")
    with reading(folder, REMEDY), offline():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    return TextEncoder(name or folder.resolve().name, model.eval(), tokenizer, layer)


def bertscore(
    candidates: Sequence[str], references: Sequence[Sequence[str]], encoder: TextEncoder
) -> Scores:
    """F of precision (each word of a text against the nearest of the reference) and recall.

    No weights by rarity and no baseline. Of several references the best counts.

    Args:
        candidates: What was written, one for each clip.
        references: The true descriptions of each.
        encoder: Of :func:`load_text_encoder`.

    Returns:
        ``bertscore_<encoder>``, with one item a clip; a text without words has 0.

    Raises:
        ThesisError: Lengths differ, or a clip has no reference.
    """
    if len(candidates) != len(references) or not candidates or not all(references):
        raise ThesisError(
            f"There are {len(candidates)} texts and references for {len(references)} clips: give "
            "one text and one reference or more for each."
        )
    each = []
    for mine, some in zip(encoder.encode(candidates), references, strict=True):
        each.append(float(_f1([mine], encoder.encode(some)).max()))
    name = f"bertscore_{encoder.name}"
    return Scores(
        metrics={name: float(np.mean(each))}, items={name: each},
        counts={"evaluated": len(each), "skipped": 0},
    )  # fmt: skip


def bertscore_matrix(
    candidates: Sequence[str], references: Sequence[str], encoder: TextEncoder
) -> NDArray[np.float32]:
    """``(candidates, references)``: what R@k/N looks for neighbours in.

    Args:
        candidates: Texts.
        references: Texts.
        encoder: Of :func:`load_text_encoder`.
    """
    return _f1(encoder.encode(candidates), encoder.encode(references)).numpy()


def _f1(candidates: Sequence[Tensor], references: Sequence[Tensor]) -> Tensor:
    """``(C, R)`` of rows of length one, ``(tokens, D)`` each."""
    sizes = torch.tensor([max(len(one), 1) for one in references])
    padded = torch.nn.utils.rnn.pad_sequence(list(references), batch_first=True)  # (R, L, D)
    there = torch.arange(padded.shape[1]) < torch.tensor([[len(one)] for one in references])
    rows = []
    for one in candidates:
        if not len(one) or not padded.shape[1]:
            rows.append(torch.zeros(len(references)))
            continue
        cosines = torch.einsum("td,rld->rtl", one, padded)
        precision = cosines.masked_fill(~there[:, None], -1).amax(2).mean(1)
        recall = cosines.amax(1).masked_fill(~there, 0).sum(1) / sizes
        f1 = 2 * precision * recall / (precision + recall)
        rows.append(torch.where(there.any(1) & (precision + recall > 0), f1, 0.0))
    return torch.stack(rows)
