"""An index of videos: the features of a data set, what they were made of, and look-up by cosine.

Three lines, for videos that need no labels::

    index = build_index(model, manifest, config)  # of thesislib.evaluation.indexing
    index.save("holiday_index")
    FeatureIndex.load("holiday_index").search(k=5).rows  # (V, 5): the neighbours of every video

Two encoders, one that saw frames and one that saw optical flow, make one index of two streams
(:func:`join`): their cosines are averaged, as in the two-stream rows of Table 4.3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from thesislib.checksums import checksum
from thesislib.data.manifest import Video
from thesislib.errors import ThesisError
from thesislib.evaluation.retrieval import nearest
from thesislib.evaluation.scores import unit
from thesislib.evaluation.spans import Spans
from thesislib.files import reading, replacing, sweep, write_json

FEATURES, NOTE = "features.safetensors", "index.json"
FORMAT = 3  # 2 had no moments, and is still read; 1 had no checksum
READ = (2, FORMAT)
CHUNK = 256  # queries that are compared with all moments at a time
AGAIN = "make it again with `thesislib features`."


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
        rows: int64 ``(Q, k)``, rows of the index, best first; of equal cosines the first row. Where
            moments overlap there may be fewer than k: -1.
        cosine: float32 ``(Q, k)`` in ``[-1, 1]``; of two streams the mean.
    """

    rows: NDArray[np.int64]
    cosine: NDArray[np.float32]


