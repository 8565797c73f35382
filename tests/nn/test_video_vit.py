"""The video ViT against loops over tokens, and what dropped tokens cost."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from thesislib.errors import ThesisError
from thesislib.nn.transformer import Block, DropPath, QVAttention
from thesislib.nn.video_vit import (
    PatchDecoder,
    Places,
    VideoViT,
    by_token,
    pixel_target,
    put,
    sine_cosine,
    take,
    token_grid,
)

TUBELET = (2, 4, 4)


def video(batch: int = 2, frames: int = 4) -> torch.Tensor:
    return torch.randn(batch, 3, frames, 8, 12, generator=torch.Generator().manual_seed(0))


def vit(**more: object) -> VideoViT:
    torch.manual_seed(0)
    return VideoViT(**{"width": 12, "depth": 2, "heads": 3, "tubelet": TUBELET, **more})  # type: ignore[arg-type]


VISIBLE = torch.tensor([[0, 5, 7], [2, 3, 11]])


# -- pixels ----------------------------------------------------------------------------------


def test_tokens_are_numbered_by_time_row_and_column() -> None:
    x = video()
    patches = by_token(x, TUBELET)
    assert patches.shape == (2, 2, 2, 3, 3, 2, 4, 4)
    taken = take(patches, VISIBLE)
    for item in range(2):
        for k, token in enumerate(VISIBLE[item].tolist()):
            t, h, w = token // 6, token // 3 % 2, token % 3
            want = x[item, :, 2 * t : 2 * t + 2, 4 * h : 4 * h + 4, 4 * w : 4 * w + 4]
            assert torch.equal(taken[item, k], want)


def test_put_is_the_inverse_of_take() -> None:
    x, other = video(), video() + 7
    mixed = put(x, VISIBLE, take(by_token(other, TUBELET), VISIBLE), TUBELET)
    assert torch.equal(
        take(by_token(mixed, TUBELET), VISIBLE), take(by_token(other, TUBELET), VISIBLE)
    )
    assert int((mixed != x).sum()) == 2 * 3 * 3 * 32 and torch.equal(x, video())


def test_pixel_target_by_loops() -> None:
    pixels = torch.rand(2, 3, 3, 2, 4, 4)
    plain, normalised = pixel_target(pixels, normalise=False), pixel_target(pixels)
    for item in range(2):
        for token in range(3):
            for c in range(3):
                values = pixels[item, token, c].flatten().tolist()
                mean = sum(values) / 32
                deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / 31)
                for place, value in enumerate(values):
                    got = normalised[item, token, place * 3 + c]
                    assert math.isclose(got, (value - mean) / (deviation + 1e-6), abs_tol=1e-5)
                    assert (
                        plain[item, token, place * 3 + c] == pixels[item, token, c].flatten()[place]
                    )
    assert torch.equal(pixel_target(torch.ones(1, 1, 3, 2, 4, 4)), torch.zeros(1, 1, 96))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((7, 8, 8), "7 frames do not divide into tubelets of 2"),
        ((8, 9, 8), "9 pixels of height"),
        ((8, 8, 2), "2 pixels of width"),
    ],
)
def test_lengths_that_do_not_divide(shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ThesisError, match=message):
        token_grid(*shape, TUBELET)
    with pytest.raises(ThesisError, match=message):
        vit()(torch.zeros(1, 3, *shape))


# -- places ----------------------------------------------------------------------------------


def test_codes_by_loops() -> None:
    table = sine_cosine(40, 10)
    for n in range(40):
        for j in range(10):
            angle = n / 10000 ** (2 * (j // 2) / 10)
            want = math.cos(angle) if j % 2 else math.sin(angle)
            assert math.isclose(table[n, j], want, abs_tol=1e-6)


def test_longer_videos_continue_or_stretch() -> None:
    here = torch.device("cpu")
    run_on, stretched = Places(10, "continue", 4), Places(10, "stretch", 4)
    trained = run_on((4, 2, 3), here)
    assert torch.equal(stretched((4, 2, 3), here), trained)
    for time in (1, 2, 8, 16):
        long = run_on((time, 2, 3), here)
        assert torch.equal(long[: len(trained)], trained[: len(long)])
        table, lines = stretched((time, 2, 3), here).view(time, 6, 10), trained.view(4, 6, 10)
        for t in range(time):  # middle of a step on the scale of the trained ones
            at = min(max((t + 0.5) * 4 / time - 0.5, 0.0), 3.0)
            low = int(at)
            high = min(low + 1, 3)
            want = lines[low] + (at - low) * (lines[high] - lines[low])
            torch.testing.assert_close(table[t], want, atol=1e-5, rtol=0)
    with pytest.raises(ThesisError, match="extend positions"):
        Places(10, "extend")


# -- attention -------------------------------------------------------------------------------


def test_attention_is_that_of_pytorch_without_a_bias_of_keys() -> None:
    torch.manual_seed(0)
    ours, theirs = QVAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(torch.cat([ours.q_bias, torch.randn(12), ours.v_bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
        x = torch.randn(2, 5, 12)
        # ... and a bias of keys, here a random one, changes nothing.
        torch.testing.assert_close(ours(x), theirs(x, x, x)[0], atol=1e-5, rtol=1e-5)


def test_a_block_without_masks_says_so() -> None:
    block, x = Block(12, 3, attention=QVAttention), torch.randn(2, 5, 12)
    with pytest.raises(ThesisError, match="QVAttention takes no masks"):
        block(x, padding=torch.zeros(2, 5, dtype=torch.bool))


def test_drop_path_leaves_out_whole_items() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 2, 3)
    out = drop(x)
    kept = out[:, 0, 0] > 0
    assert torch.equal(out, kept[:, None, None] * x / 0.75)
    assert abs(float(kept.float().mean()) - 0.75) < 0.03
    assert drop.eval()(x) is x
    rates = [block.drop_path.rate for block in vit(depth=3, drop_path=0.2).blocks]
    assert rates == [0.0, 0.1, 0.2]


# -- dropped tokens --------------------------------------------------------------------------


def test_visible_tokens_are_those_of_the_whole_clip() -> None:
    model = vit()
    with torch.no_grad():
        whole = model.embed(video())
        conv = model.patches(video()).flatten(2).transpose(1, 2) + sine_cosine(12, 12)
        torch.testing.assert_close(whole, conv, atol=1e-5, rtol=1e-5)
        for late in (False, True):
            some = model.embed(video(), VISIBLE, late)
            for item in range(2):
                torch.testing.assert_close(some[item], whole[item, VISIBLE[item]])
        everything = torch.arange(12).expand(2, -1)
        torch.testing.assert_close(model(video(), everything), model(video()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_gradients_never_reach_dropped_tokens(pool: str) -> None:
    model = vit(pool=pool)
    decoder = PatchDecoder(12, 8, 1, 2, 96)
    x = video().requires_grad_()
    encoded = model(x, VISIBLE)
    wanted = torch.tensor([[1, 2], [0, 9]])
    guess = decoder(model.tokens(encoded), VISIBLE, wanted, (2, 2, 3))
    assert guess.shape == (2, 2, 96)
    (guess.square().mean() + model.summary(encoded).square().sum()).backward()
    assert x.grad is not None
    reached = by_token(x.grad, TUBELET).flatten(4).abs().sum(4).flatten(1) > 0
    assert [row.nonzero()[:, 0].tolist() for row in reached] == VISIBLE.tolist()


def test_dropped_tokens_cost_nothing() -> None:
    """Changing them changes no number, and the embedding multiplies visible tokens alone."""
    from torch.utils.flop_counter import FlopCounterMode

    model, x = vit(), video()
    changed = put(x + 5, VISIBLE, take(by_token(x, TUBELET), VISIBLE), TUBELET)
    assert torch.equal(model(x, VISIBLE), model(changed, VISIBLE))
    for late, tokens in ((False, 3), (True, 12)):
        with FlopCounterMode(display=False) as counter:
            model.embed(x, VISIBLE, late)
        assert counter.get_total_flops() == 2 * 2 * tokens * 96 * 12


def test_ignored_tokens_are_as_if_they_were_not_there() -> None:
    decoder = PatchDecoder(12, 8, 2, 2, 96)
    tokens = torch.randn(2, 3, 12)
    one, two = torch.tensor([[1, 2], [0, 9]]), torch.tensor([[1, 2], [0, 10]])
    with torch.no_grad():
        a, b = (decoder(tokens, VISIBLE, wanted, (2, 2, 3)) for wanted in (one, two))
    assert torch.equal(a[0], b[0]) and not torch.equal(a[1], b[1])


def test_heads_that_do_not_divide() -> None:
    with pytest.raises(ThesisError, match="heads=5 do not divide features of 12"):
        vit(heads=5)
