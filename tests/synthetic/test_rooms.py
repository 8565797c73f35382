"""The data set of chapter 4: the studio in rooms and clothes that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thesislib.errors import ThesisError
from thesislib.recipes import prepare
from thesislib.synthetic import ROOMS, Recipe, World, render_clip


def between_groups(world: World) -> float:
    """How far the mean colours of groups lie apart, in grey levels."""
    specs = Recipe(64, 0, world, size=32, frames=4).specs()
    first = {s.group: s for s in specs}.values()
    return float(np.std([render_clip(s).mean((0, 1, 2)) for s in first], axis=0).mean())


def test_colours_tell_the_groups_apart_more_than_in_the_plain_world() -> None:
    assert between_groups(ROOMS) > 1.3 * between_groups(World())


def test_the_camera_stands_still() -> None:
    """Flow links what moves alike only where nothing but the actor moves."""
    assert (ROOMS.pan, ROOMS.zoom, ROOMS.shake, ROOMS.drift) == (0, 0, 0, 0)


def test_the_recipe_has_a_name(tmp_path: Path) -> None:
    told = prepare("synthetic_rooms", root=tmp_path, clips=16, size=32, jobs=1)
    assert (told["name"], told["videos"]) == ("synthetic_rooms", 16)
    text = (tmp_path / "synthetic_rooms" / "manifest.csv").read_text()
    assert ",32," in text, "32 frames a video"
    with pytest.raises(ThesisError, match="made with other options"):
        prepare("synthetic", name="synthetic_rooms", root=tmp_path, clips=16, size=32, jobs=1)
    with pytest.raises(ThesisError, match="takes no path"):
        prepare("synthetic_rooms", path=tmp_path)
