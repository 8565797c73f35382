"""The chapters: one folder each, with its rows, its claims, and what its page shows.

What they share: ``row`` and ``run`` (what a row is, and how it runs), ``clips`` (rows that learn
from clips), ``pages`` and ``pictures`` (what all pages show).
"""
