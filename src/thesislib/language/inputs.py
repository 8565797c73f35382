"""Sentences as the token ids that AutoAD reads: contexts, subtitles, descriptions (8.3.2, 8.6.1).

Sentences of a context are one paragraph. The last tokens of a context are kept, and the first ones
of a description, which ends with the end-of-text token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from thesislib.language.model import LanguageModel
from thesislib.methods.autoad_config import AutoADConfig

PADDING = -1


class Inputs:
    """Makes them, by the limits of the settings.

    Args:
        language: Has the tokenizer.
        config: Limits, and how many descriptions are looked back.
    """

    def __init__(self, language: LanguageModel, config: AutoADConfig) -> None:
        self.language, self.config = language, config

    def context(self, descriptions: Sequence[str]) -> list[int]:
        """Ids of the descriptions of a film before a clip: of the last ones, oldest first."""
        past = self.config.past
        last = list(descriptions)[-past:] if past else []
        return self._paragraph(last)[-self.config.context_tokens :]

    def subtitles(self, lines: Sequence[str]) -> list[int]:
        """Ids of the dialogue before a clip, oldest first; of the names in it where they are it."""
        last = list(lines)[-self.config.dialogues :]
        return self._paragraph(last)[-self.config.subtitle_tokens :]

    def text(self, description: str) -> list[int]:
        """Ids of a description to learn, with its end."""
        ids = self.language.encode(description)[: self.config.text_tokens - 1]
        return [*ids, self.language.end]

    def _paragraph(self, sentences: Sequence[str]) -> list[int]:
        return self.language.encode(" ".join(sentences)) if sentences else []

    def stops(self) -> set[int]:
        """Ids that end a text."""
        ends = {self.language.end}
        if self.config.decoding.stop == "full_stop":
            ends.add(self.language.full_stop)
        return ends


def padded(rows: Sequence[Sequence[int]], length: int = 0) -> Tensor:
    """Ids of several texts as one int64 tensor ``(B, n)``.

    Args:
        rows: The ids of each.
        length: n; 0: that of the longest.
    """
    length = length or max((len(row) for row in rows), default=0)
    filled = [[*row, *[PADDING] * (length - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.long).view(len(rows), length)
