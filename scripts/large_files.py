"""Refuses files that do not belong into the repository for their size.

python scripts/large_files.py FILE ...
"""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT = 1_500_000  # bytes; the largest good one is the vendored MathJax with 1.2 MB
SHIPPED = 8_000_000  # of the weights of one small model that ships with the package


def limit(path: Path) -> int:
    """How large a file may be."""
    return SHIPPED if "pretrained" in path.parts and path.suffix == ".safetensors" else LIMIT


def main(paths: list[str]) -> int:
    """Names each file above the limit; exit code 1 if there is one."""
    large = [p for p in map(Path, paths) if p.is_file() and p.stat().st_size > limit(p)]
    for path in large:
        size = path.stat().st_size / 1e6
        most = limit(path) / 1e6
        print(f"{path} has {size:.1f} MB, more than {most}: data and weights stay out.")
    return 1 if large else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
