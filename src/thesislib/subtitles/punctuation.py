"""Full stops and commas for words that have none, by a model that the user names.

The authors set marks with a BERT that labels each word by the mark after it, its two labels for no
mark lowered by 0.4, so that it errs towards more sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from thesislib.errors import ThesisError
from thesislib.subtitles.sentences import Punctuate
from thesislib.torchvision_here import ensure_torchvision

NO_MARK = 0.4  # taken from the scores of the labels that say no mark
WINDOW = 120  # words the model reads at once
MARGIN = 20  # words at each end of it that are context alone
_MARKS = ".,?!:;-"
_NAMED = {"PERIOD": ".", "COMMA": ",", "QUESTION": "?", "EXCLAMATION": "!", "COLON": ":"}


def punctuator(name: str, *, no_mark: float = NO_MARK) -> Punctuate:
    """A function that sets marks, for :func:`~thesislib.subtitles.whole_sentences`.

    Args:
        name: A folder, or a repository that is in the hub's cache, of a model that labels tokens by
            the mark after them: ``felflare/bert-restore-punctuation`` (labels ``.U``, ``OO``, ...:
            a mark, ``O`` for none, and whether the word has a capital) or
            ``oliverguhr/fullstop-punctuation-multilang-large`` (``.``, ``0``, ...).
        no_mark: What the labels without a mark are lowered by (logits).

    Returns:
        Words to the same words, each with its mark. Marks they have are kept.

    Raises:
        ThesisError: transformers is not installed, there is no such model, or it labels otherwise.
    """
    ensure_torchvision()
    try:
        from transformers import AutoModelForTokenClassification, AutoTokenizer
    except ImportError as error:
        raise ThesisError(
            f"transformers cannot be imported ({error}): pip install 'thesislib[models]'."
        ) from None
    try:
        here: dict[str, Any] = {"local_files_only": True}
        tokenizer = AutoTokenizer.from_pretrained(name, **here)
        model = AutoModelForTokenClassification.from_pretrained(
            name, use_safetensors=True, **here
        ).eval()
    except Exception as error:  # whatever a folder of somebody else provokes
        raise ThesisError(
            f"There is no punctuation model {name!r} on this machine ({type(error).__name__}): "
            "give the folder of one, with its tokeniser and its weights as safetensors."
        ) from error
    labels = [_label(model.config.id2label[i]) for i in range(model.config.num_labels)]
    if not tokenizer.is_fast or "." not in {mark for mark, _ in labels}:
        raise ThesisError(
            f"{name} labels no full stops ({', '.join(model.config.id2label.values())[:80]}), or "
            "its tokeniser knows no words: name another model."
        )

    def punctuate(words: Sequence[str]) -> list[str]:
        step = WINDOW - 2 * MARGIN
        done: list[str] = []
        while len(done) < len(words):
            begin = max(len(done) - MARGIN, 0)
            some = words[begin : begin + WINDOW]
            chosen = _chosen(model, tokenizer, some, labels, no_mark)
            until = len(words) if begin + WINDOW >= len(words) else len(done) + step
            for i in range(len(done), until):
                mark, capital = labels[chosen[i - begin]]
                word = words[i] if words[i][-1:] in tuple(_MARKS) else words[i] + mark
                done.append(word[:1].upper() + word[1:] if capital else word)
        return done

    return punctuate


def _label(name: str) -> tuple[str, bool]:
    """The mark after a word (``""`` for none) and whether the word gets a capital."""
    if name.upper() in _NAMED:
        return _NAMED[name.upper()], False
    mark = name[0] if name[:1] in tuple(_MARKS) else ""
    return mark, len(name) == 2 and name[1] == "U"


@torch.inference_mode()
def _chosen(
    model: Any,
    tokenizer: Any,
    words: Sequence[str],
    labels: Sequence[tuple[str, bool]],
    less: float,
) -> list[int]:
    """The label of each word: that of its last token; a word cut off by the model's limit: none."""
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings - 2)
    tokens = tokenizer(
        list(words),
        is_split_into_words=True,
        truncation=True,
        max_length=limit,
        return_tensors="pt",
    )
    scores = model(**tokens).logits[0]
    scores = scores - less * torch.tensor([mark == "" for mark, _ in labels], dtype=scores.dtype)
    best = scores.argmax(-1).tolist()
    none = next((i for i, label in enumerate(labels) if label == ("", False)), 0)
    chosen = [none] * len(words)
    for token, word in enumerate(tokens.word_ids()):
        if word is not None:
            chosen[word] = best[token]
    return chosen
