"""Where a number comes from: commit, versions, device, time, data."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from thesislib.places import repo_root

PACKAGES = (
    "torch", "numpy", "accelerate", "av", "decord", "torchcodec", "opencv-contrib-python-headless",
)  # fmt: skip


def commit() -> tuple[str, bool]:
    """Commit of the checkout and whether files differ from it; ``("unknown", False)`` without."""
    root = repo_root()
    if root is None:
        return "unknown", False
    try:
        run = lambda *a: subprocess.run(  # noqa: E731
            ["git", "-C", str(root), *a], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()
        return run("rev-parse", "HEAD"), bool(run("status", "--porcelain", "--", "src"))
    except (OSError, subprocess.SubprocessError):
        return "unknown", False


def provenance(
    started: float, fingerprint: str, seconds: float, config: Any = None
) -> dict[str, Any]:
    """Where a number comes from: commit, versions, device, time, data; of clips, what decoded."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    name, dirty = commit()
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    return {
        "commit": name,
        "dirty": dirty,
        "versions": versions,
        **({"backend": config.backend} if hasattr(config, "backend") else {}),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "wall_seconds": round(seconds, 1),
        "data_fingerprint": fingerprint,
        "started": time.strftime(stamp, time.gmtime(started)),
        "ended": time.strftime(stamp, time.gmtime()),
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        match = re.search(r"model name\s*:\s*(.+)", text)
        return match.group(1) if match else platform.processor()
    except OSError:
        return platform.processor() or platform.machine()
