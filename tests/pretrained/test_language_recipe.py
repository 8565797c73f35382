"""The small language model: its recipe at toy size, and what ships."""

from __future__ import annotations

import json
import math
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from thesislib import pretrained
from thesislib.language import load_language_model
from thesislib.language.model import SMALL_FOLDER
from thesislib.pretrained.language_model import recipe
from thesislib.pretrained.language_model.writing import Documents, Writing, WritingConfig
from thesislib.synthetic.activities import PAINTS
from thesislib.synthetic.describer import NAMES
from thesislib.synthetic.films import directions, film_texts, screenplays, told

shipped = pytest.mark.skipif(
    not (SMALL_FOLDER / "model.safetensors").is_file(), reason="it is being made"
)


def test_the_recipe_makes_a_whole_model(roots: Path) -> None:
    first = pretrained.make("language", settings=recipe.TOY, log=None)
    folder = Path(first["folder"])
    note = json.loads((folder / "scores.json").read_text())
    assert note["weights_hash"] == first["weights_hash"]
    assert f"{note['parameters']:,}" in (folder / "README.md").read_text()
    films = film_texts(10, recipe.APART)
    assert (
        recipe.make_tokenizer(films[:8], 400).to_str(pretty=True)
        == (folder / "tokenizer.json").read_text()
    )
    one = load_language_model(folder)
    text = "Anna in red sits down, and naïve 東京 waits."
    assert one.decode(one.encode(text)) == text
    assert one.encode("Anna") == one.encode(" Anna")  # wherever it stands


def test_the_loss_against_a_loop() -> None:
    config = WritingConfig().override(recipe.TOY)
    torch.manual_seed(0)
    module = Writing(recipe.build_model(config, 50, 0)).eval()
    ids = torch.randint(50, (3, 9))
    ids[1, 6:] = -1
    loss, logs = module({"ids": ids})
    total, count = 0.0, 0
    with torch.no_grad():
        for row in ids.tolist():
            real = [i for i in row if i >= 0]
            for at in range(1, len(real)):
                logits = module.model(torch.tensor([real[:at]])).logits[0, -1].double()
                total -= math.log(float(logits.softmax(0)[real[at]]))
                count += 1
    assert count == 8 + 5 + 8
    assert loss.item() == pytest.approx(total / count, rel=1e-5)
    assert 0 <= float(logs["tokens"]) <= 1


def test_documents_are_parts_of_films_or_captions_each_with_its_end() -> None:
    plays = screenplays(3, 5)
    films = [told(str(i), "train", play) for i, play in enumerate(plays)]
    notes = [directions(play, np.random.default_rng(i)) for i, play in enumerate(plays)]
    lines: list[str] = []

    def encode(text: str) -> list[int]:
        lines.append(text)
        return [len(lines)] * len(text.split())

    captions = ["someone in red waves", "a person in blue and black sits down"]
    some = Documents(films, notes, captions, encode, 0, WritingConfig(window=60), 1)
    kinds, before, pictures = set(), set(), set()
    for epoch in range(30):
        for index in range(3):
            ids = some[(epoch, index)]["ids"]
            assert torch.equal(ids, some[(epoch, index)]["ids"]) and len(ids) == 60
            assert ids[0] == 0
            ends = [i for i, one in enumerate(ids.tolist()) if one == 0]
            for first, end in pairwise([*ends, len(ids)]):
                said = [lines[i - 1] for i, _ in groupby(ids.tolist()[first + 1 : end])]
                if set(said) & set(captions):
                    assert len(said) == 1
                    pictures.add(said[0])
                    continue
                named, unnamed = (
                    [cue.text for cue in c] for c in (films[index].named, films[index].unnamed)
                )
                heard = {cue.text for cue in films[index].subtitles}
                assert not set(said) - {*heard, *notes[index]} - set(named) or (
                    not set(said) - {*heard, *notes[index]} - set(unnamed)
                )
                hidden = bool(set(said) - set(named) & set(unnamed))
                kinds.add((bool(set(said) & heard), hidden))
                # A direction stands before the description of its shot.
                for a, b in pairwise(said):
                    if notes[index].count(a) == 1:
                        shot = notes[index].index(a)
                        before.add(b in (named[shot], unnamed[shot]))
    assert pictures == set(captions) and before == {True}
    assert kinds == {(a, b) for a in (True, False) for b in (True, False)}


@shipped
def test_what_ships_is_small_and_knows_films_and_no_one_of_them() -> None:
    note = json.loads((SMALL_FOLDER / "scores.json").read_text())
    assert sum(f.stat().st_size for f in SMALL_FOLDER.glob("*")) < 6e6
    language = load_language_model("small")
    assert language.weights_hash == note["weights_hash"]
    films = film_texts(10, 123)  # of another seed
    loss = []
    with torch.no_grad():
        for film in films:
            text = " ".join(cue.text for cue in film.named[:10])
            ids = torch.tensor([[language.end, *language.encode(text), language.end]])
            loss.append(float(language.model(ids, labels=ids).loss))
        assert math.exp(sum(loss) / len(loss)) < 2 * note["scores"]["perplexity"]
        # Before anybody was named all names are about alike.
        start = torch.tensor([[language.end]])
        first = language.model(start).logits[0, -1].softmax(0)
        ids = {name: language.encode(name) for name in NAMES}
        assert all(len(one) == 1 for one in ids.values())
        shares = torch.stack([first[one[0]] for one in ids.values()])
        assert shares.max() < 4 * shares.min()

        # What is to come can be read from a direction before it.
        def likely(words: str, before: str) -> float:
            ids = torch.tensor([[language.end, *language.encode(before)]])
            follows = language.model(ids).logits[0, -1].softmax(0)
            return float(follows[language.encode(words)[0]])

        for act, note in (("jumps", "jumps"), ("claps", "claps the hands"), ("opens", "opens")):
            told = "A person in green"
            assert likely(act, f"{note}, green. {told}") > 2 * likely(act, told), act
        for worn in PAINTS:  # it is told again, whoever it is
            assert likely(worn, f"jumps, {worn}. A person in") > 0.8, worn


@shipped
def test_it_is_among_the_models_that_ship() -> None:
    assert pretrained.shipped()["language"]["parameters"] < 1_500_000
