"""Sentences as ids of words, for a text module on word vectors (MIL-NCE's and TAN's)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from thesislib.errors import ThesisError
from thesislib.files import read_text

WORD = re.compile(r"[\w']+")
REMEDY = "give a text file with a word a line."
MOST = 32  # words of a sentence; the rest is cut off, as released


class Vocabulary:
    """Words and their ids, from 1; 0 is padding and every other word.

    Args:
        words: In the order of the table of vectors, whose row 0 is the padding's.

    Raises:
        ThesisError: There is no word, or one is there twice.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(words)
        self.place = {word: number for number, word in enumerate(self.words, 1)}
        if not self.words or len(self.place) < len(self.words):
            raise ThesisError(
                f"A vocabulary of {len(self.words)} words has {len(self.place)} different ones: "
                "give each word once, and one at least."
            )

    def __len__(self) -> int:
        """Rows of the table: the words and the padding."""
        return len(self.words) + 1

    def ids(self, sentences: Sequence[str], most: int = MOST) -> Tensor:
        """int64 ``(S, most)`` of lower-case words; unknown ones keep their place, as 0."""
        rows = torch.zeros(len(sentences), most, dtype=torch.long)
        for row, sentence in zip(rows, sentences, strict=True):
            found = [self.place.get(word, 0) for word in WORD.findall(sentence.lower())][:most]
            row[: len(found)] = torch.tensor(found, dtype=torch.long)
        return rows


def read_vocabulary(path: str | Path) -> Vocabulary:
    """A published list of words: ``.npy`` (an array of texts, as MIL-NCE's) or a line each.

    Raises:
        ThesisError: No such file, or no list of words.
    """
    path = Path(path)
    if path.suffix != ".npy":
        return Vocabulary(read_text(path, REMEDY).split())
    try:
        words = np.load(path, allow_pickle=False)
        if words.ndim != 1 or words.dtype.kind != "U":
            raise ValueError("no list of texts")
    except (OSError, ValueError) as error:
        raise ThesisError(
            f"{path} is not a list of words that can be read safely ({error}): {REMEDY}"
        ) from None
    return Vocabulary(words.tolist())