@dataclass(frozen=True)
class FeatureIndex:
    """Videos, or moments of them, and their features.

    Attributes:
        dataset: Name of the data set.
        fingerprint: That of its manifest.
        videos: One a row, with absolute paths.
        classes: Class names; the place is the class number.
        streams: One encoder each.
        skipped: Paths of the videos that have no row, because they could not be read.
        commit: Of the code that made it.
        moments: float64 ``(V, 2)``, seconds at which each row begins and ends in its video;
            ``None`` where rows are whole videos.
    """

    dataset: str
    fingerprint: str
    videos: tuple[Video, ...]
    classes: tuple[str, ...]
    streams: tuple[Stream, ...]
    skipped: tuple[str, ...] = ()
    commit: str = ""
    moments: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class numbers ``(V,)``; -1 without a label."""
        numbers = {name: i for i, name in enumerate(self.classes)}
        return np.array([numbers.get(v.label, -1) for v in self.videos], np.int64)

    def moment(self, row: int) -> tuple[float, float] | None:
        """Seconds at which a row begins and ends; ``None``: it is a whole video."""
        return None if self.moments is None else tuple(self.moments[row].tolist())

    def select(self, rows: Sequence[int] | NDArray[np.int64]) -> FeatureIndex:
        """Some rows, in this order."""
        return replace(
            self,
            videos=tuple(self.videos[r] for r in rows),
            streams=tuple(replace(s, values=s.values[np.asarray(rows)]) for s in self.streams),
            moments=None if self.moments is None else self.moments[np.asarray(rows)],
        )

    def search(self, queries: FeatureIndex | None = None, k: int = 5) -> Neighbours:
        """The ``k`` rows of the index that are nearest to each query; never the query itself.

        Of moments no two overlap: neither with the query nor with a nearer one. So each is another
        scene, and not the same one half a second later.

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
        if self.moments is not None:
            return self._apart(queries, k)
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

    def _apart(self, queries: FeatureIndex, k: int) -> Neighbours:
        """:meth:`search` among moments."""
        q, g = self._embedding(queries), self._embedding(self)
        rows, cosine = np.full((len(q), k), -1), np.zeros((len(q), k), np.float32)
        own = Spans.of(self.videos, self.moments)
        for first in range(0, len(q), CHUNK):
            part = nearest(q[first : first + CHUNK], g, len(self), centre=False)
            for place, order in enumerate(part, first):
                found = own.apart(order, queries.videos[place].path, queries.moment(place), k)
                rows[place, : len(found)] = found
                cosine[place, : len(found)] = g[found] @ q[place]
        return Neighbours(rows, cosine.clip(-1, 1))

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
            "rows": "videos" if self.moments is None else "moments",
            "videos": [asdict(video) for video in dict.fromkeys(self.videos)],
        }

    def save(self, folder: str | Path) -> Path:
        """Writes ``features.safetensors`` and ``index.json``; a kill leaves the old or the new.

        The features carry the note in their header, and that copy is the one that
        :meth:`load` reads: features and note cannot part, and a checksum of both stands beside it.
        ``index.json`` is for everybody else.

        Raises:
            ThesisError: The folder holds something else, or cannot be written.
        """
        folder = Path(folder).expanduser()
        note = self.note()
        values = {_tensor(i): np.ascontiguousarray(s.values) for i, s in enumerate(self.streams)}
        tensors: dict[str, Any] = {**values, "labels": self.labels}
        if self.moments is not None:
            numbers = {video: number for number, video in enumerate(dict.fromkeys(self.videos))}
            tensors["video"] = np.array([numbers[video] for video in self.videos], np.int64)
            tensors["moments"] = np.ascontiguousarray(self.moments, np.float64)
        text = json.dumps(note)
        check_target(folder)
        sweep(folder)
        with replacing(folder / FEATURES) as partial:
            save_file(tensors, partial, {"note": text, "sha256": checksum(text, tensors)})
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
        with reading(file, AGAIN), safe_open(file, framework="np") as opened:
            said = opened.metadata() or {}
            note = json.loads(said["note"])
            if note["format"] not in READ:
                reads = " and ".join(map(str, READ))
                has = f"{folder} has the format {note['format']}, this version reads {reads}"
                raise ThesisError(f"{has}: {AGAIN}")
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            if checksum(said["note"], tensors) != said["sha256"]:
                raise ValueError("its checksum is another")
            return cls._of(note, tensors)

    @classmethod
    def _of(cls, note: dict[str, Any], tensors: Mapping[str, NDArray[Any]]) -> FeatureIndex:
        streams, moments = [], None
        videos = tuple(Video(**video) for video in note["videos"])
        if note.get("rows") == "moments":
            videos = tuple(videos[number] for number in tensors["video"])
            moments = tensors["moments"]
            if moments.shape != (len(videos), 2):
                raise ValueError("the moments do not fit the note")
        for entry in note["streams"]:
            values = tensors[entry["tensor"]]
            if values.dtype != np.float32 or values.shape != (len(videos), values.shape[1]):
                raise ValueError("the features do not fit the note")
            names = ("run", "weights", "settings", "crops", "preprocessing")
            streams.append(Stream(values, *(entry[name] for name in names)))
        return cls(
            dataset=note["dataset"],
            fingerprint=note["fingerprint"],
            videos=videos,
            classes=tuple(note["classes"]),
            streams=tuple(streams),
            skipped=tuple(note["skipped"]),
            commit=note["commit"],
            moments=moments,
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


def join(indices: Sequence[FeatureIndex]) -> FeatureIndex:
    """One index of the streams of several, over the videos, or moments, that all of them have.

    Raises:
        ThesisError: They are of different data, or have no video (or moment) in common.
    """
    first = indices[0]
    if any(index.fingerprint != first.fingerprint for index in indices):
        raise ThesisError("The streams are of different data sets: encode the same videos twice.")
    places = [
        {(v.path, index.moment(row)): row for row, v in enumerate(index.videos)}
        for index in indices
    ]
    common = [row for row in places[0] if all(row in place for place in places)]
    if not common:
        what = "video" if first.moments is None else "moment"
        raise ThesisError(f"The streams have no {what} in common that both could read.")
    parts = [
        index.select([place[row] for row in common])
        for index, place in zip(indices, places, strict=True)
    ]
    skipped = dict.fromkeys(path for index in indices for path in index.skipped)
    return replace(
        parts[0],
        streams=tuple(stream for part in parts for stream in part.streams),
        skipped=tuple(skipped),
    )


def _tensor(stream: int) -> str:
    """Name of a stream's tensor: values, values2, ..."""
    return f"values{stream + 1}" if stream else "values"
