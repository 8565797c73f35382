"""The ledger: results of finished runs on disk, their means over seeds and their comparisons.

One JSON file a (table row, profile, data set, seed) lies in ``results/<method>/``. Only
:func:`promote` writes there, and every number of the book is read from there or comes from the run
at hand. :mod:`thesislib.report` makes tables of it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from thesislib import intervals
from thesislib.errors import ThesisError
from thesislib.files import read_json, write_json
from thesislib.places import inside, results_root, runs_root


@dataclass(frozen=True)
class Entry:
    """One finished run of a table row, as in its ``result.json``."""

    row: str  # its key: "<method>/<name>"
    method: str  # whose chapter has the row
    profile: str  # small, gpu, paper
    dataset: str  # that it was judged on
    seed: int
    metrics: dict[str, float]  # accuracies are fractions in [0, 1]
    hits: dict[str, str] = field(default_factory=dict)  # metric -> one "0" or "1" a test item
    items: dict[str, list[float]] = field(default_factory=dict)  # metric -> value of each item
    checkpoints: list[dict[str, Any]] = field(default_factory=list)  # by epoch, or by stage
    config: dict[str, Any] = field(default_factory=dict)
    config_hash: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Name inside the method's folder of the ledger."""
        row = self.row.replace("/", "__")
        return f"{row}-{self.profile}-{self.dataset}-s{self.seed}.json"


class Summary(TypedDict):
    """A metric over seeds; ``None`` where there are too few of them."""

    n: int
    mean: float | None
    sd: float | None  # sample standard deviation over seeds
    half_width: float | None  # of the 95 % t interval over seeds
    low: float | None
    high: float | None
    seeds: list[int]
    values: list[float]
    configs: int  # distinct settings among the seeds; more than one means they should not be mixed


class Comparison(TypedDict):
    """Row A minus row B over the seeds that both have."""

    row_a: str
    row_b: str
    metric: str
    n: int
    seeds: list[int]
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    t_interval: intervals.Interval | None  # over seeds
    bootstrap: intervals.Interval | None  # over seeds and test items, where those are stored
    videos: int  # test items behind the bootstrap, 0 without


def read_entry(path: Path) -> Entry:
    """Reads and checks one ``result.json``.

    Raises:
        ThesisError: Not JSON, a field is missing, or a metric is not a finite number.
    """
    try:
        raw = read_json(path, "run the row again.")
        known = {k: raw[k] for k in Entry.__dataclass_fields__ if k in raw}
        entry = Entry(**known)
        if not all(isinstance(raw[k], str) for k in ("row", "method", "profile", "dataset")):
            raise TypeError("its names are no text")
        if not all(isinstance(one, str) for one in entry.hits.values()):
            raise TypeError("its hits are no text")
        bad = [k for k, v in entry.metrics.items() if not math.isfinite(v)]
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ThesisError(
            f"{path} is not a result of a run ({error}): run the row again."
        ) from None
    if bad:
        raise ThesisError(f"{path} holds no number for {', '.join(bad)}: the run went wrong.")
    odd = [
        name
        for name in entry.hits
        if set(entry.hits[name]) - {"0", "1"}
        or not math.isclose(
            entry.hits[name].count("1") / max(len(entry.hits[name]), 1),
            entry.metrics.get(name, math.nan),
            abs_tol=1e-4,
        )
    ]
    if odd:
        raise ThesisError(f"{path}: the hits of {', '.join(odd)} do not give its accuracy.")
    return entry


def promote(run_dir: str | Path, results: str | Path | None = None, *, dirty: bool = False) -> Path:
    """Copies the result of a finished run into the ledger, all of it or nothing.

    Args:
        run_dir: A run folder, the ``result.json`` in it, or the name of a run.
        results: Root of the ledger; by default :func:`thesislib.places.results_root`.
        dirty: Take a run of code that was not committed; the entry keeps that mark.

    Returns:
        The file of the ledger.

    Raises:
        ThesisError: The run is not finished, its result is damaged, or its code is not committed.
    """
    source = Path(run_dir)
    if not source.exists():
        source = runs_root() / source
    source = source if source.suffix == ".json" else source / "result.json"
    if not source.is_file():
        raise ThesisError(
            f"{source.parent} holds no finished run: start the same command again, it goes on "
            "from the last checkpoint."
        )
    entry = read_entry(source)
    if not dirty and (entry.provenance.get("dirty") or not entry.provenance.get("commit")):
        raise ThesisError(
            f"{source.parent} ran on code that no commit holds: commit and run again, or promote "
            "it with --dirty."
        )
    # A result may come from somebody else: what it says must not lead out of the ledger.
    folder = inside(Path(results or results_root()), str(entry.method), "a method")
    target = inside(folder, entry.file_name, "a result")
    write_json(target, read_json(source, "run the row again."), sort_keys=True)
    return target


