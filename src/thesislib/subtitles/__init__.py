"""Subtitles: read from any kind of file, cleaned up into sentences, written back."""

from thesislib.subtitles.cues import Cue, Subtitles
from thesislib.subtitles.reading import parse_subtitles, read_subtitles

__all__ = ["Cue", "Subtitles", "parse_subtitles", "read_subtitles"]
