"""The small language model as it ships; its recipe makes it again.

``load_language_model("small")`` of :mod:`thesislib.language` reads it.
"""
