"""Recall within neighbours, identities, BERTScore: loops, stored numbers, other people's code."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from thesislib.data.anonymise import names_in
from thesislib.errors import ThesisError
from thesislib.evaluation import describing
from thesislib.evaluation.bertscore import bertscore, bertscore_matrix, load_text_encoder
from thesislib.evaluation.captions import tokenized
from thesislib.evaluation.describing import (
    holds,
    identity_recall,
    meteor,
    recall_within_neighbours,
    spice,
)
from thesislib.torchvision_here import ensure_torchvision

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics"
sys.path.insert(0, str(GOLDEN))
import golden_metrics  # noqa: E402

STORED = json.loads((GOLDEN / "A" / "neighbours.json").read_text())


@pytest.mark.parametrize("name", [name for name in STORED if not name.endswith("as_is")])
def test_neighbours_equal_the_stored_numbers(name: str) -> None:
    """Of AutoAD-II's own code; with ties by rank."""
    n, size = (int(part[1:]) for part in name.split("_")[:2])
    ties = name.rpartition("_")[2] if "ties" in name else "worst"
    matrix = golden_metrics.neighbours("A", n, ties="ties" in name)
    scores = recall_within_neighbours([matrix], STORED[name]["k"], size, ties)
    found = [scores.metrics[f"r{k}_{size}"] for k in STORED[name]["k"]]
    assert found == pytest.approx(STORED[name]["recall"], abs=1e-6)


def test_neighbours_of_films_by_loops() -> None:
    films = [golden_metrics.neighbours("A", n, ties=True) for n in (9, 16)]
    blocks = []
    for film in films:
        start = 0
        while start + 5 <= len(film):
            right = 0
            for i in range(start, start + 5):
                others = [j for j in range(start, start + 5) if j != i]
                right += sum(film[i, j] >= film[i, i] for j in others) < 2
            blocks.append(right / 5)
            start += 2
    scores = recall_within_neighbours(films, (2,), 5)
    assert scores.items["r2_5"] == pytest.approx(blocks)
    assert scores.metrics["r2_5"] == pytest.approx(np.mean(blocks))
    with pytest.raises(ThesisError, match="Film 1 has similarities of the shape"):
        recall_within_neighbours([films[1], films[0]])
    with pytest.raises(ThesisError, match="not finite"):
        recall_within_neighbours([np.full((16, 16), np.nan)])


def test_identities() -> None:
    texts = ["Tom's dog barks.", "ANNA waves to him.", "It rains.", "Anna Lee and Tom sit."]
    names = [["Tom"], ["Anna", "Tom"], [], ["Anna Lee"]]
    scores = identity_recall(texts, names, ["Tom", "Anna", "Anna Lee"])
    assert scores.items["identity_recall"] == [1.0, 0.5, 1.0]
    assert scores.metrics["identity_recall"] == pytest.approx(2.5 / 3)
    assert scores.items["identity_precision"] == pytest.approx([1.0, 1.0, 1 / 3])
    assert scores.counts == {"evaluated": 3, "skipped": 1}
    assert not holds(["annabel"], "Anna") and not holds(["a"], "!")
    with pytest.raises(ThesisError, match="0 of these hold one"):
        identity_recall(["a"], [[]])


def test_a_part_of_a_name_says_it() -> None:
    """As in the truth: who repeats the true description has named everybody."""
    cast = ["Anna Gray", "Mr. Hugo Benson", "Man in Bar", "Tom"]
    texts = ["Anna runs to Benson.", "A man sits in the bar.", "ANNA GRAY waves.", "Tom runs."]
    names = [names_in(text, cast) for text in texts]
    assert names == [["Anna Gray", "Mr. Hugo Benson"], [], ["Anna Gray"], ["Tom"]]
    same = identity_recall(texts, names, cast)
    assert same.items == {"identity_recall": [1, 1, 1], "identity_precision": [1, 1, 1]}
    wrong = identity_recall(["Anna sits.", "", "tom waves.", "Gray runs."], names, cast)
    assert wrong.items == {"identity_recall": [0.5, 0, 0], "identity_precision": [1, 0, 0]}
    two = identity_recall(["Anna runs."], [["Anna"]], ["Anna", "Anna Lee"])
    assert two.metrics["identity_precision"] == 1, "she who is called Anna and nothing else"


