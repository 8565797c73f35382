"""Texts as the words that CIDEr, ROUGE-L and BLEU count.

The public evaluators cut texts by the Penn Treebank tokenizer of Stanford CoreNLP 3.4.1, in small
letters, and drop punctuation. That is a Java program; these are its rules for English sentences.
"""

from __future__ import annotations

import re

# Two words written as one, and where the first ends.
_TWO = {"cannot": 3, "gonna": 3, "gotta": 3, "gimme": 3, "lemme": 3, "wanna": 3}
_ENDING = re.compile(r"^(.+)(n't|'(?:s|m|d|ll|re|ve))$")
_ABBREVIATIONS = re.compile(
    r"(?:mr|mrs|ms|dr|st|prof|jr|sr|lt|col|gen|capt|sgt|rev|gov|sen|rep|mt|vs|etc|fig|seq"
    r"|jan|feb|aug|sept|oct|nov|dec)\."
)
_TOKEN = re.compile(
    r"[?!]{2,}"  # kept by the public evaluators
    r"|\d+(?:[.,:]\d+)*(?:st|nd|rd|th|s)(?![^\W_])"  # 21st, 1980s
    r"|\d+(?:[.,:]\d+)+"  # 3.5, 10,000, 7:30
    r"|(?:[^\W\d_]\.){2,}"  # u.s.
    r"|[^\W_]+(?:['/@-][^\W_]+)*\.?"  # words, with one mark that may be an abbreviation's
    r"|'(?:s|m|d|ll|re|ve)(?![^\W_])"
    r"|[^\w\s]"
)
_BRACKETS = dict(zip("()[]{}", ["-lrb-", "-rrb-", "-lsb-", "-rsb-", "-lcb-", "-rcb-"], strict=True))
_PUNCTUATION = frozenset("'`\"“”.?!,;:-–—…")


def tokens(text: str) -> list[str]:
    """The words of a text, in small letters and without punctuation.

    ``"The birds don't stop, Tom's phone rings!"`` gives ``the birds do n't stop tom 's phone
    rings``. Words with a hyphen stay whole. The evaluators mean to drop brackets and do not, since
    they look for them in capitals: ``(`` is the word ``-lrb-`` there, and so it is here. What
    is rare in descriptions is cut otherwise: initials (``F. Lee``), sums (``a+b``), ``'n'``.
    """
    flat = text.lower().replace("\u2019", "'").replace("\u2018", "'")
    found: list[str] = []
    for token in _TOKEN.findall(flat):
        if token.endswith(".") and token.count(".") == 1 and not _ABBREVIATIONS.fullmatch(token):
            token = token[:-1]
        if not token or token in _PUNCTUATION:
            continue
        endings: list[str] = []
        while match := _ENDING.match(token):
            token = match[1]
            endings.insert(0, match[2])
        at = _TWO.get(token)
        found += [token[:at], token[at:]] if at else [_BRACKETS.get(token, token)]
        found += endings
    return found
