"""InfoNCE, UberNCE and CoCLR against the numbers of the authors' models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reference import CLEAR_PASS, GOLDEN, close, golden_clip, golden_numbers, state
from thesislib.authors import load_coclr
from thesislib.losses import (
    info_nce,
    leave_out,
    multi_instance_nce,
    queue_logits,
    same,
    uber_nce,
    with_own_key,
    without_own_key,
)
from thesislib.methods.coclr import CoCLR, CoCLRConfig
from thesislib.nn.classifier import ClipClassifier
from thesislib.nn.s3d import S3D

CLIPS = (4, 2, 3, 16, 64, 64)


def model_of(objective: str, **changes: object) -> CoCLR:
    """A model with the authors' weights and a full queue of 64."""
    config = CoCLRConfig(objective=objective, queue=64, batch_size=4, siblings=True, **changes)
    model = CoCLR(config).eval()
    model.training = True  # the networks stay in evaluation mode; sources count in training alone
    names = {"infonce": "infonce", "ubernce": "ubernce", "coclr": "coclr"}
    theirs = state(f"{names[objective]}_s3d_k64")
    report = load_coclr(model, theirs)
    assert all(name.startswith("queue") for name in report.unused)
    assert all(name.startswith("queue.") for name in report.missing)
    queues = (
        [theirs["queue"], theirs["queue_second"]] if objective == "coclr" else [theirs["queue"]]
    )
    model.queue.features.copy_(torch.stack(queues).transpose(1, 2))
    model.queue.source.fill_(10**6)  # something, so that the queue is full
    return model


def views(name: str = "coclr.block1") -> torch.Tensor:
    """(4, 2, N=1, 3, 16, 64, 64)."""
    return golden_clip(name, CLIPS).unsqueeze(2)


@pytest.mark.parametrize(("frames", "size", "batch"), [(32, 128, 1), (16, 64, 2)])
def test_golden_s3d(frames: int, size: int, batch: int) -> None:
    model = S3D().eval()
    report = load_coclr(model, state("s3d"))
    assert not report.unused and not report.missing
    with torch.no_grad():
        stages = model.stages(
            golden_clip(f"s3d.clip{frames}x{size}", (batch, 3, frames, size, size))
        )
    outputs = {f"block{i + 1}": x for i, x in enumerate(stages[:4])}
    outputs |= {"feature": stages[4], "pooled": stages[4].mean((2, 3, 4))}
    close(f"s3d_{frames}x{size}", outputs, CLEAR_PASS)


def test_golden_linear_probe() -> None:
    model = ClipClassifier(S3D(), 101, dropout=0.9, frozen=True).eval()
    report = load_coclr(model, state("coclr_linear_probe"))
    assert not report.unused and not report.missing
    batch = {"video": golden_clip("s3d.clip16x64", (2, 3, 16, 64, 64)).unsqueeze(1)}
    with torch.no_grad():
        outputs = {"logits": model.predict(batch), "feature": model.encode(batch)}
    close("coclr_linear_probe_16x64", outputs, CLEAR_PASS)


def test_golden_infonce() -> None:
    model = model_of("infonce")
    clips = views().flatten(2, 3)
    with torch.no_grad():
        query, key = model.pair(clips[:, 0], clips[:, 1])
        logits = queue_logits(query, key, model.queue.features[0], 0.07)
        outputs = {
            "projection_q": model.pair.query.head(model.pair.query.features(clips[:, 0])),
            "query": query,
            "key": key,
            "logits": logits,
            "loss": info_nce(logits),
        }
    close("infonce_16x64", outputs, CLEAR_PASS)


