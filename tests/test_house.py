"""The house: set-up, pins, make targets, and contracts that bite."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

REPO = Path(__file__).resolve().parents[1]
SETUP = REPO / "scripts" / "setup_env.py"
BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())


def pins() -> dict[str, str]:
    lines = (REPO / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


# -- packages ------------------------------------------------------------------------------


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_requirement_is_pinned_and_explained() -> None:
    pinned = {plain(name) for name in pins()}
    text = (REPO / "pyproject.toml").read_text().splitlines()
    groups = [
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
    ]
    for requirement in (r for group in groups for r in group):
        (name,) = re.findall(r"^[A-Za-z0-9._-]+", requirement)
        if "platform_machine" not in requirement or sys.platform == "linux":
            assert plain(name) in pinned
        (line,) = [i for i, x in enumerate(text) if f'"{requirement}"' in x]
        assert "#" in text[line] or text[line - 1].strip().startswith("#"), f"why {name}?"


def test_pins_are_exact_without_build_tags_and_what_runs_here() -> None:
    for name, pinned in pins().items():
        assert re.fullmatch(r"[0-9][0-9A-Za-z.]*", pinned), f"{name}=={pinned}"
    for name in ("torch", "numpy", "jupyter-book", "pytest"):
        assert importlib.metadata.version(name).split("+")[0] == pins()[name]


def test_pins_install_on_the_oldest_python_that_is_promised() -> None:
    """A Debian has 3.11.2, and some packages have begun to ask for 3.11.5."""
    asked = {d.name: d.metadata.get("Requires-Python") for d in importlib.metadata.distributions()}
    late = {n: a for n, a in asked.items() if a and not SpecifierSet(a).contains("3.11.0")}
    assert late == {}


def test_conda_names_the_same_extras_and_pins() -> None:
    (extras,) = re.findall(r'^EXTRAS = "(.*)"', SETUP.read_text(), re.MULTILINE)
    on_demand = {"audio", "audio-dev", "captions", "glove"}  # large, for one part of a chapter
    assert set(extras.split(",")) | on_demand == set(PROJECT["project"]["optional-dependencies"])
    text = (REPO / "environment.yml").read_text()
    assert f"-e .[{extras}]" in text and "-c constraints.txt" in text


# -- make ----------------------------------------------------------------------------------


def test_every_target_sets_up_by_itself() -> None:
    text = (REPO / "Makefile").read_text()
    rules = dict(re.findall(r"^([a-z]+):([^#\n]*)", text, re.MULTILINE))
    for target in ("book", "test", "lab", "record", "sync", "lint"):
        assert rules[target].split() == ["setup"]
    for script in set(re.findall(r"scripts/\w+\.py", text)):
        assert (REPO / script).is_file()


def test_ci_calls_make_test() -> None:
    script = REPO / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()


def test_an_old_python_gets_a_sentence() -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 0); sys.version = '3.9.0 (old)'; "
        f"sys.argv = ['x']; runpy.run_path({str(SETUP)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed and this is 3.9.0" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def little_project(tmp_path: Path) -> Path:
    """A project that needs nothing, so that its environment is made without a network."""
    (tmp_path / "scripts").mkdir()
    text = re.sub('^EXTRAS = ".*"', 'EXTRAS = ""', SETUP.read_text(), flags=re.MULTILINE)
    # A command that prints stands in for pip, which would fetch; the rest is the script as it is.
    text = text.replace('"-m", "pip", "install"', '"-c", "import sys; print(sys.argv)"')
    text = text.replace('"-m", "venv"', '"-m", "venv", "--without-pip"')
    (tmp_path / "scripts" / "setup_env.py").write_text(text)
    (tmp_path / "constraints.txt").write_text("einops==0.8.2\n")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\n[project]\nname = "a"\n[tool.ruff]\nline-length = 100\n'
    )
    return tmp_path


def set_up(root: Path) -> str:
    command = [sys.executable, str(root / "scripts" / "setup_env.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_set_up_installs_once_until_requirements_change(little_project: Path) -> None:
    assert "setting up" in set_up(little_project)
    assert set_up(little_project) == ""
    project = little_project / "pyproject.toml"
    project.write_text(project.read_text().replace("100", "99"))
    assert set_up(little_project) == ""  # a lint rule installs nothing
    (little_project / "constraints.txt").write_text("einops==0.8.1\n")
    assert "setting up" in set_up(little_project)
    # A kill before the end leaves no stamp: the next call starts over.
    (little_project / ".venv" / "thesislib-setup.json").unlink()
    assert "setting up" in set_up(little_project)


def test_a_moved_folder_is_set_up_again(little_project: Path, tmp_path: Path) -> None:
    set_up(little_project)
    marker = little_project / ".venv" / "marker"
    marker.touch()
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    little_project.rename(moved)
    assert "setting up" in set_up(moved)
    assert not (moved / ".venv" / "marker").exists()  # its scripts pointed to the old place
    shutil.rmtree(moved)


# -- contracts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        REPO / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    shutil.copy(REPO / "pyproject.toml", root)
    return root


def contracts(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "lint-imports"), "--no-logo", "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def test_contracts_hold(copy: Path) -> None:
    done = contracts(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("losses", "import thesislib.nn", "floors"),
        ("config", "import thesislib.clip_config", "floors"),
        ("methods/dpc", "import thesislib.train", "floors"),
        ("data/clips", "import thesislib.methods.dpc", "floors"),
        ("train", "import thesislib.evaluation.scores", "floors"),
        ("chapters/dpc/rows", "import thesislib.cli", "floors"),
        ("attic", "", "floors"),  # a new file that names no floor
        ("nn/convgru", "import cv2", "nn and losses see no package but torch"),
        ("methods/other", "import thesislib.methods.dpc", "methods never see one another"),
        (
            "chapters/tan/rows",
            "import thesislib.chapters.dpc.rows",
            "chapters never see one another",
        ),
        ("chapters/row", "import thesislib.chapters.run", "what chapters share"),
        ("chapters/run", "import thesislib.report", "rows need no figure"),
        ("evaluation/features", "import matplotlib.pyplot", "only what is shown sees matplotlib"),
        ("chapters/pages", "import pandas", "only what is shown sees matplotlib"),
        ("viz/style", "import IPython.display", "the library never needs IPython"),
    ],
)
def test_a_contract_that_is_broken_is_named(
    copy: Path, module: str, line: str, contract: str
) -> None:
    path = copy / "src" / "thesislib" / f"{module}.py"
    old = path.read_text() if path.exists() else None
    path.write_text(f"{old or ''}\n{line}\n")
    try:
        done = contracts(copy)
    finally:
        if old is None:
            path.unlink()
        else:
            path.write_text(old)
    assert done.returncode != 0
    assert re.search(rf"^{re.escape(contract)}.* BROKEN", done.stdout, re.MULTILINE), done.stdout


# -- files ---------------------------------------------------------------------------------


def test_large_files_are_refused(tmp_path: Path) -> None:
    small, large = tmp_path / "small.py", tmp_path / "large.bin"
    small.write_text("a = 1\n")
    large.write_bytes(b"0" * 2_000_000)
    command = [sys.executable, str(REPO / "scripts" / "large_files.py")]
    assert subprocess.run([*command, str(small)]).returncode == 0
    done = subprocess.run([*command, str(small), str(large)], capture_output=True, text=True)
    assert done.returncode == 1 and "large.bin has 2.0 MB" in done.stdout
    shipped = tmp_path / "pretrained" / "a.safetensors"  # up to 8 MB, and no longer
    shipped.parent.mkdir()
    for size, code in ((7_900_000, 0), (8_100_000, 1)):
        shipped.write_bytes(b"0" * size)
        assert subprocess.run([*command, str(shipped)], capture_output=True).returncode == code


def test_lock_drops_build_tags_and_ourselves() -> None:
    sys.path.insert(0, str(REPO / "scripts"))
    import lock

    freeze = "torch==2.13.0+cpu\nthesislib==0.1.0\nav==18.1.0\n-e git+x\nsix @ file:///x\n"
    assert lock.pins(freeze) == ["av==18.1.0", "torch==2.13.0"]
