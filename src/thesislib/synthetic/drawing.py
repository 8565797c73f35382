"""From joints and props to pixels: projection, painter's order, OpenCV.

Drawing happens at twice the size for small frames and is averaged down, so that movements of less
than a pixel are visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from thesislib.synthetic.figure import Array, Body, J
from thesislib.synthetic.props import Prop
from thesislib.synthetic.scenes import Colour, Image, Outfit

SHIFT = 4  # fractional bits of OpenCV's coordinates
DISTANCE = 5.0  # of the camera from the stage, in statures


def tint(base: Sequence[float], factor: float) -> Colour:
    """A lighter or darker colour."""
    r, g, b = (int(min(max(c * factor, 0), 255)) for c in base)
    return r, g, b


def turned(points: Array, yaw: float, mirror: bool) -> Array:
    """Turn (radians) and mirror the stage; points ``(..., 3)``."""
    out = points.copy()
    if mirror:
        out[..., 0] *= -1
    c, s = np.cos(yaw), np.sin(yaw)
    x, z = out[..., 0].copy(), out[..., 2].copy()
    out[..., 0], out[..., 2] = c * x + s * z, c * z - s * x
    return out


def project(points: Array, elevation: float) -> tuple[Array, Array]:
    """Perspective.

    Args:
        points: ``(T, N, 3)`` statures.
        elevation: radians from which the camera looks down.

    Returns:
        ``(T, N, 2)`` picture coordinates in statures (x right, y down, the floor under the actor
        is the origin), and the depth ``(T, N)``, larger is nearer.
    """
    c, s = np.cos(elevation), np.sin(elevation)
    y = points[..., 1] * c - points[..., 2] * s
    z = points[..., 2] * c + points[..., 1] * s
    scale = DISTANCE / (DISTANCE - z)
    return np.stack([points[..., 0] * scale, -y * scale], axis=-1), z


class Painter:
    """Collects everything that stands on the stage, then paints frame after frame."""

    def __init__(self, frames: int, elevation: float, camera: Array, scale: float) -> None:
        """``camera``: ``(T, 2, 3)`` from statures to pixels; ``scale``: pixels a stature."""
        self.frames, self.elevation, self.camera, self.scale = frames, elevation, camera, scale
        self.items: list[tuple[str, Any]] = []
        self.depths: list[Array] = []

    def to_pixels(self, points: Array) -> tuple[Any, Array]:
        """Fixed-point pixels ``(T, N, 2)`` and depths ``(T, N)`` of stage points."""
        flat, depth = project(points, self.elevation)
        pixels = flat @ self.camera[:, :, :2].transpose(0, 2, 1) + self.camera[:, None, :, 2]
        return np.rint(pixels * (1 << SHIFT)).astype(np.int32), depth

    def add(self, kind: str, depth: Array, *what: Any) -> None:
        """One more thing to paint, with its depth ``(T,)``."""
        self.items.append((kind, what))
        self.depths.append(depth)

    def thick(self, statures: float) -> int:
        """A thickness in pixels; at least 2, so that nothing thin flickers."""
        return max(2, round(statures * self.scale))

    def limb(self, start: Array, end: Array, width: float, paint: Colour, near: float = 0) -> None:
        """A round limb between two points over time ``(T, 3)``."""
        pixels, depth = self.to_pixels(np.stack([start, end], axis=1))
        self.add("limb", depth.mean(1) + near, pixels.tolist(), self.thick(width), *shades(paint))

    def prop(self, prop: Prop, yaw: float, mirror: bool, way: Array, paint: Colour) -> None:
        """The faces of a prop that moves along ``way`` ``(T, 3)``."""
        for corners, shade in prop.faces(self.frames):
            pixels, depth = self.to_pixels(turned(corners, yaw, mirror) + way[:, None])
            self.add("face", depth.mean(1), pixels, tint(paint, shade), tint(paint, shade * 0.55))

    def figure(self, p: Array, body: Body, outfit: Outfit) -> None:
        """A figure from its joints ``(T, 17, 3)``."""
        g = body.girth
        upper = outfit.top
        for s in "lr":
            sh, el, wr = (p[:, J[f"{s}_{j}"]] for j in ("shoulder", "elbow", "wrist"))
            hip, kn, an, toe = (p[:, J[f"{s}_{j}"]] for j in ("hip", "knee", "ankle", "toe"))
            fore = upper if outfit.sleeves else outfit.skin
            self.limb(sh, el, 0.072 * g, tint(upper, 0.92))
            self.limb(el, wr, 0.058 * g, fore, 0.005)
            self.limb(wr, wr + (wr - el) * 0.22, 0.066 * g, outfit.skin, 0.01)
            self.limb(hip, kn, 0.098 * g, outfit.legs)
            self.limb(kn, an, 0.074 * g, outfit.skin if outfit.shorts else outfit.legs)
            self.limb(an, toe, 0.058 * g, outfit.shoes, 0.005)
        self.torso(p, g, outfit)
        self.head(p, body, outfit)

    def torso(self, p: Array, girth: float, outfit: Outfit) -> None:
        """The trunk, with the pattern of the top."""
        names = ("l_shoulder", "r_shoulder", "r_hip", "l_hip")
        corners = np.stack([p[:, J[n]] for n in names], axis=1)
        pixels, depth = self.to_pixels(corners)
        bands = []
        for k in range(outfit.stripes):
            f = (k + 0.6) / (outfit.stripes + 0.5)
            left = corners[:, 0] * (1 - f) + corners[:, 3] * f
            right = corners[:, 1] * (1 - f) + corners[:, 2] * f
            bands.append(self.to_pixels(np.stack([left, right], axis=1))[0].tolist())
        band = self.thick(0.2 / (2 * outfit.stripes + 1)) if bands else 0
        self.add(
            "torso", depth.mean(1), pixels.tolist(), pixels, self.thick(0.085 * girth),
            shades(outfit.top), tint(outfit.trim, 1.0), bands, band,
        )  # fmt: skip

    def head(self, p: Array, body: Body, outfit: Outfit) -> None:
        """Neck, hair and face; the nearer of hair and face hides the other."""
        neck, head = p[:, J["neck"]], p[:, J["head"]]
        self.limb(neck, head, 0.06 * body.girth, tint(outfit.skin, 0.85), -0.02)
        # The face looks where the chest faces: across the shoulders, level with the neck.
        across = p[:, J["l_shoulder"]] - p[:, J["r_shoulder"]]
        ahead = np.cross(across, head - neck)
        ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6)
        up = (head - neck) / np.maximum(np.linalg.norm(head - neck, axis=1, keepdims=True), 1e-6)
        r = body.head
        face = head + ahead * r * 0.35 - up * r * 0.15
        hair = head - ahead * r * 0.25 + up * r * 0.25
        pixels, depth = self.to_pixels(np.stack([hair, face], axis=1))
        order = depth[:, 0] < depth[:, 1]
        self.add(
            "head", depth.mean(1), pixels.tolist(), order.tolist(),
            (self.thick(r * 1.02), self.thick(r * 0.88)), (outfit.hair, outfit.skin),
        )  # fmt: skip

    def paint(self, canvas: Image, t: int, order: Sequence[int]) -> None:
        """Paint frame ``t`` onto ``canvas``, far things first."""
        line, fill, circle = cv2.line, cv2.fillConvexPoly, cv2.circle
        # Only outer edges are smoothed: a smooth line costs three times a plain one.
        aa, rough, bits = cv2.LINE_AA, cv2.LINE_8, SHIFT
        for i in order:
            kind, what = self.items[i]
            if kind == "limb":
                pixels, width, dark, plain, light, off = what
                (x0, y0), (x1, y1) = pixels[t]
                line(canvas, (x0, y0), (x1, y1), dark, width + 2, aa, bits)
                line(canvas, (x0, y0), (x1, y1), plain, width, rough, bits)
                d, thin = off * width, max(width // 3, 1)
                line(canvas, (x0 - d, y0 - d), (x1 - d, y1 - d), light, thin, rough, bits)
            elif kind == "face":
                pixels, plain, dark = what
                fill(canvas, pixels[t], plain, aa, bits)
                cv2.polylines(canvas, [pixels[t]], True, dark, 1, rough, bits)
            elif kind == "torso":
                corners, array, width, (dark, plain, light, off), trim, bands, band = what
                a, b, c, d4 = corners[t]
                for ink, w, edge in ((dark, width + 2, aa), (plain, width, rough)):
                    cv2.polylines(canvas, [array[t]], True, ink, w, edge, bits)
                fill(canvas, array[t], plain, rough, bits)
                for stripe in bands:
                    line(canvas, stripe[t][0], stripe[t][1], trim, band, rough, bits)
                s, e = (a, d4) if a[0] < b[0] else (b, c)
                line(canvas, s, e, light, max(width // 3, 1), rough, bits)
            else:
                pixels, first, radii, inks = what
                for k in (0, 1) if first[t] else (1, 0):
                    circle(canvas, pixels[t][k], radii[k] << bits, inks[k], -1, aa, bits)

    def orders(self) -> Any:
        """For each frame the items from far to near."""
        return np.argsort(np.stack(self.depths, axis=1), axis=1, kind="stable").tolist()


def shades(paint: Colour) -> tuple[Colour, Colour, Colour, int]:
    """Dark edge, plain, light of a round thing, and how far the light lies off its middle."""
    return tint(paint, 0.5), paint, tint([c + 28 for c in paint], 1.12), 1 << (SHIFT - 2)
