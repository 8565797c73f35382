"""An index of videos: the features of a data set, what they were made of, and look-up by cosine.

Three lines, for videos that need no labels::

    index = build_index(model, manifest, config)
    index.save("holiday_index")
    FeatureIndex.load("holiday_index").search(k=5).rows  # (V, 5): the neighbours of every video

Two encoders, one that saw frames and one that saw optical flow, make one index of two streams
(:func:`join`): their cosines are averaged, as in the two-stream rows of Table 4.3.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from thesislib.clip_config import ClipConfig
from thesislib.data.manifest import Manifest, Video
from thesislib.errors import ThesisError
from thesislib.evaluation.features import over_windows, preprocessing
from thesislib.evaluation.retrieval import nearest
from thesislib.evaluation.scores import unit
from thesislib.files import replacing, sweep, write_json
from thesislib.provenance import commit

FEATURES, NOTE = "features.safetensors", "index.json"
FORMAT = 1


@dataclass(frozen=True)
class Stream:
    """The features that one encoder gave.

    Attributes:
        values: float32 ``(V, D)``, as the encoder gave them: neither centred nor normalised.
        run: Name of the encoder's run, or the path of its folder; "" for a model without one.
        weights: sha256 of the encoder's weights.
        settings: Hash of the settings of its training.
        crops: Views of each window.
        preprocessing: What the encoder saw, in words and numbers with their units.
    """

    values: NDArray[np.float32]
    run: str
    weights: str
    settings: str
    crops: int
    preprocessing: dict[str, Any]


@dataclass(frozen=True)
class Neighbours:
    """What a search found.

    Attributes:
        rows: int64 ``(Q, k)``, rows of the index, best first; of equal cosines the first row.
        cosine: float32 ``(Q, k)`` in ``[-1, 1]``; of two streams the mean.
    """

    rows: NDArray[np.int64]
    cosine: NDArray[np.float32]


@dataclass(frozen=True)
class FeatureIndex:
    """Videos and their features.

    Attributes:
        dataset: Name of the data set.
        fingerprint: That of its manifest.
        videos: One a row, with absolute paths.
        classes: Class names; the place is the class number.
        streams: One encoder each.
        skipped: Paths of the videos that have no row, because they could not be read.
        commit: Of the code that made it.
    """

    dataset: str
    fingerprint: str
    videos: tuple[Video, ...]
    classes: tuple[str, ...]
    streams: tuple[Stream, ...]
    skipped: tuple[str, ...] = ()
    commit: str = ""

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers ``(V,)``; -1 without a label."""
        numbers = {name: i for i, name in enumerate(self.classes)}
        return np.array([numbers.get(v.label, -1) for v in self.videos], np.int64)

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> FeatureIndex:
        """Some rows, in this order."""
        return replace(
            self,
            videos=tuple(self.videos[r] for r in rows),
            streams=tuple(replace(s, values=s.values[np.asarray(rows)]) for s in self.streams),
        )

    def search(self, queries: FeatureIndex | None = None, k: int = 5) -> Neighbours:
        """The ``k`` videos of the index that are nearest to each query; never the query itself.

        The mean of the index is taken off both sides. That of the queries themselves, which
        :func:`thesislib.evaluation.retrieval.nearest` takes, would leave nothing of a single one.

        Args:
            queries: Made by the same encoders; default: every video of the index. A query is left
                out of its own neighbours, known by its path.
            k: Neighbours of each query.

        Raises:
            ThesisError: There are fewer videos, or the queries come from other encoders.
        """
        queries = self if queries is None else queries
        made, other = ([s.weights for s in index.streams] for index in (self, queries))
        if made != other:
            raise ThesisError("The queries were not encoded by the encoders of the index.")
        places = {v.path: row for row, v in enumerate(self.videos)}
        own = np.array([places.get(v.path, -1) for v in queries.videos])[:, None]
        known = int((own >= 0).any())
        if k + known > len(self):
            raise ThesisError(
                f"{k} neighbours asked for, the index has {len(self) - known} other videos: ask "
                "for fewer."
            )
        q, g = self._embedding(queries), self._embedding(self)
        rows = nearest(q, g, k + known, centre=False)
        if known:
            keep = rows != own
            keep[keep.all(1), -1] = False  # it was not among its own nearest: the last one goes
            rows = rows[keep].reshape(-1, k)
        cosine = np.stack([np.einsum("qd,qd->q", q, g[rows[:, j]]) for j in range(k)], 1)
        return Neighbours(rows, cosine.clip(-1, 1).astype(np.float32))

    def _embedding(self, index: FeatureIndex) -> NDArray[np.float32]:
        """Unit vectors side by side ``(V, sum of D)``: their cosine is the mean of the streams'."""
        parts = []
        for own, stream in zip(self.streams, index.streams, strict=True):
            centred = torch.from_numpy(stream.values - own.values.mean(0))
            parts.append(unit(centred).numpy() / np.sqrt(len(self.streams)))
        return np.concatenate(parts, 1).astype(np.float32)

    def note(self) -> dict[str, Any]:
        """All but the numbers, as plain JSON: what ``index.json`` says."""
        return {
            "format": FORMAT,
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "commit": self.commit,
            "classes": list(self.classes),
            "streams": [
                {"tensor": _tensor(i), "dtype": "float32", "shape": list(s.values.shape)}
                | {k: v for k, v in vars(s).items() if k != "values"}
                for i, s in enumerate(self.streams)
            ],
            "skipped": list(self.skipped),
            "videos": [asdict(video) for video in self.videos],
        }

    def save(self, folder: str | Path) -> Path:
        """Writes ``features.safetensors`` and ``index.json``; a kill leaves the old or the new.

        The features carry the note in their header, and that copy is the one that
        :meth:`load` reads: features and note cannot part. ``index.json`` is for everybody else.

        Raises:
            ThesisError: The folder holds something else, or cannot be written.
        """
        folder = Path(folder).expanduser()
        note = self.note()
        tensors = {_tensor(i): np.ascontiguousarray(s.values) for i, s in enumerate(self.streams)}
        check_target(folder)
        sweep(folder)
        with replacing(folder / FEATURES) as partial:
            save_file({**tensors, "labels": self.labels}, partial, {"note": json.dumps(note)})
        write_json(folder / NOTE, note)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> FeatureIndex:
        """The inverse of :meth:`save`.

        Raises:
            ThesisError: There is no index, it is damaged, or another version wrote it.
        """
        file = Path(folder).expanduser() / FEATURES
        if not file.is_file():
            raise ThesisError(f"There is no index in {folder}: `thesislib features` makes one.")
        try:
            with safe_open(file, framework="np") as tensors:
                note = json.loads((tensors.metadata() or {})["note"])
                version = note["format"]
                if version == FORMAT:
                    return cls._read(note, tensors)
        except Exception as error:
            raise ThesisError(
                f"{file} is damaged or no index of ours ({type(error).__name__}): make it again "
                "with `thesislib features`."
            ) from None
        raise ThesisError(
            f"{folder} has the format {version}, this version reads {FORMAT}: make it again with "
            "`thesislib features`."
        )

    @classmethod
    def _read(cls, note: dict[str, Any], tensors: Any) -> FeatureIndex:
        streams = []
        for entry in note["streams"]:
            values = tensors.get_tensor(entry["tensor"])
            if values.dtype != np.float32 or values.shape != (len(note["videos"]), values.shape[1]):
                raise ValueError("the features do not fit the note")
            names = ("run", "weights", "settings", "crops", "preprocessing")
            streams.append(Stream(values, *(entry[name] for name in names)))
        return cls(
            dataset=note["dataset"],
            fingerprint=note["fingerprint"],
            videos=tuple(Video(**video) for video in note["videos"]),
            classes=tuple(note["classes"]),
            streams=tuple(streams),
            skipped=tuple(note["skipped"]),
            commit=note["commit"],
        )


