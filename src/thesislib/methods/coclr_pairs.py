"""Both streams' networks learn at once: CMC, and simultaneous CoCLR (thesis table 4.1).

Neither was released. CMC (Tian et al., ECCV 2020) here is what the thesis says of its own version:
the backbone and training of CoCLR, with the other stream of the same clip as the positive.
"""

# No `from __future__ import annotations` here: the hub mixin reads the annotation of `config`.
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from thesislib.losses import (
    info_nce,
    leave_out,
    multi_instance_nce,
    nearest_entries,
    queue_logits,
    queue_measures,
    same,
    similarity,
    with_own_key,
    without_own_key,
)
from thesislib.methods.coclr_config import (
    OTHER,
    CoCLRConfig,
    momentum_pair,
    source_of,
    streams_of,
    waits,
)
from thesislib.nn.classifier import ClipClassifier, joined
from thesislib.nn.momentum import FeatureQueue, MomentumPair


class CoCLRPairs(nn.Module, PyTorchModelHubMixin):
    """A momentum pair for each stream and one queue with the keys of both.

    The loss is the mean over the two streams; the stream ``config.modality`` is the one judged.
    """

    def __init__(self, config: CoCLRConfig):
        super().__init__()
        self.config = config
        self.pairs = nn.ModuleDict({stream: momentum_pair(config) for stream in OTHER})
        self.queue = FeatureQueue(config.queue, config.dim, streams=2)

    def start_from(self, own: Any, other: Any) -> None:
        """Takes the query weights of two networks: of the stream that is judged, of the other."""
        for stream, network in ((self.config.modality, own), (OTHER[self.config.modality], other)):
            pair = self.pairs[stream]
            assert isinstance(pair, MomentumPair)
            pair.start_from(network.pair.query)

    def training_step(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean of the losses of both streams, and the logs of the one that is judged.

        ``cmc``: a query's positive is the key of the *other* stream, its negatives the other
        stream's queue (equation 4.1 across views). ``simultaneous``: equations 4.2 and 4.4 in one
        step, each stream mining with the current keys of the other.
        """
        config, queue = self.config, self.queue
        clips = streams_of(batch, config)
        found = {name: pair(*clips[name].unbind(1)) for name, pair in self.pairs.items()}
        keys = {name: key for name, (_, key) in found.items()}
        stored = dict(zip(OTHER, queue.features.clone(), strict=True))
        source = source_of(batch, config)
        older = same(source, queue.source) & self.training  # see CoCLR.positives
        losses, logs = [], {}
        drop = self.training and bool(torch.rand(()) < config.drop_self)
        for name, (query, _) in found.items():
            other = OTHER[name]
            mined = torch.zeros_like(older)
            if config.objective == "cmc":
                logits = queue_logits(query, keys[other], stored[other], config.temperature)
                if not config.older_self:
                    logits = leave_out(logits, older)
                mask = with_own_key(mined)
                loss = info_nce(logits)
            else:
                if queue.full:
                    near = similarity(keys[other], stored[other])
                    mined = nearest_entries(near, config.topk, older)
                logits = queue_logits(query, keys[name], stored[name], config.temperature)
                mask = with_own_key(mined | older)
                mask = without_own_key(mask) if drop else mask
                loss = multi_instance_nce(logits, mask)
            losses.append(loss)
            if name == config.modality:
                logs = queue_measures(logits, mask, mined, batch["label"], queue.label)
        waiting = waits(self)
        if self.training:
            queue.enqueue(torch.stack([keys[name] for name in OTHER]), source, batch["label"])
        loss = torch.stack(losses).mean()
        logs |= {"loss": loss.detach(), "waiting": torch.tensor(float(waiting))}
        return loss.detach() if waiting else loss, logs

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.training_step(batch)

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """See :meth:`thesislib.methods.coclr.CoCLR.encode`."""
        return self._judged.query.features(joined(batch["video"]))

    def classifier(
        self, classes: int, dropout: float = 0.9, frozen: bool = False
    ) -> ClipClassifier:
        """See :meth:`thesislib.methods.coclr.CoCLR.classifier`."""
        return self._judged.classifier(classes, dropout, frozen)

    @property
    def _judged(self) -> MomentumPair:
        pair = self.pairs[self.config.modality]
        assert isinstance(pair, MomentumPair)
        return pair
