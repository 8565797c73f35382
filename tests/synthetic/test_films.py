"""Films: who is on the screen is who the words say, and names are known from context alone."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from thesislib.data.film_files import FILES, TRUTH, read_films, read_truth
from thesislib.data.film_texts import TEXTS, read_texts
from thesislib.data.films import Film
from thesislib.data.reader import open_video
from thesislib.errors import ThesisError
from thesislib.recipes import prepare
from thesislib.synthetic import FilmRecipe, film_texts, prepare_films
from thesislib.synthetic.activities import PAINTS
from thesislib.synthetic.describer import NAMES
from thesislib.synthetic.facts import colour_name
from thesislib.synthetic.figure import J
from thesislib.synthetic.films import FilmSpec, cast_of, players, render_film, told, truth_of
from thesislib.synthetic.screenplay import BACK, RATE


@pytest.fixture(scope="module")
def specs() -> list[FilmSpec]:
    return [spec for spec in FilmRecipe().specs() if isinstance(spec, FilmSpec)]


@pytest.fixture(scope="module")
def films(specs: list[FilmSpec]) -> list[Film]:
    return [told(str(spec.index), spec.split, spec.play) for spec in specs]


def said_in(text: str) -> set[str]:
    return {word for word in re.findall(r"[A-Za-z]+", text) if word in NAMES}


# --- the words ---


def test_a_film_is_of_the_size_asked_for(specs: list[FilmSpec], films: list[Film]) -> None:
    assert [sum(s.split == split for s in specs) for split in ("train", "val", "test")] == [
        40,
        10,
        20,
    ]
    assert {len(film.cast) for film in films} == {2, 3, 4}
    counts = [len(film.named) for film in films]
    assert min(counts) >= 24 and max(counts) <= 33 and 25 < np.mean(counts) < 30
    assert all(90 < film.seconds < 240 for film in films)
    assert {len({shot.room for shot in s.play.shots}) for s in specs} <= {2, 3}
    assert FilmRecipe().specs() == specs != FilmRecipe(seed=1).specs()


def test_descriptions_lie_in_the_gaps_and_can_be_spoken(films: list[Film]) -> None:
    for film in films:
        cues = sorted([*film.named, *film.subtitles])
        assert cues[0].start >= 0 and cues[-1].end <= film.seconds
        assert all(a.end < b.start for a, b in pairwise(cues)), "none over another"
        assert all(len(c.text.split()) / (c.end - c.start) <= 3 for c in cues), "words a second"


def test_the_words_say_who_is_on_the_screen(specs: list[FilmSpec], films: list[Film]) -> None:
    for spec, film in zip(specs, films, strict=True):
        truth = truth_of(spec.play)
        tops = {name: top for name, _, top in truth.cast}
        assert len(set(tops.values())) == len(tops), "nobody else wears it"
        for cue, seen in zip(film.named, truth.on_screen, strict=True):
            assert said_in(cue.text) <= set(seen)
            for name, top in re.findall(r"([A-Z][a-z]+) in (\w+)", cue.text):
                if name in tops:
                    assert tops[name] == top
            for top in re.findall(r"[Aa] person in (\w+)", cue.text):
                assert top in {tops[name] for name in seen}
            if cue.text.startswith(("She ", "He ")):
                assert NAMES[seen[0]] == cue.text.split()[0].lower()
        for name, pronoun, _ in truth.cast:
            assert NAMES[name] == pronoun


def test_a_name_needs_an_introduction(specs: list[FilmSpec], films: list[Film]) -> None:
    """The first description with a name says the clothes too, and "a person" comes before it."""
    waited = 0
    for spec, film in zip(specs, films, strict=True):
        truth = truth_of(spec.play)
        for name, _, top in truth.cast:
            first = next((i for i, cue in enumerate(film.named) if name in said_in(cue.text)), None)
            if first is None:
                continue
            assert f"{name} in {top}" in film.named[first].text
            assert truth.introduced[name] <= film.named[first].start + 1e-9
            strangers = [f"person in {top}" in cue.text for cue in film.named]
            assert not any(strangers[first:])
            waited += any(strangers)
    assert waited > 20


def test_the_cast_can_not_be_known_without_context(films: list[Film]) -> None:
    """The same colour has many names; who acted before acts again in about half of all acts."""
    worn: dict[str, set[str]] = {}
    for film in films:
        for cue in film.named:
            for name, top in re.findall(r"([A-Z][a-z]+) in (\w+)", cue.text):
                worn.setdefault(top, set()).add(name)
    assert set(worn) == set(PAINTS) and min(map(len, worn.values())) > 10
    texts = [cue.text for film in films for cue in film.named]
    assert len(set(texts)) / len(texts) > 0.7, "most sentences are said once in all films"
    named = np.mean([bool(said_in(text)) for text in texts])
    assert 0.65 < named < 0.9
    assert 0.3 < np.mean([bool(said_in(c.text)) for f in films for c in f.subtitles]) < 0.7
    first = np.mean([
        bool({"i", "we", "my", "me"} & set(re.findall(r"[a-z]+", c.text.lower())))
        for f in films for c in f.subtitles
    ])  # fmt: skip
    assert first > 0.4 and not any(
        {"i", "we", "my", "me"} & set(re.findall(r"[a-z]+", text.lower())) for text in texts
    )


def test_what_was_done_is_often_undone(specs: list[FilmSpec]) -> None:
    """An act that stands for itself comes forwards; backwards only after the other way round."""
    backwards = 0
    for spec in specs:
        acts = [shot.step for shot in spec.play.shots if shot.step]
        for i, step in enumerate(acts):
            if step.action in ("put_down", "stand_up", "close_door", "lower_arms", "pull"):
                assert any(a.action == BACK[step.action] for a in acts[:i])
                backwards += 1
    assert backwards > 100


def test_unnamed_has_no_name(films: list[Film]) -> None:
    for film in films:
        assert [cue[:2] for cue in film.named] == [cue[:2] for cue in film.unnamed]
        assert not any(said_in(cue.text) for cue in film.unnamed)
        for with_name, without in zip(film.named, film.unnamed, strict=True):
            count = len(re.findall(r"\b[Ss]omeone\b", without.text))
            assert count == sum(with_name.text.count(name) for name in said_in(with_name.text))


def test_texts_are_of_other_films(films: list[Film]) -> None:
    texts = film_texts(30)
    assert film_texts(30) == texts != film_texts(30, seed=1)
    assert not {film.named for film in texts} & {film.named for film in films}


# --- the pictures ---


def test_characters_look_the_same_and_like_nobody_else(specs: list[FilmSpec]) -> None:
    for spec in specs[:10]:
        cast = cast_of(spec)
        for actor, one in zip(cast, spec.play.cast, strict=True):
            assert colour_name(actor.outfit.top) == one.top and not actor.outfit.stripes
        assert len({actor.outfit.hair for actor in cast}) == len(cast)
        assert [a.outfit for a in cast_of(spec)] == [a.outfit for a in cast]
    looks = {actor.outfit for spec in specs for actor in cast_of(spec)}
    assert len(looks) == sum(len(spec.play.cast) for spec in specs)


def test_who_acts_moves(specs: list[FilmSpec]) -> None:
    """The first on the screen acts in the span of the description; the things are its own."""
    seen = set()
    for spec in specs[:8]:
        cast = cast_of(spec)
        for number, shot in enumerate(spec.play.shots):
            people, things = players(spec, cast, number)
            assert len(people) == len(shot.cast) and len(things) <= 1
            assert all(one.joints.shape == (shot.frames, 17, 3) for one in people)
            if shot.step is None:
                assert not things
                continue
            assert bool(things) == bool(shot.step.thing)
            if len(people) == 2:
                left, right = (one.joints[:, J["pelvis"], 0].mean() for one in people)
                assert abs(left - right) > 0.3
            if shot.step.action in ("sit_down", "stand_up"):
                a, b = shot.span
                pelvis = people[0].joints[:, J["pelvis"], 1]
                assert (pelvis[b - 1] < pelvis[a]) == (shot.step.action == "sit_down")
                seen.add(shot.step.action)
    assert seen == {"sit_down", "stand_up"}


def test_film_files_and_a_second_call(tmp_path: Path) -> None:
    args = {"clips": 3, "size": 16, "texts": 2, "jobs": 1, "progress": False}
    manifest = prepare_films("f", tmp_path, **args)  # type: ignore[arg-type]
    plan = [s for s in FilmRecipe(3, size=16, texts=2).specs() if isinstance(s, FilmSpec)]
    found, truth = read_films(manifest), read_truth(manifest)
    assert not found.found
    for video, spec in zip(manifest.videos, plan, strict=True):
        assert len(open_video(manifest.file(video))) == video.n_frames == spec.play.frames
        assert video.fps == RATE and not video.label
        movie = PurePosixPath(video.path).stem
        film, wanted = found.films[movie], told(movie, video.split, spec.play)
        assert film.cast == wanted.cast and film.split == video.split
        for ours, theirs in ((film.named, wanted.named), (film.subtitles, wanted.subtitles)):
            assert [cue.text for cue in ours] == [cue.text for cue in theirs]
            assert np.allclose([c[:2] for c in ours], [c[:2] for c in theirs], atol=1e-3)
        assert truth[movie] == truth_of(spec.play)
    assert [f.named[0].text for f in read_texts(manifest).films.values()] == [
        film.named[0].text for film in film_texts(2)
    ]
    frames = open_video(manifest.file(manifest.videos[0])).frames(np.arange(0, 80, 8)).astype(int)
    assert np.abs(frames - render_film(plan[0])[:80:8]).mean() < 10
    names = (*FILES, TRUTH, *TEXTS.values())
    bytes_ = [(tmp_path / "f" / name).read_bytes() for name in names]
    (tmp_path / "f" / manifest.videos[1].path).unlink()  # killed on the way
    (tmp_path / "f" / "manifest.csv").unlink()
    assert prepare_films("f", tmp_path, **args).fingerprint == manifest.fingerprint  # type: ignore
    assert [(tmp_path / "f" / name).read_bytes() for name in names] == bytes_
    (tmp_path / "f" / "ad-named.csv").write_text("movie,start,end,text\nx,1,2,Changed.\n")
    with pytest.raises(ThesisError, match="is not the file that was prepared"):
        read_films(manifest)
    with pytest.raises(ThesisError, match="made with other options"):
        prepare("synthetic_films", name="f", root=tmp_path, clips=3, size=16, jobs=1)
