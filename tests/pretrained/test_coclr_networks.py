"""The small networks of chapter 4 that ship: whole, as their cards say, and made as is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from thesislib import pretrained
from thesislib.errors import ThesisError
from thesislib.evaluation.indexing import weights_hash
from thesislib.ledger import Ledger
from thesislib.methods.coclr import CoCLR
from thesislib.methods.coclr_config import CoCLRConfig
from thesislib.pretrained import coclr
from thesislib.pretrained.coclr import recipe

REPO = Path(__file__).resolve().parents[2]
CLIP = torch.rand(2, 1, 3, 8, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", coclr.FOLDERS)
def test_a_network_that_ships_is_whole_and_is_what_its_card_says(name: str) -> None:
    folder = coclr.FOLDERS[name]
    model, config = coclr.load(name)
    again = CoCLR.from_pretrained(folder, strict=True).eval()
    with torch.no_grad():
        features = model.encode({"video": CLIP})
        assert torch.equal(features, again.encode({"video": CLIP}))
    assert features.shape == (2, 208) and features.std() > 0 and not model.training
    assert config.modality == name.rsplit("-", 1)[1] and config.profile == "small"
    note = json.loads((folder / "scores.json").read_text())
    assert (folder / "model.safetensors").stat().st_size == note["bytes"] < 1_000_000
    assert weights_hash(model).startswith(note["weights_hash"])
    assert note["scores"]["least_cosine_to_run"] > 0.9999
    (row,) = [
        entry
        for entry in Ledger.load(REPO / "results").entries
        if (entry.row, entry.profile, entry.seed) == (note["row"], "small", 0)
    ]
    assert note["ledger"]["retrieval_r1"] == round(row.metrics["retrieval_r1"], 4)
    assert abs(note["scores"]["retrieval_r1"] - row.metrics["retrieval_r1"]) < 0.01
    assert (folder / "README.md").read_text() == recipe.card(name, note, config)
    assert pretrained.shipped()[name]["retrieval_r1"] == note["scores"]["retrieval_r1"]


def test_a_trained_network_is_written_small_and_read_back(tmp_path: Path) -> None:
    small = {"width": 0.05, "queue": 8, "batch_size": 4, "topk": 2, "bn_splits": 1}
    config = CoCLRConfig.preset("small").override({"objective": "coclr", **small})
    torch.manual_seed(0)
    model = CoCLR(config).train()
    with torch.no_grad():  # so that means and variances are some
        model.pair.query(torch.rand(4, 3, 8, 48, 48))
    recipe.write_model(tmp_path / "model", model)
    back, settings = coclr.load(tmp_path / "model")
    assert (settings.objective, settings.width, settings.mines) == ("infonce", 0.05, False)
    with torch.no_grad():
        one, two = (m.eval().encode({"video": CLIP}) for m in (model, back))
    assert torch.nn.functional.cosine_similarity(one, two).min() > 0.999
    assert torch.equal(back.queue.features[0].half(), model.queue.features[0].half())
    kinds = {
        (t.ndim > 1, t.dtype) for t in load_file(tmp_path / "model/model.safetensors").values()
    }
    assert kinds == {(True, torch.float16), (False, torch.float32), (False, torch.int64)}


def test_damaged_and_unknown_networks_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ThesisError, match="no network 'small-coclr'"):
        coclr.load("small-coclr")
    folder = tmp_path / "model"
    shutil.copytree(coclr.FOLDERS["small-coclr-rgb"], folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ThesisError, match=r"is damaged .*: install thesislib again"):
        coclr.load(folder)
