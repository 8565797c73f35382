"""From captions to sentences: repetitions, sounds, pauses, marks, times within cues."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from thesislib.errors import ThesisError
from thesislib.subtitles import Cue, Sentence, Sentences, parse_subtitles, whole_sentences
from thesislib.subtitles.language import language_of, unfit
from thesislib.subtitles.rolling import ended, unrolled


def cues(*rows: tuple[float, float, str]) -> list[Cue]:
    return [Cue(a, b, text, text, i) for i, (a, b, text) in enumerate(rows, 1)]


def said(result: Sentences) -> list[str]:
    return [one.text for one in result.sentences]


# -- repetitions -----------------------------------------------------------------------------------

YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.030 --> 00:00:02.310 align:start position:0%
 
we're<00:00:00.299><c> going</c><00:00:00.570><c> to</c>

00:00:02.310 --> 00:00:02.320 align:start position:0%
we're going to
 

00:00:02.320 --> 00:00:04.500 align:start position:0%
we're going to
cook<00:00:02.800><c> rice</c>

00:00:04.500 --> 00:00:04.510 align:start position:0%
cook rice
 

00:00:04.510 --> 00:00:06.990 align:start position:0%
cook rice
with<00:00:04.900><c> salt</c>
"""  # noqa: W293


def test_two_rolling_lines_of_youtube() -> None:
    subtitles = parse_subtitles(YOUTUBE.encode())
    assert subtitles.others == {"lines of the header": 2} and subtitles.found == 5
    kept, done = unrolled(subtitles.cues)
    assert [(one.number, one.start, one.text) for one in kept] == [
        (1, 0.03, "we're going to"),
        (3, 2.32, "cook rice"),
        (5, 4.51, "with salt"),
    ]
    assert done == {"repeated": [2, 4], "rolled": [3, 5]}
    result = whole_sentences(subtitles.cues)
    assert result.sentences == (
        Sentence(0.03, 6.99, "we're going to cook rice with salt", (1, 3, 5)),
    )
    assert result.summary() == [
        "5 cues, 3 of them used, give 1 sentences.",
        "  The text has no full stops: pauses and the ends of cues end sentences.",
        "  2 that say nothing new, left out: no. 2, 4",
        "  2 without what the one before says: no. 3, 5",
    ]


def test_growing_lines_and_copies() -> None:
    kept, done = unrolled(
        cues(
            (0, 1, "add the salt"),
            (1, 2, "add the salt and"),
            (2, 3, "Add the salt and pepper"),
            (3, 4, "Add the salt and pepper"),
            (9, 10, "Add the salt and pepper"),  # said again
            (10, 11, "no"),
            (11, 12, "no way"),  # two words are no continuation
        )
    )
    assert [(one.start, one.end, one.text) for one in kept] == [
        (0, 1, "add the salt"),
        (1, 2, "and"),
        (2, 4, "pepper"),
        (9, 10, "Add the salt and pepper"),
        (10, 11, "no"),
        (11, 12, "no way"),
    ]
    assert done == {"repeated": [4], "rolled": [2, 3]}


def test_ends_of_a_rolling_display_and_of_two_speakers() -> None:
    rolling = cues((0, 5, "a"), (2, 7, "b"), (4, 9, "c"), (4, 6, "d"), (8, 9, "e"))
    cut, numbers = ended(rolling)
    assert [(one.start, one.end) for one in cut] == [(0, 2), (2, 4), (4, 8), (4, 6), (8, 9)]
    assert numbers == [1, 2, 3]
    speakers = cues((0, 5, "a"), (2, 7, "b"), (8, 9, "c"), (10, 11, "d"))
    assert ended(speakers) == (speakers, [])


# -- sounds and what is too short ------------------------------------------------------------------


def test_what_is_left_out_is_counted() -> None:
    result = whole_sentences(
        cues(
            (0, 1, "[Music]"),
            (1, 2, "♪ ♪"),
            (2, 3, "(applause)\nThank you."),
            (3, 4, "Cut it [door slams] in (two) halves."),
            (4, 4.1, "Now."),
            (5, 6, ""),
            (6, 7, "*laughs*"),
            (7, 8, "..."),
        )
    )
    assert said(result) == ["Thank you.", "Cut it in (two) halves."]
    assert result.fates == {
        "empty": [6],
        "sounds": [1, 2, 7, 8],
        "sounds cut": [3, 4],
        "short": [5],
    }
    assert result.cues == 8 and result.of_cue() == {3: (0,), 4: (1,)}


