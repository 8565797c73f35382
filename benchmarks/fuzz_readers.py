"""Throws mutated files at every reader of the library and counts what comes of it.

    python benchmarks/fuzz_readers.py                        # --inputs 500000, --seed 0, --jobs 1

Small valid files of every kind are damaged in one to three ways (bits flipped, bytes cut, repeated,
swapped, NUL and byte-order marks put in, numbers made huge, values made of another type, brackets
nested deep, other encodings, long fields, nothing left) and read again. A reader may read such a
file or end in one named sentence (:class:`~thesislib.errors.ThesisError`); whatever else comes out
has *escaped*. The same seed gives the same inputs. ``tests/test_fuzz.py`` runs a bounded part.
"""

from __future__ import annotations

import argparse
import codecs
import collections
import json
import re
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from thesislib.errors import ThesisError

HERE = Path(__file__).parent
HANG = 20  # seconds after which an input counts as one that hangs
SLICE = 5000  # inputs of one piece of work
BRACKETS = 30_000

VALUES = (
    b"9" * 400, b"9" * 5000, b"1e999", b"-1", b"NaN", b"Infinity", b"-Infinity", b"0", b"1e308",
    b"99999999999999999999", b"1.5", b"true", b"null", b"[]", b"{}", b'"x"', b'""', b"[[1]]",
    b'{"a":[1]}', b"2147483648", b"\xd9\xa3", b"\xc2\xb2",
)  # fmt: skip
PIECES = (
    b"\0", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b'"', b",", b";", b"\t", b"\r", b"\n", b"\r\n",
    b"\\ud800", b"\\u0000", b"../", b"/", b"\xff", b"\xe9", b"\x1a", b"'", b"{", b"]", b":", b"|",
    b"\xe2\x80\xa8", b"%", b"\\", b" ", b"<html>",
)  # fmt: skip
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null|[\[\]{}]')


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """``data``, damaged in one to three ways."""
    for _ in range(int(rng.integers(1, 4))):
        data = _once(data, rng)
    return data


def _once(data: bytes, rng: np.random.Generator) -> bytes:
    kind, n = int(rng.integers(14)), len(data)
    a, b = sorted(int(i) for i in rng.integers(0, n + 1, 2))
    if kind < 3 and n:  # bits
        raw = bytearray(data)
        for place in rng.integers(0, n, 1 if kind else 8):
            raw[place] ^= 1 << int(rng.integers(8))
        return bytes(raw)
    if kind == 3:
        return data[:a]
    if kind == 4:
        return data[:a] + data[b:]
    if kind == 5:
        return data[:b] + data[a:b] * int(rng.integers(1, 3)) + data[b:]
    if kind == 6:
        piece = PIECES[rng.integers(len(PIECES))]
        return piece + data if rng.random() < 0.2 else data[:a] + piece + data[a:]
    if kind < 10 and (found := list(TOKEN.finditer(data[:100_000]))):  # values
        one = found[rng.integers(len(found))]
        value = VALUES[rng.integers(len(VALUES))]
        return data[: one.start()] + value + data[one.end() :]
    if kind == 10:  # lines swapped
        lines = data.split(b"\n")
        rng.shuffle(lines)
        return b"\n".join(lines)
    if kind == 11:
        text = data.decode("latin-1")
        wide = ("utf-16", "utf-16-le", "utf-32", "utf-7")[rng.integers(4)]
        return text.encode(wide) if rng.random() < 0.5 else text.encode("latin-1") + b"\xe9"
    if kind == 12 and rng.random() < 0.1:
        return data[:a] + (b"[" * BRACKETS if rng.random() < 0.5 else b"x" * 140_000) + data[a:]
    return b"" if rng.random() < 0.2 else data[a:b]


class Subject(NamedTuple):
    """A reader and the valid file that is damaged."""

    file: Path
    read: Callable[[], object]
    cost: int = 1  # how many inputs of others one of these takes


