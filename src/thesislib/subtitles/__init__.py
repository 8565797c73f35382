"""Subtitles: read from any kind of file, cleaned up into sentences, written back."""

from thesislib.subtitles.cues import Cue, Subtitles
from thesislib.subtitles.reading import parse_subtitles, read_subtitles
from thesislib.subtitles.sentences import Sentence, Sentences, whole_sentences
from thesislib.subtitles.writing import write_subtitles

__all__ = [
    "Cue",
    "Sentence",
    "Sentences",
    "Subtitles",
    "parse_subtitles",
    "read_subtitles",
    "whole_sentences",
    "write_subtitles",
]
