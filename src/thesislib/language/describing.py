"""The descriptions of films, clip by clip in order (thesis 8.3.2): recurrent or with an oracle.

A clip's context is what the film's clips before it were described by: by the model itself
(recurrent), or by the truth (oracle). Films go side by side, one clip of each at a time. What is
written goes into a file at once, so that a process that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from thesislib.errors import ThesisError, of_the_system
from thesislib.files import make_folder, read_text, reading, write_text
from thesislib.image_text.weights import weights_hash
from thesislib.language.generation import Written, generate
from thesislib.language.inputs import Inputs, padded
from thesislib.language.model import LanguageModel
from thesislib.methods.autoad import AutoAD

AGAIN = "delete it to describe the film from the start."
CONTENT = "content"  # of the films; files of before do not say it


@dataclass(frozen=True)
class FilmClips:
    """What is known of a film's clips, in their order.

    Attributes:
        features: Frames of each, float ``(N, T, D)``.
        subtitles: The dialogue before each, oldest first, the line itself or the names in it;
            none for a model that reads none.
        truth: The true descriptions, as context; none: the model's own are the context.
    """

    features: Tensor
    subtitles: Sequence[Sequence[str]] = ()
    truth: Sequence[str] = field(default=())

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Description:
    """What was written for a clip.

    Attributes:
        film: Its name.
        clip: The clip's number in it, from 0.
        text: By the search that the settings name.
        context: What the next clips are given of it: greedy text, which is more stable (8.6.1).
        score: Mean log-probability of ``text``.
    """

    film: str
    clip: int
    text: str
    context: str
    score: float


def describe_clips(
    model: AutoAD,
    language: LanguageModel,
    features: Tensor,
    subtitles: Sequence[Sequence[str]] = (),
    truth: Sequence[str] = (),
    out: str | Path | None = None,
) -> list[Description]:
    """Describes the clips of one film; see :func:`describe_films`.

    Args:
        model: A trained AutoAD.
        language: Its language model.
        features: ``(N, T, D)``.
        subtitles: See :class:`FilmClips`.
        truth: See :class:`FilmClips`.
        out: See :func:`describe_films`.
    """
    films = {"film": FilmClips(features, subtitles, truth)}
    return describe_films(model, language, films, out)["film"]


def describe_films(
    model: AutoAD,
    language: LanguageModel,
    films: Mapping[str, FilmClips],
    out: str | Path | None = None,
) -> dict[str, list[Description]]:
    """Describes films, in each clip after clip.

    Args:
        model: A trained AutoAD; its settings say how text is searched for.
        language: Its language model.
        films: By name.
        out: A file of JSON lines: what the texts are of, then a clip a line. It is written as the
            work goes on, and what it holds is not done again.

    Returns:
        The descriptions of each film.

    Raises:
        ThesisError: Subtitles or true descriptions that are not one a clip, or ``out`` holds the
            work of another model or of other films.
    """
    for name, film in films.items():
        for what, given in (("lists of subtitles", film.subtitles), ("truths", film.truth)):
            if given and len(given) != len(film):
                raise ThesisError(
                    f"{name} has {len(film)} clips and {len(given)} {what}: give one a clip."
                )
    rounds = [
        [name for name, film in films.items() if number < len(film)]
        for number in range(max(map(len, films.values()), default=0))
    ]
    record = _Record(out, identity(model, language, films))
    found: dict[str, list[Description]] = {name: [] for name in films}
    for done in record.rounds(rounds):
        for one in done:
            found[one.film].append(one)
    model.eval()
    inputs = Inputs(language, model.config)
    for number in range(max(map(len, found.values()), default=0), len(rounds)):
        done = _round(model, inputs, films, found, rounds[number], number)
        record.add(done)
        for one in done:
            found[one.film].append(one)
    return found


def identity(
    model: AutoAD, language: LanguageModel, films: Mapping[str, FilmClips]
) -> dict[str, Any]:
    """What decides every text of a file: weights, settings of the search, films."""
    config = model.config
    return {
        "weights": weights_hash(model),
        "language": language.weights_hash,
        "decoding": asdict(config.decoding),
        "reads": [*config.active, config.past, config.subtitles],
        "films": {name: len(film) for name, film in films.items()},
        "oracle": any(len(film.truth) > 0 for film in films.values()),
        CONTENT: _content(films),
    }


def _content(films: Mapping[str, FilmClips]) -> str:
    """Of all that is seen and read, 16 hex digits."""
    whole = hashlib.sha256()
    for name, film in films.items():
        whole.update(film.features.detach().cpu().float().contiguous().numpy().tobytes())
        words = [name, [list(lines) for lines in film.subtitles], list(film.truth)]
        whole.update(json.dumps(words).encode())
    return whole.hexdigest()[:16]


@torch.no_grad()
def _round(
    model: AutoAD,
    inputs: Inputs,
    films: Mapping[str, FilmClips],
    found: Mapping[str, list[Description]],
    names: Sequence[str],
    number: int,
) -> list[Description]:
    """The clip of that number of each named film."""
    past, said = [], []
    for name in names:
        film = films[name]
        before = film.truth[:number] if film.truth else [d.context for d in found[name]]
        past.append(inputs.context(before))
        said.append(inputs.subtitles(film.subtitles[number]) if film.subtitles else [])
    device = model.begin.device
    batch = {
        "features": torch.stack([films[name].features[number] for name in names]),
        "context": padded(past), "subtitles": padded(said),
        "text": padded([[] for _ in names]),
    }  # fmt: skip
    vectors, mask = model.prompt({k: v.to(device) for k, v in batch.items()})
    rules, stops = model.config.decoding, inputs.stops()

    def write(rules: Any) -> list[Written]:
        texts = generate(model.reader, vectors, mask, rules, stops, past)
        return [beams[0] for beams in texts]

    best = write(rules)
    greedy = best if rules.beams == 1 else write(replace(rules, beams=1))
    decode = inputs.language.decode
    return [
        Description(name, number, decode(b.ids), decode(g.ids), round(b.score, 4))
        for name, b, g in zip(names, best, greedy, strict=True)
    ]


class _Record:
    """The file of what is done, if there is one."""

    def __init__(self, path: str | Path | None, of: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path).expanduser()
        self.head = _head(of)
        self.before = _head({key: value for key, value in of.items() if key != CONTENT})

    def rounds(self, expected: Sequence[Sequence[str]]) -> Iterator[list[Description]]:
        """Whole rounds that the file holds; the rest of it is cut away."""
        if self.path is None:
            return
        done: list[list[Description]] = []
        if self.path.is_file():
            head, *lines = read_text(self.path, AGAIN).split("\n")
            known = head in (self.head, self.before)
            if not known and (lines or not self.head.startswith(head)):
                raise ThesisError(
                    f"{self.path} holds texts of another model, search or film: name another file, "
                    f"or {AGAIN}"
                )
            rest = lines[:-1]  # the last line has no end: it is empty, or torn
            with reading(self.path, AGAIN):
                for names in expected:
                    if len(rest) < len(names):
                        break
                    some = [Description(**json.loads(line)) for line in rest[: len(names)]]
                    if [(d.film, d.clip) for d in some] != [(n, len(done)) for n in names]:
                        raise ValueError("clips are missing")
                    done.append(some)
                    rest = rest[len(names) :]
        make_folder(self.path.parent)
        text = [self.head, *(_line(one) for some in done for one in some), ""]
        write_text(self.path, "\n".join(text))
        yield from done

    def add(self, some: Sequence[Description]) -> None:
        """Appends a round."""
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write("".join(f"{_line(one)}\n" for one in some))
        except OSError as error:
            raise of_the_system(error, self.path, "written", "free some space.") from error


def _head(of: Mapping[str, Any]) -> str:
    return json.dumps(of, ensure_ascii=False, sort_keys=True)


def _line(one: Description) -> str:
    return json.dumps(asdict(one), ensure_ascii=False)
