"""Builds the HTML book: run the chapters (or take the record), stage the pages, build strictly.

    python scripts/book.py build             # what `make book` does
    python scripts/book.py build --record    # from the committed notebooks, nothing executed

Everything lands in _build/ and the committed notebooks stay as they are. Each step leaves a
finished file or nothing, so a call that was killed goes on where it stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pages
from execute import Failure, execute, machine
from notebooks import REPO, Pair, from_text, longest_first, pairs, stop, write, write_text

# What the chapters read: the studio; its rooms for chapter 4, and the motion in them; videos with
# captions for chapter 5; narrated ones for chapters 6 and 7; films for chapter 8.
DATASETS = (
    "synthetic", "synthetic_rooms", "synthetic_captions", "synthetic_narrated", "synthetic_films",
)  # fmt: skip
PREPARE = (
    ("prepare", "synthetic"),
    ("prepare", "synthetic_rooms"),
    ("flow", "synthetic_rooms", "--algorithm", "tvl1_quick", "--bound", "5"),
    ("prepare", "synthetic_captions"),
    ("prepare", "synthetic_narrated"),
    ("prepare", "synthetic_films"),
)
LANES = 3  # chapters at a time; each takes 1.5 GB of memory at the most
# Sphinx repeats what it read on the way; these lines alone tell a reader what is wrong.
TELLING = ("WARNING", "ERROR", "CRITICAL", "Error", "error:")


@contextlib.contextmanager
def only_one(build: Path) -> Iterator[None]:
    """Holds the build folder, so that two calls do not write into one another's pages."""
    build.mkdir(parents=True, exist_ok=True)
    with open(build / ".lock", "w") as lock:
        try:
            import fcntl
        except ImportError:
            pass
        else:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print("waiting for another build of this folder to end", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# -- chapters ------------------------------------------------------------------------------


def inputs_hash(pair: Pair, root: Path, data: Path, results: Path) -> str:
    """Hash of all that a chapter's outputs depend on: its cells, the library, ledger and data.

    Args:
        pair: the chapter; the text decides, as everywhere.
        root: the checkout.
        data: folder of the data sets.
        results: folder of the ledger.
    """
    digest = hashlib.sha256()
    source = root / "src" / "thesislib"
    files = [p for p in source.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    files += [p for p in results.rglob("*.json") if p.is_file()]
    files += [data / name / file for name in DATASETS for file in ("manifest.csv", "dataset.json")]
    files += [root / "constraints.txt", pair.text]
    for path in sorted(files):
        digest.update(f"{path}\n".encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def run_chapters(chapters: list[Pair], root: Path, build: Path) -> dict[str, Path]:
    """Executes the chapters side by side, each with one thread, the longest first.

    One more than two cores can hold, so that the last of them has not one core for itself and
    leaves the other idle: with three chapters that saves a quarter of the time.

    Returns:
        The executed notebook of each.

    Raises:
        Failure: a cell of one failed; the others are run to their ends, so that nothing is lost.
    """
    from thesislib.places import data_root, results_root

    order = longest_first(chapters)
    lanes = min(LANES, 1 + (os.cpu_count() or 1))
    with ThreadPoolExecutor(lanes) as pool:
        work = [
            pool.submit(run_chapter, p, root, build, data_root(), results_root()) for p in order
        ]
        try:
            wait(work)
        except KeyboardInterrupt:
            print("stopped; the same command goes on from here", file=sys.stderr, flush=True)
            os._exit(130)  # the kernels end with this process, the threads would wait for them
    return {pair.name: one.result() for pair, one in zip(order, work, strict=True)}


def run_chapter(pair: Pair, root: Path, build: Path, data: Path, results: Path) -> Path:
    """Executes one chapter with its default parameters, unless nothing it needs has changed.

    Returns:
        The executed notebook under ``_build/executed``; beside it a JSON with minutes and machine.

    Raises:
        Failure: a cell failed.
    """
    out = build / "executed" / f"{pair.name}.ipynb"
    stamp = out.with_suffix(".json")
    inputs = inputs_hash(pair, root, data, results)
    with contextlib.suppress(OSError, ValueError):
        if json.loads(stamp.read_text())["inputs"] == inputs and out.is_file():
            print(f"{pair.name}: unchanged since it was last run", flush=True)
            return out
    log = build / "logs" / f"{pair.name}.log"
    print(f"{pair.name}: running (follow it in {_short(log, root)})", flush=True)
    start = time.perf_counter()
    # The text is what people edit; the notebook may be a step behind until `make sync`.
    page = from_text(pair.text.read_text(encoding="utf-8"))
    done = execute(page, pair.name, pair.notebook.parent, log, threads=1)
    minutes = round((time.perf_counter() - start) / 60, 1)
    write(done, out)
    known = {"inputs": inputs, "minutes": minutes, **machine()}
    write_text(stamp, json.dumps(known, indent=1) + "\n")
    print(f"{pair.name}: done in {minutes} minutes", flush=True)
    return out


# -- pages ---------------------------------------------------------------------------------


def stage(root: Path, target: Path, notebooks: dict[str, Path], minutes: dict[str, Any]) -> None:
    """Lays out what the book is built from: prose, configuration, executed notebooks.

    Args:
        root: the checkout.
        target: folder to fill. Files that are right already keep their time, so that the build
            reads again only what changed.
        notebooks: executed notebook of each chapter.
        minutes: machine and minutes of each chapter, for the status page.
    """
    wanted: dict[str, Path | str | bytes] = {"_config.yml": root / "_config.yml"}
    wanted["_toc.yml"] = root / "_toc.yml"
    for path in (root / "book").rglob("*"):
        if path.is_file():
            wanted[path.relative_to(root).as_posix()] = path
    wanted |= {f"notebooks/{name}.ipynb": path for name, path in notebooks.items()}
    wanted |= {f"book/generated/{n}": text for n, text in pages.fragments(minutes).items()}
    wanted |= {f"book/{n}": text for n, text in pages.manual().items()}
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target).as_posix() not in wanted:
            path.unlink()
    for name, content in wanted.items():
        place = target / name
        if isinstance(content, str):
            write_text(place, content)
            continue
        data = content if isinstance(content, bytes) else content.read_bytes()
        if not place.is_file() or place.read_bytes() != data:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


def html(staged: Path, out: Path, log: Path) -> Path:
    """Builds the staged book; any warning is an error.

    Args:
        staged: what ``stage`` laid out.
        out: folder that will hold ``_build/html``.
        log: the whole of Sphinx's output.

    Returns:
        The first page.

    Raises:
        Failure: Sphinx warned or failed; the sentence ends with the log's path.
    """
    script = Path(sys.executable).with_name("jupyter-book")
    command = [str(script), "build", str(staged)]
    command += ["--path-output", str(out), "-W", "-n", "--keep-going"]
    log.parent.mkdir(parents=True, exist_ok=True)
    # Sphinx warns while it reads a page and never again while the page stays as it is: what it
    # read in a build that failed or was killed must be read anew. So must all when pages move
    # or look different: the pages of code, which it leaves as they are, link to them.
    clean = out / "_build" / "clean"
    plan = "".join((staged / f"_{x}.yml").read_text(encoding="utf-8") for x in ("toc", "config"))
    if not clean.is_file() or clean.read_text(encoding="utf-8") != plan:
        shutil.rmtree(out / "_build" / ".doctrees", ignore_errors=True)
        shutil.rmtree(out / "_build" / "html" / "_modules", ignore_errors=True)
    clean.unlink(missing_ok=True)
    # A builder must never execute, download or depend on the user's own settings.
    quiet = {"HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        command, env={**os.environ, **quiet}, capture_output=True, text=True, cwd=staged
    )
    stderr = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)  # colours, which a file does not show
    log.write_text(done.stdout + stderr, encoding="utf-8")
    index = out / "_build" / "html" / "index.html"
    if done.returncode != 0 or not index.is_file():
        lines = [x for x in stderr.splitlines() if any(word in x for word in TELLING)]
        print("\n".join(lines[:20]) or stderr[-2000:], file=sys.stderr)
        raise Failure(f"the book did not build without warnings; all of them are in {log}.")
    write_text(clean, plan)
    return index


def build(root: Path, use_record: bool = False, out: Path | None = None) -> Path:
    """Builds the book of a checkout.

    Args:
        root: the checkout.
        use_record: take the committed notebooks instead of running the chapters.
        out: folder that will hold ``_build``; the checkout by default.

    Returns:
        The first page of the HTML book.

    Raises:
        Failure: a chapter or the build failed.
    """
    folder = (out or root) / "_build"
    with only_one(folder):
        chapters = pairs(root)
        minutes: dict[str, Any] = {}
        if use_record:
            notebooks = {pair.name: pair.notebook for pair in chapters}
            record = root / "notebooks" / "record.json"
            if record.is_file():
                minutes = json.loads(record.read_text(encoding="utf-8"))
        else:
            prepare()
            notebooks = run_chapters(chapters, root, folder)
            for name, path in notebooks.items():
                minutes[name] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        staged = folder / "stage"
        stage(root, staged, notebooks, minutes)
        return html(staged, out or root, folder / "logs" / "sphinx.log")


def prepare() -> None:
    """Makes the data sets that the chapters read; returns at once when they are complete.

    Raises:
        Failure: a command failed; it has said why.
    """
    for words in PREPARE:
        print(f"thesislib {' '.join(words)}: working, or finding the work done", flush=True)
        command = [sys.executable, "-m", "thesislib.cli", *words]
        done = subprocess.run(command, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"the data was not prepared: thesislib {' '.join(words)} says why.")


def _short(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def main(argv: list[str] | None = None) -> int:
    """Runs the build and prints where the book is."""
    top = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    commands = top.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build")
    command.add_argument("--record", action="store_true", help="from the committed notebooks")
    command.add_argument("--root", type=Path, default=REPO, help="the checkout")
    command.add_argument("--out", type=Path, help="folder for _build; default: the checkout")
    commands.add_parser("data", help="make the data sets that the chapters read")
    args = top.parse_args(argv)
    start = time.perf_counter()
    try:
        if args.command == "data":
            prepare()
            return 0
        index = build(args.root, args.record, args.out)
    except Failure as failure:
        stop(f"make book: {failure}")
    print(f"The book is ready ({(time.perf_counter() - start) / 60:.1f} minutes):\n{index}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
