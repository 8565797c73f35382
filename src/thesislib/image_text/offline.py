"""No network unasked: what Hugging Face's libraries would fetch, they find on disk or not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from huggingface_hub import constants


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """As if ``HF_HUB_OFFLINE=1`` had been set, which is read once, when the library loads."""
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