# -- sentences -------------------------------------------------------------------------------------


def test_sentences_over_cues_and_times_within_them() -> None:
    result = whole_sentences(
        cues((0, 1, "Add the"), (1, 3, "salt. Stir"), (3, 4, "with Dr. Lee. Taste!"))
    )
    assert said(result) == ["Add the salt.", "Stir with Dr. Lee.", "Taste!"]
    # "salt. Stir" has ten characters over two seconds: "salt." ends after five, "Stir" begins at 6.
    first, second, third = result.sentences
    assert (first.start, first.end, first.cues) == (0.0, 2.0, (1, 2))
    assert (second.start, second.cues) == (2.2, (2, 3))
    assert second.end == pytest.approx(3 + 13 / 20, abs=1e-3)  # "with Dr. Lee." of 20 characters
    assert (third.start, third.end, third.cues) == (3.7, 4.0, (3,))
    assert result.of_cue() == {1: (0,), 2: (0, 1), 3: (1, 2)}


def test_times_agree_with_a_loop_over_characters() -> None:
    rows = cues(
        (0, 2.5, "one two. three"), (2.5, 4, "four. five six seven"), (4.2, 9, "eight. Nine")
    )
    letters = []
    for c in rows:
        step = (c.end - c.start) / len(c.text)
        letters += [(c.start + i * step, c.start + (i + 1) * step) for i in range(len(c.text) + 1)]
    text = " ".join(c.text for c in rows) + " "
    at = 0
    for sentence in whole_sentences(rows).sentences:
        first, last = letters[at], letters[at + len(sentence.text) - 1]
        assert text[at:].startswith(sentence.text)
        assert (sentence.start, sentence.end) == pytest.approx((first[0], last[1]), abs=1e-3)
        at += len(sentence.text) + 1
    assert at == len(letters)


def test_a_pause_and_another_speaker_end_a_sentence() -> None:
    result = whole_sentences(
        cues(
            (0, 1, "add the salt"),
            (1.9, 3, "and stir"),
            (4.1, 5, "then wait"),
            (5, 6, ">> how long"),
        )
    )
    assert said(result) == ["add the salt and stir", "then wait", "how long"]
    assert not result.marked
    assert said(whole_sentences(cues((0, 2, "- Salt?\n- No, well-\n known.")))) == [
        "Salt?",
        "No, well- known.",
    ]
    assert len(whole_sentences(cues((0, 1, "add"), (1.9, 3, "stir")), gap=0.5).sentences) == 2


def test_long_sentences_end_at_marks_or_with_their_cues() -> None:
    marked = " ".join(["word"] * 25) + ", and " + " ".join(["more"] * 10) + "."
    assert [len(one.split()) for one in said(whole_sentences(cues((0, 9, marked))))] == [25, 11]
    rows = [(i, i + 1.0, f"seven words are in each of {i}") for i in range(9)]
    result = whole_sentences(cues(*rows))
    assert [one.cues for one in result.sentences] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    endless = whole_sentences(cues((0, 9, " ".join(["word"] * 130))))
    assert [len(one.split()) for one in said(endless)] == [60, 60, 10]


def test_captions_without_marks_may_stay_apart() -> None:
    rows = cues((0, 1, "add the salt"), (1, 2, "and stir"), (2, 3, ">> how long"))
    assert said(whole_sentences(rows, join=False)) == ["add the salt", "and stir", "how long"]
    marked = cues((0, 1, "Add the"), (1, 2, "salt."))
    assert said(whole_sentences(marked, join=False)) == ["Add the salt."]


def test_no_word_is_lost() -> None:
    texts = [
        "One. Two e.g. three",
        "4.5 cups… “Stir!” he",
        "said.Next 😀 word?!",
        "a\u3000b。c",
        "Ok",
    ]
    rows = cues(*((i, i + 1.0, text) for i, text in enumerate(texts)))
    for language in ("en", "ja", "nowhere"):
        result = whole_sentences(rows, language=language)
        assert " ".join(said(result)).split() == " ".join(texts).split()
        assert set(result.of_cue()) == {1, 2, 3, 4, 5}
    assert whole_sentences([]).sentences == ()


