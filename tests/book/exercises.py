"""The exercises of the chapters, their answers, and which test is behind which."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import notebooks
from conftest import REPO

EXERCISE = re.compile(r"^(\d)\. (.+?)(?=^\d\. |\Z)", re.MULTILINE | re.DOTALL)
BOX = re.compile(r":::\{admonition\} Answer\n:class: dropdown\n(.+?)\n:::", re.DOTALL)
TESTED: set[tuple[str, int]] = set()


def exercises(chapter: str) -> dict[int, list[str]]:
    """Number of each exercise of a chapter -> its answers."""
    (pair,) = [pair for pair in notebooks.pairs(REPO) if pair.name == chapter]
    cells = notebooks.from_text(pair.text.read_text(encoding="utf-8")).cells
    last = [cell.source for cell in cells if cell.cell_type == "markdown"]
    part = re.split(r"## Exercises|\*\*To try\*\*", "\n\n".join(last))[1]
    return {int(number): BOX.findall(text) for number, text in EXERCISE.findall(part)}


def answer(chapter: str, number: int) -> str:
    """The answer to one exercise."""
    return exercises(chapter)[number][0]


def answers(chapter: str, number: int) -> Callable[[Any], Any]:
    """Marks a test as the one behind the answer to an exercise."""
    TESTED.add((chapter, number))
    return lambda test: test


def untested(chapter: str) -> set[int]:
    """Exercises of a chapter without exactly one answer, or without a test."""
    found = exercises(chapter)
    assert found, f"{chapter} has no exercises"
    numbers = {number for number, boxes in found.items() if len(boxes) != 1}
    return numbers | set(found) ^ {number for name, number in TESTED if name == chapter}
