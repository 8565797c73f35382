"""Chapter 4: settings, counts, one training step in its order, and that each objective learns."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from thesislib import cli
from thesislib.authors import load_coclr
from thesislib.errors import ThesisError
from thesislib.info import describe
from thesislib.losses import (
    info_nce,
    multi_instance_nce,
    nearest_entries,
    queue_logits,
    similarity,
    uber_nce,
    with_own_key,
)
from thesislib.methods.coclr import CoCLR, build, summary
from thesislib.methods.coclr_config import OBJECTIVES, CoCLRConfig
from thesislib.methods.coclr_pairs import CoCLRPairs
from thesislib.nn.s3d import S3D

TINY = CoCLRConfig(
    width=0.02,
    mixed=("3b", "4b", "5b"),
    size=33,
    num_seq=1,
    seq_len=8,
    batch_size=4,
    queue=12,
    dim=8,
    topk=2,
    momentum=0.9,
)


def batch_of(config: CoCLRConfig, number: int = 0) -> dict[str, torch.Tensor]:
    """A batch of videos that no other batch has; classes go round."""
    generator = torch.Generator().manual_seed(number)
    size = config.batch_size
    shape = (size, 2, config.num_seq, 3, config.seq_len, config.size, config.size)
    index = size * number + torch.arange(size)
    batch = {"index": index, "source": index // 2, "label": index % 3}
    for stream in ("video", "flow") if config.streams == "both" else ("video",):
        batch[stream] = torch.randn(shape, generator=generator)
    return batch


def model_of(objective: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    return build(replace(TINY, objective=objective, **changes))


def filled(objective: str, **changes: Any) -> Any:
    """A model in training mode with a full queue of unit vectors."""
    model = model_of(objective, **changes).train()
    queue = model.queue
    queue.source.copy_(1000 + torch.arange(len(queue.source)))
    queue.label.copy_(torch.arange(len(queue.source)) % 3)
    return model


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


# ---- counts and settings ---------------------------------------------------------------------


def test_batches_of_one_step_move_the_key_encoder_as_one_batch_would() -> None:
    made = [model_of("infonce", accumulate=count) for count in (1, 4)]
    for count, model in zip((1, 4), made, strict=True):
        with torch.no_grad():
            for p in model.pair.query.parameters():
                p.add_(1.0)
        for _ in range(count):
            model(batch_of(TINY))
    keys = (list(model.pair.key.parameters()) for model in made)
    for one, four in zip(*keys, strict=True):
        torch.testing.assert_close(one, four)


def test_info_counts_the_thesiss_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "coclr", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    parameters = report["parameters"]
    assert parameters["backbone"] == 7_910_048
    assert parameters["projection head"] == 9_090_848 - 7_910_048
    assert parameters["InfoNCE, query and key"] == 18_181_696
    assert parameters["CoCLR, query, key and sampler"] == 27_272_544
    assert parameters["trained"] == 9_090_848
    assert report["shapes"]["logits (B, 1 + Q)"] == "(128, 2049)"
    assert report["of one query"]["batches in the queue"] == "16"
    assert report["of one query"]["clips that share batch norm"] == 32


@pytest.mark.parametrize(
    ("objective", "whole", "trained"),
    [("ubernce", 2, 1), ("coclr", 3, 1), ("cmc", 4, 2), ("simultaneous", 4, 2)],
)
def test_networks_of_each_objective(objective: str, whole: int, trained: int) -> None:
    with torch.device("meta"):
        model = build(replace(CoCLRConfig.preset("paper"), objective=objective))
    parameters = summary(model)["parameters"]
    assert parameters["in all"] == whole * 9_090_848
    assert parameters["trained"] == trained * 9_090_848


def test_info_says_when_the_queue_is_no_whole_number_of_batches() -> None:
    report = describe("coclr", "paper", {"queue": "2000"})
    assert report["of one query"]["batches in the queue"].startswith("15.625 (not whole")


@pytest.mark.parametrize("preset", ["small", "gpu", "paper", "as_released"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_preset_and_objective_is_whole(preset: str, objective: str) -> None:
    config = replace(CoCLRConfig.preset(preset), objective=objective)
    assert CoCLRConfig.from_dict(config.to_dict()) == config
    assert config.queue % config.batch_size == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "infonec"}, "did you mean 'infonce'"),
        ({"queue": 3}, "queue=3 does not hold a batch of 4"),
        ({"topk": 12}, "topk=12 must leave negatives"),
        ({"topk": 0}, "at least 1"),
        ({"views": 1}, "views=1: a query needs one key"),
        ({"bn_splits": 3}, "bn_splits=3 of 4 clips"),
        ({"bn_splits": 0}, "bn_splits must be at least 1"),
        ({"modality": "both"}, "no stream to judge 'both'"),
        ({"mixed": ()}, "mixed must be one value or more"),
        ({"mixed": "3b,4x"}, "no mixed block '4x'"),
        ({"cycles": 0}, "cycles must be at least 1, not 0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"width": -1.0}, "width must be above 0"),
        ({"momentum": 1.5}, "momentum must be at most 1, not 1.5"),
        ({"drop_self": -0.1}, "drop_self must be at least 0, not -0.1"),
    ],
)
def test_settings_that_cannot_work_get_a_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ThesisError, match=message) as info:
        TINY.override(changes)
    assert "\n" not in str(info.value)


def test_uber_nce_without_labels_gets_a_sentence() -> None:
    batch = batch_of(TINY)
    batch["label"] = torch.full((4,), -1)
    with pytest.raises(ThesisError, match="UberNCE is an oracle"):
        model_of("ubernce")(batch)
    for objective in ("infonce", "coclr", "cmc", "simultaneous"):
        model = filled(objective)
        batch = batch_of(model.config)
        batch["label"] = torch.full((4,), -1)
        loss, logs = model(batch)
        assert loss.isfinite() and "precision" not in logs


def test_a_checkpoint_that_does_not_fit_is_refused() -> None:
    small, large = model_of("infonce"), model_of("infonce", width=0.03)
    before = snapshot(small)
    with pytest.raises(ThesisError, match="does not fit"):
        load_coclr(small, large.state_dict())
    assert all(torch.equal(v, before[k]) for k, v in small.state_dict().items())


# ---- one step --------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["infonce", "ubernce", "coclr"])
def test_one_step_by_hand(objective: str) -> None:
    """Momentum update, query, key, the queue *as it was*, loss; then the keys enter the queue."""
    model = filled(objective)
    config, batch = model.config, batch_of(model.config)
    model.queue.source[5] = 1  # an older key of the batch's second video
    with torch.no_grad():  # a key encoder that has fallen behind
        for p in model.pair.key.parameters():
            p.mul_(0.5)
    own, before = copy.deepcopy(model), snapshot(model.queue)
    loss, logs = model(batch)

    first, second = batch["video"][:, :, 0].unbind(1)
    for k, q in zip(own.pair.key.parameters(), own.pair.query.parameters(), strict=True):
        k.data = 0.9 * k.data + 0.1 * q.data
    query = own.pair.query(first)
    with torch.no_grad():
        key = own.pair.key(second)
    logits = queue_logits(query, key, before["features"][0], config.temperature)
    if objective == "infonce":
        expected = info_nce(logits)
    elif objective == "ubernce":
        mask = with_own_key(batch["label"][:, None] == before["label"])
        expected = uber_nce(logits, mask)
    else:
        with torch.no_grad():
            other = own.sampler(batch["flow"][:, 1, 0])
        older = torch.zeros(4, 12, dtype=torch.bool)
        older[1, 5] = True
        near = nearest_entries(similarity(other, before["features"][1]), 2, older)
        assert near.sum(1).tolist() == [2] * 4
        expected = multi_instance_nce(logits, with_own_key(near | older))
        torch.testing.assert_close(model.queue.features[1, :4], other)
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-3)  # batch norm over four clips
    close(loss, expected)
    assert float(logs["loss"]) == float(loss.detach())
    close(model.queue.features[0, :4], key)
    assert torch.equal(model.queue.features[:, 4:], before["features"][:, 4:])
    assert model.queue.source[:4].tolist() == batch["index"].tolist()
    assert model.queue.label[:4].tolist() == batch["label"].tolist()
    assert int(model.queue.pointer) == 4


@pytest.mark.parametrize("objective", ["cmc", "simultaneous"])
def test_one_step_of_both_streams_by_hand(objective: str) -> None:
    model = filled(objective)
    batch = batch_of(model.config)
    own, before = copy.deepcopy(model), snapshot(model.queue)
    loss, _ = model(batch)
    query, key = {}, {}
    for name, stream in (("rgb", "video"), ("flow", "flow")):
        pair = own.pairs[name]  # the key is a copy of the query: its update moves nothing
        query[name] = pair.query(batch[stream][:, 0, 0])
        with torch.no_grad():
            key[name] = pair.key(batch[stream][:, 1, 0])
    stored = dict(zip(("rgb", "flow"), before["features"], strict=True))
    losses = []
    for name, other in (("rgb", "flow"), ("flow", "rgb")):
        if objective == "cmc":
            losses.append(info_nce(queue_logits(query[name], key[other], stored[other], 0.07)))
            continue
        near = similarity(key[other], stored[other])
        mined = nearest_entries(near, 2, torch.zeros(4, 12, dtype=torch.bool))
        logits = queue_logits(query[name], key[name], stored[name], 0.07)
        losses.append(multi_instance_nce(logits, with_own_key(mined)))
    # Batch norm over four clips magnifies the rounding of that update.
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-3)
    close(loss, sum(losses) / 2)
    close(model.queue.features[0, :4], key["rgb"])
    close(model.queue.features[1, :4], key["flow"])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_reach_the_query_alone(objective: str) -> None:
    model = filled(objective)
    model(batch_of(model.config))[0].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (".query." in name), name
        assert parameter.requires_grad == (".query." in name), name


def test_the_sampler_stays_as_it_is() -> None:
    model = filled("coclr")
    before = snapshot(model.sampler)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for number in range(2):
        model.train()
        assert not any(m.training for m in model.sampler.modules())
        model(batch_of(model.config, number))[0].backward()
        optimiser.step()
    assert all(torch.equal(v, before[k]) for k, v in model.sampler.state_dict().items())
    moved = snapshot(model.pair.key)
    assert not torch.equal(
        moved["backbone.conv_1a.bn1.running_mean"],
        torch.zeros_like(moved["backbone.conv_1a.bn1.running_mean"]),
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_evaluation_changes_nothing_and_meets_no_older_key(objective: str) -> None:
    """Videos of the validation split are numbered for themselves: equal numbers mean nothing."""
    model = filled(objective, older_self=False, siblings=True).eval()
    batch = batch_of(model.config)
    before = snapshot(model)
    with torch.no_grad():
        loss, logs = model(batch)
        model.queue.source[:4] = batch["source"]
        again, _ = model(batch)
        model.queue.source.copy_(before["queue.source"])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(loss, again) and float(logs["waiting"]) == 0


def test_siblings_are_positives_that_do_not_use_up_the_mined() -> None:
    for siblings, expected in ((False, 1 + 2), (True, 1 + 2 + 3)):
        model = filled("coclr", siblings=siblings)
        model.queue.source[:3] = 0  # of the group of the first two videos, or their own numbers
        batch = batch_of(model.config)
        batch["index"] = 500 + batch["index"]
        _, logs = model(batch)
        assert float(logs["positives"]) == (expected + (1 + 2)) / 2  # two of four have siblings


@pytest.mark.parametrize("objective", ["infonce", "cmc"])
def test_older_keys_are_left_out_on_wish(objective: str) -> None:
    for older_self, negatives in ((True, 12), (False, 12 - 3 / 4)):
        model = filled(objective, older_self=older_self)
        model.queue.source[:3] = 2
        _, logs = model(batch_of(model.config))
        assert float(logs["negatives"]) == negatives and float(logs["positives"]) == 1


@pytest.mark.parametrize("objective", ["coclr", "simultaneous"])
def test_own_keys_are_dropped_where_others_are(objective: str) -> None:
    for drop, positives in ((0.0, 3), (1.0, 2)):
        model = filled(objective, drop_self=drop)
        _, logs = model(batch_of(model.config))
        assert float(logs["positives"]) == positives
        model.queue.source[0] = -1  # not full: nothing is mined, so the own key has to stay
        assert float(model(batch_of(model.config, 1))[1]["positives"]) == 1


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_only_what_mines_waits_for_a_full_queue(objective: str) -> None:
    waited = []
    model = model_of(objective, fill_first=True).train()
    for number in range(4):
        waited.append(float(model(batch_of(model.config, number))[1]["waiting"]))
    assert waited == ([1, 1, 1, 0] if objective in ("coclr", "simultaneous") else [0] * 4)
    assert float(model_of(objective).train()(batch_of(model.config))[1]["waiting"]) == 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_in_bfloat16(objective: str) -> None:
    model = filled(objective)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = model(batch_of(model.config))
    loss.backward()
    assert loss.isfinite() and loss.dtype == torch.float32
    torch.testing.assert_close(model.queue.features[:, :4].norm(dim=2).mean(), torch.tensor(1.0))


# ---- learning --------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_overfits_one_batch(objective: str) -> None:
    """Queries find their keys among the entries of three classes, that lie together."""
    model = filled(objective, temperature=0.2)
    model.queue.features.copy_(torch.eye(3, TINY.dim)[model.queue.label])
    batch = batch_of(model.config)
    for stream in ("video", "flow"):
        if stream in batch:  # two views of a clip: the same, a little disturbed
            noise = torch.randn(batch[stream][:, 1].shape)
            batch[stream][:, 1] = batch[stream][:, 0] + 0.1 * noise
    held = snapshot(model.queue)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    # UberNCE has five positives, each of which is to win: log 5 is the least it can reach.
    least = math.log(5) if objective == "ubernce" else 0.0
    losses = []
    for _ in range(15):
        model.queue.load_state_dict(held)
        loss, logs = model(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()) - least)
    assert losses[-1] < 0.5 * losses[0]
    assert float(logs["top1"]) == 1


@pytest.mark.parametrize("objective", ["coclr", "simultaneous"])
def test_hub_folder_round_trip(objective: str, tmp_path: Path) -> None:
    model = filled(objective)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert isinstance(model, CoCLRPairs if objective == "simultaneous" else CoCLR)
    assert again.config == model.config
    clip = {"video": batch_of(TINY)["video"][:, 0]}
    assert torch.equal(model.eval().encode(clip), again.eval().encode(clip))


@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_the_judged_stream_is_the_one_that_is_asked_for(modality: str) -> None:
    model = model_of("simultaneous", modality=modality).eval()
    clip = batch_of(TINY)["video"][:, 0]
    assert torch.equal(
        model.encode({"video": clip}), model.pairs[modality].query.features(clip[:, 0])
    )
    classifier = model.classifier(3, dropout=0.0)
    assert isinstance(classifier.backbone, S3D)
    own = model.pairs[modality].query.backbone
    for a, b in zip(classifier.backbone.parameters(), own.parameters(), strict=True):
        assert torch.equal(a, b) and a is not b
