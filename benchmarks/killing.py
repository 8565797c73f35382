"""Commands that are killed and repeated: where they work, what they leave, whether it is the same.

Every command of :data:`STEPS` runs in a process of its own, forked from one that has loaded the
library, so that two hundred of them need not load torch again. All work in one folder, the box,
which is put back to what it was before each of them; so paths within the files stay the same.
"""

from __future__ import annotations

import csv
import hashlib
import importlib
import io
import json
import os
import pkgutil
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open

import thesislib

REPO = Path(__file__).resolve().parents[1]
CLIPS = (
    "num_workers=0", "min_clips=0", "size=32", "stride=1", "batch_size=4", "epochs=1", "short=pad",
    "flow.algorithm=farneback",
)  # fmt: skip
DPC = ("width=4", "num_seq=4", "seq_len=3", "pred_step=2", "batch_groups=0", "batch_clips=1")
COCLR = (
    "num_seq=1", "seq_len=8", "width=0.02", "mixed=3b,5b", "dim=8", "queue=16", "bn_splits=2",
    "topk=2", "cycles=2", "cycle_epochs=1",
)  # fmt: skip
TUNE = ("num_seq=2", "seq_len=3")


class Step(NamedTuple):
    """A command, whose words may hold {box} and the names of runs, and what it needs."""

    name: str
    words: str
    sets: tuple[str, ...] = ()
    tune: tuple[str, ...] = ()

    def argv(self, box: Path) -> list[str]:
        """Its words in this box."""
        runs = {p.name.split("-")[0]: p.name for p in sorted((box / "runs").glob("*-*"))}
        words = [word.format(box=box, **runs) for word in self.words.split()]
        words += [w for one in self.sets for w in ("--set", one)]
        return words + [w for one in self.tune for w in ("--tune", one)]


# In this order, each on what the ones before have left.
STEPS = (
    Step("prepare synthetic", "prepare synthetic --clips 24 --size 32 --jobs 1"),
    Step(
        "prepare folder",
        "prepare folder {box}/data/synthetic/train --name own --copy --val 0.2 --test 0.2 --jobs 1",
    ),
    Step("flow", "flow own --algorithm farneback --jobs 1"),
    Step("train dpc", "train dpc --dataset own", (*CLIPS, *DPC)),
    Step("train coclr", "train coclr --row coclr-flow --dataset own", (*CLIPS, *COCLR)),
    Step("eval dpc", "eval dpc --dataset own", (*CLIPS, *DPC), (*CLIPS, *TUNE)),
    Step("features", "features own --run {dpc} --out {box}/index --csv"),
    Step("retrieve", "retrieve {box}/index --out {box}/page.html --csv {box}/near.csv"),
    Step("show", "show own --out {box}/sheet.png"),
    Step("report promote", "report promote {box}/runs/{dpc_5pred3} --dirty"),
    Step("import", "import dpc {box}/theirs.pth --set size=32 --set num_seq=4"),
)


def load_everything() -> None:
    """Imports the library whole, before the forks."""
    for module in pkgutil.walk_packages(thesislib.__path__, "thesislib."):
        importlib.import_module(module.name)


def make_box(box: Path) -> None:
    """An empty box with a file of the authors' kind, and the environment of its commands."""
    sys.path += [str(REPO / "tests")]
    state = importlib.import_module("reference").state("dpc_r18")
    shutil.rmtree(box, ignore_errors=True)
    for name in ("data", "runs", "results"):
        (box / name).mkdir(parents=True)
        os.environ[f"THESISLIB_{name.upper()}"] = str(box / name)
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    torch.save(
        {"epoch": 1, "state_dict": {f"module.{k}": v for k, v in state.items()}}, box / "theirs.pth"
    )


def begin(argv: list[str], log: Path, before: Callable[[], object] = lambda: None) -> int:
    """Starts a command in a forked process, which calls ``before`` first; returns its number."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 70
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        before()
        code = importlib.import_module("thesislib.cli").main(argv)
    except BaseException:  # also argparse's exit: the parent must never be left twice
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end(child: int) -> int:
    """Waits for it: its exit code, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def put_back(box: Path, copy: Path) -> None:
    """Makes the box what it was when ``copy`` was taken."""
    shutil.rmtree(box)
    shutil.copytree(copy, box)


def chain(
    box: Path, kept: Path, log: Path, only: set[str]
) -> dict[str, tuple[Path, list[str], dict[str, str]]]:
    """Runs all steps undisturbed.

    Returns:
        By the name of each step of ``only``: a copy of the box before it, its words, and what the
        box held after it.
    """
    found = {}
    for number, step in enumerate(STEPS):
        argv, copy = step.argv(box), kept / f"before{number}"
        if step.name in only:
            shutil.copytree(box, copy)
        if code := end(begin(argv, log)):
            sys.exit(f"{step.name} fails undisturbed ({code}):\n{log.read_text()}")
        if step.name in only:
            found[step.name] = copy, argv, tree(box)
    return found


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The files that differ, by their paths."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def tree(box: Path) -> dict[str, str]:
    """What every file of the box holds, times aside; locks are left out, partial files are not."""
    files = sorted(p for p in box.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p.relative_to(box)): _content(p) for p in files}


# Times, and what follows from them.
TIMES = {
    "provenance", "seconds", "processor", "wall_seconds", "processor_seconds", "changed_ns", "made",
}  # fmt: skip


def _content(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".json":
        data = _plain(json.loads(data)).encode()
    elif path.name == "contents.csv":  # of copies, which are as old as their making
        rows = csv.DictReader(io.StringIO(data.decode()))
        data = _plain([dict(row) for row in rows]).encode()
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            head = dict(file.metadata() or {})
            names = sorted(file.keys())
            sums = [hashlib.sha256(file.get_tensor(n).tobytes()).hexdigest() for n in names]
        head.pop("info_sha256", None)
        info = json.loads(head.pop("info", "{}"))
        data = _plain([head, info, names, sums]).encode()
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> str:
    return json.dumps(_timeless(value), sort_keys=True)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMES}
    return [_timeless(v) for v in value] if isinstance(value, list) else value
