"""Runs one notebook in a fresh kernel; used for the record and for the book."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

PACKAGES = ("thesislib", "torch", "numpy", "opencv-contrib-python-headless", "av", "jupyter-book")


class Failure(Exception):
    """A notebook that did not run through; the message is one sentence."""


class _Client(NotebookClient):
    """A client that also writes what the cells print to a log, while they run."""

    log_file: TextIO

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        if msg["msg_type"] == "stream":
            self.log_file.write(msg["content"]["text"])
        elif msg["msg_type"] == "error":
            self.log_file.write("\n".join(msg["content"]["traceback"]) + "\n")
        self.log_file.flush()
        return super().process_message(msg, cell, cell_index)


class Progress:
    """One line on the screen for all notebooks that run; nothing where there is no screen."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.lock = threading.Lock()

    def say(self, name: str, state: str = "") -> None:
        """Where a notebook is; "" when it has ended."""
        with self.lock:
            self.states[name] = state
            if sys.stderr.isatty():
                parts = [f"{n}: {s}" for n, s in self.states.items() if s]
                width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
                line = " | ".join(part[: max(20, width // len(parts) - 3)] for part in parts)
                print(f"\r\033[K{line[:width]}", end="", file=sys.stderr, flush=True)


PROGRESS = Progress()


def kernel_environment(log: Path, threads: int | None = None) -> dict[str, str]:
    """The environment of a kernel.

    Args:
        log: Beside it stands the kernel's own profile: one of the user's must not change what a
            page shows, nor what he typed be forgotten.
        threads: Of the libraries that add up numbers: one where two notebooks share two cores.
    """
    quiet = {"IPYTHONDIR": str(log.parent / "ipython"), "HF_HUB_OFFLINE": "1"}
    quiet["PYTHONHASHSEED"] = "0"
    if threads:
        quiet |= {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
    return {**os.environ, **quiet}


def execute(
    notebook: NotebookNode, name: str, folder: Path, log: Path, threads: int | None = None
) -> NotebookNode:
    """Executes all cells in order and returns the notebook with their outputs.

    Several may run at once, each in a thread.

    Args:
        notebook: changed in place and returned.
        name: for messages.
        folder: working directory of the kernel.
        log: file for what the cells print; a training log can be followed there.
        threads: see :func:`kernel_environment`.

    Raises:
        Failure: a cell raised, or the kernel died; names notebook, cell and log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    where = "before its first cell"
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for index in code:
        notebook.cells[index].outputs = []
        notebook.cells[index].execution_count = None
    with open(log, "w", encoding="utf-8") as file:
        client = _Client(
            notebook,
            timeout=None,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
            extra_arguments=["--HistoryManager.enabled=False", "--log-level=ERROR"],
        )
        client.log_file = file

        def begin(cell: NotebookNode, cell_index: int) -> None:
            nonlocal where
            if cell.cell_type != "code":
                return
            first = cell.source.strip().split("\n")[0]
            where = f"in code cell {code.index(cell_index) + 1} of {len(code)} ({first!r})"
            minutes = (time.perf_counter() - start) / 60
            file.write(f"--- {minutes:.1f} min: {where}\n")
            PROGRESS.say(name, f"{minutes:.1f} min, {where}")

        client.on_cell_start = begin
        try:
            client.execute(env=kernel_environment(log, threads))
        except CellExecutionError as error:
            raise Failure(
                f"{name}.ipynb failed {where}: {error.ename}: {error.evalue.strip()}; "
                f"the traceback is in {log}."
            ) from error
        except (DeadKernelError, RuntimeError) as error:
            raise Failure(
                f"{name}.ipynb stopped {where}: its kernel died, most likely for want of memory; "
                f"what it printed is in {log}, and the same call goes on from there."
            ) from error
        finally:
            PROGRESS.say(name)
    return notebook


def machine() -> dict[str, Any]:
    """Versions, device and processor of this machine, for the status page."""
    import torch

    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name(0) if cuda else "CPU",
        "cpu": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions,
    }
