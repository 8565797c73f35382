"""What frozen readers see of a network: its own embedding, and whatever else it offers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import studio
from thesislib.evaluation.features import extract, extract_readings
from thesislib.methods.dpc import DPC, DPCConfig
from thesislib.methods.memdpc import MemDPC, MemDPCConfig
from thesislib.train import seed_everything

MEMORY = studio.SMALL | {"memory_slots": 8}


@pytest.mark.parametrize(
    ("model", "settings", "names"),
    [
        (DPC, DPCConfig().override(studio.SMALL), ["z", "context"]),
        (MemDPC, MemDPCConfig().override(MEMORY), ["context", "z"]),
        (MemDPC, MemDPCConfig().override(MEMORY | {"bidirectional": True}), ["context", "z"]),
    ],
)
def test_the_first_reading_is_the_embedding(model, settings, names, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    manifest = studio.tiny(tmp_path).select("val")
    seed_everything(0)
    network = model(settings)
    found = extract_readings(network, manifest, settings)
    assert list(found) == names
    own = extract(network, manifest, settings)
    np.testing.assert_allclose(found[names[0]].values, own.values, atol=1e-6)
    dim = network.backbone.feature_dim
    both = 2 * dim if getattr(settings, "bidirectional", False) else dim
    assert found["context"].values.shape == (len(own.values), both)
    assert found["z"].values.shape == (len(own.values), dim)
    assert not np.allclose(found["z"].values, found["context"].values[:, :dim])


def test_a_model_without_readings_has_one(tmp_path: Path) -> None:
    class Plain(DPC):
        @property
        def readings(self) -> None:
            raise AttributeError

    manifest, config = studio.tiny(tmp_path).select("val"), DPCConfig().override(studio.SMALL)
    assert list(extract_readings(Plain(config), manifest, config)) == [""]
