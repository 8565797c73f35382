"""Flips one bit at a time in files that runs rest on, and asks whether anything else is read.

    python benchmarks/flipped_bits.py                        # --flips 2000 of each, --seed 0

Each file is read whole once, then with one bit changed at a place that the seed draws. Reading it
is *refused* by a named problem, gives *equal* content (the bit stands where nobody looks: a time in
an archive, a checksum's own name), or is *silently different*, which must never be. Whatever else
comes out has *escaped*. ``tests/test_flipped_bits.py`` flips some.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

from thesislib.checkpoint import load_state, save_state
from thesislib.data.features import FeatureStore, feature_file, write_features, write_note
from thesislib.data.flow_files import flow_file, member, read_flow
from thesislib.data.manifest import Manifest, Video, read_manifest, write_manifest
from thesislib.data.segments import SEGMENTS_FILE, read_segments, write_segments
from thesislib.errors import ThesisError
from thesislib.evaluation.index import FeatureIndex, Stream

HERE = Path(__file__).parent
COUNT, LENGTH, WIDTH = 40, 12, 16


class Subject(NamedTuple):
    """Files that belong together, and all that a reader takes from them, as one comparable text."""

    files: tuple[Path, ...]
    read: Callable[[], str]


def subjects(folder: Path) -> dict[str, Subject]:
    """The kinds of files."""
    rng = np.random.default_rng(0)
    split = ("train", "train", "val", "test")
    videos = tuple(
        Video(f"c{i % 5}/v{i:03d}.mp4", f"class {i % 5}", split[i % 4], f"g{i}", LENGTH, 25, 48, 32)
        for i in range(COUNT)
    )
    root = folder / "set"
    made = Manifest("set", root, videos, {"licence": "own", "class_texts": {"class 0": "to wave"}})
    write_segments(made, {video.path: [(0.04, 0.2, video.label)] for video in videos})
    write_manifest(made)

    seal = json.loads((root / "dataset.json").read_text())["info_sha256"]

    def manifest() -> str:
        found = read_manifest(root)
        # Under another name the checksum is not looked at: a line that nobody asks for.
        info = {name: value for name, value in found.info.items() if value != seal}
        return repr((found.name, found.videos, found.classes, found.fingerprint, info))

    store = folder / "features"
    settings = {"model": "random", "width": WIDTH, "rate": None, "dtype": "float16"}
    rows = rng.standard_normal((LENGTH * 4, WIDTH))
    write_features(
        feature_file(store, videos[0].path), rows, np.arange(len(rows)) / 25, settings,
        videos[0].path, "0" * 32,
    )  # fmt: skip
    write_note(store, {"dataset": "set", "settings": settings, "skipped": {}})

    def features() -> str:
        values, times = FeatureStore(store).read(videos[0], 3, 20)
        return repr((values.dtype, values.shape, values.tobytes(), times.tobytes()))

    numbers = rng.standard_normal((COUNT, WIDTH)).astype(np.float32)
    stream = Stream(numbers, "dpc-small", "0" * 64, "1" * 8, 1, {"size": "8 pixels"})
    index = FeatureIndex("set", made.fingerprint, videos, made.classes, (stream,), (), "abc")
    index.save(folder / "index")

    def indexed() -> str:
        found = FeatureIndex.load(folder / "index")
        (one,) = found.streams
        return repr((found.note(), one.values.tobytes(), found.labels.tobytes()))

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 4))
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.randn(6, 8)).square().sum().backward()
    optimiser.step()
    checkpoint = folder / "run" / "checkpoint.safetensors"
    save_state(checkpoint, model, optimiser, {"epoch": 3, "metrics": [{"loss": 1.5}]})

    def state() -> str:
        info = load_state(checkpoint, model, optimiser)
        parts = [model.state_dict(), optimiser.state_dict()["state"]]
        told = [(k, v.dtype, v.numpy().tobytes()) for k, v in parts[0].items()]
        told += [(i, k, v.numpy().tobytes()) for i, one in parts[1].items() for k, v in one.items()]
        return repr((info, told, optimiser.state_dict()["param_groups"]))

    flow = flow_file(made, videos[0])
    _write_flow(flow, rng)

    def fields() -> str:
        found = read_flow(made, videos[0], range(LENGTH - 1))
        return repr((found.dtype, found.shape, found.tobytes()))

    def one_field() -> str:
        return repr([read_flow(made, videos[0], [k]).tobytes() for k in range(LENGTH - 1)])

    return {
        "manifest.csv, dataset.json": Subject(
            (root / "manifest.csv", root / "dataset.json"), manifest
        ),
        "segments.json": Subject((root / SEGMENTS_FILE,), lambda: repr(read_segments(made))),
        "features of frames": Subject((feature_file(store, videos[0].path),), features),
        "features index": Subject((folder / "index" / "features.safetensors",), indexed),
        "checkpoint": Subject((checkpoint,), state),
        "flow": Subject((flow,), fields),
        "flow, field by field": Subject((flow,), one_field),
    }


def _write_flow(path: Path, rng: np.random.Generator) -> None:
    """Smooth fields as flow has them, in an archive as ``thesislib flow`` writes it."""
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(LENGTH - 1):
            small = rng.normal(128, 20, (4, 6, 2)).astype(np.float32)
            field = cv2.resize(small, (48, 32)).clip(0, 255).astype(np.uint8)
            with archive.open(member(k) + ".npy", "w") as file:
                np.lib.format.write_array(file, field, allow_pickle=False)


@dataclasses.dataclass
class Outcome:
    """What came of the flips of one kind."""

    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    first: dict[str, str] = dataclasses.field(default_factory=dict)


def flip(subject: Subject, flips: int, seed: Any) -> Outcome:
    """Reads the files with one bit changed, ``flips`` times; they are whole again afterwards."""
    rng, out = np.random.default_rng(seed), Outcome()
    whole = [file.read_bytes() for file in subject.files]
    truth = subject.read()
    ends = np.cumsum([len(data) for data in whole])
    for place in rng.integers(0, ends[-1] * 8, flips):
        number = int(np.searchsorted(ends, place // 8, side="right"))
        inside = int(place // 8 - (ends[number] - len(whole[number])))
        raw = bytearray(whole[number])
        raw[inside] ^= 1 << int(place % 8)
        subject.files[number].write_bytes(bytes(raw))
        try:
            what = "equal" if subject.read() == truth else "silently different"
        except ThesisError:
            what = "refused"
        except Exception as error:
            what = "escaped"
            out.first.setdefault(what, f"{type(error).__name__}: {error}")
        if what == "silently different":
            out.first.setdefault(what, f"{subject.files[number].name}, byte {inside}")
        out.counts[what] += 1
        subject.files[number].write_bytes(whole[number])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    memory = Path("/dev/shm")
    note: dict[str, Any] = {"flips": options.flips, "seed": options.seed}
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for i, (name, subject) in enumerate(subjects(Path(folder)).items()):
            found = flip(subject, options.flips, [options.seed, i])
            note[name] = dict(found.counts)
            print(name, dict(found.counts), found.first, flush=True)
    (HERE / "flipped_bits.json").write_text(json.dumps(note, indent=1) + "\n")


if __name__ == "__main__":
    main()
