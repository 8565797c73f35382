"""Settings: overrides, their errors, JSON and hash."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from thesislib.clip_config import Augment
from thesislib.config import RunConfig
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig
from thesislib.methods.clip_prompt import ClipPromptConfig
from thesislib.methods.coclr_config import CoCLRConfig
from thesislib.methods.dpc import DPCConfig
from thesislib.methods.proposals import ProposalConfig
from thesislib.methods.turbo_config import TurboConfig


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
        ({"epochs": "inf"}, "epochs='inf' does not fit: int expected"),
        ({"epochs": "9" * 5000}, "does not fit: int expected"),
        ({"batch_size": str(2**70)}, "batch_size must be at most 1,000,000,000"),
        ({"size": "1000000"}, "size must be at most 8,192"),
        ({"lr": "nan"}, "lr must be a finite number, not nan"),
        ({"lr": "-1"}, "lr must be at least 0, not -1.0"),
        ({"lr.x": "1"}, "lr has no parts, so there is no lr.x: set lr itself"),
        ({"augment": "x"}, "augment='x' does not fit: Augment expected"),
        ({"augment.flip": "1.5"}, "flip must be at most 1"),
        ({"augment.crop_area": "1,0.5"}, "crop_area must be in order, the least first"),
        ({"augment.crop_area": "0,1"}, "crop_area must be above 0"),
        ({"seed": "-1"}, "seed must be at least 0"),
        ({"val_every": "0"}, "val_every must be at least 1"),
        ({"num_workers": "-1"}, "num_workers must be at least 0"),
        ({"width": "0"}, "width must be at least 1"),
        ({"dropout": "2"}, "dropout must be at most 1"),
        ({"milestones": "3,-1"}, "milestones must be at least 0"),
    ],
)
def test_wrong_settings_get_one_sentence(values: dict[str, str], words: str) -> None:
    with pytest.raises(ThesisError, match=words) as info:
        DPCConfig().override(values)
    assert "\n" not in str(info.value)


def test_settings_made_in_python_are_held_to_their_types() -> None:
    for values, words in (
        ({"epochs": 2.5}, "epochs=2.5 does not fit: int expected"),
        ({"epochs": True}, "epochs=True does not fit: int expected"),
        ({"lr": None}, "lr=None does not fit: float expected"),
        ({"cache": 1}, "cache=1 does not fit: bool expected"),
        ({"milestones": 3}, "milestones=3 does not fit: several values expected"),
        ({"augment": {"flop": 0.5}}, "did you mean 'flip'"),
        ({"augment": {"jitter": [0.1]}}, "4 values expected"),
    ):
        with pytest.raises(ThesisError, match=words):
            DPCConfig(**values)
    config = DPCConfig(epochs=np.int64(3), lr=1, milestones=[4], augment={"flip": 0.1})
    assert config.milestones == (4,) and config.augment == Augment(flip=0.1)


HOSTILE = (
    "", "0", "-1", "1", "inf", "nan", "1.5", "none", "x", "1,0.5",
    "nan,nan", "5,5,5,5", "9" * 30,
)  # fmt: skip


@pytest.mark.parametrize(
    "kind", [DPCConfig, CoCLRConfig, TurboConfig, ClipPromptConfig, ProposalConfig, FinetuneConfig]
)
def test_no_value_of_any_setting_ends_in_a_traceback(kind: type[RunConfig]) -> None:
    """And what passes is written and read again as itself."""
    base = kind()
    names = [field.name for field in dataclasses.fields(base)]
    for part in {"augment", "flow"} & set(names):
        names += [f"{part}.{field.name}" for field in dataclasses.fields(getattr(base, part))]
    passed = 0
    for name, text in itertools.product([*names, "lr.x", ".", "", ".lr", "augment..x"], HOSTILE):
        try:
            config = base.override({name: text})
        except ThesisError as error:
            assert "\n" not in str(error)
        else:
            passed += 1
            assert kind.from_dict(config.to_dict()) == config and config.hash()
    assert passed > len(names), "some values are good"


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
