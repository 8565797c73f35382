"""VideoMAE's own numbers, and transformers' implementation of it, from our Turbo without a task."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from reference import CLEAR_PASS, close, golden_clip, golden_mask, state
from thesislib.authors import load_videomae, read_checkpoint
from thesislib.errors import ThesisError
from thesislib.methods.blocks import count
from thesislib.methods.turbo import Turbo, TurboConfig
from thesislib.nn.tokens import Drawn, from_mask
from thesislib.torchvision_here import ensure_torchvision

BASE = replace(TurboConfig.preset("paper"), pool="mean", classes=0, mask_ratio=0.9, recon_ratio=0.9)
NARROW = replace(
    BASE, size=64, width=192, depth=4, heads=3, decoder_width=96, decoder_depth=2, decoder_heads=3
)
TRANSFORMER_GRADIENT = 1e-4  # the golden folder's advice for Transformers


def outputs(made: Turbo, clip: torch.Tensor, drawn: Drawn) -> dict[str, torch.Tensor]:
    encoded = made.encoder(clip, drawn.visible)
    out = {
        "encoder_tokens": made.encoder.tokens(encoded),
        "decoder_output": made.reconstruct(encoded, drawn, made.config.grid),
        "target": made.target(clip, drawn.wanted),
        "loss": made.partial_mae(encoded, clip, drawn),
    }
    made.config = replace(made.config, normalised_target=False)
    return out | {"loss_plain_pixels": made.partial_mae(encoded, clip, drawn)}


# -- the authors' model ----------------------------------------------------------------------


def test_golden_narrow() -> None:
    made = Turbo(NARROW).eval()
    report = load_videomae(made, {f"module.{k}": v for k, v in state("videomae_narrow").items()})
    assert not report.unused and not report.missing
    mask = golden_mask("videomae.clip64", 2, 128, 32)
    out = outputs(made, golden_clip("videomae.clip64", (2, 3, 16, 64, 64)), from_mask(mask))
    out["loss"].backward()
    close("videomae_narrow_64", out | {"mask": mask}, CLEAR_PASS)
    gradient = {f"grad.{theirs}": made.get_parameter(ours).grad for theirs, ours in (
        ("mask_token", "decoder.mask_token"),
        ("encoder.patch_embed.proj.weight", "encoder.patches.weight"),
        ("encoder.patch_embed.proj.bias", "encoder.patches.bias"),
        ("encoder.blocks.0.attn.q_bias", "encoder.blocks.0.attention.q_bias"),
        ("encoder.blocks.3.attn.v_bias", "encoder.blocks.3.attention.v_bias"),
        ("encoder.norm.weight", "encoder.norm.weight"),
        ("decoder.norm.bias", "decoder.norm.bias"),
        ("encoder_to_decoder.weight", "decoder.project.weight"),
    )}  # fmt: skip
    close("videomae_narrow_64", gradient, TRANSFORMER_GRADIENT)


def test_golden_base() -> None:
    """ViT-B at 16 x 224 x 224: 156 of 1568 tokens visible, all others reconstructed."""
    made = Turbo(BASE).eval()
    assert (count(made), count(made.encoder)) == (94_210_944, 86_227_200)
    assert load_videomae(made, state("videomae_base")).unused == ()
    drawn = from_mask(golden_mask("videomae.clip224", 1, 1568, 156))
    with torch.no_grad():
        out = outputs(made, golden_clip("videomae.clip224", (1, 3, 16, 224, 224)), drawn)
    close("videomae_base_224", out, CLEAR_PASS)


def test_golden_classifier() -> None:
    made = Turbo(replace(NARROW, classes=101, mask_ratio=0.0, recon_ratio=0.0)).eval()
    report = load_videomae(made, state("videomae_narrow_classifier"))
    assert not report.unused and not report.missing
    batch = {"video": golden_clip("videomae.clip64", (2, 3, 16, 64, 64))[:, None]}
    with torch.no_grad():
        out = {"pooled": made.encode(batch), "logits": made.predict(batch)}
    close("videomae_narrow_classifier_64", out, CLEAR_PASS)


def test_count_of_the_classifier() -> None:
    with torch.device("meta"):
        made = Turbo(replace(BASE, classes=101, recon_ratio=0.0))
    assert count(made) == 86_304_869


# -- what is new, and what does not fit ------------------------------------------------------


def test_a_classifier_of_ours_starts_from_pretrained_weights() -> None:
    made = Turbo(replace(NARROW, pool="cls", classes=5, recon_ratio=0.5))
    report = load_videomae(made, state("videomae_narrow"))
    assert report.missing == ("encoder.cls", "linear.weight", "linear.bias")
    assert report.unused == () and len(report.mapped) == len(state("videomae_narrow"))
    without = Turbo(replace(NARROW, pool="cls", classes=5, recon_ratio=0.0))
    unused = load_videomae(without, state("videomae_narrow")).unused
    parts = ("decoder.", "mask_token", "encoder_to_decoder.")
    assert unused and all(name.startswith(parts) for name in unused)


def test_what_does_not_fit_is_refused() -> None:
    theirs = state("videomae_narrow_classifier")
    fitting = replace(NARROW, classes=101, recon_ratio=0.0)
    for change, first in (
        ({"classes": 51}, "linear.weight"),  # the file has a head, of another size
        ({"depth": 5}, "encoder.blocks.4"),
        ({"recon_ratio": 0.5}, "decoder.mask_token"),  # a fine-tuned file has no decoder
    ):
        made = Turbo(replace(fitting, **change))  # type: ignore[arg-type]
        before = made.encoder.patches.bias.clone()
        with pytest.raises(ThesisError, match=f"does not fit.*{first}"):
            load_videomae(made, theirs)
        assert torch.equal(made.encoder.patches.bias, before)
    report = load_videomae(Turbo(replace(fitting, recon_ratio=0.5)), theirs, fresh=("decoder.",))
    assert report.missing and all(name.startswith("decoder.") for name in report.missing)


def test_files_are_read_safely(tmp_path: Path) -> None:
    theirs = state("videomae_narrow_classifier")
    settings = argparse.Namespace(lr=1e-3, mask_ratio=0.9)
    torch.save({"model": theirs, "epoch": 800, "args": settings}, tmp_path / "theirs.pth")
    save_file({k: v.contiguous() for k, v in theirs.items()}, tmp_path / "model.safetensors")
    for name in ("theirs.pth", "model.safetensors"):
        read = read_checkpoint(tmp_path / name)
        assert read.keys() == theirs.keys()
        assert all(torch.equal(read[k], v) for k, v in theirs.items())
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ThesisError, match=r"bad.safetensors is not a checkpoint"):
        read_checkpoint(tmp_path / "bad.safetensors")


# -- transformers ----------------------------------------------------------------------------


SIZES = {
    "image_size": 32, "patch_size": 8, "num_frames": 8, "tubelet_size": 2, "hidden_size": 32,
    "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128,
    "decoder_hidden_size": 16, "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 64, "layer_norm_eps": 1e-6,
}  # fmt: skip
SAME = replace(
    BASE, size=32, seq_len=8, tubelet=(2, 8, 8), width=32, depth=3, heads=4, decoder_width=16,
    decoder_depth=2, decoder_heads=2, mask_ratio=0.75, recon_ratio=0.75,
)  # fmt: skip


def theirs_of(kind: str, **more: Any) -> nn.Module:
    """One of transformers' models with weights that reach every number."""
    ensure_torchvision()
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.VideoMAEConfig(**SIZES, **more)
    made = getattr(transformers, f"VideoMAEFor{kind}")(config).eval()
    for name, parameter in made.named_parameters():
        grown = 1.0 if name.endswith("norm.weight") or "layernorm" in name else 0.0
        nn.init.normal_(parameter, grown, 0.2)
    return made


