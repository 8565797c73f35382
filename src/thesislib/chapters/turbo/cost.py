"""What a training step costs: operations, processor time, and memory (thesis 6.5.1, Figure 6.2).

Operations and memory are counted, not measured, so that they hold for any machine and for sizes
that none of ours could train. Time is measured, the ways taking turns.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from thesislib import published, viz
from thesislib.chapters.pages import Page, grid
from thesislib.methods.turbo import Turbo
from thesislib.methods.turbo_config import TurboConfig, gflops
from thesislib.nn.tokens import count_tokens
from thesislib.report import NO_VALUE
from thesislib.torchvision_here import ensure_torchvision

# The rows of Table 6.1, and a training that reconstructs nothing: m and r.
RATIOS = (
    (0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (0.75, 0.75), (0.75, 0.25), (0.75, 0.0), (0.9, 0.9),
    (0.9, 0.1), (0.9, 0.0),
)  # fmt: skip
CURVES = ((0.0, 0.0), (0.5, 0.5), (0.75, 0.25), (0.9, 0.1))  # of Figure 6.2
PRINTED = {(m, r): key for m, r, key in (
    (0.0, 0.0, "turbo/m0"), (0.5, 0.5, "turbo/m50-r50"), (0.75, 0.75, "turbo/m75-r75"),
    (0.75, 0.25, "turbo/m75-r25"), (0.9, 0.9, "turbo/m90-r90"), (0.9, 0.1, "turbo/m90-r10"),
)}  # fmt: skip


def at(config: TurboConfig, mask_ratio: float, recon_ratio: float) -> TurboConfig:
    """The same training with other shares of tokens, and nothing that passes blocks by."""
    return replace(config, mask_ratio=mask_ratio, recon_ratio=recon_ratio, drop_path=0.0)


# -- memory --------------------------------------------------------------------------------


@functools.cache
def kept_bytes(config: TurboConfig, batch: int = 1) -> int:
    """Bytes that a training step keeps between its forward and its backward pass.

    What autograd saves, each piece of memory once and without the parameters, on tensors that have
    a shape and no content: it takes no memory, whatever the model. A training holds parameters,
    gradients and the optimiser's moments besides, which do not depend on the input.

    Args:
        config: Settings of a classifier.
        batch: Clips of a step.
    """
    frames = config.num_seq * config.seq_len
    with torch.device("meta"):
        model = Turbo(config).train()
    kept: dict[int, tuple[torch.UntypedStorage, int]] = {}  # held, so that no number comes twice
    with FakeTensorMode(allow_non_fake_inputs=True):
        own = {n: torch.empty(p.shape, requires_grad=True) for n, p in model.named_parameters()}
        weights = {p.untyped_storage()._cdata for p in own.values()}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                kept[storage._cdata] = (storage, storage.nbytes())
            return tensor

        video = torch.empty(batch, 1, 3, frames, config.size, config.size)
        inputs = {"video": video, "label": torch.zeros(batch, dtype=torch.long)}
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            functional_call(model, own, (inputs,))
        return sum(size for _, size in kept.values())


def memory_picture(
    config: TurboConfig, frames: Sequence[int] = (16, 32, 64), caption: str = ""
) -> viz.Picture:
    """Figure 6.2: the memory of one clip against its frames, for several shares of tokens.

    Args:
        config: Sizes of the model and of the frames.
        frames: Lengths of clips, in frames; the tubelet divides them.
        caption: Kept with the picture.
    """
    lines = {
        name_of(m, r): [(n, kept_bytes(at(replace(config, seq_len=n), m, r)) / 2**30)
                        for n in frames]
        for m, r in CURVES
    }  # fmt: skip
    return viz.lines(lines, "frames of a clip", "memory of a clip (GiB)", caption)


def name_of(mask_ratio: float, recon_ratio: float) -> str:
    """A training in words: its shares in per cent."""
    if mask_ratio == 0:
        return "all tokens"
    return f"m = {100 * mask_ratio:.0f} %, r = {100 * recon_ratio:.0f} %"


# -- time ----------------------------------------------------------------------------------


class Cost(NamedTuple):
    """What a clip costs in a training step.

    Its fields:

    - ``visible``: Tokens that the encoder sees.
    - ``wanted``: Tokens that the decoder is asked for.
    - ``gflops``: Of the forward pass, dropped tokens not embedded.
    - ``kept``: Bytes kept for the backward pass.
    - ``seconds``: Of the processor, forward, backward and AdamW; NaN where not measured.
    """

    visible: int
    wanted: int
    gflops: float
    kept: int
    seconds: float = float("nan")


def taking_turns(steps: Sequence[Callable[[], object]], rounds: int = 5) -> list[float]:
    """Processor seconds of functions that take turns, so that all see the same load: medians.

    The first round is not counted.
    """
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(1 + rounds):
        for step, spent in zip(steps, times, strict=True):
            before = time.process_time()
            step()
            spent.append(time.process_time() - before)
    return [statistics.median(spent[1:]) for spent in times]


def training_step(model: nn.Module, loss_of: Callable[[], Tensor]) -> Callable[[], None]:
    """A whole step of training: loss, gradients, AdamW."""
    adam = torch.optim.AdamW(model.parameters(), 1e-4)

    def step() -> None:
        adam.zero_grad()
        loss_of().backward()
        adam.step()

    return step


def step_of(config: TurboConfig, batch: int) -> Callable[[], None]:
    """A step of Turbo training on noise."""
    model = Turbo(config).train()
    frames = config.num_seq * config.seq_len
    label = torch.arange(batch) % max(2, config.classes)
    inputs = {"video": torch.randn(batch, 1, 3, frames, config.size, config.size), "label": label}
    return training_step(model, lambda: model(inputs)[0])


def costs(
    config: TurboConfig, ratios: Sequence[tuple[float, float]] = RATIOS, rounds: int = 0
) -> dict[tuple[float, float], Cost]:
    """The costs of a clip for several shares m and r.

    Args:
        config: Sizes of the model and of the input; a classifier.
        ratios: Pairs of m and r.
        rounds: Of measuring; 0 counts alone.
    """
    settings = [at(config, m, r) for m, r in ratios]
    batch = config.batch_size
    seconds = [float("nan")] * len(settings)
    if rounds:
        seconds = taking_turns([step_of(one, batch) for one in settings], rounds)
    found = {}
    for pair, one, spent in zip(ratios, settings, seconds, strict=True):
        tokens = count_tokens(one.grid, one.mask_ratio, one.recon_ratio, one.masking)
        found[pair] = Cost(*tokens, gflops(one), kept_bytes(one), spent / batch)
    return found


def thesis_page() -> Page:
    """The operations of Table 6.1 as printed, and ours of the same model by three conventions."""
    base = TurboConfig.preset("paper")
    table, lines = published.table("6.1"), []
    for (m, r), key in PRINTED.items():
        one = at(base, m, r)
        seen, wanted = count_tokens(one.grid, m, r)
        saved = gflops(one)
        lines.append((
            name_of(m, r), str(seen), str(wanted), table.printed(key, "train_gflops"),
            f"{gflops(replace(one, embed_all=True)):.1f}", f"{saved:.1f}",
            f"{kept_bytes(one) / 2**20:,.0f}",
        ))  # fmt: skip
    head = (
        "training", "tokens seen", "reconstructed", "GFLOPs, thesis", "ours, all embedded",
        "ours, seen ones embedded", "memory of a clip, MiB",
    )  # fmt: skip
    return grid(head, lines)


def here_page(found: Mapping[tuple[float, float], Cost]) -> Page:
    """:func:`costs`, each beside those with all tokens."""
    full = found[0.0, 0.0]
    lines = [
        (
            name_of(m, r), str(one.visible), str(one.wanted), f"{one.gflops:.3f}",
            _times(full.gflops, one.gflops), f"{one.kept / 2**20:.2f}", _times(full.kept, one.kept),
            f"{1000 * one.seconds:.1f}", _times(full.seconds, one.seconds),
        )
        for (m, r), one in found.items()
    ]  # fmt: skip
    head = (
        "training", "tokens seen", "reconstructed", "GFLOPs", "fewer", "memory, MiB", "less",
        "ms of a core", "faster",
    )  # fmt: skip
    return grid(head, lines)


def _times(whole: float, part: float) -> str:
    return f"{whole / part:.1f} ×" if part == part and whole != part else NO_VALUE


def ratio_numbers(found: Mapping[tuple[float, float], Cost]) -> dict[str, str]:
    """How many times cheaper m = 0.75 is, for the text: with decoder (r = 0.25) and without."""
    full = found[0.0, 0.0]
    named = {"turbo": (0.75, 0.25), "dropped": (0.75, 0.0)}
    return {
        f"{what}_{name}": f"{getattr(full, what) / getattr(found[pair], what):.1f}"
        for name, pair in named.items()
        for what in ("gflops", "kept", "seconds")
    }


# -- other people's models -----------------------------------------------------------------


def a_videomae(frames: int = 16, size: int = 96, width: int = 192, depth: int = 4) -> nn.Module:
    """transformers' classifier of VideoMAE with small sizes and random weights."""
    ensure_torchvision()
    import transformers

    sizes: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": depth,
    }
    config = transformers.VideoMAEConfig(
        image_size=size, patch_size=16, num_frames=frames, num_attention_heads=3, **sizes
    )
    return transformers.VideoMAEForVideoClassification(config).train()


def dropout_page(models: Mapping[str, nn.Module], videos: Tensor, rounds: int = 5) -> Page:
    """A training step of classifiers of transformers, which take turns.

    Args:
        models: Name -> model; the first one is what the others are compared with.
        videos: ``(B, T, 3, H, W)``.
        rounds: Of measuring.
    """
    label = torch.arange(len(videos)) % 2
    steps = [
        training_step(one, lambda one=one: one(videos, labels=label).loss)  # type: ignore[misc]
        for one in models.values()
    ]
    seconds = taking_turns(steps, rounds)
    lines = [
        (name, f"{1000 * spent:.0f}", _times(seconds[0], spent))
        for name, spent in zip(models, seconds, strict=True)
    ]
    return grid(("model", "ms of a core a step", "faster"), lines)
