"""The small language model as it ships; :mod:`.recipe` makes it again.

``load_language_model("small")`` of :mod:`thesislib.language` reads it.
"""
