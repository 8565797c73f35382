"""What a step of Turbo training costs: counted memory against real tensors, and its orders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from thesislib.chapters.turbo import cost
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig
from thesislib.nn.token_dropout import TokenDropout

SMALL = replace(
    TurboConfig.preset("small"), size=16, seq_len=4, width=24, depth=2, heads=3, classes=5,
    decoder_width=12, decoder_depth=1, decoder_heads=3, batch_size=2,
)  # fmt: skip


def really_kept(config: TurboConfig, batch: int) -> int:
    """Bytes that autograd holds in a real step: every piece of memory that it saves, once."""
    model = Turbo(config).train()
    weights = {p.data_ptr() for p in model.parameters()}
    held: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage  # alive, so that no address is used twice
        return tensor

    frames = config.num_seq * config.seq_len
    video = torch.randn(batch, 1, 3, frames, config.size, config.size)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        model({"video": video, "label": torch.zeros(batch, dtype=torch.long)})
    return sum(storage.nbytes() for storage in held.values())


@pytest.mark.parametrize(("m", "r"), [(0.0, 0.0), (0.5, 0.5), (0.75, 0.25)])
def test_counted_memory_is_what_a_real_step_keeps(m: float, r: float) -> None:
    config = cost.at(SMALL, m, r)
    real = really_kept(config, 2)
    assert cost.kept_bytes(config, 2) == pytest.approx(real, rel=0.02)


def test_memory_grows_with_frames_and_falls_with_dropping() -> None:
    full, turbo = (cost.kept_bytes(cost.at(SMALL, m, r)) for m, r in ((0, 0), (0.75, 0.25)))
    assert turbo < full
    longer = cost.kept_bytes(cost.at(replace(SMALL, seq_len=8), 0, 0))
    assert 1.8 < longer / full < 2.1  # fused attention keeps no table of pairs


def test_time_is_measured_of_every_training() -> None:
    found = cost.costs(SMALL, ((0.0, 0.0), (0.75, 0.0)), rounds=2)
    assert all(one.seconds > 0 for one in found.values())
    assert found[0.75, 0.0].visible == found[0.0, 0.0].visible // 4


def test_uncounted_time_is_a_dash() -> None:
    assert cost._times(1.0, float("nan")) == "–"


def test_thesis_page_has_the_printed_operations() -> None:
    rows = [line.split(" | ") for line in cost.thesis_page().text.splitlines()[2:]]
    assert [row[3] for row in rows] == ["180.6", "99.3", "57.6", "45.9", "35.2", "18.3"]
    assert all(row[3] == row[4] for row in rows)


def test_memory_picture_draws_every_share() -> None:
    picture = cost.memory_picture(replace(SMALL, size=32), (4, 8))
    assert len(picture.axes[0].get_lines()) == len(cost.CURVES)
    assert "all tokens" in picture.alt


def test_dropout_makes_anothers_model_faster() -> None:
    plain, dropped = cost.a_videomae(4, 64, 24, 1), cost.a_videomae(4, 64, 24, 1)
    TokenDropout(0.75).attach(dropped)
    page = cost.dropout_page(
        {"as it is": plain, "m = 75 %": dropped}, torch.randn(2, 4, 3, 64, 64), rounds=1
    )
    assert [line.split(" | ")[0] for line in page.text.splitlines()[2:]] == [
        "| as it is",
        "| m = 75 %",
    ]