# -- BERTScore -----------------------------------------------------------------------------

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "the", "tom", "anna", "waves", "sits", "red"),
    *("ball", "runs", "to"),
)
TRUTH = [["Tom waves to Anna", "Tom runs"], ["the red ball"], ["Anna sits"]]
WRITTEN = ["Anna waves", "a red red ball runs to Tom", "Anna sits"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers."""
    pytest.importorskip("transformers")
    ensure_torchvision()
    from transformers import BertConfig, BertModel, BertTokenizer

    place = tmp_path_factory.mktemp("encoder") / "tiny-bert"
    place.mkdir()
    (place / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(place)
    BertTokenizer(vocab=str(place / "vocab.txt")).save_pretrained(place)
    return place


def test_bertscore_by_loops(folder: Path) -> None:
    encoder = load_text_encoder(folder, 1)

    def rows(text: str) -> list[torch.Tensor]:
        batch = encoder.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            states = encoder.model(**batch, output_hidden_states=True).hidden_states[1][0]
        return list(states[1:-1])

    def f1(a: str, b: str) -> float:
        cosines = [[float(torch.cosine_similarity(x, y, 0)) for y in rows(b)] for x in rows(a)]
        precision = sum(map(max, cosines)) / len(cosines)
        recall = sum(map(max, zip(*cosines, strict=True))) / len(cosines[0])
        return 2 * precision * recall / (precision + recall)

    scores = bertscore(WRITTEN, TRUTH, encoder)
    each = [max(f1(text, r) for r in some) for text, some in zip(WRITTEN, TRUTH, strict=True)]
    assert scores.items["bertscore_tiny-bert"] == pytest.approx(each, abs=1e-5)
    assert each[2] == pytest.approx(1) and len(set(np.round(each, 3))) == 3
    firsts = [some[0] for some in TRUTH]
    matrix = bertscore_matrix(WRITTEN, firsts, encoder)
    naive = [[f1(text, r) for r in firsts] for text in WRITTEN]
    np.testing.assert_allclose(matrix, naive, atol=1e-5)
    assert bertscore(["", "x"], [["a"], [""]], encoder).items["bertscore_tiny-bert"] == [0, 0]


def test_bertscore_equals_torchmetrics(folder: Path) -> None:
    pytest.importorskip("torchmetrics")
    from torchmetrics.functional.text import bert_score

    encoder = load_text_encoder(folder)
    firsts = [some[0] for some in TRUTH]
    theirs = bert_score(
        WRITTEN, firsts, model_name_or_path=str(folder), num_layers=2, verbose=False
    )
    ours = bertscore(WRITTEN, [[r] for r in firsts], encoder).items["bertscore_tiny-bert"]
    assert ours == pytest.approx(theirs["f1"].tolist(), abs=1e-5)


def test_encoders_that_are_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="has 2 layers, and layer 3"):
        load_text_encoder(folder, 3)
    with pytest.raises(ThesisError, match="name the folder of a text encoder"):
        load_text_encoder(tmp_path)
    with pytest.raises(ThesisError, match="one text and one reference"):
        bertscore(["a"], [[]], load_text_encoder(folder))


# -- Java ----------------------------------------------------------------------------------


def test_without_java_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describing.shutil, "which", lambda name: None)
    for metric in (meteor, spice):
        with pytest.raises(ThesisError, match="is a Java program"):
            metric([["a"]], [[["a"]]])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the wrapper leaves its pipes open
@pytest.mark.skipif(
    shutil.which("java") is None or importlib.util.find_spec("pycocoevalcap") is None,
    reason="METEOR is a Java program of pycocoevalcap",
)
def test_meteor_where_java_is() -> None:
    """The evaluator's own number, its own words among it; here they are ours."""
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    pairs = (
        ("Nora in green waves at Tom.", "Nora waves at Tom."),
        ("Someone picks up the red box, and puts it down.", "Someone takes the box."),
        ("Tom's dog isn't here: it runs away!", "Tom's dog runs off."),
        ("She walks to the door while Ben watches.", "While Ben watches, she goes to the door."),
        ("Anna and Clara march.", "Anna and Clara are marching."),
        ("A person in blue kicks the ball (twice).", "In blue, a person kicks a ball."),
        ("Leo opens the box", "Leo closes the box."),
        ("The room is dark -- nobody moves...", "Nobody moves in the dark room."),
        ('"Come," he says; she doesn\'t.', "He says come; she doesn't."),
        ("It rains.", "Tom."),
    )
    texts, truth = [a for a, _ in pairs], [b for _, b in pairs]
    words = [
        PTBTokenizer().tokenize({i: [{"caption": one}] for i, one in enumerate(some)})
        for some in (truth, texts)
    ]
    score, each = Meteor().compute_score(*words)
    written, wanted = tokenized(texts, [[one] for one in truth])
    found = meteor(written, wanted)
    assert found.score == pytest.approx(score, abs=1e-9) and 0.2 < score < 0.8
    assert found.each == pytest.approx(each, abs=1e-9) and found.each[-1] == 0
    with pytest.raises(ThesisError, match="SPICE needs Stanford CoreNLP"):
        spice(written, wanted)