@pytest.mark.parametrize("normalised", [True, False])
def test_pretraining_is_that_of_transformers(normalised: bool) -> None:
    theirs = theirs_of("PreTraining", norm_pix_loss=normalised, use_mean_pooling=False)
    ours = Turbo(SAME).eval()
    ours.config = replace(SAME, normalised_target=normalised)
    theirs.decoder.norm.eps = 1e-6  # type: ignore[union-attr]  # as VideoMAE's; there it is 1e-5
    report = load_videomae(ours, theirs.state_dict())
    assert not report.unused and not report.missing
    clip = torch.randn(3, 3, 8, 32, 32)
    masked = torch.rand(3, 64).argsort(1) >= 16
    want = theirs(clip.transpose(1, 2), bool_masked_pos=masked)
    drawn = from_mask(masked)
    encoded = ours.encoder(clip, drawn.visible)
    guess, loss = (
        ours.reconstruct(encoded, drawn, SAME.grid),
        ours.partial_mae(encoded, clip, drawn),
    )
    torch.testing.assert_close(guess, want.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(loss, want.loss, atol=1e-5, rtol=1e-5)
    loss.backward()
    want.loss.backward()
    gradient = theirs.videomae.embeddings.patch_embeddings.projection.weight.grad  # type: ignore[union-attr]
    torch.testing.assert_close(ours.encoder.patches.weight.grad, gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("mean", [True, False])
def test_classification_is_that_of_transformers(mean: bool) -> None:
    """Of the mean; without it theirs takes token 0, which is no CLS: the names alone are alike."""
    theirs = theirs_of("VideoClassification", num_labels=5, use_mean_pooling=mean)
    ours = Turbo(replace(SAME, classes=5, recon_ratio=0.0)).eval()
    clip = torch.randn(2, 3, 8, 32, 32)
    if not mean:
        theirs.fc_norm = None
        assert load_videomae(ours, theirs.state_dict()).missing == ()
        return
    theirs.fc_norm.eps = 1e-6  # type: ignore[union-attr]
    report = load_videomae(ours, theirs.state_dict())
    assert not report.unused and not report.missing
    with torch.no_grad():
        want = theirs(clip.transpose(1, 2)).logits
        got = ours.predict({"video": clip[:, None]}, mask_ratio=0.0)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)
