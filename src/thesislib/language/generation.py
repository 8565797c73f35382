"""Text by greedy and beam search, many prompts at once (thesis 8.6.1, and the released rules).

A beam is as good as the mean log-probability of its tokens, the one that ends it among them; so it
is ranked at every step, and a beam that has ended stays as it is. A token that the text has already
is made less likely, and one that would repeat a row of n tokens is impossible.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from thesislib.methods.autoad_config import Decoding
from thesislib.nn.reader import Reader

IMPOSSIBLE = float("-inf")
NEVER = -1  # an id that stands for no token


class Written(NamedTuple):
    """One text.

    Its fields:

    - ``ids``: its tokens; the last is the one that ended it, unless the limit did.
    - ``score``: their mean log-probability, as the rules have it.
    """

    ids: list[int]
    score: float


@torch.no_grad()
def generate(
    reader: Reader,
    vectors: Tensor,
    mask: Tensor,
    rules: Decoding,
    stop: Collection[int],
    history: Sequence[Sequence[int]] = (),
) -> list[list[Written]]:
    """The best texts after each prompt, best first.

    Args:
        reader: Reads prompts, writes text.
        vectors: Prompts, ``(B, n, W)``.
        mask: bool ``(B, n)``, False where a prompt is padding; the last is never.
        rules: Beams, limits, repetitions. One beam is greedy search.
        stop: Ids that end a text.
        history: Tokens of each prompt's context, whose rows are not repeated either.

    Returns:
        For each prompt as many texts as beams, or fewer where no more are possible.
    """
    if not len(vectors):
        return []
    batch, device = len(vectors), vectors.device
    said = _before(history, batch, device) if rules.context_counts else _before((), batch, device)
    before = said.shape[1]
    ends = torch.tensor(sorted(stop), device=device)
    read = reader(vectors, mask, cached=True)
    total = torch.zeros(batch, 1, device=device)
    length, ended = torch.zeros_like(total), torch.zeros_like(total, dtype=torch.bool)
    for step in range(rules.new_tokens):
        beams = total.shape[1]
        new = F.log_softmax(read.logits[:, -1], -1)  # (B * K, V)
        _penalise(new, said, before, rules)
        new = new.view(batch, beams, -1)
        new[ended] = IMPOSSIBLE
        new[..., 0] = torch.where(ended, 0.0, new[..., 0])  # it goes on for nothing
        length = length + ~ended
        mean = (total[..., None] + new) / length[..., None]
        mean, best = mean.flatten(1).topk(min(rules.beams, mean[0].numel()), 1)
        parent, token = best // new.shape[2], best % new.shape[2]
        length, ended = length.gather(1, parent), ended.gather(1, parent)
        total = mean * length
        row = (parent + beams * torch.arange(batch, device=device)[:, None]).flatten()
        said = torch.cat([said[row], token.masked_fill(ended, NEVER).view(-1, 1)], 1)
        ended = ended | torch.isin(token, ends)
        if ended.all() or step + 1 == rules.new_tokens:
            break
        if rules.beams > 1:  # else each row stays where it is
            read.cache.reorder_cache(row)
        mask = torch.cat([mask[row], mask.new_ones(len(row), 1)], 1)
        read = reader(reader.embed(token.view(-1, 1)), mask, read.cache, cached=True)
    return _ranked(said[:, before:].view(batch, -1, said.shape[1] - before), total / length)


def _before(history: Sequence[Sequence[int]], batch: int, device: Any) -> Tensor:
    """Tokens ``(B, H)`` that came before, the last ones last."""
    most = max((len(ids) for ids in history), default=0)
    rows = [[NEVER] * (most - len(ids)) + list(ids) for ids in history] or [[]] * batch
    return torch.tensor(rows, dtype=torch.long, device=device).view(batch, most)


def _penalise(new: Tensor, said: Tensor, before: int, rules: Decoding) -> None:
    """Changes log-probabilities ``(R, V)`` by what was said, ``(R, n)``, in place."""
    text = said[:, before:]
    if rules.penalty > 1 and text.shape[1]:
        # An id that stands for no token changes the token that it is written over by nothing.
        at = text.clamp(min=0)
        factor = torch.ones_like(new)
        factor.scatter_reduce_(1, at, torch.where(text >= 0, rules.penalty, 1.0).to(new), "amax")
        new *= factor
    size = rules.no_repeat
    if size and said.shape[1] >= size:
        rows = said.unfold(1, size, 1)  # (R, n - size + 1, size)
        last = said[:, said.shape[1] - size + 1 :]
        same = (rows[..., :-1] == last[:, None]).all(-1) & (rows >= 0).all(-1)
        banned = torch.zeros_like(new).scatter_reduce_(
            1, rows[..., -1].clamp(min=0), same.to(new), "amax"
        )
        new.masked_fill_(banned > 0, IMPOSSIBLE)


def _ranked(tokens: Tensor, scores: Tensor) -> list[list[Written]]:
    """Beams ``(B, K, n)`` by their scores ``(B, K)``."""
    found = []
    for rows, values in zip(tokens.tolist(), scores.tolist(), strict=True):
        texts = [
            Written([t for t in row if t != NEVER], value)
            for row, value in zip(rows, values, strict=True)
            if value > IMPOSSIBLE
        ]
        found.append(sorted(texts, key=lambda text: -text.score))
    return found
