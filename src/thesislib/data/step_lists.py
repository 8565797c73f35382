"""Whole videos with the list of what they show, in order (thesis 7.6)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.utils.data import Dataset

from thesislib.data.loader import Key
from thesislib.data.narrated_windows import Told
from thesislib.errors import ThesisError


class StepLists(Dataset[dict[str, Tensor]]):
    """Items are ``video (T, D)``, a feature a second, and ``text (K, ...)``, a row a step.

    Args:
        videos: To learn from; ``texts`` are of their steps, in order. Those without one are left
            out.

    Raises:
        ThesisError: No video is left.
    """

    def __init__(self, videos: Sequence[Told]) -> None:
        self.videos = [video for video in videos if len(video.texts)]
        if not self.videos:
            raise ThesisError("None of these videos has a step: name a data set with segments.")

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor]:
        """One video; ``key`` is ``(epoch, index)``, or an index."""
        video = self.videos[key[1] if isinstance(key, tuple) else key]
        return {"video": video.features, "text": video.texts}
