"""A user's videos and class names: probabilities over time, as ``thesislib classify`` gives them.

``names`` makes a classifier of names, ``shots`` one of a few examples, ``windows`` cuts a stream of
frames, ``answers`` goes through the videos, ``text`` prints what was found.
"""

from thesislib.classifying.answers import How, classify
from thesislib.classifying.names import Timing
from thesislib.classifying.text import as_text

__all__ = ["How", "Timing", "as_text", "classify"]
