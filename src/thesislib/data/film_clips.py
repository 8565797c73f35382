"""The clips of films with what precedes them: what chapter 8 learns from (thesis 8.3.2, 8.6.1).

An item of the data set is a sequence of clips that follow one another in a film, each with its
description as the target, the true descriptions before it and the dialogue of the last minute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from thesislib.data.film_features import FilmFeatures, clip_of
from thesislib.data.films import LINES, WITHIN, Film, names_of, recent
from thesislib.data.loader import Key
from thesislib.errors import ThesisError, choose

PAIRS, FRAMES, PAST = 16, 8, 6  # of the thesis
DIALOGUE = ("none", "all", "names")


class FilmItem(NamedTuple):
    """A clip of a film in words.

    Its fields:

    - ``movie``: The film.
    - ``number``: Of the clip in it, from 0.
    - ``start``: Seconds.
    - ``end``: Seconds.
    - ``text``: The description.
    - ``context``: The descriptions before it, oldest first.
    - ``subtitles``: The dialogue before it, oldest first: lines, or the names in them.
    """

    movie: str
    number: int
    start: float
    end: float
    text: str
    context: tuple[str, ...]
    subtitles: tuple[str, ...]


def items_of(
    film: Film,
    *,
    named: bool = True,
    past: int = PAST,
    dialogue: str = "all",
    lines: int = LINES,
    within: float = WITHIN,
) -> list[FilmItem]:
    """The clips of a film, in order.

    Args:
        film: In words.
        named: Descriptions with names; else with "someone" (none where nobody has made them).
        past: Descriptions before a clip, at most.
        dialogue: ``none``; ``all`` lines; ``names``: those of the cast that the lines say (SubN).
        lines: Of the dialogue, at most.
        within: Seconds before a clip in which a line has to begin.

    Raises:
        ThesisError: ``dialogue`` is none of these, or names are asked of a film without a cast.
    """
    choose("kind of dialogue", dialogue, DIALOGUE)
    if dialogue == "names" and not film.cast:
        raise ThesisError(
            f"The film {film.movie!r} has no list of its cast: read no names from its dialogue, or "
            "put cast.json beside its descriptions."
        )
    told = film.descriptions(named)
    out = []
    for number, cue in enumerate(told):
        heard = recent(film.subtitles, cue.start, lines if dialogue != "none" else 0, within)
        said = names_of(heard, film.cast) if dialogue == "names" else [one.text for one in heard]
        before = tuple(one.text for one in told[max(0, number - past) : number])
        out.append(FilmItem(film.movie, number, *cue, before, tuple(said)))
    return out


class FilmSequences(Dataset[dict[str, Tensor]]):
    """Sequences of consecutive clips; together they hold every description at least once.

    Args:
        films: Clips of each film, as :func:`items_of` gives them.
        features: Of their frames; films without are left out, and are in ``missing``.
        encode: The words of a clip as tensors, each of one shape for all clips: padded tokens.
        pairs: Clips S of a sequence.
        frames: Rows T of a clip.

    Items:
        ``features`` float32 ``(S, T, D)``, and what ``encode`` gives, ``(S, ...)``; ``index`` int64
        ``(S,)``, the number of a clip among all. A film of fewer than S clips repeats its last one.

    Raises:
        ThesisError: No film has a clip and features.
    """

    def __init__(
        self,
        films: Sequence[Sequence[FilmItem]],
        features: FilmFeatures,
        encode: Callable[[FilmItem], Mapping[str, Tensor]],
        *,
        pairs: int = PAIRS,
        frames: int = FRAMES,
    ) -> None:
        told = [some for some in films if some]
        self.missing = sorted({one[0].movie for one in told if not features.has(one[0].movie)})
        told = [some for some in told if features.has(some[0].movie)]
        if not told:
            raise ThesisError(
                "No film has both descriptions and features "
                f"({len(self.missing)} have no features): look to their ids."
            )
        self.pairs = pairs
        self.items = [item for some in told for item in some]
        self.starts: list[tuple[int, int]] = []  # first clip of a sequence; clips of it
        self.rows: list[dict[str, Tensor]] = []
        first = 0
        for some in told:
            rows, times = features.read(some[0].movie)
            for item in some:
                seen = clip_of(rows, times, item.start, item.end, frames)
                self.rows.append({"features": seen, **encode(item)})
            self.starts += [(first + at, min(pairs, len(some))) for at in cut(len(some), pairs)]
            first += len(some)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        """One sequence; the epoch of an ``(epoch, index)`` key has no effect."""
        index = key[1] if isinstance(key, tuple) else key
        if not 0 <= index < len(self):
            raise IndexError(index)
        first, count = self.starts[index]
        numbers = [first + min(i, count - 1) for i in range(self.pairs)]
        rows = [self.rows[i] for i in numbers]
        return {
            **{name: torch.stack([row[name] for row in rows]) for name in rows[0]},
            "index": torch.tensor(numbers),
        }

    def scale(self) -> Tensor:
        """Mean and spread of each number of a frame's feature over all clips, ``(2, D)``."""
        rows = torch.cat([row["features"] for row in self.rows])
        return torch.stack([rows.mean(0), rows.std(0).clamp(min=1e-6)])


def cut(clips: int, pairs: int) -> list[int]:
    """Where the sequences of a film begin, as few as hold all its clips and evenly laid."""
    count = -(-clips // pairs)
    room = max(clips - pairs, 0)
    return [round(i * room / max(count - 1, 1)) for i in range(count)]
