"""Clips of features with a caption each: what text-video retrieval learns from (thesis 5.4.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from thesislib.data.feature_clips import FeatureClips
from thesislib.data.loader import Key
from thesislib.errors import ThesisError

STREAM = 2  # of the draws of captions; those of clips have none

Tokenise = Callable[[Sequence[str]], Tensor]  # N texts to int64 (N, window)


class CaptionClips(Dataset[dict[str, Any]]):
    """A clip of each video that has a caption, and one of its captions, drawn anew each epoch.

    Args:
        clips: Of the features of the videos.
        captions: Path of a video to what is said of it.
        tokenise: Turns texts into token ids; called once for all of them.
        seed: Of the draws.

    Items:
        Those of ``clips``, and ``tokens`` int64 ``(window,)``; ``text`` int64, which of the video's
        captions it is. A key ``(epoch, index)`` always gives the same.

    Raises:
        ThesisError: No video has both features and a caption.
    """

    def __init__(
        self,
        clips: FeatureClips,
        captions: Mapping[str, Sequence[str]],
        tokenise: Tokenise,
        seed: int = 0,
    ) -> None:
        self.clips, self.seed = clips, seed
        paths = [clips.manifest.videos[number].path for number in clips.videos]
        self.places = [i for i, path in enumerate(paths) if captions.get(path)]
        if not self.places:
            raise ThesisError(
                f"Not one video of {clips.manifest.name!r} has both features and a caption."
            )
        texts = [captions[paths[place]] for place in self.places]
        self.ends = np.cumsum([0, *map(len, texts)])  # where the captions of each video lie
        # Half the bytes: a set of 200,000 captions is held whole.
        self.tokens = tokenise([text for some in texts for text in some]).to(torch.int32)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, key: int | Key) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not 0 <= index < len(self):
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, epoch, index, STREAM])
        first, end = self.ends[index : index + 2]
        text = int(rng.integers(end - first))
        item = self.clips[epoch, self.places[index]]
        tokens = self.tokens[int(first) + text].long()
        return {**item, "tokens": tokens, "text": torch.tensor(text)}
