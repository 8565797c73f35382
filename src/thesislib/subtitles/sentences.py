"""From captions to sentences: what is said twice or is no speech goes, sentences become whole.

The curation of HTM-370K (thesis 7.3.1 and appendix; "Sentencify" in its code), by rules: captions
of automatic recognition roll and repeat, stop in the middle of a sentence and have no marks.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import sentencex

from thesislib.subtitles.cues import Cue, listed
from thesislib.subtitles.rolling import ended, unrolled

GAP = 1.0  # seconds of silence that end a sentence
WORDS = 20  # after so many, any mark ends a sentence, and where there are none the end of a caption
SHORTEST = 0.2  # seconds: nobody says anything in less
FEW_MARKS = 40  # words: with fewer full stops than one in so many, a text has no marks

Punctuate = Callable[[Sequence[str]], Sequence[str]]  # words to the same words with marks

SOUND = re.compile(r"\[[^\[\]]*\]|^[-– ]*\([^()]*\)\s*$|^\s*\*[^*]*\*\s*$|[♪♫♬]", re.MULTILINE)
_SPEAKER = re.compile(r"^\s*(?:>>+|[-–—](?=\s))\s*", re.MULTILINE)
_STOP = re.compile(r"[.?!…。？！][\"'”’)\]]*$")
_MARK = re.compile(r"[.?!…,;:—–。？！，、][\"'”’)\]]*$")

# What becomes of cues, in the order of the summary, as sentences that a list of numbers ends.
FATES = {
    "empty": "without text, left out",
    "sounds": "with sounds and no words, left out",
    "repeated": "that say nothing new, left out",
    "short": f"shorter than {SHORTEST} s, left out",
    "sounds cut": "without the sounds between brackets",
    "rolled": "without what the one before says",
    "ends cut": "that end where the next begins",
}
LEFT_OUT = ("empty", "sounds", "repeated", "short")


class Sentence(NamedTuple):
    """A sentence of the narration.

    Its fields:

    - ``start``: Seconds from the start of the video.
    - ``end``: Seconds, not before the start.
    - ``text``: Without line ends.
    - ``cues``: Numbers of the cues that it comes from, as in their file.
    """

    start: float
    end: float
    text: str
    cues: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Sentences, and what became of every cue.

    Attributes:
        sentences: By their start.
        cues: How many cues there were.
        fates: Kind (see ``FATES``) to the numbers of its cues.
        marked: Whether the text had marks of its own; without them, and without a model that sets
            them, sentences end where the speaker pauses or a caption ends.
    """

    sentences: tuple[Sentence, ...]
    cues: int
    fates: Mapping[str, Sequence[int]]
    marked: bool

    def of_cue(self) -> dict[int, tuple[int, ...]]:
        """Number of a cue to the places of its sentences, from 0; cues left out have none."""
        places: dict[int, list[int]] = {}
        for place, sentence in enumerate(self.sentences):
            for number in sentence.cues:
                places.setdefault(number, []).append(place)
        return {number: tuple(some) for number, some in places.items()}

    def summary(self) -> list[str]:
        """Lines for people: cues in, sentences out, and what became of which cue."""
        used = self.cues - sum(len(self.fates.get(kind, ())) for kind in LEFT_OUT)
        lines = [f"{self.cues} cues, {used} of them used, give {len(self.sentences)} sentences."]
        if not self.marked:
            lines.append("  The text has no full stops: pauses and the ends of cues end sentences.")
        for kind, says in FATES.items():
            if numbers := self.fates.get(kind):
                lines.append(f"  {len(numbers)} {says}: {listed(numbers)}")
        return lines


def whole_sentences(
    cues: Sequence[Cue],
    *,
    language: str = "en",
    punctuate: Punctuate | None = None,
    join: bool = True,
    gap: float = GAP,
    words: int = WORDS,
    shortest: float = SHORTEST,
) -> Sentences:
    """Whole sentences of the captions of a video.

    Captions lose sounds (``[Music]``) and repetitions, then their words follow one another; word by
    word a caption's time is shared out evenly over its characters. A sentence ends at a pause, at a
    change of the speaker (``>>``, ``-``), and where a sentence cutter that knows abbreviations says
    so; a long one at the next mark, and where there are no marks with its caption.

    Args:
        cues: Sorted by start, as :func:`~thesislib.subtitles.read_subtitles` gives them.
        language: For the sentence cutter, e.g. ``en``.
        punctuate: Sets marks where the text has none (see
            :func:`thesislib.subtitles.punctuation.punctuator`); words in, as many words out.
        join: Captions of a text without marks make sentences of some ``words``; otherwise, without
            a model that sets marks, each is one.
        gap: A pause, seconds.
        words: A sentence is long after so many; after three times as many it ends anywhere.
        shortest: Cues shorter than this, seconds, are left out (the authors': 0.2).
    """
    kept, fates = _cleaned(cues, shortest)
    runs = _runs(kept, gap)
    marked = _marked([word for run in runs for word in run])
    if not (marked or join or punctuate):
        runs = _runs(kept, -math.inf)
    found: list[Sentence] = []
    for run in runs:
        if not marked and punctuate is not None:
            texts = punctuate([word.text for word in run])
            run = [word._replace(text=text) for word, text in zip(run, texts, strict=True)]
        found += [_sentence(part) for part in _cut(run, language, words)]
    found.sort(key=lambda one: one.start)
    fates = {kind: numbers for kind, numbers in fates.items() if numbers}
    return Sentences(tuple(found), len(cues), fates, marked or punctuate is not None)


