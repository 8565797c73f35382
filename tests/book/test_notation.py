"""The pages to look things up name what the book has: rows, metrics, words."""

from __future__ import annotations

import re

import pytest

from conftest import REPO
from thesislib import book

PAGE = (REPO / "book" / "notation.md").read_text(encoding="utf-8")
GLOSSARY = (REPO / "book" / "glossary.md").read_text(encoding="utf-8")
METHODS = [name for name, one in book.CHAPTERS.items() if one.number > 1 and one.written]


@pytest.mark.parametrize("name", METHODS)
def test_the_rows_of_each_chapter_are_explained(name: str) -> None:
    assert f"| `{name}/" in PAGE


@pytest.mark.parametrize("number", [5, 6, 7, 8])
def test_letters_of_a_chapter_have_lines(number: int) -> None:
    assert f"in chapter {number}" in PAGE.split("## Settings")[0]


def test_the_glossary_is_in_order_and_has_the_metrics() -> None:
    terms = [t for t in re.findall(r"^(?! )(\S.*)$", GLOSSARY, re.M) if t[0] not in "#`"]
    assert terms == sorted(terms, key=lambda t: t.lower().replace("-", " "))
    assert {"CIDEr", "ROC-AUC", "ROUGE-L", "average precision"} <= set(terms)
