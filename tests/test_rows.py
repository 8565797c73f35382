"""Settings of the rows: what a profile, a row and the caller change, in pre-training and after."""

from __future__ import annotations

import pytest

from thesislib.cli import parser
from thesislib.config import PROFILES
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.rows import ROWS, row_config, row_tuning


@pytest.mark.parametrize("profile", PROFILES)
def test_every_row_has_settings_in_every_profile(profile: str) -> None:
    for row, entry in ROWS.items():
        if not entry.fuse:
            config = row_config(row, profile, "mine", 3)
            assert config.profile == profile
            tuning = row_tuning(row, config)
            assert (tuning.profile, tuning.dataset, tuning.seed) == (profile, "mine", 3)


def test_as_released_is_followed_down_to_the_test() -> None:
    def released(row: str, profile: str = "as_released") -> FinetuneConfig:
        return row_tuning(row, row_config(row, profile, "ucf101", 0))

    dpc = released("dpc/5pred3")
    assert (dpc.num_seq, dpc.protocol, dpc.dropout) == (8, "as_released_dpc", 0.5)
    assert (dpc.epochs, dpc.milestones, dpc.augment.interpolation) == (300, (60, 80), "nearest")
    mem = released("memdpc/flow")
    assert (mem.num_seq, mem.protocol, mem.dropout) == (8, "as_released", 0.9)
    assert (mem.epochs, mem.milestones) == (500, (300,))
    assert row_config("memdpc/flow", "as_released", "ucf101", 0).augment.flow_channels == "0yx"
    co = released("coclr/coclr-rgb")
    assert (co.protocol, co.crops, co.milestones) == ("as_released_coclr", 10, (400, 450))
    with pytest.raises(ThesisError, match="did you mean 'as_released'"):
        released("memdpc/rgb", "as_relased")


@pytest.mark.parametrize("command", ["train", "eval"])
def test_as_released_can_be_asked_for(command: str) -> None:
    assert parser().parse_args([command, "coclr", "--profile", "as_released"]).profile


def test_fine_tuning_follows_what_pre_training_changes() -> None:
    changes = {"modality": "flow", "seq_len": 16, "size": 64, "flow.algorithm": "tvl1"}
    config = row_config("coclr/coclr-rgb", "small", "synthetic_rooms", 0, changes)
    tuning = row_tuning("coclr/coclr-rgb", config)
    assert (tuning.modality, tuning.seq_len, tuning.size) == ("flow", 16, 64)
    assert tuning.flow.algorithm == "tvl1"
    config = row_config("memdpc/rgb", "small", "synthetic", 0, {"modality": "flow"})
    mem = row_tuning("memdpc/rgb", config, {"epochs": 3})
    assert (mem.modality, mem.epochs) == ("flow", 3)
