"""Names to "someone": how LSMDC and MAD hide who is who (thesis 8.4).

By rule, with the film's cast given; or by a model that finds names, as the thesis has it: no
publisher puts one on PyPI that works offline, so it is a function that you give (``find``).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable

SOMEONE = "someone"
TITLES = ("Mr", "Mrs", "Ms", "Miss", "Dr", "Sir", "Lady", "Lord", "Captain", "Professor", "Aunt",
          "Uncle")  # fmt: skip
LINKS = ("de", "von", "van", "der", "la")  # between the parts of a name
# A name that is a word as well is meant as the word before these, at the start of a sentence.
VERBS = {"will", "may", "can"}
PRONOUNS = ("i", "you", "he", "she", "it", "we", "they", "this", "that", "there", "the", "a", "an")
MONTHS = {"april", "may", "june", "august"}
BEFORE_MONTH = ("in", "last", "next", "of", "since", "until", "every", "early", "late")
FindNames = Callable[[str], Iterable[tuple[int, int]]]


def anonymise(text: str, names: Iterable[str] = (), find: FindNames | None = None) -> str:
    """A text in which every name is "someone".

    A title goes with its name ("Mr. Gray"), names side by side are one ("Anna Gray"), names that
    are joined stay two ("someone and someone"), and a possessive stays one ("someone's"). Only what
    is written with a capital is a name, so that "mark" and "will" stay words.

    Args:
        text: One or more sentences.
        names: Of the cast; each part of a name counts.
        find: Finds further names as (start, end) places in the text: a named-entity model.

    Returns:
        The text; one without a name is returned as it is.
    """
    spans = [(m.start(), m.end()) for m in _pattern(tuple(names)).finditer(text)]
    spans = [span for span in spans if not _is_word(text, *span)]
    spans += [span for span in (find(text) if find else ()) if 0 <= span[0] < span[1] <= len(text)]
    out, end = [], 0
    for start, stop in _joined(text, spans):
        out += [text[end:start], SOMEONE.capitalize() if _begins(text, start) else SOMEONE]
        end = stop
        if text[stop : stop + 1] in ("'", "’") and text[stop - 1] in "sS" and not text[
            stop + 1 : stop + 2
        ].isalpha():  # fmt: skip
            out.append(f"{text[stop]}s")  # James' is someone's
            end = stop + 1
    return "".join([*out, text[end:]])


def names_in(text: str, names: Iterable[str]) -> list[str]:
    """The names of the cast that a text says, each once, in the order of the text.

    A part of a name says it, as in :func:`anonymise`.
    """
    found = {}
    for name in names:
        spans = (m.span() for m in _pattern((name,)).finditer(text))
        place = next((start for start, end in spans if not _is_word(text, start, end)), None)
        if place is not None:
            found[name] = place
    return sorted(found, key=lambda name: found[name])


def parts_of(name: str) -> list[str]:
    """The parts of a name that stand for it: those with a capital, without titles."""
    words = re.findall(r"[^\W\d_][\w’'-]*\w|[^\W\d_]", name)
    return [word for word in words if word[0].isupper() and word not in TITLES]


@functools.lru_cache(maxsize=4096)  # a long track is asked for each name in each cue
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Matches a part of a name, also in capitals, with a title before it."""
    parts = {part for name in names for part in parts_of(name)}
    if not parts:
        return re.compile(r"(?!)")
    spelled = sorted({*parts, *(part.upper() for part in parts)}, key=lambda p: (-len(p), p))
    titles = "|".join((*TITLES, *(title.upper() for title in TITLES)))
    return re.compile(
        rf"(?<!\w)(?:(?:{titles})\.?\s+)?(?:{'|'.join(map(re.escape, spelled))})(?!\w)"
    )


def _is_word(text: str, start: int, end: int) -> bool:
    """Whether what looks like a name is the word that is spelled like it."""
    word = text[start:end].lower()
    after = re.match(r"\s+(\w+)", text[end:])
    if word in VERBS and _begins(text, start):
        return after is not None and after[1].lower() in PRONOUNS
    before = re.search(r"(\w+)\s+$", text[:start])
    return word in MONTHS and before is not None and before[1].lower() in BEFORE_MONTH


def _begins(text: str, start: int) -> bool:
    """Whether a sentence begins here."""
    return re.search(r"[\w,;:]\W*$", text[:start]) is None or bool(
        re.search(r"[.!?…][\"'”’)]*\s+[\"'“‘(]*$", text[:start])
    )


def _joined(text: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order; those that overlap, or have a blank or a link between them, are one."""
    out: list[tuple[int, int]] = []
    links = "|".join(LINKS)
    for start, end in sorted(spans):
        if out and re.fullmatch(rf"[\s-]*|\s+(?:{links})\s+", text[out[-1][1] : start]):
            out[-1] = out[-1][0], max(end, out[-1][1])
        else:
            out.append((start, end))
    return out
