"""The parts of the data page that come from recipes, the ledger and the small model's scores."""

from __future__ import annotations

import json

import pytest

import pages
from notebooks import REPO
from thesislib.image_text.model import SMALL_FOLDER
from thesislib.pretrained.image_text.card import CARD_FILE, score_table
from thesislib.synthetic import CaptionedRecipe, UntrimmedRecipe
from thesislib.synthetic.films import FilmRecipe, FilmSpec, told
from thesislib.synthetic.untrimmed import LongSpec


def cells(text: str) -> dict[str, list[str]]:
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in text.strip().split("\n")]
    return {row[0]: row[1:] for row in rows}


def test_the_table_of_stories_counts_what_is_filmed() -> None:
    found = cells(pages.stories())
    counts = found["videos: training, validation, test"]
    short, long = CaptionedRecipe().specs(), UntrimmedRecipe().specs()
    for text, specs in zip(counts, (short, long), strict=True):
        numbers = [int(part.replace(",", "")) for part in text.split(", ")]
        assert numbers == [sum(s.split == p for s in specs) for p in ("train", "val", "test")]
    acts = sum(len(s.segments()) for s in long if isinstance(s, LongSpec))
    assert found["labelled actions"] == [f"{len(short):,}", f"{acts:,}"]


def test_the_table_of_narrations_counts_what_is_said() -> None:
    found = cells(pages.narrated())
    assert found["videos: training, validation, test"] == ["130, 30, 40"]
    assert found["different steps"] == ["76"] and found["activities"] == ["10"]
    for row, target, slack in (
        ("alignable, %", 30, 0.5), ("spoken while it is seen, % of the alignable", 50, 2),
        ("of a step that is not shown, % of the others", 40, 1), ("sentences a minute", 12, 0.5),
    ):  # fmt: skip
        assert float(found[row][0]) == pytest.approx(target, abs=slack), row


def test_the_table_of_films_counts_what_is_told() -> None:
    recipe = FilmRecipe()
    specs = [spec for spec in recipe.specs() if isinstance(spec, FilmSpec)]
    films = [told("", spec.split, spec.play) for spec in specs]
    found = cells(pages.films())
    counts = [sum(film.split == part for film in films) for part in ("train", "val", "test")]
    assert found["films: training, validation, test"] == [", ".join(map(str, counts))]
    assert sum(counts) == recipe.clips
    told_of = [cue.text for film in films for cue in film.named]
    assert found["descriptions"] == [f"{len(told_of):,}"]
    anonymous = [cue.text for film in films for cue in film.unnamed]
    hidden = sum(a != b for a, b in zip(told_of, anonymous, strict=True))
    assert float(found["with a name, %"][0]) == pytest.approx(100 * hidden / len(told_of), abs=0.05)


def test_baselines_of_chapter_5_name_rows_that_exist() -> None:
    text = pages.story_baselines()
    assert text.count("\n") == 8 and "hand-written template" in text


def test_the_small_models_numbers_are_those_of_its_file() -> None:
    note = json.loads((SMALL_FOLDER / "scores.json").read_text(encoding="utf-8"))
    text = pages.image_text()
    for key, value in note["scores"].items():
        if key != "retrieval_videos":
            assert f"{100 * value:.1f}" in text, key
    assert score_table(note) in text
    assert "as they were painted" in text  # others than those of chapter 5, which reads files
    assert score_table(note) in (SMALL_FOLDER / CARD_FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["stories.md", "narrated.md", "films.md", "story_baselines.md", "image_text.md"]
)
def test_each_part_is_on_the_page(name: str) -> None:
    assert name in pages.fragments({})
    page = (REPO / "book" / "data.md").read_text(encoding="utf-8")
    assert f"generated/{name}" in page
