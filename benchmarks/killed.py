"""Kills the commands that write, at random moments, and repeats them.

    python benchmarks/killed.py                   # 200 kills; --kills, --seed, --work FOLDER

After each SIGKILL the same command runs again to its end, and all that it has left is compared, bit
by bit and times aside, with what an undisturbed run leaves. Before that, two undisturbed runs are
compared. Writes ``killed.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from conditions import conditions
from killing import STEPS, begin, chain, differences, end, load_everything, make_box, put_back, tree

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "killed")
    parser.add_argument("--only", action="append", default=[], help="names of steps")
    args = parser.parse_args()
    kept, box, log = args.work / "kept", args.work / "box", args.work / "log.txt"
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    before, draw = conditions(), random.Random(args.seed)
    load_everything()
    make_box(box)
    steps = [step.name for step in STEPS if not args.only or step.name in args.only]
    ready = chain(box, kept, log, set(steps))
    lines: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(steps):
        copy, argv, wanted = ready[name]
        wish = (number + 1) * args.kills // len(steps) - number * args.kills // len(steps)
        lines[name] = disturbed(box, copy, argv, wanted, wish, draw, log)
        print(name, json.dumps(lines[name]), flush=True)
    sums = {key: sum(line[key] for line in lines.values()) for key in ("kills", "whole", "equal")}
    result = {**before, **sums, "commands": lines}
    (HERE / "killed.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(sums))


def disturbed(
    box: Path,
    copy: Path,
    argv: list[str],
    wanted: dict[str, str],
    wish: int,
    draw: random.Random,
    log: Path,
) -> dict[str, Any]:
    """Kills one command ``wish`` times; counts how often it then came to its end, and equal."""
    put_back(box, copy)
    started = time.monotonic()
    assert end(begin(argv, log)) == 0, log.read_text()
    takes = time.monotonic() - started
    control = differences(wanted, tree(box))
    counts = {"kills": 0, "too_late": 0, "whole": 0, "equal": 0}
    faults: list[str] = []
    while counts["kills"] < wish and counts["too_late"] < 3 * wish:
        put_back(box, copy)
        child = begin(argv, log)
        time.sleep(draw.uniform(0, takes))
        os.kill(child, signal.SIGKILL)
        if end(child) != -signal.SIGKILL:
            counts["too_late"] += 1
            continue
        counts["kills"] += 1
        code = end(begin(argv, log))
        counts["whole"] += code == 0
        other = differences(wanted, tree(box))
        counts["equal"] += code == 0 and not other
        if code or other:
            faults.append(f"{code} {other[:3]} {log.read_text()[-300:] if code else ''}")
    return {**counts, "seconds": round(takes, 2), "control_differs": control, "faults": faults}


if __name__ == "__main__":
    main()
