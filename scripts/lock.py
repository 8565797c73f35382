"""Writes constraints.txt from what the environment holds.

Start from an environment built without the old pins to move to newer versions:
delete .venv and the lines of constraints.txt below its header, `make setup`, `make lock`.
Do it with the oldest Python that pyproject.toml allows, which some newest packages do not.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PINS = Path(__file__).resolve().parents[1] / "constraints.txt"
# Not pinned: ourselves, and what belongs to the environment and not to the project.
LEFT_OUT = ("thesislib",)


def pins(freeze: str) -> list[str]:
    """The lines ``name==version`` of a pip freeze, without build tags such as ``+cpu``."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s+]+)", freeze, flags=re.MULTILINE)
    return sorted(
        (f"{name}=={version}" for name, version in found if name not in LEFT_OUT),
        key=lambda line: line.split("==")[0].lower(),
    )


def main() -> None:
    """Replaces the pins and keeps the header."""
    header = [x for x in PINS.read_text(encoding="utf-8").splitlines() if x.startswith("#")]
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    freeze = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    PINS.write_text("\n".join([*header, *pins(freeze)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
