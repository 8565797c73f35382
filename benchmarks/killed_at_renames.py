"""Kills `train dpc` and a co-training of two cycles at every rename, and resumes them.

    python benchmarks/killed_at_renames.py        # --work FOLDER

Every file that counts is written beside its place and renamed into it. The child process kills
itself (SIGKILL) just before its n-th rename, for every n, and once after the last; then the same
command runs to its end, and all that it has left is compared, bit by bit and times aside, with what
an undisturbed run leaves. Writes ``killed_at_renames.json``: each rename and what became of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conditions import conditions
from killing import begin, chain, differences, end, load_everything, make_box, put_back, tree

HERE = Path(__file__).parent
STEPS = ("train dpc", "train coclr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "killed_renames")
    args = parser.parse_args()
    kept, box, log = args.work / "kept", args.work / "box", args.work / "log.txt"
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    before = conditions()
    load_everything()
    make_box(box)
    ready = chain(box, kept, log, set(STEPS))
    lines = {name: at_each(box, *ready[name], log) for name in STEPS}
    everything = [line for found in lines.values() for line in found]
    equal = sum(line["outcome"] == "equal" for line in everything)
    result = {**before, "renames": len(everything), "equal": equal, "commands": lines}
    (HERE / "killed_at_renames.json").write_text(json.dumps(result, indent=1) + "\n")
    print(equal, "of", len(everything), "equal")


def at_each(
    box: Path, copy: Path, argv: list[str], wanted: dict[str, str], log: Path
) -> list[dict[str, Any]]:
    """One line a rename of this command: its file, and what became of it after the kill."""
    put_back(box, copy)
    seen = log.with_name("renames.txt")
    seen.write_text("")
    assert end(begin(argv, log, kill_at(0, seen))) == 0, log.read_text()
    files = [str(Path(line).relative_to(box)) for line in seen.read_text().splitlines()]
    lines = []
    for number, file in enumerate([*files, "after the last"], 1):
        put_back(box, copy)
        killed = end(begin(argv, log, kill_at(number, seen, after=number > len(files))))
        assert killed == -signal.SIGKILL, (killed, log.read_text())
        code = end(begin(argv, log))
        other = differences(wanted, tree(box))
        outcome = f"exit {code}: {log.read_text()[-300:]}" if code else ", ".join(other) or "equal"
        lines.append({"rename": number, "file": file, "outcome": outcome})
        print(argv[:2], json.dumps(lines[-1]), flush=True)
    return lines


def kill_at(number: int, seen: Path, after: bool = False) -> Callable[[], None]:
    """Lets the process kill itself before its rename of this number, or after the one before it.

    What is renamed is written down in ``seen``.
    """
    plain, count = os.replace, 0

    def replace(source: Any, target: Any, **more: Any) -> None:
        nonlocal count
        count += 1
        if count == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        plain(source, target, **more)
        with seen.open("a") as file:
            file.write(f"{target}\n")
        if after and count == number - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def patch() -> None:
        os.replace = replace

    return patch


if __name__ == "__main__":
    main()
