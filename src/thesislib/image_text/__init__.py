"""Frozen image-text models: any of open_clip's from this machine's disk, and a small one of ours.

They put pictures and sentences into one space. Chapter 5 prompts them and chapter 8 looks through
them; neither trains them.
"""

from thesislib.image_text.model import ImageText, load_image_text
from thesislib.image_text.preprocess import Preprocess

__all__ = ["ImageText", "Preprocess", "load_image_text"]