def check_target(folder: Path) -> None:
    """Refuses a folder for an index that holds something else; do it before the work.

    Raises:
        ThesisError: It is a file, or a folder with other files and no index.
    """
    if not folder.exists() or (folder / FEATURES).is_file():
        return
    # What a kill left behind is ours, and hidden.
    if not folder.is_dir() or any(p.name[0] != "." for p in folder.iterdir()):
        raise ThesisError(f"{folder} is no index, or holds other files: name another folder.")


def build_index(
    model: Any,
    manifest: Manifest,
    config: ClipConfig,
    crops: int = 1,
    run: str = "",
    progress: bool = False,
) -> FeatureIndex:
    """Encodes every video of a manifest, whatever its split.

    A video is the mean of ``model.encode`` over its windows and crops; one that is shorter than a
    window is padded with its last frame, one that cannot be read is named in ``skipped``.

    Args:
        model: With ``encode``.
        manifest: The videos; their labels are kept, not used.
        config: Of the model's training: length, stride and size of a window, modality.
        crops: 1, 5 or 10 views of each window.
        run: Where the weights come from, so that queries can be encoded later.
        progress: Show a bar on stderr, if that is a terminal.

    Raises:
        ThesisError: Not one video can be read, or the flow that the model needs is missing.
    """
    off = None if progress else True
    with tqdm(desc="encoding", total=len(manifest), unit="video", disable=off) as bar:

        def encode(batch: dict[str, Any]) -> torch.Tensor:
            encoded: torch.Tensor = model.encode(batch)
            bar.update(int(batch["index"].max()) - bar.n)  # those before are done
            return encoded

        found = over_windows(encode, model, manifest, config, crops=crops)
        bar.update(len(manifest) - bar.n)
    stream = Stream(
        values=found.values,
        run=run,
        weights=weights_hash(model),
        settings=config.hash(),
        crops=crops,
        preprocessing=preprocessing(config, crops),
    )
    used = set(found.videos.tolist())
    name, dirty = commit()
    return FeatureIndex(
        dataset=manifest.name,
        fingerprint=manifest.fingerprint,
        videos=tuple(
            replace(v, path=os.path.abspath(manifest.file(v)))
            for v in (manifest.videos[i] for i in found.videos)
        ),
        classes=manifest.classes,
        streams=(stream,),
        skipped=tuple(v.path for i, v in enumerate(manifest.videos) if i not in used),
        commit=name + ("-dirty" if dirty else ""),
    )


def join(indices: Sequence[FeatureIndex]) -> FeatureIndex:
    """One index of the streams of several, over the videos that all of them have.

    Raises:
        ThesisError: They are of different data, or have no video in common.
    """
    first = indices[0]
    if any(index.fingerprint != first.fingerprint for index in indices):
        raise ThesisError("The streams are of different data sets: encode the same videos twice.")
    places = [{v.path: row for row, v in enumerate(index.videos)} for index in indices]
    common = [v.path for v in first.videos if all(v.path in place for place in places)]
    if not common:
        raise ThesisError("The streams have no video in common that both could read.")
    parts = [
        index.select([place[path] for path in common])
        for index, place in zip(indices, places, strict=True)
    ]
    skipped = dict.fromkeys(path for index in indices for path in index.skipped)
    return replace(
        parts[0],
        streams=tuple(stream for part in parts for stream in part.streams),
        skipped=tuple(skipped),
    )


def weights_hash(model: torch.nn.Module) -> str:
    """sha256 of all weights and their names, 64 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _tensor(stream: int) -> str:
    """Name of a stream's tensor: values, values2, ..."""
    return f"values{stream + 1}" if stream else "values"
