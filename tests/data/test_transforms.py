"""Every colour operation against a plain loop over pixels, written from its definition."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import pytest
import torch

from thesislib._torchvision import ensure_torchvision
from thesislib.config import Augment
from thesislib.data import transforms
from thesislib.data.transforms import Transform, denormalise
from thesislib.errors import ThesisError


def smooth_frames(length: int = 4, height: int = 12, width: int = 16, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (length, height, width, 3), dtype=np.uint8)


def luma(pixel: np.ndarray) -> float:
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def naive(name: str, frame: np.ndarray, factor: float) -> np.ndarray:
    """One operation on one frame, pixel by pixel, in real numbers until the last rounding."""
    x = frame.astype(np.float64)
    out = np.empty_like(x)
    mean = round(float(np.mean([[luma(p) for p in row] for row in x])))
    for i, j in itertools.product(range(x.shape[0]), range(x.shape[1])):
        if name == "brightness":
            out[i, j] = factor * x[i, j]
        elif name == "contrast":
            out[i, j] = factor * x[i, j] + (1 - factor) * mean
        elif name == "saturation":
            out[i, j] = factor * x[i, j] + (1 - factor) * luma(x[i, j])
        else:
            h, s, v = colorsys.rgb_to_hsv(*(x[i, j] / 255))
            out[i, j] = np.array(colorsys.hsv_to_rgb((h + factor) % 1, s, v)) * 255
    return np.clip(np.rint(out), 0, 255)


FACTORS = {
    "brightness": (0.0, 0.5, 1.5),
    "contrast": (0.0, 0.6, 1.5),
    "saturation": (0.0, 0.5, 1.5),
    "hue": (-0.25, 0.1, 0.5),
}


@pytest.mark.parametrize("name", transforms.OPERATIONS)
def test_jitter_against_a_loop(name: str) -> None:
    place = transforms.OPERATIONS.index(name)
    frames = smooth_frames(3)
    factors = np.tile([1.0, 1.0, 1.0, 0.0], (3, 1))
    factors[:, place] = FACTORS[name]
    got = transforms.jitter(frames, factors, np.tile(np.arange(4), (3, 1)))
    for i in range(3):
        expected = naive(name, frames[i], factors[i, place])
        difference = np.abs(got[i] - expected)
        # Hue goes through 8-bit HSV, where a step of H is 6 levels of the steepest channel.
        assert difference.max() <= (1 if name != "hue" else 12), (name, factors[i, place])
        assert difference.mean() <= (0.5 if name != "hue" else 1.5)


def test_order_of_the_operations_is_kept() -> None:
    frames = smooth_frames(2)
    factors = np.array([[1.5, 0.5, 0.3, 0.0]] * 2)
    order = np.array([[0, 1, 2, 3], [2, 1, 0, 3]])
    got = transforms.jitter(frames, factors, order)
    for i in range(2):
        expected = frames[i]
        for k in order[i][order[i] != 3]:
            expected = naive(transforms.OPERATIONS[k], expected, factors[i, k])
        assert np.abs(got[i] - expected).max() <= 2
    assert (
        np.abs(got[0].astype(int) - transforms.jitter(frames[:1], factors, order[1:])[0]).max() > 5
    )


def test_jitter_against_torchvision() -> None:
    try:
        ensure_torchvision()
    except ThesisError as error:
        pytest.skip(str(error))
    from torchvision.transforms.v2 import functional

    frames = smooth_frames(1, 32, 32)
    x = torch.from_numpy(frames[0]).permute(2, 0, 1)
    for place, name in enumerate(transforms.OPERATIONS):
        adjust = getattr(functional, f"adjust_{name}")
        for factor in FACTORS[name]:
            expected = adjust(x, factor).permute(1, 2, 0).numpy().astype(int)
            factors = np.array([[1.0, 1.0, 1.0, 0.0]])
            factors[0, place] = factor
            got = transforms.jitter(frames, factors, np.arange(4)[None])[0]
            limit = 2 if name != "hue" else 12
            assert np.abs(got - expected).max() <= limit, (name, factor)


def test_draws_lie_in_their_ranges_and_use_every_order() -> None:
    rng = np.random.default_rng(0)
    factors, order = transforms.draw_jitter((0.5, 0.4, 2.0, 0.25), 5000, rng)
    low, high = factors.min(0), factors.max(0)
    assert np.allclose(low, [0.5, 0.6, 0.0, -0.25], atol=0.01)
    assert np.allclose(high, [1.5, 1.4, 3.0, 0.25], atol=0.01)
    assert len({tuple(o) for o in order}) == 24
    with pytest.raises(ThesisError, match="hue is at most"):
        transforms.draw_jitter((0, 0, 0, 0.6), 1, rng)


@pytest.mark.parametrize("kind", ["luma", "channel"])
def test_grey_per_frame_and_per_clip(kind: str) -> None:
    frames = smooth_frames(200, 4, 4)
    options = Augment(grey=0.5, grey_scope="frame", grey_kind=kind)
    got = transforms.grey(frames, options, np.random.default_rng(1))
    is_grey = np.all(got == got[..., :1], axis=(1, 2, 3))
    assert 70 < is_grey.sum() < 130
    assert np.array_equal(got[~is_grey], frames[~is_grey])
    chosen = set()
    for before, after in zip(frames[is_grey], got[is_grey], strict=True):
        if kind == "luma":
            expected = np.array([[luma(p) for p in row] for row in before.astype(float)])
            assert np.abs(after[..., 0] - expected).max() <= 1
        else:
            same = [c for c in range(3) if np.array_equal(before[..., c], after[..., 0])]
            assert len(same) == 1
            chosen.add(same[0])
    assert kind == "luma" or chosen == {0, 1, 2}
    whole = Augment(grey=0.5, grey_scope="clip", grey_kind=kind)
    for seed in range(6):
        clip = transforms.grey(frames[:20], whole, np.random.default_rng(seed))
        assert np.all(clip == clip[..., :1], axis=(1, 2, 3)).sum() in (0, 20)


def test_scopes_of_the_jitter() -> None:
    frames = np.repeat(smooth_frames(1), 6, axis=0)
    for scope, expected in (("clip", 1), ("frame", 6)):
        options = Augment(crop="centre", flip=0, jitter=(0.5, 0.5, 0.5, 0.2), jitter_scope=scope)
        out = Transform(options, 12, True).augment_frames(frames, np.random.default_rng(0))
        assert len({f.tobytes() for f in out}) == expected


def test_the_flip_is_one_for_the_clip() -> None:
    frames = smooth_frames(3, 12, 12)
    transform = Transform(Augment(crop="centre", flip=0.5), 12, True)
    seen = set()
    for seed in range(12):
        out = transform.augment_frames(frames, np.random.default_rng(seed))
        kept, mirrored = np.array_equal(out, frames), np.array_equal(out, frames[:, :, ::-1])
        assert kept != mirrored
        seen.add(kept)
    assert seen == {True, False}


def test_crops_lie_inside_and_follow_their_definition() -> None:
    options = Augment(crop="resized", crop_area=(0.5, 1.0), crop_aspect=(0.75, 4 / 3))
    rng = np.random.default_rng(0)
    shares, aspects = [], []
    for _ in range(500):
        top, left, h, w = transforms.draw_crop(90, 120, options, rng, True)
        assert 0 <= top <= 90 - h
        assert 0 <= left <= 120 - w
        shares.append(h * w / (90 * 120))
        aspects.append(w / h)
    assert 0.48 < min(shares) < 0.55
    assert max(shares) <= 1
    assert 0.72 < min(aspects) < 0.85
    assert 1.25 < max(aspects) < 1.36
    tiny = Augment(crop="resized", crop_area=(3.0, 3.0))  # never fits: the square at the centre
    assert transforms.draw_crop(90, 120, tiny, rng, True) == (0, 15, 90, 90)
    fixed = Augment(crop="random", crop_size=80)
    boxes = {transforms.draw_crop(90, 120, fixed, rng, True) for _ in range(2000)}
    assert {b[2:] for b in boxes} == {(80, 80)}
    assert {b[0] for b in boxes} == set(range(11))
    assert {b[1] for b in boxes} == set(range(41))
    assert transforms.draw_crop(90, 120, fixed, rng, False) == (5, 20, 80, 80)
    assert transforms.draw_crop(60, 50, fixed, rng, False) == (5, 0, 50, 50)


def test_resize_nearest_takes_the_pixel_under_the_centre() -> None:
    frames = smooth_frames(2, 10, 15)
    got = transforms.resize(frames, 4, "nearest")
    for i, j in itertools.product(range(4), range(4)):
        expected = frames[:, int((i + 0.5) * 10 / 4), int((j + 0.5) * 15 / 4)]
        assert np.array_equal(got[:, i, j], expected)


def test_resize_bilinear_widens_its_filter_when_it_shrinks() -> None:
    # A checkerboard shrinks to its mean; without the wide filter it would alias.
    board = np.indices((64, 64)).sum(0) % 2 * 255
    frames = np.repeat(board[None, :, :, None], 3, axis=3).astype(np.uint8)
    assert np.abs(transforms.resize(frames, 16).astype(int) - 127).max() <= 8
    assert np.array_equal(transforms.resize(frames, 64), frames)


def test_test_time_is_deterministic_and_normalised() -> None:
    frames = smooth_frames(3, 20, 24)
    options = Augment(grey=1.0, jitter=(0.5, 0.5, 0.5, 0.25), flip=1.0)
    transform = Transform(options, 20, False)
    out = transform(frames, np.random.default_rng(0))
    assert out.shape == (3, 3, 20, 20)
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    assert torch.equal(out, transform(frames, np.random.default_rng(9)))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = torch.from_numpy(frames[:, :, 2:22]).permute(3, 0, 1, 2) / 255
    expected = (x - mean[:, None, None, None]) / std[:, None, None, None]
    assert torch.allclose(out, expected, atol=1e-5)
    plain = Transform(Augment(normalise=False), 20, False)(frames, np.random.default_rng(0))
    assert torch.allclose(plain, x, atol=1e-6)


def test_denormalise_inverts_the_last_step() -> None:
    frames = smooth_frames(6, 8, 8)
    for normalise in (True, False):
        transform = Transform(Augment(normalise=normalise), 8, False)
        clip = transform.to_tensor(frames)
        assert np.array_equal(denormalise(clip, normalise), frames)
        blocks = clip.unflatten(1, (2, 3)).transpose(0, 1)
        assert np.array_equal(denormalise(blocks, normalise), frames.reshape(2, 3, 8, 8, 3))


def test_same_generator_same_clip() -> None:
    frames = smooth_frames(5, 30, 40)
    before = frames.copy()
    options = Augment(grey=0.5, jitter=(0.5, 0.5, 0.5, 0.25))
    transform = Transform(options, 16, True)
    first = transform(frames, np.random.default_rng(3))
    assert torch.equal(first, transform(frames, np.random.default_rng(3)))
    assert not torch.equal(first, transform(frames, np.random.default_rng(4)))
    assert np.array_equal(frames, before)  # the input may be a cache
