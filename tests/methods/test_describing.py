"""Films described clip by clip: contexts, oracle, many at once, killed and gone on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from methods.writing import little
from thesislib.errors import ThesisError
from thesislib.language import describing
from thesislib.language.describing import FilmClips, describe_clips, describe_films
from thesislib.language.generation import generate
from thesislib.language.inputs import padded
from thesislib.methods.autoad import AutoAD, AutoADConfig
from thesislib.methods.autoad_config import Decoding

LANGUAGE = little()
CONFIG = replace(
    AutoADConfig.preset("small"), dim=16, heads=2, latents=3, places=8, past=2, subtitles="all",
    decoding=Decoding(beams=2, new_tokens=6, penalty=1.0, no_repeat=0),
)  # fmt: skip
LINES = [["tom?"], [], ["anna runs."], ["the red ball."], ["sits"]]


def model(**changes: object) -> AutoAD:
    torch.manual_seed(3)
    return AutoAD(replace(CONFIG, **changes), LANGUAGE.model).eval()


def films() -> dict[str, FilmClips]:
    torch.manual_seed(4)
    return {
        "long": FilmClips(3 * torch.randn(5, 4, 16), LINES),
        "short": FilmClips(3 * torch.randn(3, 4, 16), LINES[:3]),
    }


def naive(one: AutoAD, film: FilmClips) -> list[tuple[str, str]]:
    """Text and greedy text of each clip, every input made by hand."""
    out: list[tuple[str, str]] = []
    encode, decode = LANGUAGE.encode, LANGUAGE.decode
    for i in range(len(film)):
        past = list(film.truth[:i]) if film.truth else [greedy for _, greedy in out]
        context = encode(" ".join(past[-2:]))[-64:]
        lines = encode(" ".join(film.subtitles[i]))
        batch = {
            "features": film.features[i : i + 1], "context": padded([context]),
            "subtitles": padded([lines]), "text": padded([[]]),
        }  # fmt: skip
        with torch.no_grad():
            prompt = one.prompt(batch)
        texts = [
            generate(one.reader, *prompt, replace(CONFIG.decoding, beams=beams), {0, 1}, [context])
            for beams in (2, 1)
        ]
        out.append((decode(texts[0][0][0].ids), decode(texts[1][0][0].ids)))
    return out


def test_recurrent_and_oracle_contexts() -> None:
    one, some = model(), films()
    found = describe_films(one, LANGUAGE, some)
    for name, film in some.items():
        assert [(d.text, d.context) for d in found[name]] == naive(one, film)
    truth = ["anna waves.", "tom sits.", "anna runs.", "tom runs.", "the ball."]
    given = replace(some["long"], truth=truth)
    oracle = describe_clips(one, LANGUAGE, given.features, given.subtitles, given.truth)
    assert [(d.text, d.context) for d in oracle] == naive(one, given)
    assert [d.text for d in oracle] != [d.text for d in found["long"]]
    assert oracle[0].text == found["long"][0].text  # before the first there is nothing


def test_killed_at_any_place_it_goes_on_to_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, some = model(), films()
    whole = tmp_path / "whole.jsonl"
    expected = describe_films(one, LANGUAGE, some, whole)
    data = whole.read_bytes()
    assert len(data.splitlines()) == 1 + 5 + 3
    done = []
    work = describing._round
    monkeypatch.setattr(describing, "_round", lambda *args: done.append(args[-1]) or work(*args))
    path = tmp_path / "part.jsonl"
    for size in [0, 5, *range(len(data) // 3, len(data), 97), len(data) - 1, len(data)]:
        path.write_bytes(data[:size])
        done.clear()
        assert describe_films(one, LANGUAGE, some, path) == expected
        assert path.read_bytes() == data
        kept = data[:size].count(b"\n") - 1  # lines of clips that were whole
        rounds = [2, 4, 6, 7, 8]
        assert done == [i for i in range(5) if kept < rounds[i]]


def test_files_of_other_work_are_refused(tmp_path: Path) -> None:
    one, some = model(), films()
    path = tmp_path / "texts.jsonl"
    describe_films(one, LANGUAGE, some, path)
    kept = path.read_bytes()
    other = model(decoding=replace(CONFIG.decoding, beams=1))
    with pytest.raises(ThesisError, match="another model, search or film: name another file"):
        describe_films(other, LANGUAGE, some, path)
    with pytest.raises(ThesisError, match="another model, search or film"):
        describe_films(one, LANGUAGE, {"long": some["long"]}, path)
    film, truth = some["short"], ["anna waves.", "tom sits.", "anna runs."]
    changed = [
        replace(film, features=film.features.roll(1, 0)),
        replace(film, subtitles=[*LINES[:2], ["tom?"]]),
        replace(film, truth=truth),
    ]
    for short in changed:
        with pytest.raises(ThesisError, match="another model, search or film"):
            describe_films(one, LANGUAGE, {**some, "short": short}, path)
    judged = tmp_path / "oracle.jsonl"
    describe_films(one, LANGUAGE, {"short": changed[-1]}, judged)
    with pytest.raises(ThesisError, match="another model, search or film"):
        other_truth = replace(film, truth=[*truth[:2], "tom runs."])
        describe_films(one, LANGUAGE, {"short": other_truth}, judged)
    assert path.read_bytes() == kept
    lines = kept.decode().split("\n")
    path.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    with pytest.raises(ThesisError, match=r"damaged.*clips are missing.*delete it"):
        describe_films(one, LANGUAGE, some, path)
    path.write_text("\n".join([lines[0], json.dumps({"a": 1}), *lines[2:]]))
    with pytest.raises(ThesisError, match="damaged"):
        describe_films(one, LANGUAGE, some, path)
    with pytest.raises(ThesisError, match="film has 5 clips and 3 lists of subtitles"):
        describe_clips(one, LANGUAGE, some["long"].features, LINES[:3])


def test_the_true_context_is_part_of_a_film(tmp_path: Path) -> None:
    """With names and without: the texts of the one are not those of the other."""
    one, path = model(), tmp_path / "texts.jsonl"
    named, hidden = (
        {name: replace(film, truth=[text] * len(film)) for name, film in films().items()}
        for text in ("anna waves.", "someone waves.")
    )
    describe_films(one, LANGUAGE, named, path)
    with pytest.raises(ThesisError, match="another model, search or film"):
        describe_films(one, LANGUAGE, hidden, path)


def test_no_film_and_no_clip() -> None:
    assert describe_films(model(), LANGUAGE, {}) == {}
    assert describe_clips(model(), LANGUAGE, torch.zeros(0, 4, 16)) == []


def test_a_model_that_reads_nothing_else_is_told_nothing_else() -> None:
    """The sceptic's row: language alone writes the same for all clips of a kind."""
    blind = model(visual=False, past=0, subtitles="none")
    found = describe_clips(blind, LANGUAGE, films()["long"].features)
    assert len({d.text for d in found}) == 1
