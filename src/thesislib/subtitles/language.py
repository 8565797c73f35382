"""Which language subtitles are in, and whether a video's are fit to learn from."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from thesislib.subtitles.cues import Cue

DRAWS = 5  # captions that are asked
LEAST_WORDS = 4  # of such a caption
PROBABILITY = 0.9
CAPTIONS = 10  # more than so many
MEAN_WORDS = 5.0  # more than so many a caption


class Language(NamedTuple):
    """A language, e.g. ``en``, and its probability; ``und`` where there are too few words."""

    code: str
    probability: float


def language_of(texts: Sequence[str]) -> Language:
    """The language of captions, by py3langid's naive Bayes on sequences of bytes.

    The authors ask five captions of at least four words and average. Short captions leave any such
    model unsure, so here five of them, evenly spread, are read as one text.

    Args:
        texts: Of the cues of one file.
    """
    long = [text for text in texts if len(text.split()) >= LEAST_WORDS] or list(texts)
    step = max(len(long) / DRAWS, 1.0)
    drawn = [long[int(i * step + step / 2)] for i in range(min(DRAWS, len(long)))]
    said = " ".join(" ".join(drawn).split())
    if not any(character.isalpha() for character in said):
        return Language("und", 0.0)
    return Language(*_identifier().classify(said))


def unfit(cues: Sequence[Cue], wanted: str = "en") -> dict[str, str]:
    """Why subtitles are not fit to learn from; empty if they are.

    Thesis 7.3.1 and its appendix keep videos with subtitles in English (probability above 0.9),
    more than ten captions, and more than five words a caption.

    Args:
        cues: Of the file of one video.
        wanted: The language, as :func:`language_of` names it.

    Returns:
        What is wrong (``another language``, ``few captions``, ``few words``), and how.
    """
    texts = [cue.text for cue in cues if cue.text]
    mean = sum(len(text.split()) for text in texts) / max(len(texts), 1)
    reasons = {}
    if len(texts) <= CAPTIONS:
        reasons["few captions"] = f"{len(texts)} captions"
    if mean <= MEAN_WORDS:
        reasons["few words"] = f"{mean:.1f} words a caption"
    found = language_of(texts)
    if found.code != wanted or found.probability <= PROBABILITY:
        reasons["another language"] = (
            f"language {found.code} ({found.probability:.2f}), not surely {wanted}"
        )
    return reasons


@functools.cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
