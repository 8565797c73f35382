"""torchvision beside a torch without its compiled operators."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path


def run(code: str, *first_on_path: Path) -> subprocess.CompletedProcess[str]:
    # A process of its own: a failed import of torchvision marks the whole interpreter.
    path = "".join(f"sys.path.insert(0, {str(folder)!r})\n" for folder in first_on_path)
    return subprocess.run(
        [sys.executable, "-c", f"import sys\n{path}{textwrap.dedent(code)}"],
        capture_output=True,
        text=True,
        timeout=120,
    )


def fake(folder: Path, init: str) -> Path:
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(textwrap.dedent(init))
    (package / "extension.py").write_text("loaded = 0\n")
    return folder


def test_the_installed_torchvision_and_its_dependants_import() -> None:
    done = run(
        """
        from thesislib.torchvision_here import ensure_torchvision
        torchvision = ensure_torchvision()
        assert ensure_torchvision() is torchvision
        import timm, torch
        from torchvision.transforms import v2
        print(tuple(v2.Resize(4)(torch.zeros(3, 8, 8)).shape), bool(timm.list_models("resnet18*")))
        """
    )
    assert done.stdout.strip() == "(3, 4, 4) True", done.stderr


def test_nothing_is_declared_where_torchvision_loads(tmp_path: Path) -> None:
    fake(tmp_path, "works = True")
    done = run(
        """
        from thesislib import torchvision_here as _torchvision
        print(_torchvision.ensure_torchvision().works, _torchvision._declared)
        import torch
        print(hasattr(torch.ops.torchvision, "nms"))
        """,
        tmp_path,
    )
    assert done.stdout.split() == ["True", "[]", "False"], done.stderr


def test_a_half_imported_torchvision_is_forgotten_and_imported_again(tmp_path: Path) -> None:
    fake(
        tmp_path,
        """
        import torch, torchvision.extension
        torchvision.extension.loaded += 1
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                raise RuntimeError(f"operator torchvision::{name} does not exist")
        """,
    )
    done = run(
        """
        from thesislib.torchvision_here import ensure_torchvision
        print(ensure_torchvision().extension.loaded)
        """,
        tmp_path,
    )
    assert done.stdout.strip() == "1", done.stderr


def test_another_failure_is_one_sentence(tmp_path: Path) -> None:
    fake(tmp_path, "raise RuntimeError('libcudart is missing')")
    done = run(
        """
        from thesislib.torchvision_here import ensure_torchvision
        from thesislib.errors import ThesisError
        try:
            ensure_torchvision()
        except ThesisError as error:
            print(error)
        """,
        tmp_path,
    )
    assert "libcudart is missing" in done.stdout and done.stdout.count("\n") == 1, done.stderr