class Ledger:
    """The promoted results, and on request the runs at hand.

    Args:
        entries: Results; of two with the same row, profile, data set and seed the later one counts.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        found = {(e.row, e.profile, e.dataset, e.seed): e for e in entries}
        self._entries = {key: found[key] for key in sorted(found)}
        self._rows: dict[tuple[str, str, str | None], dict[int, Entry]] = {}
        for (row, profile, dataset, seed), entry in self._entries.items():
            self._rows.setdefault((row, profile, dataset), {})[seed] = entry

    @classmethod
    def load(cls, results: str | Path | None = None) -> Ledger:
        """Every result below ``results`` (default: the ledger of this checkout); none is fine."""
        root = Path(results or results_root())
        return _load(tuple((path, _stamp(path)) for path in sorted(root.glob("*/*.json"))))

    @property
    def entries(self) -> list[Entry]:
        """All results, ordered by row, profile, data set and seed."""
        return list(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def select(self, row: str, profile: str, dataset: str | None) -> dict[int, Entry]:
        """The results of a row by seed; none where there is no data set."""
        return dict(self._rows.get((row, profile, dataset), {}))

    def summary(self, row: str, metric: str, profile: str, dataset: str | None) -> Summary:
        """Mean, spread and 95 % t interval of a metric over the seeds of a row."""
        found = {
            seed: entry
            for seed, entry in self.select(row, profile, dataset).items()
            if metric in entry.metrics
        }
        values = [float(entry.metrics[metric]) for entry in found.values()]
        mean = float(np.mean(values)) if values else None
        interval = intervals.t_interval(values)
        settings: list[dict[str, Any]] = []
        for entry in found.values():
            if not any(_alike(entry.config, other) for other in settings):
                settings.append(entry.config)
        return Summary(
            n=len(values),
            mean=mean,
            sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
            half_width=None if interval is None else (interval[1] - interval[0]) / 2,
            low=None if interval is None else interval[0],
            high=None if interval is None else interval[1],
            seeds=list(found),
            values=values,
            configs=len(settings),
        )

    def compare(
        self,
        row_a: str,
        row_b: str,
        metric: str,
        profile: str,
        dataset: str | None,
        metric_b: str = "",
    ) -> Comparison:
        """The paired difference A minus B over common seeds, with two 95 % intervals.

        ``metric_b`` is that of row B, where it is another one.

        The t interval looks at the seeds alone. Where both rows kept what they scored on the same
        test items, a bootstrap over seeds and items stands beside it
        (:func:`thesislib.intervals.hierarchical_bootstrap`).
        """
        a, b = self.select(row_a, profile, dataset), self.select(row_b, profile, dataset)
        other = metric_b or metric
        seeds = [s for s in a if s in b and metric in a[s].metrics and other in b[s].metrics]
        values_a = np.array([a[s].metrics[metric] for s in seeds], dtype=np.float64)
        values_b = np.array([b[s].metrics[other] for s in seeds], dtype=np.float64)
        paired = None
        if other == metric:
            paired = _paired([a[s] for s in seeds], [b[s] for s in seeds], metric)
        return Comparison(
            row_a=row_a,
            row_b=row_b,
            metric=metric,
            n=len(seeds),
            seeds=seeds,
            mean_a=float(values_a.mean()) if seeds else None,
            mean_b=float(values_b.mean()) if seeds else None,
            difference=float((values_a - values_b).mean()) if seeds else None,
            t_interval=intervals.t_interval(values_a - values_b),
            bootstrap=None
            if paired is None
            else intervals.percentile_interval(intervals.hierarchical_bootstrap(paired)),
            videos=0 if paired is None else paired.shape[1],
        )


def _stamp(path: Path) -> tuple[int, int, int]:
    """Another one for each content of a file: results are replaced, never written into."""
    at = path.stat()
    return at.st_ino, at.st_mtime_ns, at.st_size


@functools.lru_cache(maxsize=4)
def _load(files: tuple[tuple[Path, tuple[int, int, int]], ...]) -> Ledger:
    """The results in these files, read once: a page asks for them some twenty times."""
    return Ledger(read_entry(path) for path, _ in files)


# Where the settings of two seeds may differ without deciding a number.
_SILENT = {"seed", "num_workers", "cache", "backend", "tensorboard", "keep_every"}


def _alike(a: Any, b: Any) -> bool:
    """Whether settings agree in all that both name: a later version may know more of them."""
    if isinstance(a, dict) and isinstance(b, dict):
        return all(_alike(a[k], b[k]) for k in (a.keys() & b.keys()) - _SILENT)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return all(map(_alike, a, b))
    return bool(a == b)


def _paired(a: Sequence[Entry], b: Sequence[Entry], metric: str) -> intervals.Floats | None:
    """``(S, V)`` items of A minus items of B, or ``None`` unless all were tested on the same."""
    rows = [[float(x) for x in e.hits.get(metric) or e.items.get(metric) or ()] for e in [*a, *b]]
    data = {e.provenance.get("data_fingerprint") for e in [*a, *b]}
    if not rows or len({len(r) for r in rows}) != 1 or not rows[0] or len(data) > 1:
        return None
    table = np.array(rows)
    return table[: len(a)] - table[len(a) :]
