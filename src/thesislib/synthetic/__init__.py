"""The simulated studio: short videos of acting figures, with ground truth for everything."""

from thesislib.synthetic.actions import ACTIONS, PAIRS
from thesislib.synthetic.oops import OopsRecipe, prepare_oops
from thesislib.synthetic.render import ClipSpec, clip_spec, joints_2d, render_clip
from thesislib.synthetic.rooms import ROOMS, prepare_rooms
from thesislib.synthetic.studio import Recipe, prepare
from thesislib.synthetic.world import DEFAULT_ACTIONS, STUDIO, World

__all__ = [
    "ACTIONS", "DEFAULT_ACTIONS", "PAIRS", "ROOMS", "STUDIO", "ClipSpec", "OopsRecipe", "Recipe",
    "World", "clip_spec", "joints_2d", "prepare", "prepare_oops", "prepare_rooms", "render_clip",
]  # fmt: skip
