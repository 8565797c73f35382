"""The book of this checkout, built once, strictly, from the committed record."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "scripts"))

PAGE = """\
---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A page

Some text with $x_i$.

```{code-cell} ipython3
:tags: [parameters]

seed = 0
```

Some more text.

```{code-cell} ipython3
print("seed", seed)
```
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A little checkout with one chapter, written but never executed."""
    text = tmp_path / "notebooks" / "text" / "01_page.md"
    text.parent.mkdir(parents=True)
    text.write_text(PAGE)
    (tmp_path / "src" / "thesislib").mkdir(parents=True)
    (tmp_path / "src" / "thesislib" / "code.py").write_text("a = 1\n")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    return tmp_path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the HTML pages; the build stops at the first warning."""
    import book

    return book.build(REPO, use_record=True, out=tmp_path_factory.mktemp("book")).parent
