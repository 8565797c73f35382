"""Settings: overrides, their errors, JSON and hash."""

from __future__ import annotations

import dataclasses

import pytest

from thesislib.clip_config import Augment
from thesislib.config import RunConfig
from thesislib.errors import ThesisError
from thesislib.methods.dpc import DPCConfig


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("epochs", "3", 3),
        ("lr", "1e-2", 0.01),
        ("milestones", "4,8", (4, 8)),
        ("milestones", "", ()),
        ("cache", "true", True),
        ("augment.jitter", "0.1,0.2,0.3,0", (0.1, 0.2, 0.3, 0.0)),
        ("augment.grey_scope", "clip", "clip"),
        ("network", "resnet34", "resnet34"),
    ],
)
def test_text_becomes_the_fields_type(key: str, text: str, value: object) -> None:
    config = DPCConfig().override({key: text})
    for name in key.split("."):
        config = getattr(config, name)
    assert config == value and type(config) is type(value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": "3"}, "did you mean 'epochs'"),
        ({"augment.jiter": "0"}, "did you mean 'jitter'"),
        ({"epochs": "many"}, "epochs='many' does not fit"),
        ({"epochs": "2.5"}, "does not fit"),
        ({"epochs": "0"}, "at least 1"),
        ({"cache": "perhaps"}, "bool expected"),
        ({"augment.jitter": "0.1,0.2"}, "does not fit"),
        ({"schedule": "platau"}, "did you mean 'plateau'"),
        ({"network": "resnet19"}, "did you mean 'resnet1"),
        ({"modality": "flwo"}, "did you mean 'flow'"),
        ({"flow.algorithm": "tvl2"}, "did you mean 'tvl1'"),
        ({"profile": "huge"}, "There is no profile 'huge'"),
    ],
)
def test_wrong_settings_get_one_sentence(values: dict[str, str], words: str) -> None:
    with pytest.raises(ThesisError, match=words) as info:
        DPCConfig().override(values)
    assert "\n" not in str(info.value)


def test_json_round_trip_and_hash() -> None:
    config = DPCConfig.preset("as_released")
    again = DPCConfig.from_dict(config.to_dict())
    assert again == config and again.hash() == config.hash()
    assert dataclasses.replace(config, lr=0.5).hash() != config.hash()
    # Workers and cache change the speed, never the numbers.
    assert dataclasses.replace(config, num_workers=7, cache=True).hash() == config.hash()


def test_a_new_field_leaves_old_hashes_alone() -> None:
    @dataclasses.dataclass(frozen=True)
    class Later(DPCConfig):
        thing: int = 3

    for changes in ({}, {"lr": 0.5}, {"augment": Augment(flip=0.1)}):
        before = DPCConfig(**changes).hash()
        assert Later(**changes).hash() == before
        assert Later(**changes, thing=4).hash() != before
    # One entry of a nested field counts by itself, the others do not.
    released = DPCConfig.preset("as_released")
    third = released.override({"augment.flow_third": "0"})
    assert third.hash() != released.hash()
    assert third.override({"augment.flow_third": "128"}).hash() == released.hash()
    flow = DPCConfig().override({"modality": "flow", "flow.algorithm": "dis"})
    assert len({flow.hash(), DPCConfig().hash(), DPCConfig(modality="flow").hash()}) == 3
    assert DPCConfig.from_dict(flow.to_dict()) == flow == DPCConfig(**flow.to_dict())


def test_presets_follow_thesis_and_released_code() -> None:
    paper, released = DPCConfig.preset("paper"), DPCConfig.preset("as_released")
    assert (paper.num_seq, paper.seq_len, paper.stride, paper.pred_step) == (8, 5, 3, 3)
    assert (paper.lr, paper.weight_decay, paper.batch_size, paper.size) == (1e-3, 1e-5, 64, 128)
    assert paper.schedule == "plateau" and paper.running_stats
    assert not released.running_stats and released.augment.grey_kind == "channel"
    assert paper.augment.jitter_scope == paper.augment.grey_scope == "frame"


def test_augment_states_only_known_scopes() -> None:
    with pytest.raises(ThesisError, match="did you mean 'frame'"):
        Augment(grey_scope="frames")


def test_the_base_config_builds() -> None:
    assert RunConfig().override({}) == RunConfig()
