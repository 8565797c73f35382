"""The recipe of the small image-text model: ``thesislib weights make image-text``.

Pictures and captions come from the studio (:mod:`thesislib.synthetic.pairs`); training goes through
the house's one loop, so a stopped run goes on. Everything is written at the end, into one folder
that :func:`thesislib.image_text.load_image_text` and open_clip itself read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from thesislib.files import replacing, write_json
from thesislib.image_text import Preprocess, load_image_text
from thesislib.image_text.model import CONFIG_FILE
from thesislib.image_text.tokens import make_tokenizer, write_merges
from thesislib.image_text.weights import SAFE_NAME
from thesislib.places import runs_root
from thesislib.pretrained.image_text.card import write_card
from thesislib.pretrained.image_text.contrast import Contrast, ContrastConfig, PairDataset
from thesislib.pretrained.image_text.judge import judge, shown
from thesislib.synthetic.captioned import CaptionedRecipe
from thesislib.synthetic.pairs import pairs
from thesislib.synthetic.wording import vocabulary
from thesislib.torchvision_here import ensure_torchvision
from thesislib.train import Log, Trained, train

NAME, WORD = "image_text", "image-text"  # of its folder, and on the command line
MERGES_FILE, SCORES_FILE = "merges.txt.gz", "scores.json"
VERSION = 1  # of the recipe: raised whenever the same settings would give other weights
JUDGED = CaptionedRecipe().clips
LEVEL = 0.4  # about that of OpenAI's ViT-B-16


def make(
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    judged: int = JUDGED,
    jobs: int | None = None,
    log: Log = print,
) -> dict[str, Any]:
    """Makes the model, or finds its run, and writes its folder.

    Args:
        out: The folder; default ``image_text`` among the runs.
        settings: Changes of :class:`ContrastConfig`, by name.
        judged: Videos of chapter 5 on which it is judged, probes learning from most of them.
        jobs: Processes that film; default one a core.
        log: Where the log lines go.

    Returns:
        Plain JSON: ``folder``, ``parameters``, ``bytes``, ``weights_hash``, ``scores``.
    """
    config = ContrastConfig().override(dict(settings or {}))
    folder = Path(out).expanduser() if out is not None else runs_root() / NAME
    with tempfile.TemporaryDirectory() as work:
        trained = learn(config, Path(work), jobs, log)
        some = pairs(16, config.videos, config.frames, config.seed + 2, config.size, jobs)
        level(trained.model, some.images(range(len(some))))
        write_model(folder, config, trained.model.model, Path(work) / MERGES_FILE)
    model = load_image_text(folder)
    specs = CaptionedRecipe(clips=judged, size=config.size).specs()
    note = {
        "recipe": f"thesislib weights make {WORD}",
        "version": VERSION,
        "settings": config.to_dict(),
        "weights_hash": model.weights_hash,
        "parameters": sum(p.numel() for p in model.model.parameters()),
        "bytes": (folder / SAFE_NAME).stat().st_size,
        "judged": {split: sum(s.split == split for s in specs) for split in ("train", "test")},
        "scores": shown(judge(model, specs, config.seed)),
        "training": trained.result["metrics"],
        "provenance": trained.result["provenance"],
    }
    write_json(folder / SCORES_FILE, note)
    write_card(folder, note)
    kept = ("parameters", "bytes", "weights_hash", "scores")
    return {"folder": str(folder), **{key: note[key] for key in kept}}


def learn(config: ContrastConfig, work: Path, jobs: int | None, log: Log) -> Trained:
    """Trains a model whose merges are written into ``work``."""
    ensure_torchvision()
    import open_clip

    write_merges(work / MERGES_FILE, config.merges, vocabulary())
    architecture = config.architecture()
    tokenizer = make_tokenizer(architecture["text_cfg"], NAME, work)

    def build() -> nn.Module:
        model = open_clip.CLIP(**architecture)
        return Contrast(model, Preprocess.of({"size": config.size}))

    def data() -> tuple[PairDataset, PairDataset]:
        begun = time.monotonic()
        each = (config.videos, config.frames)
        learnt = pairs(config.groups, *each, config.seed, config.size, jobs)
        held = pairs(config.val_groups, *each, config.seed + 1, config.size, jobs)
        if log:
            log(f"filmed {len(learnt)} pictures in {time.monotonic() - begun:.0f} s")
        of = partial(PairDataset, tokenizer=tokenizer, seed=config.seed, joined=config.joined)
        return of(learnt), of(held)

    return train(WORD, build, data, config, f"{WORD} recipe {VERSION}", log=log)


@torch.no_grad()
def level(module: Contrast, frames: NDArray[np.uint8]) -> None:
    """Scales image features so that their numbers have a root mean square of ``LEVEL``.

    No cosine changes. But a Transformer on top of the features adds a small position code to them,
    and beside features of ten a number, which nothing in training forbids, it would be lost.
    """
    module.eval()
    device = next(module.parameters()).device
    pictures = module.preprocess(torch.from_numpy(frames).to(device))
    features = module.model.encode_image(pictures)
    factor = LEVEL / features.square().mean().sqrt()
    for p in module.model.visual.attnpool.c_proj.parameters():
        p.mul_(factor)


def write_model(folder: Path, config: ContrastConfig, model: Any, merges: Path) -> None:
    """Merges, configuration and weights in float16, each whole or not at all."""
    with replacing(folder / MERGES_FILE) as place:
        place.write_bytes(merges.read_bytes())
    pictures = Preprocess.of({"size": config.size})
    settings = {
        "mean": list(pictures.mean), "std": list(pictures.std),
        "interpolation": pictures.interpolation, "resize_mode": pictures.resize,
    }  # fmt: skip
    write_json(
        folder / CONFIG_FILE, {"model_cfg": config.architecture(), "preprocess_cfg": settings}
    )
    tensors = {name: _half(value) for name, value in model.state_dict().items()}
    with replacing(folder / SAFE_NAME) as place:
        save_file(tensors, place, metadata={"format": "pt"})


def _half(value: Tensor) -> Tensor:
    value = value.detach().cpu()
    return (value.to(torch.float16) if value.is_floating_point() else value).contiguous().clone()


# Settings with which the whole recipe takes seconds; its model knows nothing.
TOY: dict[str, Any] = {
    "epochs": 1, "batch_size": 16, "groups": 4, "videos": 4, "frames": 4, "val_groups": 1,
    "width": 4, "text_width": 32, "text_layers": 1, "embed": 32, "warmup": 0, "size": 32,
    "precision": "no", "merges": 1000,
}  # fmt: skip
