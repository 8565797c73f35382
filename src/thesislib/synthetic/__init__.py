"""The simulated studio: short videos of acting figures, with ground truth for everything."""

from thesislib.synthetic.actions import ACTIONS, PAIRS
from thesislib.synthetic.captioned import CAPTIONED, CaptionedRecipe, prepare_captions
from thesislib.synthetic.captions import caption, describe, names
from thesislib.synthetic.facts import Facts
from thesislib.synthetic.films import FILMS, FilmRecipe, film_texts, prepare_films
from thesislib.synthetic.narrated import NARRATED, NarratedRecipe, prepare_narrated
from thesislib.synthetic.oops import OopsRecipe, prepare_oops
from thesislib.synthetic.render import ClipSpec, clip_spec, joints_2d, render_clip
from thesislib.synthetic.rooms import ROOMS, prepare_rooms
from thesislib.synthetic.studio import Recipe, prepare
from thesislib.synthetic.untrimmed import UNTRIMMED, UntrimmedRecipe, prepare_untrimmed
from thesislib.synthetic.wording import TEMPLATES, vocabulary
from thesislib.synthetic.world import DEFAULT_ACTIONS, STUDIO, World

__all__ = [
    "ACTIONS", "CAPTIONED", "DEFAULT_ACTIONS", "FILMS", "NARRATED", "PAIRS", "ROOMS", "STUDIO",
    "TEMPLATES", "UNTRIMMED", "CaptionedRecipe", "ClipSpec", "Facts", "FilmRecipe",
    "NarratedRecipe", "OopsRecipe", "Recipe", "UntrimmedRecipe", "World", "caption", "clip_spec",
    "describe", "film_texts", "joints_2d", "names", "prepare", "prepare_captions", "prepare_films",
    "prepare_narrated", "prepare_oops", "prepare_rooms", "prepare_untrimmed",
    "render_clip", "vocabulary",
]  # fmt: skip