def test_captions_of_a_film(shared: Path) -> None:
    path = shared / "annotations" / "elephants_dream" / "captions.en.vtt"
    if not path.is_file():
        pytest.skip("no real subtitles here")
    subtitles = parse_subtitles(path.read_bytes())
    result = whole_sentences(subtitles.cues)
    assert result.marked and result.fates == {}
    assert set(result.of_cue()) == set(range(1, 79))
    assert len(result.sentences) == 111
    assert language_of([one.text for one in subtitles.cues]).code == "en"
    assert unfit(subtitles.cues) == {"few words": "4.5 words a caption"}


# -- language --------------------------------------------------------------------------------------


def test_language() -> None:
    german = ["jetzt geben wir noch etwas Salz in die Suppe", "und dann rühren wir alles gut um"]
    english = ["now we are going to add some salt to the pan", "and then you stir it all together"]
    assert language_of(german).code == "de" and language_of(german).probability > 0.9
    assert language_of(english).code == "en" and language_of(english).probability > 0.9
    assert language_of([*english, *(["la la"] * 50)]).code == "en"  # short ones are not asked
    assert language_of([]) == language_of(["12 34"]) == ("und", 0.0)
    many = cues(*((i, i + 1.0, german[i % 2]) for i in range(12)))
    (reason,) = unfit(many).items()
    assert reason[0] == "another language" and reason[1].startswith("language de (")
    assert unfit(many, "de") == {}
    assert unfit(many[:3], "de") == {"few captions": "3 captions"}


# -- a model for marks -----------------------------------------------------------------------------


def test_a_model_sets_marks_where_there_are_none() -> None:
    def punctuate(words: Sequence[str]) -> list[str]:
        return [f"{word}." if word == "salt" else word for word in words]

    rows = cues((0, 1, "add the salt then"), (1, 2, "stir and taste"))
    result = whole_sentences(rows, punctuate=punctuate)
    assert said(result) == ["add the salt.", "then stir and taste"]
    assert result.marked and result.sentences[0].cues == (1,)
    marked = cues((0, 1, "Add the salt, then."), (1, 2, "Stir and taste."))
    assert said(whole_sentences(marked, punctuate=punctuate)) == [
        "Add the salt, then.",
        "Stir and taste.",
    ]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of random weights that knows ten words; its bias says a full stop after each."""
    import torch

    from thesislib.torchvision_here import ensure_torchvision

    ensure_torchvision()
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "add", "the", "sa", "##lt", "then"]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    labels = ["OU", "OO", ".O", ",U"]
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8, max_position_embeddings=200, id2label=dict(enumerate(labels)),
    )  # fmt: skip
    model = transformers.BertForTokenClassification(config)
    torch.nn.init.zeros_(model.classifier.weight)
    model.classifier.bias.data = torch.tensor([0.0, 1.0, 0.7, 0.0])
    model.save_pretrained(folder)
    return folder


def test_labels_without_a_mark_are_lowered(bert: Path) -> None:
    from thesislib.subtitles.punctuation import punctuator

    words = ["add", "the", "salt,", "then"]
    assert punctuator(str(bert))(words) == ["add.", "the.", "salt,", "then."]
    assert punctuator(str(bert), no_mark=0.2)(words) == words
    long = ["salt", "then"] * 200  # more than one window
    assert punctuator(str(bert))(long) == [f"{word}." for word in long]


def test_a_model_that_is_none(tmp_path: Path, bert: Path) -> None:
    from thesislib.subtitles.punctuation import _label, punctuator

    with pytest.raises(ThesisError, match=r"There is no punctuation model .* on this machine"):
        punctuator(str(tmp_path / "none"))
    config = (bert / "config.json").read_text()
    try:
        (bert / "config.json").write_text(config.replace('".O"', '"B-PER"'))
        with pytest.raises(ThesisError, match="labels no full stops"):
            punctuator(str(bert))
    finally:
        (bert / "config.json").write_text(config)
    names = ["0", ".", "OU", ",O", "?U", "PERIOD", "O"]
    assert [_label(name) for name in names] == [
        ("", False), (".", False), ("", True), (",", False), ("?", True), (".", False), ("", False),
    ]  # fmt: skip