def test_golden_training_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step in training mode: momentum update, keys, loss, gradient, queue."""
    # Batch norm over four clips magnifies rounding; the layout that saves time costs a digit.
    monkeypatch.setattr(S3D, "channels_last", False)
    model = model_of("infonce").train()
    number = torch.arange(4)
    before = model.queue.features.clone()
    batch = {"video": views(), "label": number, "index": number, "source": number}
    loss, logs = model(batch)
    loss.backward()
    own, query = model.get_parameter, "pair.query."
    outputs = {
        "loss": loss,
        "queue_new": model.queue.features[0, :4].T,
        "queue_ptr": model.queue.pointer[None],
        "key_head_bias_after": own("pair.key.head.2.bias"),
        "key_stem_after": own("pair.key.backbone.conv_1a.conv1.weight"),
        "q_running_mean_after": model.get_buffer("pair.query.backbone.conv_1a.bn1.running_mean"),
        "k_running_mean_after": model.get_buffer("pair.key.backbone.conv_1a.bn1.running_mean"),
        "k_running_var_after": model.get_buffer("pair.key.backbone.conv_1a.bn1.running_var"),
    }
    close("infonce_train_16x64", outputs, 2e-4)
    torch.testing.assert_close(model.queue.features[:, 4:], before[:, 4:])
    gradients = {
        "encoder_q.4.bias": "head.2.bias",
        "encoder_q.0.Mixed_5c.branch0.0.bn.weight": "backbone.mixed_5c.branch0.0.bn.weight",
    }
    found = {f"grad.{theirs}": own(query + ours).grad for theirs, ours in gradients.items()}
    for layer, ours in (("4", "head.2"), ("2", "head.0")):
        gradient = own(f"{query}{ours}.weight").grad
        found[f"grad.encoder_q.{layer}.weight"] = gradient[:, :, None, None, None]
    close("infonce_train_16x64", found, 1e-3)
    # Behind a ReLU rounding turns an activation on or off, another one on another processor, and
    # so moves the gradients of a few channels by per cents; float64 says that the others are right.
    with np.load(GOLDEN / "A" / "infonce_train_16x64.npz") as file:
        for layer in ("Mixed_5c", "Mixed_4f"):
            gradient = own(f"{query}backbone.{layer.lower()}.branch1.1.bn2.bias").grad.numpy()
            theirs = file[f"grad.encoder_q.0.{layer}.branch1.1.bn2.bias"]
            apart = np.abs(gradient - theirs) / np.abs(theirs).max()
            assert np.median(apart) < 1e-4 and (apart < 1e-2).mean() > 0.9, layer
    assert float(logs["loss"]) == float(loss.detach())


def test_golden_ubernce() -> None:
    model = model_of("ubernce")
    clips = views().flatten(2, 3)
    model.queue.label.copy_(golden_numbers("ubernce.queue_label", 64, 6))
    number = torch.arange(4)
    batch = {"label": golden_numbers("ubernce.k_label", 4, 6), "index": number, "source": number}
    with torch.no_grad():
        query, key = model.pair(clips[:, 0], clips[:, 1])
        logits = queue_logits(query, key, model.queue.features[0], 0.07)
        mask = with_own_key(model.positives(batch, None)[0])
        close("ubernce_16x64", {"logits": logits, "loss": uber_nce(logits, mask)}, CLEAR_PASS)
    close("ubernce_16x64", {"mask": mask}, 0)


@pytest.mark.parametrize("reverse", [False, True])
def test_golden_coclr(reverse: bool) -> None:
    model = model_of("coclr")
    one, two = views().flatten(2, 3), views("coclr.block2").flatten(2, 3)
    own, other = (1, 0) if reverse else (0, 1)
    source = golden_numbers("coclr.k_vsource", 4, 20)
    batch = {"index": source, "source": source}
    model.queue.source.copy_(golden_numbers("coclr.queue_vname", 64, 20))
    with torch.no_grad():
        query, key = model.pair(one[:, own], two[:, own])
        second = model.sampler(two[:, other])
        logits = queue_logits(query, key, model.queue.features[0], 0.07)
        found, older = model.positives(batch, second)
    mask = with_own_key(found | older)
    if reverse:
        close("coclr_16x64", {"logits_reversed": logits}, CLEAR_PASS)
        close("coclr_16x64", {"mask_reversed": mask}, 0)
        return
    outputs = {
        "logits": logits,
        "similarity_second": second @ model.queue.features[1].T,
        "loss": multi_instance_nce(logits, mask),
        "loss_without_column0": multi_instance_nce(logits, without_own_key(mask)),
    }
    close("coclr_16x64", outputs, CLEAR_PASS)
    close("coclr_16x64", {"mask": mask}, 0)
    # A queue with an entry that was never written mines nothing; older keys stay. The entry that
    # is emptied here must not be one of those.
    spare = int((~older).all(0).nonzero()[0])
    model.queue.source[spare] = -1
    found, older = model.positives(batch, second)
    close("coclr_16x64", {"mask_queue_not_full": with_own_key(found | older)}, 0)


def test_golden_step_is_that_of_training() -> None:
    """`training_step` puts these pieces together."""
    model = model_of("coclr")
    source = golden_numbers("coclr.k_vsource", 4, 20)
    model.queue.source.copy_(golden_numbers("coclr.queue_vname", 64, 20))
    one, two = views(), views("coclr.block2")
    batch = {
        "video": torch.stack([one[:, 0], two[:, 0]], 1),
        "flow": torch.stack([one[:, 1], two[:, 1]], 1),
        "index": source,
        "source": source,
        "label": torch.full((4,), -1),
    }
    with torch.no_grad():
        loss, _ = model.training_step(batch)
    close("coclr_16x64", {"loss": loss}, CLEAR_PASS)


def test_left_out_entries_do_not_count() -> None:
    logits = torch.randn(3, 9)
    index, queued = torch.tensor([0, 1, 2]), torch.tensor([1, 1, 5, 0, -1, 7, 8, 9])
    left = leave_out(logits, same(index, queued))
    for row in range(3):
        kept = [0, *(j + 1 for j in range(8) if queued[j] != index[row])]
        torch.testing.assert_close(left[row].exp().sum(), logits[row, kept].exp().sum())
