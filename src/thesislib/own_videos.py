"""A user's own videos: from a folder to an index, as ``thesislib features`` does it.

The index itself is :mod:`thesislib.evaluation.index`; :mod:`thesislib.lookup` searches it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thesislib import recipes
from thesislib.data.checking import printable
from thesislib.data.flow_files import check_flow
from thesislib.data.folder import prepare_folder
from thesislib.data.manifest import MANIFEST_FILE, Manifest, read_info, read_manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.imagenet import ImageNetEncoder
from thesislib.evaluation.index import FeatureIndex, check_target, join
from thesislib.evaluation.indexing import build_index
from thesislib.files import sheet_text, write_text
from thesislib.places import data_root, runs_root
from thesislib.pretrained import coclr as shipped
from thesislib.runs import config_of, finished_runs, load_run
from thesislib.train import placed

Say = Callable[[str], None]
IMAGENET = "imagenet"  # stands for a run: the image network of the extra, which needs no training
SHIPPED = "small-coclr-rgb"  # where nobody says otherwise, and no run has seen the videos
TABLE = "features.csv"


def to_stderr(line: str) -> None:
    """Where log lines go if nobody says otherwise."""
    print(line, file=sys.stderr, flush=True)


def output_file(out: str | Path, example: str) -> Path:
    """Where a page or a table goes, which is told by its ending: a slip replaces no video.

    Args:
        out: What the user named.
        example: A name that would do; its ending is asked for.

    Raises:
        ThesisError: It is a folder, or ends otherwise.
    """
    path, ending = Path(out).expanduser(), Path(example).suffix
    what = "table" if ending == ".csv" else "page"
    if path.is_dir():
        raise ThesisError(f"{path} is a folder: name a file for the {what}, such as {example}.")
    if path.suffix.lower() != ending:
        raise ThesisError(
            f"{path} does not end in {ending}: name a file for the {what}, such as {example}."
        )
    return path


def index_videos(
    source: str,
    runs: Sequence[str] = (),
    out: str | Path | None = None,
    crops: int = 1,
    log: Say = to_stderr,
    *,
    table: bool = False,
    moments: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Encodes every video of a data set, whatever its split, and writes an index.

    Args:
        source: Name of a prepared data set, or a folder of videos (or a csv), which is then
            prepared as ``thesislib prepare folder`` does it, under the folder's name.
        runs: Names or folders of pre-training runs, one a stream, whatever videos they learnt from;
            ``small-coclr-rgb`` or ``small-coclr-flow`` for a network that ships, ``imagenet`` for
            the image network of the extra of that name. Default: the newest run on this data set
            whose input is there (flow may not be), else ``small-coclr-rgb``.
        out: Folder to write; default ``<data set>_index``.
        crops: 1, 5 or 10 views of each window.
        log: Where the log lines go.
        table: Also write ``features.csv`` there, a line a row.
        moments: A row for each window of time, about a second, in the place of one for a video.
        progress: Show a bar on stderr, if that is a terminal.

    Returns:
        Plain JSON: the index folder, counts, runs, names of the skipped videos.

    Raises:
        ThesisError: There is no such data set or run, or the flow that a run needs is missing.
    """
    manifest = data_set(source, log)
    target = Path(out or f"{manifest.name}_index").expanduser()
    check_target(target)
    names = list(runs) or [_default(manifest, log)]
    loaded = [encoder(name) for name in names]
    for _, config, _ in loaded:  # all of them, before hours are spent on the first
        if config.modality != "rgb":
            check_flow(manifest, config.flow)
    parts = []
    for model, config, name in loaded:
        log(f"{manifest.name}: encoding {len(manifest)} videos with {Path(name).name}")
        parts.append(build_index(placed(model), manifest, config, crops, name, progress, moments))
    index = join(parts)
    folder = index.save(target)
    (folder / TABLE).unlink(missing_ok=True)  # of the index that was here
    if table:
        write_text(folder / TABLE, as_table(index))
    for path in index.skipped:
        log(f"skipped: {path}")
    return {
        "index": str(folder),
        **({"table": str(folder / TABLE)} if table else {}),
        "videos": len(set(index.videos)),
        **({"moments": len(index)} if moments else {}),
        "skipped": list(index.skipped),
        "runs": [stream.run for stream in index.streams],
        "features": [stream.values.shape[1] for stream in index.streams],
    }


def encoder(name: str) -> tuple[Any, Any, str]:
    """The model of a run, its settings, and the name by which it is found again.

    Raises:
        ThesisError: There is no such run, or the extra ``imagenet`` is not installed.
    """
    if name == IMAGENET:
        network = ImageNetEncoder()
        return network, network.config, name
    if name in shipped.FOLDERS:
        return *shipped.load(name), name
    model, config, run = load_run(name)
    return model, config, run.name if run.path.parent == runs_root().resolve() else str(run.path)


def _default(manifest: Manifest, log: Say) -> str:
    """The newest run on a data set that can encode it, else the network that ships; says which."""
    own, dataset = finished_runs(manifest.name), manifest.name
    for run in own:
        config = config_of(run)
        try:
            if config.modality != "rgb":
                check_flow(manifest, config.flow)
        except ThesisError as error:
            log(f"{run.name}, a run on {dataset}, is passed over: {error}")
            continue
        log(f"{run.name} is the newest run on {dataset}; --run names another")
        return run.name
    who = f"no run on {dataset} can encode it" if own else f"no run has learnt from {dataset}"
    log(
        f"{who}: {SHIPPED} encodes, which ships and knows simulated people alone (`thesislib train "
        "coclr` learns from your videos; --run names another)"
    )
    return SHIPPED


def as_table(index: FeatureIndex) -> str:
    """An index as csv: path, label (seconds) and the numbers of each row, as encoders gave them."""
    widths = [stream.values.shape[1] for stream in index.streams]
    names = [f"s{s}_{i}" for s, width in enumerate(widths, 1) for i in range(width)]
    rows = []
    for row, video in enumerate(index.videos):
        values = [f"{x:.9g}" for stream in index.streams for x in stream.values[row]]
        rows.append((printable(video.path), video.label, *(index.moment(row) or ()), *values))
    when = () if index.moments is None else ("start", "end")
    return sheet_text(("path", "label", *when, *names), rows)


def is_data_set(source: str) -> bool:
    """Whether that names a prepared data set, or its folder."""
    path = Path(source).expanduser()
    return _is_name(source) or (path / MANIFEST_FILE).is_file() or path.name == MANIFEST_FILE


def _is_name(source: str) -> bool:
    # A bare name means the data set first; ./name and a/b mean the folder.
    return source == Path(source).name and (data_root() / source / MANIFEST_FILE).is_file()


def data_set(source: str, log: Say = to_stderr) -> Manifest:
    """A prepared data set by its name, or a folder of videos, prepared now if need be."""
    path = Path(source).expanduser()
    if is_data_set(source):
        return read_manifest(source if _is_name(source) else path.resolve())
    if not path.exists():
        raise ThesisError(
            f"There is no data set and no folder {source!r}: name a folder of videos, or prepare "
            "the data set first."
        )
    name = recipes.name_of(path)
    log(f"{source} is a folder of videos: it becomes the data set {name!r}")
    # Encoding decodes them all and names what is damaged: to decode them before would take as long
    # again. A set that was checked frame by frame stays so, or it would be another one.
    before = read_info(data_root() / name).get("options", {})
    prepare_folder(path, name, full_check=bool(before.get("full_check")))
    return read_manifest(name)
