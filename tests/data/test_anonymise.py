"""Names to "someone": what is a name, what is a word, and what is left of the sentence."""

from __future__ import annotations

import pytest

from thesislib.data.anonymise import anonymise, names_in

CAST = ("Anna Gray", "Ben", "Will", "Mark", "Rose", "James", "May", "Jean-Luc", "O'Neil", "Zoë")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Anna picks up the ball.", "Someone picks up the ball."),
        ("She sees Ben. Anna's smile fades.", "She sees someone. Someone's smile fades."),
        ("In the hall, Anna waits.", "In the hall, someone waits."),
        ("Anna and Ben leave.", "Someone and someone leave."),
        ("Anna, Ben and Rose leave.", "Someone, someone and someone leave."),
        ("Anna Gray sits.", "Someone sits."),
        ("Mrs. Gray sits by Mr Gray.", "Someone sits by someone."),
        ("James' hat falls on James’s coat.", "Someone's hat falls on someone’s coat."),
        ("'Ben' is written on the box.", "'Someone' is written on the box."),
        ("ANNA turns to BEN.", "Someone turns to someone."),
        ("Jean-Luc nods at O'Neil.", "Someone nods at someone."),
        ("Zoë waves.", "Someone waves."),
        # words that are spelled like names
        ("A mark on the rose.", "A mark on the rose."),
        ("Will you come? Will nods.", "Will you come? Someone nods."),
        ("The will of Will.", "The will of someone."),
        ("It is May. In May, May leaves.", "It is someone. In May, someone leaves."),
        ("Benny and Annabel grieve.", "Benny and Annabel grieve."),
        ("A grayish wall.", "A grayish wall."),
        ("", ""),
    ],
)
def test_by_the_cast(text: str, wanted: str) -> None:
    assert anonymise(text, CAST) == wanted


def test_without_a_cast_nothing_is_known() -> None:
    assert anonymise("Anna sits.") == "Anna sits."


def test_a_model_finds_more() -> None:
    def find(text: str) -> list[tuple[int, int]]:
        return [(text.index("Otto"), text.index("Otto") + 4)] if "Otto" in text else []

    assert anonymise("Anna sees Otto.", CAST, find) == "Someone sees someone."
    assert anonymise("Anna Otto sits.", CAST, find) == "Someone sits.", "side by side: one"
    assert anonymise("Otto sits.", find=find) == "Someone sits."


def test_names_in_the_order_of_the_text() -> None:
    assert names_in("Rose, where is Ben? Ben!", CAST) == ["Rose", "Ben"]
    assert names_in("a rose", CAST) == []
    assert names_in("Will you come?", CAST) == []
