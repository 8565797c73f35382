"""Augmentation of a clip: the same code for every frame, with the scope of each draw explicit.

Frames stay uint8 until the last step, as in the published pipeline, which worked on pictures. What
is computed, in this order:

* **crop** and resize, one box for the clip. "bilinear" widens its filter when it shrinks (as PIL
  does), "nearest" takes the pixel under the centre of each new pixel, "bicubic" is PIL's to two
  levels: a wide filter, rounded and clipped after each of its two passes.
* **flip** of the whole clip; the mirror image of a motion to the right is one to the left.
* **grey**: luminance 0.299 R + 0.587 G + 0.114 B, or one randomly chosen channel copied to the
  others (what the released code does under that name), for CoCLR another one in each frame.
* **jitter**: brightness ``f x``, contrast ``f x + (1 - f) m`` (m: mean luminance of the frame,
  rounded), saturation ``f x + (1 - f) luminance(x)``, hue: shift of H in 8-bit HSV. Each result is
  rounded and clipped to 0..255. The order of the four is drawn anew with the factors.
* **blur**: a Gaussian of one sigma for the clip, in pixels of the output: at half the size of the
  thesis's 128 pixels the same sigma blurs twice as much of the scene. It comes last here and
  before the flip in CoCLR's released code, whose grey also follows the jitter. Blur commutes with
  the flip; a grey frame has no saturation and hue left to jitter.
* to float32, channels first, scaled to 0..1 and normalised by ImageNet's mean and deviation.

Every draw comes from the generator that the caller passes.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from thesislib.clip_config import Augment
from thesislib.data.reader import Frames
from thesislib.errors import ThesisError

Box = tuple[int, int, int, int]  # top, left, height, width

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LUMA = np.array([0.299, 0.587, 0.114])
CROP_TRIES = 10
CROPS = (1, 5, 10)  # test views: the centre; and the four corners; and all five mirrored
CROP_SHARE = 224 / 256  # side of one of several crops in the frame's short side (thesis 3.5.2)
OPERATIONS = ("brightness", "contrast", "saturation", "hue")


class Transform:
    """From decoded frames to a network's input.

    Args:
        augment: What is drawn, how strongly, and per clip or per frame.
        size: Side of the square output in pixels.
        train: ``False`` takes the centre crop, or the view asked for, and leaves colours alone
            (unless ``augment.test_jitter``).
    """

    def __init__(self, augment: Augment, size: int, train: bool) -> None:
        self.augment = augment
        self.size = size
        self.train = train
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if augment.normalise else ((0.0,) * 3, (1.0,) * 3)
        self._scale = 1 / (255 * np.array(std))
        self._shift = -np.array(mean) / np.array(std)

    def __call__(
        self,
        frames: Frames,
        rng: np.random.Generator,
        flow: bool = False,
        view: int | None = None,
    ) -> Tensor:
        """One clip.

        Frames and flow of one clip, each with a generator in the same state, get the same crop,
        flip and colours: what is drawn depends on their length and size alone.

        Args:
            frames: (L, H, W, 3) uint8 RGB, or flow (L, H, W, 2) uint8.
            rng: The source of all randomness.
            flow: The frames are flow: x and y, 128 at zero motion.
            view: One of several crops of test time, see :func:`view_box`; from 5 on mirrored.

        Returns:
            (3, L, size, size) float32.
        """
        return self.to_tensor(self.augment_frames(frames, rng, flow, view))

    def augment_frames(
        self,
        frames: Frames,
        rng: np.random.Generator,
        flow: bool = False,
        view: int | None = None,
    ) -> Frames:
        """All steps but the last: (L, H, W, 3), or flow (L, H, W, 2), to (L, size, size, 3).

        Flow gets its third channel here (see :class:`thesislib.clip_config.Augment`). Its
        vectors are not rescaled with the picture, as released.
        """
        options, length = self.augment, len(frames)
        height, width = frames.shape[1:3]
        if view is None:
            top, left, h, w = draw_crop(height, width, options, rng, self.train)
        else:
            top, left, h, w = view_box(height, width, options, view)
        frames = resize(frames[:, top : top + h, left : left + w], self.size, options.interpolation)
        mirror = self.train and rng.random() < options.flip if view is None else view >= 5
        if mirror:
            frames = np.ascontiguousarray(frames[:, :, ::-1])
        if flow:
            frames = flow_picture(frames, options, mirror)
        if not (self.train or options.test_jitter) or (flow and not options.flow_colour):
            return frames
        if self.train and options.grey > 0:
            frames = grey(frames, options, rng)
        if any(options.jitter) and rng.random() < options.jitter_p:
            draws = length if options.jitter_scope == "frame" else 1
            factors, order = draw_jitter(options.jitter, draws, rng)
            frames = jitter(
                frames, np.broadcast_to(factors, (length, 4)), np.broadcast_to(order, (length, 4))
            )
        if self.train and options.blur_p > 0 and rng.random() < options.blur_p:
            frames = blur(frames, rng.uniform(*options.blur))
        return frames

    def cut(self, frame: Frames) -> Frames:
        """One frame (H, W, 3) cropped and resized as at test time: (size, size, 3).

        A clip of such frames goes through :meth:`__call__` as the whole frames would, but for a
        ``crop_size``.
        """
        nothing = np.random.default_rng(0)  # is drawn
        height, width = frame.shape[:2]
        top, left, h, w = draw_crop(height, width, self.augment, nothing, False)
        box = frame[None, top : top + h, left : left + w]
        return resize(box, self.size, self.augment.interpolation)[0]

    def to_tensor(self, frames: Frames) -> Tensor:
        """(L, H, W, 3) uint8 to (3, L, H, W) float32, scaled and normalised."""
        out = np.empty((3, *frames.shape[:3]), dtype=np.float32)
        for c in range(3):
            np.multiply(frames[..., c], np.float32(self._scale[c]), out=out[c])
            out[c] += np.float32(self._shift[c])
        return torch.from_numpy(out)


def blur(frames: Frames, sigma: float) -> Frames:
    """(L, H, W, 3) uint8 under one Gaussian of ``sigma`` pixels, mirrored at the border."""
    return np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])


def denormalise(video: Tensor, normalised: bool = True) -> Frames:
    """The inverse of the last step, for looking at.

    Args:
        video: (..., 3, T, H, W) float, e.g. a clip (3, L, H, W) or blocks (N, 3, T, H, W).
        normalised: Whether ImageNet's mean and deviation were applied.

    Returns:
        (..., T, H, W, 3) uint8 RGB.
    """
    x = video.detach().cpu().float().movedim(-4, -1)
    if normalised:
        x = x * torch.tensor(IMAGENET_STD) + torch.tensor(IMAGENET_MEAN)
    array: Frames = (x * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return array


def draw_crop(
    height: int, width: int, augment: Augment, rng: np.random.Generator, train: bool
) -> Box:
    """One box for the whole clip.

    "resized" draws a share of the area and an aspect ratio (swapped with probability 1/2), up to
    ten times until it fits, then falls back to the largest square at the centre; with the fallback
    "whole" it draws once, then takes the whole frame. "random" draws the place of a square,
    "centre" and test time take the middle one.

    Returns:
        (top, left, height, width) in pixels, inside the frame.
    """
    side = min(height, width)
    if train and augment.crop == "resized":
        whole = augment.crop_fallback == "whole"
        for _ in range(1 if whole else CROP_TRIES):
            area = height * width * rng.uniform(*augment.crop_area)
            aspect = rng.uniform(*augment.crop_aspect)
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if rng.random() < 0.5:
                w, h = h, w
            if 0 < w <= width and 0 < h <= height:
                return (
                    int(rng.integers(height - h + 1)),
                    int(rng.integers(width - w + 1)),
                    int(h),
                    int(w),
                )
        if whole:
            return 0, 0, height, width
    elif augment.crop_size:
        side = min(side, augment.crop_size)
    if train and augment.crop == "random":
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        return int(top), int(left), side, side
    return (height - side) // 2, (width - side) // 2, side, side


def view_box(height: int, width: int, augment: Augment, view: int) -> Box:
    """One of the ten views of test time: centre, top left, top right, bottom left, bottom right.

    Views 5 to 9 are the boxes of 0 to 4, whose picture is then mirrored. The side is
    ``augment.crop_size``, or 224/256 of the frame's short side where that is 0: the thesis crops
    224 from 256 pixels (3.5.2).

    Returns:
        (top, left, height, width) in pixels, inside the frame.
    """
    short = min(height, width)
    side = min(short, augment.crop_size) if augment.crop_size else round(short * CROP_SHARE)
    if view % 5 == 0:
        return (height - side) // 2, (width - side) // 2, side, side
    below, right = divmod(view % 5 - 1, 2)
    return below * (height - side), right * (width - side), side, side


def flow_picture(flow: Frames, augment: Augment, mirror: bool = False) -> Frames:
    """(L, H, W, 2) uint8 flow to (L, H, W, 3) uint8, in the order that ``augment`` says.

    In a mirror image x changes its sign: the level v becomes 255 - v. That is exact, because the
    levels lie evenly about zero motion (127.5), except where nothing moves at all: there 127.5 was
    rounded to 128 and becomes 127, less than a tenth of a pixel.
    """
    x, y = flow[..., 0], flow[..., 1]
    planes = {"x": 255 - x if mirror else x, "y": y, "0": np.full_like(x, augment.flow_third)}
    return np.stack([planes[name] for name in augment.flow_channels], axis=-1)


def resize(frames: Frames, size: int, interpolation: str = "bilinear") -> Frames:
    """(L, H, W, C) uint8 to (L, size, size, C) uint8; the aspect ratio is not kept."""
    height, width = frames.shape[1:3]
    if (height, width) == (size, size):
        return np.ascontiguousarray(frames)
    if interpolation == "nearest":
        rows = ((np.arange(size) + 0.5) * height / size).astype(np.int64)
        columns = ((np.arange(size) + 0.5) * width / size).astype(np.int64)
        return np.ascontiguousarray(frames[:, rows[:, None], columns])
    x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)  # (L, 3, H, W)
    # On bytes "bicubic" rounds and clips after each pass, as PIL does; on floats it would not.
    x = functional.interpolate(x, (size, size), mode=interpolation, antialias=True)
    array: Frames = x.permute(0, 2, 3, 1).contiguous().numpy()
    return array


def grey(frames: Frames, augment: Augment, rng: np.random.Generator) -> Frames:
    """Turns some frames grey, or all, as ``augment.grey*`` says; returns a new array."""
    length = len(frames)
    draws = length if augment.grey_scope == "frame" else 1
    chosen = np.broadcast_to(rng.random(draws) < augment.grey, length)
    each = length if augment.grey_kind == "channels" else draws
    channels = np.broadcast_to(rng.integers(3, size=each), length)
    out = frames.copy()
    for i in np.flatnonzero(chosen):
        if augment.grey_kind == "luma":
            plane = cv2.cvtColor(frames[i], cv2.COLOR_RGB2GRAY)
        else:
            plane = frames[i, :, :, channels[i]]
        out[i] = cv2.merge([plane] * 3)
    return out


def draw_jitter(
    ranges: tuple[float, float, float, float], draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Factors and order of the four colour operations.

    Args:
        ranges: Half-ranges of brightness, contrast, saturation (factor in 1 +- r, at least 0) and
            hue (shift in +- r turns, at most 1/2).
        draws: How many times to draw.
        rng: The source of all randomness.

    Returns:
        factors (draws, 4) and order (draws, 4): order[i, k] is the operation done as the k-th.
    """
    if ranges[3] > 0.5 or min(ranges) < 0:
        raise ThesisError(f"jitter={ranges} is out of range: hue is at most 0.5, none negative.")
    half = np.array(ranges)
    factors = rng.uniform(-1, 1, size=(draws, 4)) * half + np.array([1.0, 1.0, 1.0, 0.0])
    factors[:, :3] = np.maximum(factors[:, :3], 0)
    order = rng.permuted(np.tile(np.arange(4), (draws, 1)), axis=1)
    return factors, order