class _Word(NamedTuple):
    text: str
    start: float
    end: float
    cue: int
    last: bool  # of its cue


def _cleaned(cues: Sequence[Cue], shortest: float) -> tuple[list[Cue], dict[str, list[int]]]:
    fates: dict[str, list[int]] = {}
    fates["empty"] = [cue.number for cue in cues if not cue.text]
    spoken, sounds, cut = [], [], []
    for cue in (cue for cue in cues if cue.text):
        lines = (" ".join(line.split()) for line in SOUND.sub(" ", cue.text).split("\n"))
        text = "\n".join(line for line in lines if line)
        if not any(character.isalnum() for character in text):
            sounds.append(cue.number)
            continue
        if text != cue.text:
            cut.append(cue.number)
        spoken.append(cue._replace(text=text))
    fates |= {"sounds": sounds, "sounds cut": cut}
    spoken, fates["ends cut"] = ended(spoken)
    spoken, done = unrolled(spoken)
    fates |= done
    fates["short"] = [cue.number for cue in spoken if round(cue.end - cue.start, 6) < shortest]
    return [cue for cue in spoken if round(cue.end - cue.start, 6) >= shortest], fates


def _runs(cues: Sequence[Cue], gap: float) -> list[list[_Word]]:
    """Words that follow one another without a pause or a change of the speaker."""
    runs: list[list[_Word]] = []
    until = -float("inf")
    for cue in cues:
        pieces = _turns(cue.text)
        total = sum(len(word) + 1 for _, some in pieces for word in some) - 1
        at, rate = 0, (cue.end - cue.start) / max(total, 1)
        if cue.start - until > gap:
            runs.append([])
        for new_speaker, some in pieces:
            if new_speaker and runs[-1]:
                runs.append([])
            for i, word in enumerate(some):
                start, end = cue.start + at * rate, cue.start + (at + len(word)) * rate
                runs[-1].append(_Word(word, start, end, cue.number, i == len(some) - 1))
                at += len(word) + 1
        until = max(until, cue.end)
    return [run for run in runs if run]


def _turns(text: str) -> list[tuple[bool, list[str]]]:
    """What each speaker says: whether a mark says that it is another, and the words."""
    turns: list[tuple[bool, list[str]]] = []
    for line in text.split("\n"):
        bare = _SPEAKER.sub("", line)
        if bare != line or not turns:
            turns.append((bare != line, []))
        turns[-1][1].extend(bare.split())
    return [(new, some) for new, some in turns if some]


def _marked(words: Sequence[_Word]) -> bool:
    stops = sum(bool(_STOP.search(word.text)) for word in words)
    return stops * FEW_MARKS >= len(words)


def _cut(run: list[_Word], language: str, most: int) -> list[list[_Word]]:
    """Sentences of a run of words."""
    begins = [0]
    for word in run:
        begins.append(begins[-1] + len(word.text) + 1)
    parts: list[list[_Word]] = []
    at, begin = 0, 0
    for text in sentencex.segment(language, " ".join(word.text for word in run)):
        at += len(text)
        end = bisect.bisect_left(begins, at)
        if begins[min(end, len(run))] - at in (0, 1) and end > begin:  # else within a word
            parts += _shortened(run[begin:end], most)
            begin = end
    return parts + (_shortened(run[begin:], most) if begin < len(run) else [])


def _shortened(part: list[_Word], most: int) -> list[list[_Word]]:
    """A long sentence in pieces; one that is hardly longer stays whole."""
    pieces: list[list[_Word]] = [[]]
    for i, word in enumerate(part):
        pieces[-1].append(word)
        count, rest = len(pieces[-1]), len(part) - i - 1
        ahead = part[i + 1 : i + 1 + most]
        at_mark = bool(_MARK.search(word.text))
        marks_ahead = any(_MARK.search(other.text) for other in ahead)
        at_end = word.last and not marks_ahead
        if rest and count >= most and (at_mark or at_end or count >= 3 * most):
            pieces.append([])
    return pieces


def _sentence(part: Sequence[_Word]) -> Sentence:
    text = " ".join(word.text for word in part)
    numbers = tuple(dict.fromkeys(word.cue for word in part))
    start, end = part[0].start, max(word.end for word in part)
    return Sentence(round(start, 3), round(max(end, start), 3), text, numbers)
