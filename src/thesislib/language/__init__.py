"""Language models that go on writing: by name or folder of transformers, and a small one of ours.

Chapter 8 reads films to them; what they write is searched for here, whoever asks.
"""

from thesislib.language.model import LanguageModel, load_language_model

__all__ = ["LanguageModel", "load_language_model"]