def jitter(frames: Frames, factors: NDArray[Any], order: NDArray[Any]) -> Frames:
    """Brightness, contrast, saturation and hue, frame by frame in its own order.

    Args:
        frames: (L, H, W, 3) uint8 RGB.
        factors: (L, 4) as :func:`draw_jitter` gives them.
        order: (L, 4) likewise.

    Returns:
        (L, H, W, 3) uint8 RGB.
    """
    # Saturation mixes the channels of a pixel linearly: one 3x3 matrix a frame.
    amount = factors[:, 2, None, None]
    colour = amount * np.eye(3) + (1 - amount) * LUMA
    shift = np.round(factors[:, 3] * 256).astype(np.int64) % 256
    active = np.column_stack([factors[:, :3] != 1, shift != 0])
    out = np.empty_like(frames)
    for i, frame in enumerate(frames):
        for k in order[i]:
            if not active[i, k]:
                continue
            f = float(factors[i, k])
            if k == 0:
                frame = cv2.convertScaleAbs(frame, alpha=f)
            elif k == 1:
                mean = round(float(np.dot(LUMA, cv2.mean(frame)[:3])))
                frame = cv2.addWeighted(frame, f, frame, 0.0, (1 - f) * mean)
            elif k == 2:
                frame = cv2.transform(frame, colour[i])
            else:
                hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV_FULL)
                hsv[..., 0] += np.uint8(shift[i])  # wraps round the circle of hues
                frame = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
        out[i] = frame
    return out
