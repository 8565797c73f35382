"""Language models by name and folder, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from methods.writing import little
from thesislib.errors import ThesisError
from thesislib.language import LanguageModel, load_language_model
from thesislib.language.model import skeleton
from thesislib.methods.blocks import count


@pytest.fixture
def kept(tmp_path: Path) -> tuple[LanguageModel, Path]:
    """A small model as transformers writes it."""
    one = little()
    one.model.save_pretrained(tmp_path / "model")
    one.tokenizer.save(str(tmp_path / "model" / "tokenizer.json"))
    return one, tmp_path / "model"


def test_a_folder_is_read(kept: tuple[LanguageModel, Path]) -> None:
    one, folder = kept
    read = load_language_model(folder)
    assert (read.weights_hash, read.end, read.full_stop) == (one.weights_hash, 0, 1)
    assert read.encode("anna waves.") == [2, 4, 1]
    assert read.decode([2, 4, 1, 0]) == "anna waves."
    ids = torch.tensor([[2, 4, 1]])
    torch.testing.assert_close(read.model(ids).logits, one.model(ids).logits)
    assert not read.model.training and not any(p.requires_grad for p in read.model.parameters())
    assert count(skeleton(folder)) == count(one.model)


def test_what_is_not_here_or_damaged_is_one_sentence(kept: tuple[LanguageModel, Path]) -> None:
    _, folder = kept
    with pytest.raises(ThesisError, match=r"'gpt2' is not on this machine.*pass download=True"):
        load_language_model("gpt2")
    with pytest.raises(ThesisError, match="is not on this machine"):
        load_language_model("no such/name at/all")
    weights = folder / "model.safetensors"
    state = load_file(weights)
    name = "transformer.h.1.mlp.c_fc.weight"
    save_file({k: v for k, v in state.items() if k != name}, weights, metadata={"format": "pt"})
    with pytest.raises(ThesisError, match=r"1 tensors are missing, the first is .*h\.1\.mlp\.c_fc"):
        load_language_model(folder)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ThesisError, match="take all files of one model"):
        load_language_model(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ThesisError, match=r"tokenizer\.json is damaged"):
        load_language_model(folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ThesisError, match="name a folder of a causal language model"):
        load_language_model(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ThesisError, match=r"config\.json"):
        load_language_model(folder)