class Outcome(NamedTuple):
    """What came of the inputs of one reader."""

    read: int
    named: int
    escaped: int
    first: dict[str, str]  # where it escaped -> the first traceback there


def attack(subject: Subject, count: int, seed: Any) -> Outcome:
    """Reads ``count`` mutations of a subject's file, which is whole again afterwards."""
    rng, whole = np.random.default_rng(seed), subject.file.read_bytes()
    counts: collections.Counter[str] = collections.Counter()
    first: dict[str, str] = {}
    subject.read()  # the valid file is read
    try:
        for _ in range(count):
            subject.file.write_bytes(mutated(whole, rng))
            signal.setitimer(signal.ITIMER_REAL, HANG)
            try:
                subject.read()
                counts["read"] += 1
            except ThesisError as error:
                counts["named"] += 1
                if "\n" in str(error) or not str(error):
                    counts["escaped"] += 1
                    first.setdefault("a message of several lines", repr(str(error)))
            except Exception as error:
                counts["escaped"] += 1
                places = traceback.extract_tb(error.__traceback__)
                ours = [f for f in places if "/thesislib/" in f.filename] or places
                where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {type(error).__name__}"
                first.setdefault(where, "".join(traceback.format_exception(error)))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        subject.file.write_bytes(whole)
    return Outcome(counts["read"], counts["named"], counts["escaped"], first)


def _hangs(*_: object) -> None:
    raise TimeoutError(f"it took more than {HANG} s")


def work(names: list[str], count: int, seed: int) -> dict[str, Outcome]:
    """A piece of work: every reader of ``names``, by its name."""
    from fuzz_subjects import subjects

    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _hangs)
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        known = subjects(folder)
        return {
            name: attack(known[name], max(1, count // known[name].cost), [seed, i])
            for i, name in enumerate(known)
            if name in (names or known)
        }
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first slice")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="names of readers")
    parser.add_argument("--each", type=int, default=200, help="inputs of a reader in a slice")
    options = parser.parse_args()
    import fuzz_subjects  # noqa: F401  # once, before the processes part

    whole: dict[str, Outcome] = {}
    done, seed, crashed = 0, options.seed, 0
    began = time.perf_counter()
    while done < options.inputs:
        seeds = range(seed, seed := seed + options.jobs)
        # A process a slice: one that dies is counted, and the next begins afresh.
        with ProcessPoolExecutor(options.jobs) as pool:
            slices = [pool.submit(work, options.only, options.each, one) for one in seeds]
            for one, future in zip(seeds, slices, strict=True):
                try:
                    found = future.result()
                except Exception as error:  # the process is gone
                    crashed += 1
                    print(f"seed {one}: {type(error).__name__}: {error}", flush=True)
                    done += options.each
                    continue
                for name, new in found.items():
                    old = whole.get(name, Outcome(0, 0, 0, {}))
                    fresh = new.first.keys() - old.first.keys()
                    for where in sorted(fresh):
                        print(f"--- {name}, {where}\n{new.first[where]}", flush=True)
                    both = (a + b for a, b in zip(old[:3], new[:3], strict=True))
                    whole[name] = Outcome(*both, old.first | new.first)
                    done += new.read + new.named + new.escaped
        print(f"{done:,} inputs, {time.perf_counter() - began:.0f} s", flush=True)
    sums = [sum(one[i] for one in whole.values()) for i in range(3)]
    for name, one in sorted(whole.items()):
        print(f"{name:28} {one.read:8,} read {one.named:8,} named {one.escaped:6,} escaped")
    print(f"{'all':28} {sums[0]:8,} read {sums[1]:8,} named {sums[2]:6,} escaped {crashed} crashed")
    note = {
        "inputs": done, "read": sums[0], "named": sums[1], "escaped": sums[2], "crashed": crashed,
        "readers": {name: list(one[:3]) for name, one in sorted(whole.items())},
    }  # fmt: skip
    (HERE / "fuzz_readers.json").write_text(json.dumps(note, indent=1) + "\n")


if __name__ == "__main__":
    main()
