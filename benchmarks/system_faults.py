"""Commands on a system that refuses: full or read-only disk, no rights, no home, few descriptors.

    python benchmarks/system_faults.py            # as root on Linux; --only STEP, --work FOLDER

All commands of ``killing.py`` work in a file system in memory of their own, which is made as full
or as forbidden as the fault asks. A command has either done its work or ends with one sentence
(exit code 1 or 2). Then the fault is lifted and the same command runs again: what it has left is
compared, bit by bit and times aside, with what an undisturbed run leaves, so that nothing half
written counts as whole. Writes ``system_faults.json`` beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import encodings
import importlib
import json
import os
import pkgutil
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from conditions import conditions
from killing import STEPS, begin, chain, differences, end, load_everything, make_box, tree

HERE = Path(__file__).parent
FREE = (0, 4, 32, 256)  # KiB that are left on the full disk
ROOM = "512m"
NOBODY = 65534
DESCRIPTORS = 64


def mount(box: Path, *options: str) -> None:
    """(Re)mounts the box's file system."""
    subprocess.run(["mount", *options, str(box)], check=True)


def fill(box: Path, copy: Path) -> None:
    """Makes the box what it was when ``copy`` was taken, with all rights and much room."""
    mount(box, "-o", f"remount,rw,size={ROOM}")
    for child in box.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    shutil.copytree(copy, box, dirs_exist_ok=True)


def full(box: Path, free: int) -> None:
    """Leaves ``free`` KiB."""
    found = os.statvfs(box)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
    mount(box, "-o", f"remount,size={used + free}k")


def as_nobody() -> None:
    """Becomes a user without rights; what Python may yet look up in root's folders is loaded."""
    for module in pkgutil.iter_modules(encodings.__path__):
        with contextlib.suppress(ImportError):  # those of other systems
            importlib.import_module(f"encodings.{module.name}")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def no_home() -> None:
    os.environ["HOME"] = "/nonexistent"


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


# What is done to the box, and what the command's own process does first.
Fault = tuple[Callable[[Path], object], Callable[[], object]]


def nothing(*_: object) -> None:
    pass


FAULTS: dict[str, Fault] = {
    **{f"full disk, {free} KiB left": (partial(full, free=free), nothing) for free in FREE},
    "read-only": (lambda box: mount(box, "-o", "remount,ro"), nothing),
    "no right to write": (nothing, as_nobody),
    "no home": (nothing, no_home),
    f"{DESCRIPTORS} descriptors": (nothing, few_descriptors),
}


def outcome(code: int, text: str) -> str:
    """``done``, ``named`` or what is wrong."""
    lines = [line for line in text.splitlines() if line.strip()]
    if code < 0 or "Traceback" in text or "Exception ignored" in text:
        return "escaped"
    if code == 0:
        return "done"
    return "named" if code in (1, 2) and lines and lines[-1].startswith("thesislib") else "wordless"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "system_faults")
    parser.add_argument("--only", action="append", default=[], help="names of steps")
    args = parser.parse_args()
    if os.geteuid():
        sys.exit("Mounting and being somebody else needs root.")
    kept, box, log = args.work / "kept", args.work / "box", args.work / "log.txt"
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    before, chosen = conditions(), [s.name for s in STEPS if not args.only or s.name in args.only]
    load_everything()
    make_box(box)
    ready = chain(box, kept, log, set(chosen))
    shutil.rmtree(box)
    box.mkdir()
    mount(box, "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs")
    lines: dict[str, Any] = {}
    try:
        for name in chosen:
            lines[name] = {fault: tried(box, log, *ready[name], fault) for fault in FAULTS}
            print(name, json.dumps(lines[name], indent=1), flush=True)
    finally:
        subprocess.run(["umount", "-l", str(box)], check=True)
    counts = Counter(one["outcome"] for line in lines.values() for one in line.values())
    unequal = sum(bool(one["differs"]) for line in lines.values() for one in line.values())
    result = {**before, "outcomes": dict(counts), "unequal": unequal, "commands": lines}
    (HERE / "system_faults.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({"outcomes": dict(counts), "unequal": unequal}))


def tried(
    box: Path, log: Path, copy: Path, argv: list[str], wanted: dict[str, str], fault: str
) -> dict[str, Any]:
    """One command under one fault, and again without it."""
    to_box, in_process = FAULTS[fault]
    fill(box, copy)
    to_box(box)
    code = end(begin(argv, log, in_process))
    text = log.read_text(errors="replace")
    found = {"outcome": outcome(code, text), "said": (text.strip().splitlines() or [""])[-1][:300]}
    if found["outcome"] not in ("done", "named"):
        found["log"] = text[-2000:]
    mount(box, "-o", f"remount,rw,size={ROOM}")
    again = end(begin(argv, log))
    return {**found, "differs": [str(again)] * bool(again) + differences(wanted, tree(box))[:5]}


if __name__ == "__main__":
    main()
