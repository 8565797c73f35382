"""The recipe of the small CoCLR networks: ``thesislib weights make small-coclr-rgb``.

A network is the last stage of its row of chapter 4, found where it was trained (``make book`` does)
or trained now, and written as one stream that learns by InfoNCE: what mined its positives is left
out. Weights are float16; means, variances and other vectors, which may be tiny, stay float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from thesislib.chapters import clips, run
from thesislib.chapters.row import Job
from thesislib.data.manifest import read_manifest
from thesislib.evaluation.retrieval import retrieval
from thesislib.files import replacing, write_json, write_text
from thesislib.ledger import Entry, Ledger
from thesislib.methods.coclr import CoCLR
from thesislib.places import runs_root
from thesislib.pretrained.coclr import load
from thesislib.train import Log

WEIGHTS_FILE, SCORES_FILE, CARD_FILE = "model.safetensors", "scores.json", "README.md"
ROWS = {"small-coclr-rgb": "coclr/coclr-rgb", "small-coclr-flow": "coclr/coclr-flow"}
TOLD = ("probe_top1", "retrieval_r1", "finetune_top1")  # of the ledger's row
UNUSED: dict[str, Any] = {"objective": "infonce", "init": "", "sampler": ""}


def make(
    name: str,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    log: Log = print,
) -> dict[str, Any]:
    """Makes a network, or finds its run, and writes its folder.

    Args:
        name: One of ``ROWS``.
        out: The folder; default: in the runs, under its name.
        settings: Changes of the row's settings, by name.
        log: Where the log lines go.

    Returns:
        Plain JSON: ``folder``, ``parameters``, ``bytes``, ``weights_hash``, ``scores``.
    """
    from thesislib.evaluation.indexing import weights_hash

    job = Job(ROWS[name], changes=dict(settings or {}), log=log)
    trained = run.train(job)
    assert trained.run is not None  # a row that trains has one
    folder = Path(out).expanduser() if out is not None else runs_root() / name.replace("-", "_")
    write_model(folder, trained.model)
    model, config = load(folder)
    manifest = read_manifest(config.dataset)
    before, after = (clips.both_splits(m, manifest, config) for m in (trained.model, model))
    cosines = np.einsum("vd,vd->v", *(_unit(rows[1].values) for rows in (before, after)))
    note = {
        "recipe": f"thesislib weights make {name}",
        "row": job.row,
        "run": trained.run.name,
        "parameters": sum(p.numel() for p in model.pair.query.parameters()),
        "bytes": (folder / WEIGHTS_FILE).stat().st_size,
        "weights_hash": weights_hash(model)[:16],
        "scores": {
            "retrieval_r1": round(retrieval(after[1], after[0]).metrics["retrieval_r1"], 4),
            "least_cosine_to_run": round(float(cosines.min()), 6),
        },
        "videos": {"train": len(before[0].values), "test": len(before[1].values)},
        "ledger": _ledger(job),
        "provenance": trained.result["provenance"],
    }
    write_json(folder / SCORES_FILE, note)
    write_text(folder / CARD_FILE, card(name, note, config))
    kept = ("parameters", "bytes", "weights_hash", "scores")
    return {"folder": str(folder), **{key: note[key] for key in kept}}


def write_model(folder: Path, model: CoCLR) -> None:
    """Settings and weights, as ``CoCLR.from_pretrained`` reads them."""
    alone = CoCLR(replace(model.config, **UNUSED))
    own = model.state_dict()
    own["queue.features"] = own["queue.features"][:1]
    alone.load_state_dict({key: own[key] for key in alone.state_dict()})
    alone.save_pretrained(folder)
    tensors = {key: _small(value) for key, value in alone.state_dict().items()}
    with replacing(folder / WEIGHTS_FILE) as place:
        save_file(tensors, place, metadata={"format": "pt"})


def _small(value: Tensor) -> Tensor:
    matrix = value.is_floating_point() and value.ndim > 1
    return (value.to(torch.float16) if matrix else value).contiguous().clone()


def _unit(values: Any) -> Any:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _ledger(job: Job) -> dict[str, float]:
    """What the ledger says of the row that has these settings; nothing where it has no such row."""
    config = run.settings(job)
    row = Entry(job.row, "coclr", config.profile, config.dataset, config.seed, {})
    for entry in Ledger.load().entries:
        if entry.file_name == row.file_name and not job.changes:
            return {name: round(entry.metrics[name], 4) for name in TOLD if name in entry.metrics}
    return {}


def card(name: str, note: Mapping[str, Any], config: Any) -> str:
    """The model card: written from the numbers of a run, never by hand."""
    stream = {"rgb": "frames", "flow": "optical flow (TV-L1, few steps)"}[config.modality]
    source, scores, ledger = note["provenance"], note["scores"], note["ledger"]
    dirty = " with changes" if source["dirty"] else ""
    told = "".join(f"| {key} | {100 * value:.1f} |\n" for key, value in ledger.items())
    return f"""---
license: mit
library_name: thesislib
---
# {name}

The small network of chapter 4 (CoCLR) that sees {stream}: S3D of {config.width:g} of the width with
{len(config.mixed)} of its nine mixed blocks. It was told no labels, and has seen the simulated
studio and nothing else: jointed figures in rooms of their own. Not the authors' weights. Written by
`{note["recipe"]}`; all numbers here are read from `{SCORES_FILE}`.

- **Parameters**: {note["parameters"]:,} of the encoder, {note["bytes"] / 1e6:.2f} MB with its slow
  copy and queue, matrices in float16.
- **Input**: {config.seq_len} frames, {config.stride} apart, {config.size} pixels a side.
- **Data**: the {note["videos"]["train"]} training videos of `{config.dataset}`.
- **Row**: `{note["row"]}`, small profile, seed {config.seed}; run `{note["run"]}`.
  The network that mined its positives is left out.
- **Commit**: {source["commit"]}{dirty}. **Weights hash**: {note["weights_hash"]}.

Of {note["videos"]["test"]} test videos, {100 * scores["retrieval_r1"]:.1f}% have a training video
of their class as the nearest. The features are those of the run to a cosine of
{scores["least_cosine_to_run"]:.6f} or more. The ledger has of this row, in percent:

| metric | % |
|---|---:|
{told}
## Use

```shell
thesislib features FOLDER --run {name}
```

```python
from thesislib.pretrained.coclr import load

model, config = load("{name}")
```

Of real videos it knows what moves how, roughly, and what looks alike; a network that learnt from
your own videos, or from millions, knows more.
"""
