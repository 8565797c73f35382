"""All checks of the project, each named, timed and summed up: what `make test` runs.

python scripts/check.py          # everything
python scripts/check.py lint     # style, types, contracts, spelling, twins
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from notebooks import longest_first, pairs

REPO = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# A chapter trains inside one cell; the limit only catches a kernel that hangs.
CELL_SECONDS = 1800

LINT: dict[str, list[str]] = {
    "style": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "spelling": ["codespell"],
    "contracts": ["lint-imports", "--no-logo"],
    "types": ["mypy"],
    "twins": [sys.executable, "scripts/notebooks.py", "check"],
}
# Takes a core for more than a minute where nothing is cached: it runs beside the others.
BESIDE = "types"
TESTS: dict[str, list[str]] = {
    "data": [sys.executable, "scripts/book.py", "data"],
    "notebooks": [
        *("pytest", "--nbval-lax", "--nbval-current-env"),
        *(f"notebooks/{pair.notebook.name}" for pair in longest_first(pairs(REPO))),
        *("--numprocesses", "3", "--dist", "loadfile"),  # side by side, as for the book
        "--no-loadscope-reorder",  # which would begin with the one of most cells
        f"--nbval-cell-timeout={CELL_SECONDS}",
    ],
    # A file is one process's, so that what its tests share is made once.
    "tests": ["pytest", "tests", "--numprocesses", "auto", "--dist", "loadfile"],
}


def run(
    name: str, command: list[str], environment: dict[str, str], beside: bool = False
) -> tuple[bool, str]:
    """Runs one check; its output goes to the screen, its last line is returned as the summary.

    Of one that runs beside others the output comes in one piece, at its end.
    """
    out = io.StringIO() if beside else sys.stdout
    print(f"== {name}: {' '.join(Path(part).name for part in command)}", file=out, flush=True)
    tool = BIN / command[0]
    if tool.exists():
        command = [str(tool), *command[1:]]
    start = time.perf_counter()
    last = ""
    with subprocess.Popen(
        command,
        cwd=REPO,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", file=out, flush=True)
            last = line.strip() or last
    good = process.returncode == 0
    seconds = time.perf_counter() - start
    if isinstance(out, io.StringIO):
        print(out.getvalue(), end="", flush=True)
    return good, f"{'ok  ' if good else 'FAIL'} {name:<10} {seconds:6.1f} s  {last}"


def main(argv: list[str] | None = None) -> int:
    """Runs the checks, all of them even if one fails, and prints a line for each at the end."""
    top = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    top.add_argument("what", nargs="?", choices=("all", "lint"), default="all")
    args = top.parse_args(argv)
    # Nothing may reach out to a network, nor read the user's own notebook settings.
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "IPYTHONDIR": str(REPO / "_build" / "ipython"),
        "MPLBACKEND": "Agg",
        "TQDM_DISABLE": "1",  # a bar that redraws itself is no use in a log
    }
    plain = {**os.environ, **quiet}
    # Inside a kernel figures are drawn inline, as in the record.
    kernel = {key: value for key, value in plain.items() if key != "MPLBACKEND"}
    kernel |= {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    checks = LINT if args.what == "lint" else {**LINT, **TESTS}
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(run, BESIDE, checks[BESIDE], plain, beside=True)
        results = [
            run(name, command, kernel if name == "notebooks" else plain)
            for name, command in checks.items()
            if name != BESIDE
        ]
        results.append(beside.result())
    print("\n" + "\n".join(line for _, line in results))
    if all(good for good, _ in results):
        return 0
    print(f"{sum(not good for good, _ in results)} of {len(results)} checks failed")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
