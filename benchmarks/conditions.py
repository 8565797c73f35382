"""Under what conditions something was measured; call it before the measurement."""

from __future__ import annotations

import datetime
import os
import platform
from typing import Any

import torch


def conditions() -> dict[str, Any]:
    """Date, machine, torch and its threads, and the load of the last minute."""
    return {
        "date": str(datetime.date.today()),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[0], 1),
    }
