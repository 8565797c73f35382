"""Every colour operation against a plain loop over pixels, written from its definition."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from thesislib.clip_config import Augment
from thesislib.data import transforms
from thesislib.data.transforms import Transform, denormalise
from thesislib.errors import ThesisError
from thesislib.torchvision_here import ensure_torchvision


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


def test_a_box_that_does_not_fit_may_give_the_whole_frame() -> None:
    options = Augment(crop_area=(0.2, 1.0), crop_fallback="whole")
    square = Augment(crop_area=(0.2, 1.0))
    whole = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        share, aspect = rng.uniform(0.2, 1.0), rng.uniform(0.75, 4 / 3)
        w, h = round((90 * 120 * share * aspect) ** 0.5), round((90 * 120 * share / aspect) ** 0.5)
        w, h = (h, w) if rng.random() < 0.5 else (w, h)
        box = transforms.draw_crop(90, 120, options, np.random.default_rng(seed), True)
        if w <= 120 and h <= 90:
            assert box[2:] == (h, w)
            same = transforms.draw_crop(90, 120, square, np.random.default_rng(seed), True)
            assert box == same, "where the first box fits, both draw alike"
        else:
            assert box == (0, 0, 90, 120), "after one try"
            whole += 1
    assert 40 < whole < 300
    # At test time there is nothing to fall back from.
    assert transforms.draw_crop(90, 120, options, np.random.default_rng(0), False)[2:] == (90, 90)


def test_a_grey_clip_may_have_a_channel_for_each_frame() -> None:
    frames = smooth_frames(60, 4, 4)
    options = Augment(grey=0.5, grey_scope="clip", grey_kind="channels")
    grey = 0
    for seed in range(20):
        out = transforms.grey(frames, options, np.random.default_rng(seed))
        if np.array_equal(out, frames):
            continue
        grey += 1
        match = (out[..., :1] == frames).all((1, 2))  # (60, 3): which channel was copied
        assert (match.sum(1) == 1).all() and (out == out[..., :1]).all()
        assert set(match.argmax(1)) == {0, 1, 2}
    assert 4 < grey < 16
    one = Augment(grey=1.0, grey_scope="clip", grey_kind="channel")
    out = transforms.grey(frames, one, np.random.default_rng(0))
    assert len(set((out[..., :1] == frames).all((1, 2)).argmax(1))) == 1


def naive_blur(plane: np.ndarray, sigma: float) -> np.ndarray:
    """The two-dimensional Gaussian sum of each pixel, mirrored at the border."""
    reach = int(np.ceil(4 * sigma))
    weights = {k: np.exp(-(k**2) / (2 * sigma**2)) for k in range(-reach, reach + 1)}
    total = sum(weights.values()) ** 2
    height, width = plane.shape

    def mirrored(i: int, n: int) -> int:
        i = abs(i) % (2 * n - 2)
        return i if i < n else 2 * n - 2 - i

    out = np.zeros(plane.shape)
    for i, j in itertools.product(range(height), range(width)):
        out[i, j] = sum(
            weights[a] * weights[b] * plane[mirrored(i + a, height), mirrored(j + b, width)]
            for a in weights
            for b in weights
        )
    return out / total


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_blur_against_a_loop(sigma: float) -> None:
    frames = smooth_frames(2, 9, 11)
    got = transforms.blur(frames, sigma)
    assert got.shape == frames.shape and got.dtype == np.uint8
    for c in range(3):
        assert np.abs(got[1, ..., c] - naive_blur(frames[1, ..., c], sigma)).max() <= 2
    if sigma == 0.1:
        assert np.array_equal(got, frames)


def test_blur_is_drawn_once_for_the_clip_and_never_at_test_time() -> None:
    frames = np.repeat(smooth_frames(1, 16, 16), 5, axis=0)
    options = Augment(crop="centre", flip=0.0, blur_p=0.5, blur=(0.5, 2.0))
    transform, sharp = Transform(options, 16, True), []
    spreads = set()
    for seed in range(200):
        out = transform.augment_frames(frames, np.random.default_rng(seed))
        assert (out == out[:1]).all()
        sharp.append(np.array_equal(out, frames))
        spreads.add(round(float(out[0].std()), 1))
        expected = np.random.default_rng(seed)
        flip, drawn = expected.random(), expected.random() < 0.5
        assert 0 <= flip < 1 and sharp[-1] == (not drawn)
        if drawn:
            assert np.array_equal(out, transforms.blur(frames, expected.uniform(0.5, 2.0)))
    assert 0.4 < np.mean(sharp) < 0.6 and len(spreads) > 20
    still = Transform(Augment(crop="centre", blur_p=1.0, test_jitter=True), 16, False)
    assert np.array_equal(still.augment_frames(frames, np.random.default_rng(0)), frames)


def test_light_keeps_crop_and_flip_alone() -> None:
    frames = smooth_frames(3, 20, 24)
    strong = Augment(grey=1.0, jitter=(0.5, 0.5, 0.5, 0.25), blur_p=1.0, crop_area=(0.2, 1.0))
    light = strong.light()
    assert light == Augment(crop_area=(0.2, 1.0))
    plain = Transform(Augment(crop_area=(0.2, 1.0)), 16, True)
    for seed in range(5):
        a, b = (t.augment_frames(frames, np.random.default_rng(seed))
                for t in (Transform(light, 16, True), plain))  # fmt: skip
        assert np.array_equal(a, b)


NEXT = [  # the draw that follows a clip's own, for three seeds: how much a clip draws, and what
    (Augment(grey=0.5, jitter=(0.5, 0.5, 0.5, 0.25)), [0.321869, 0.191616, 0.613717]),
    (
        Augment(
            grey=1.0, grey_kind="channel", grey_scope="clip", jitter=(0.5, 0.5, 0.5, 0.25),
            jitter_p=0.5, jitter_scope="clip",
        ),
        [0.729497, 0.485191, 0.669297],
    ),
    (
        Augment(
            crop="random", crop_size=20, interpolation="nearest", grey=0.5, grey_kind="channel"
        ),
        [0.815854, 0.753513, 0.562266],
    ),
    (Augment(crop_area=(3.0, 3.0)), [0.388921, 0.115866, 0.88445]),
]  # fmt: skip


@pytest.mark.parametrize(("options", "expected"), NEXT)
def test_new_operations_leave_the_draws_of_old_settings(
    options: Augment, expected: list[float]
) -> None:
    # Numbers of the code before blur, crop fallback and channels: runs keep their results.
    frames, found = smooth_frames(5, 30, 40), []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        Transform(options, 16, True).augment_frames(frames, rng)
        found.append(round(float(rng.random()), 6))
    assert found == expected


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"blur": (0.0, 1.0)}, "blur must be above 0, not 0.0"),
        ({"blur": (2.0, 1.0)}, "blur must be in order, the least first"),
        ({"blur_p": 2.0}, "blur_p must be at most 1, not 2.0"),
        ({"crop_fallback": "hole"}, "did you mean 'whole'"),
        ({"interpolation": "cubic"}, "did you mean 'bicubic'"),
    ],
)
def test_bad_settings_get_a_sentence(wrong: dict, words: str) -> None:
    with pytest.raises(ThesisError, match=words):
        Augment(**wrong)


@pytest.mark.parametrize("shape", [(37, 51, 24), (48, 64, 48), (30, 30, 64), (120, 160, 33)])
def test_resize_bicubic_is_that_of_pil(shape: tuple[int, int, int]) -> None:
    height, width, size = shape
    frames = smooth_frames(2, height, width)  # noise: the steepest edges there are
    got = transforms.resize(frames, size, "bicubic")
    assert got.shape == (2, size, size, 3) and got.dtype == np.uint8
    for before, after in zip(frames, got, strict=True):
        expected = Image.fromarray(before).resize((size, size), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(expected).astype(int) - after).max() <= 2
    assert not np.array_equal(got, transforms.resize(frames, size))


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
