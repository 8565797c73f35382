"""Settings of the rows: what a profile, a row and the caller change, in pre-training and after."""

from __future__ import annotations

import pytest

from thesislib import book
from thesislib.chapters import run
from thesislib.chapters.row import Job
from thesislib.cli import parser
from thesislib.config import PROFILES
from thesislib.errors import ThesisError
from thesislib.evaluation.finetune import FinetuneConfig

ROWS = {key: row for method in book.methods() for key, row in run.rows(method).items()}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_row_has_settings_in_every_profile(profile: str) -> None:
    for key, row in ROWS.items():
        if profile == "as_released" and key.startswith(("turbo/", "tan/end-to-end")):
            continue  # it never was
        job = Job(key, profile, "mine", 3)
        config, tuning = run.settings(job), run.tuning(job)
        assert (config.profile, config.seed) == (profile, 3)
        assert config.dataset == row.changes.get("dataset", "mine")
        if tuning is not None:
            assert (tuning.profile, tuning.dataset, tuning.seed) == (profile, "mine", 3)
        assert key.startswith(book.chapter(key).module.rpartition(".")[2]) and row.name


def test_as_released_is_followed_down_to_the_test() -> None:
    def released(row: str, profile: str = "as_released") -> FinetuneConfig:
        tuning: FinetuneConfig = run.tuning(Job(row, profile))
        return tuning

    dpc = released("dpc/5pred3")
    assert (dpc.num_seq, dpc.protocol, dpc.dropout) == (8, "as_released_dpc", 0.5)
    assert (dpc.epochs, dpc.milestones, dpc.augment.interpolation) == (300, (60, 80), "nearest")
    mem = released("memdpc/flow")
    assert (mem.num_seq, mem.protocol, mem.dropout) == (8, "as_released", 0.9)
    assert (mem.epochs, mem.milestones) == (500, (300,))
    flow = run.settings(Job("memdpc/flow", "as_released"))
    assert flow.augment.flow_channels == "0yx"
    co = released("coclr/coclr-rgb")
    assert (co.protocol, co.crops, co.milestones) == ("as_released_coclr", 10, (400, 450))
    with pytest.raises(ThesisError, match="did you mean 'as_released'"):
        released("memdpc/rgb", "as_relased")


@pytest.mark.parametrize("command", ["train", "eval"])
def test_as_released_can_be_asked_for(command: str) -> None:
    assert parser().parse_args([command, "coclr", "--profile", "as_released"]).profile


def test_fine_tuning_follows_what_pre_training_changes() -> None:
    changes = {"modality": "flow", "seq_len": 16, "size": 64, "flow.algorithm": "tvl1"}
    tuning = run.tuning(Job("coclr/coclr-rgb", changes=changes))
    assert (tuning.modality, tuning.seq_len, tuning.size) == ("flow", 16, 64)
    assert tuning.flow.algorithm == "tvl1"
    mem = run.tuning(Job("memdpc/rgb", changes={"modality": "flow"}, tune={"epochs": 3}))
    assert (mem.modality, mem.epochs) == ("flow", 3)


def test_a_row_is_judged_where_its_table_says() -> None:
    for row, profile, dataset in (
        ("dpc/5pred3", "small", "synthetic"),
        ("dpc/5pred3", "paper", "ucf101"),
        ("coclr/coclr-rgb", "small", "synthetic_rooms"),
        ("memdpc/oops", "paper", "oops"),
        ("dpc/clip-wise", "gpu", "synthetic"),  # in no table: where it was trained
    ):
        assert run.judged_on(Job(row, profile)) == dataset
        assert run.judged_on(Job(row, profile, "mine")) == "mine"
        assert run.judged_on(Job(row, profile, "mine", on="theirs")) == "theirs"
    more = Job("dpc/5pred3-more-data", "paper")
    assert (run.settings(more).dataset, run.judged_on(more)) == ("kinetics400", "ucf101")
    assert run.tuning(more).dataset == "ucf101"


def test_what_is_misspelt_is_named() -> None:
    with pytest.raises(ThesisError, match="did you mean 'dpc/5pred3'"):
        run.find("dpc/5pred")
    with pytest.raises(ThesisError, match="no method 'dpcc': did you mean 'dpc'"):
        run.find("dpcc/5pred3")
    with pytest.raises(ThesisError, match="did you mean 'full'"):
        run.tuning(Job("dpc/5pred3", tune={"protocol": "ful"}))
    with pytest.raises(ThesisError, match="no protocol 'nonlinar': did you mean 'nonlinear'"):
        run.identity(Job("dpc/5pred3", more=("nonlinar",)))
