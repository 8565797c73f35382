"""Token dropout in other people's Transformers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from thesislib.errors import ThesisError
from thesislib.nn.token_dropout import TokenDropout
from thesislib.torchvision_here import ensure_torchvision

ensure_torchvision()
timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")

SIZES = {
    "image_size": 32, "num_frames": 8, "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 48, "num_labels": 5,
}  # fmt: skip
IMAGE = {k: v for k, v in SIZES.items() if k != "num_frames"}


def of_timm(name: str) -> nn.Module:
    sizes: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "num_heads": 2}
    return timm.create_model(name, depth=2, num_classes=5, **sizes)


def of_transformers(name: str, **more: Any) -> nn.Module:
    kind = {"VideoMAE": "VideoClassification", "Vivit": "VideoClassification",
            "Timesformer": "VideoClassification"}.get(name, "ImageClassification")  # fmt: skip
    config = getattr(transformers, f"{name}Config")(**more)
    return getattr(transformers, f"{name}For{kind}")(config)


def videomae() -> nn.Module:
    return of_transformers("VideoMAE", patch_size=8, tubelet_size=2, **SIZES)


MODELS = {
    "timm ViT": (lambda: of_timm("vit_tiny_patch16_224"), "image", 16, 1),
    "timm DeiT": (lambda: of_timm("deit_tiny_distilled_patch16_224"), "image", 16, 2),
    "VideoMAE": (videomae, "video", 64, 0),
    "ViViT": (lambda: of_transformers("Vivit", tubelet_size=[2, 8, 8], **SIZES), "video", 64, 1),
    "TimeSformer": (
        lambda: of_transformers(
            "Timesformer", patch_size=8, attention_type="joint_space_time", **SIZES
        ),
        "video", 128, 1,
    ),
    "ViT": (lambda: of_transformers("ViT", patch_size=8, **IMAGE), "image", 16, 1),
}  # fmt: skip
BLOCKS = ("Block", "VideoMAELayer", "VivitLayer", "TimesformerLayer", "ViTLayer")


def pixels(kind: str) -> torch.Tensor:
    return torch.randn(2, 8, 3, 32, 32) if kind == "video" else torch.randn(2, 3, 32, 32)


def logits(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    out = model(x)
    return out if isinstance(out, torch.Tensor) else out.logits


@pytest.mark.parametrize("name", MODELS)
def test_blocks_see_a_share_of_the_tokens(name: str) -> None:
    torch.manual_seed(0)
    build, kind, tokens, prefix = MODELS[name]
    model, x, seen = build().eval(), pixels(kind), []
    block = next(m for m in model.modules() if type(m).__name__ in BLOCKS)
    block.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]))
    names = list(model.state_dict())
    with torch.no_grad():
        before = logits(model, x)
        dropout = TokenDropout(0.75).attach(model)
        assert torch.equal(logits(model, x), before), "evaluation sees all tokens"
        logits(model.train(), x)
        dropout.in_eval = True
        some = logits(model.eval(), x)
        dropout.detach()
        assert torch.equal(logits(model, x), before) and not torch.equal(some, before)
    assert dropout.prefix == prefix and list(model.state_dict()) == names
    assert seen == [n + prefix for n in (tokens, tokens, tokens // 4, tokens // 4, tokens)]


def test_the_three_lines_of_the_docstring() -> None:
    """... run as they stand there, on a model that then learns."""
    torch.manual_seed(0)
    text = (TokenDropout.__doc__ or "").split("::\n\n", 1)[1]
    lines = [line[8:] for line in text.split("\n") if line.startswith(" " * 8)][:3]
    assert len(lines) == 3 and lines[0].startswith("from thesislib")
    model, x, labels = videomae().train(), pixels("video"), torch.tensor([0, 1])
    x[1] += 2  # a share of the tokens must tell the two apart
    exec("\n".join(lines), {"model": model})
    adam = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = model(pixel_values=x, labels=labels).loss
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.2 * sum(losses[:5])


def test_tokens_are_those_of_patch_dropout() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 2 + 20, 5)
    theirs = timm.layers.PatchDropoutWithIndices(0.75, num_prefix_tokens=2, ordered=True).train()
    want, index = theirs(x)
    ours = TokenDropout(0.75, prefix=2)
    assert torch.equal(ours.keep(x, index), want)
    torch.manual_seed(1)
    assert ours(x).shape == want.shape and ours.eval()(x) is x
    # The other tokens are drawn anew each time, and stay in order.
    numbers = torch.arange(22.0).expand(3, -1)[..., None]
    one, two = ours.train()(numbers), ours(numbers)
    assert not torch.equal(one, two) and bool((one.diff(dim=1) > 0).all())


def test_patch_dropout_of_a_model_takes_the_same_tokens() -> None:
    """Of a whole timm ViT: with the same indices, the same logits."""
    torch.manual_seed(0)
    model, x = of_timm("vit_tiny_patch16_224").train(), pixels("image")
    model.patch_drop = timm.layers.PatchDropout(0.5, num_prefix_tokens=1, ordered=True)
    torch.manual_seed(3)
    want = model(x)
    torch.manual_seed(3)
    index = torch.argsort(torch.randn(2, 16), dim=-1)[:, :8].sort(-1).values
    dropout = TokenDropout(0.5, prefix=1)
    model.patch_drop = nn.Identity()
    model.patch_drop.register_forward_hook(lambda m, i, out: dropout.keep(out, index))
    torch.testing.assert_close(model(x), want)


def test_gradients_of_dropped_tokens_are_zero() -> None:
    x = torch.randn(2, 1 + 8, 3, requires_grad=True)
    TokenDropout(0.5, prefix=1)(x).sum().backward()
    assert x.grad is not None and x.grad.abs().sum((1, 2)).tolist() == [15.0, 15.0]
    assert x.grad[:, 0].tolist() == [[1.0] * 3] * 2


def test_what_it_refuses() -> None:
    with pytest.raises(ThesisError, match=r"mask_ratio=1\.0"):
        TokenDropout(1.0)
    dropout = TokenDropout(0.5).attach(videomae())
    with pytest.raises(ThesisError, match="attached already"):
        dropout.attach(videomae())
    with pytest.raises(ThesisError, match="does not know where Linear embeds"):
        TokenDropout(0.5).attach(nn.Linear(3, 3))
    sizes = {**SIZES, "decoder_num_hidden_layers": 1, "decoder_hidden_size": 24}
    config = transformers.VideoMAEConfig(patch_size=8, decoder_num_attention_heads=2, **sizes)
    with pytest.raises(ThesisError, match="masks tokens itself"):
        TokenDropout(0.5).attach(transformers.VideoMAEForPreTraining(config))
    with pytest.raises(ThesisError, match="needs the whole grid"):
        TokenDropout(0.5).attach(of_transformers("Timesformer", patch_size=8, **SIZES))
    odd = nn.Module()
    odd.patch_drop = nn.Identity()
    TokenDropout(0.5).attach(odd)
    with pytest.raises(ThesisError, match="Identity gives no tokens"):
        odd.patch_drop(torch.zeros(2, 3))
    with pytest.raises(ThesisError, match="leaves none of 4 tokens"):
        TokenDropout(0.9)(torch.zeros(2, 4, 3))


def test_the_lines_of_the_readme_run() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.+?)```", readme, flags=re.DOTALL)
    model = videomae()
    before = model(torch.zeros(1, 8, 3, 32, 32)).logits.shape
    exec(lines, {"model": model})
    seen: list[int] = []
    layer = next(m for m in model.modules() if type(m).__name__ == "VideoMAELayer")
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    for training in (False, True):
        model.train(training)
        assert model(torch.zeros(1, 8, 3, 32, 32)).logits.shape == before
    assert seen == [64, 16]
