"""Whether a text says the right thing: of the right clip, of the right people (thesis 8.6).

CIDEr and its kin (:mod:`thesislib.evaluation.captions`) count words. Recall within neighbours asks
whether a text is nearer to its own clip's description than to those of the clips around it, and
identity recall whether it names who is there. Metrics that need Java are here too.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from thesislib.data.anonymise import names_in, parts_of
from thesislib.errors import ThesisError, choose
from thesislib.evaluation.caption_tokens import tokens
from thesislib.evaluation.captions import Scored, Words
from thesislib.evaluation.scores import Scores, check_finite

NEIGHBOURS = 16
CORENLP = "stanford-corenlp-3.6.0.jar"
TIES = ("worst", "best")


def recall_within_neighbours(
    similarities: Sequence[NDArray[Any]],
    ks: Sequence[int] = (1, 5),
    size: int = NEIGHBOURS,
    ties: str = "worst",
) -> Scores:
    """R@k/N of AutoAD-II: of N neighbouring descriptions, is a text's own among the k nearest?

    Blocks of N clips move by N // 2 over each film; a tail that is shorter than a step is never
    looked at. The mean over the clips of a block, then over all blocks.

    Args:
        similarities: For each film ``(n, n)``: row ``i`` is the text written for clip ``i``, column
            ``j`` the true description of clip ``j``; the larger the nearer.
        ks: How many of the nearest count.
        size: N.
        ties: ``worst`` counts the own description behind all that are just as near, ``best`` before
            them.

    Returns:
        ``r1_16``, ``r5_16``, each with one item a block, in the order of films.

    Raises:
        ThesisError: A film of fewer clips than N, a matrix that is not square or not finite.
    """
    choose("rule for ties", ties, TIES)
    blocks: list[NDArray[Any]] = []
    for number, one in enumerate(map(np.asarray, similarities)):
        if one.ndim != 2 or one.shape[0] != one.shape[1] or len(one) < size or size < 1:
            raise ThesisError(
                f"Film {number} has similarities of the shape {one.shape}: {size} neighbours need "
                f"a square of at least that many clips."
            )
        check_finite(one, f"Film {number}", "similarities")
        starts = range(0, len(one) - size + 1, max(size // 2, 1))
        blocks += [one[a : a + size, a : a + size] for a in starts]
    if not blocks:
        raise ThesisError("There is no film to look for neighbours in: give one at least.")
    stack = np.stack(blocks)
    own = np.diagonal(stack, axis1=1, axis2=2)[..., None]
    before = (stack > own).sum(2) + ((stack == own).sum(2) - 1 if ties == "worst" else 0)
    items = {f"r{k}_{size}": (before < k).mean(1).tolist() for k in ks}
    return Scores(
        metrics={name: float(np.mean(values)) for name, values in items.items()},
        items=items,
        counts={"evaluated": len(blocks), "skipped": 0},
    )


def identity_recall(
    candidates: Sequence[str], names: Sequence[Sequence[str]], cast: Sequence[str] = ()
) -> Scores:
    """How often a text names those that its clip's true description names.

    Capitals do not matter; and as in the true descriptions
    (:func:`~thesislib.data.anonymise.names_in`) a part of a name that is written with one says it:
    "Anna" is "Anna Gray". CRITIC (AutoAD-III) first puts names for pronouns; of texts without
    pronouns it asks the same.

    Args:
        candidates: What was written, one for each clip.
        names: The true names of each clip; clips without one are left out.
        cast: All names of the films. With them ``identity_precision`` says how many of the names
            that were written are true: who recites the cast has all the recall.

    Returns:
        ``identity_recall``, the mean over clips of the share of their names that the text has, and
        with a cast ``identity_precision``, the mean over clips whose text names anybody; each with
        one item for each of these clips.

    Raises:
        ThesisError: Lengths differ, or no clip has a name.
    """
    if len(candidates) != len(names) or not any(names):
        raise ThesisError(
            f"There are {len(candidates)} texts, {len(names)} lists of names, and "
            f"{sum(map(bool, names))} of these hold one: give each clip its list."
        )
    recall, precision = [], []
    for text, true in zip(candidates, names, strict=True):
        words = tokens(text)
        if true:
            right = [holds(words, name) or bool(names_in(text, [name])) for name in true]
            recall.append(float(np.mean(right)))
        wanted = {tuple(tokens(name)) for name in true}
        said = _said(text, words, cast)
        if said:
            precision.append(float(np.mean([tuple(tokens(name)) in wanted for name in said])))
    items = {"identity_recall": recall}
    if precision:
        items["identity_precision"] = precision
    return Scores(
        metrics={name: float(np.mean(values)) for name, values in items.items()},
        items=items,
        counts={"evaluated": len(recall), "skipped": len(names) - len(recall)},
    )


def _said(text: str, words: Words, cast: Sequence[str]) -> list[str]:
    """The names that a text says; "Anna" is not "Anna Gray" where somebody is called "Anna"."""
    whole = [name for name in cast if holds(words, name)]
    taken = {part for name in whole for part in parts_of(name)}
    others = ((name, [p for p in parts_of(name) if p not in taken]) for name in cast)
    return whole + [
        name for name, left in others if name not in whole and names_in(text, [" ".join(left)])
    ]


def holds(words: Words, name: str) -> bool:
    """Whether words (of :func:`~thesislib.evaluation.caption_tokens.tokens`) hold a name."""
    wanted = tokens(name)
    starts = range(len(words) - len(wanted) + 1)
    return bool(wanted) and any(list(words[i : i + len(wanted)]) == wanted for i in starts)


# -- metrics that are Java programs --------------------------------------------------------


def meteor(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> Scored:
    """METEOR 1.5, as pycocoevalcap calls it.

    Args:
        candidates: Words of each of N texts, see :func:`~thesislib.evaluation.captions.tokenized`.
        references: Words of each reference of each clip.

    Raises:
        ThesisError: Java or pycocoevalcap is not here.
    """
    _java("METEOR")
    from pycocoevalcap.meteor.meteor import Meteor

    # Where numbers have a comma, the wrapper cannot read what Java writes.
    english = {"JAVA_TOOL_OPTIONS": "-Duser.language=en -Duser.country=US"}
    with patch.dict(os.environ, english):
        score, each = Meteor().compute_score(*_as_texts(candidates, references))
    return Scored(float(score), [float(one) for one in each])


def spice(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> Scored:
    """SPICE, as pycocoevalcap calls it; see :func:`meteor`.

    Raises:
        ThesisError: Java, pycocoevalcap or Stanford CoreNLP is not here; nothing is fetched.
    """
    folder = _java("SPICE") / "spice" / "lib"
    if not (folder / CORENLP).is_file():
        raise ThesisError(
            f"SPICE needs Stanford CoreNLP: put {CORENLP} and its -models.jar into {folder}."
        )
    from pycocoevalcap.spice.spice import Spice

    score, each = Spice().compute_score(*_as_texts(candidates, references))
    return Scored(float(score), [float(one["All"]["f"]) for one in each])


def _java(metric: str) -> Path:
    """The folder of pycocoevalcap."""
    found = importlib.util.find_spec("pycocoevalcap")
    if shutil.which("java") is None or found is None:
        raise ThesisError(
            f"{metric} is a Java program: install a Java runtime, and pip install "
            "'thesislib[captions]', or leave it out."
        )
    return Path(next(iter(found.submodule_search_locations or ())))


def _as_texts(
    candidates: Sequence[Words], references: Sequence[Sequence[Words]]
) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    truth = {i: [" ".join(words) for words in some] for i, some in enumerate(references)}
    return truth, {i: [" ".join(words)] for i, words in enumerate(candidates)}
