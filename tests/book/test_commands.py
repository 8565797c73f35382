"""Every command that README and the pages tell a reader to type, in a quick form."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
DOCUMENTS = [REPO / "README.md", *sorted((REPO / "book").glob("*.md"))]
TINY = [
    *("--set", "epochs=1", "--set", "width=4", "--set", "size=32", "--set", "num_seq=4"),
    *("--set", "pred_step=2", "--set", "seq_len=3", "--set", "batch_size=4"),
    *("--set", "num_workers=0", "--set", "min_clips=0"),
]
TINY_VIEWS = [
    *("--set", "epochs=1", "--set", "cycles=1", "--set", "cycle_epochs=1", "--set", "width=0.05"),
    *("--set", "size=36", "--set", "seq_len=8", "--set", "batch_size=4", "--set", "queue=8"),
    *("--set", "topk=2", "--set", "num_workers=0", "--set", "min_clips=0"),
]
TUNE = [
    *("--tune", "epochs=1", "--tune", "size=32", "--tune", "num_seq=2", "--tune", "seq_len=3"),
    *("--tune", "batch_size=4", "--tune", "num_workers=0", "--tune", "min_clips=0"),
]
# What is added to make it quick; PATH is a folder of videos by class. In the order in which a
# reader would type them: a data set comes before what reads it.
COMMANDS: dict[str, list[str]] = {
    "make book": ["-n"],  # its steps: test_build.py, and the notebooks themselves
    "make test": ["-n"],
    "make lab": ["-n"],
    "thesislib info memdpc": ["--json"],
    "thesislib prepare synthetic": ["--clips", "48", "--jobs", "1"],
    "thesislib show synthetic": [],
    "thesislib show synthetic --augmented dpc": [],
    "thesislib flow synthetic --algorithm tvl1_fast --bound 5": [
        *("--algorithm", "dis", "--jobs", "1")
    ],
    "thesislib eval dpc --row 5pred3 --seed 1": [*TINY, *TUNE],
    "thesislib prepare folder PATH --name holiday": [],
    "thesislib doctor holiday": [],
    "thesislib show holiday": [],
    "thesislib flow holiday --algorithm dis": ["--jobs", "1"],
    "thesislib train dpc --dataset holiday": TINY,
    "thesislib train coclr --dataset holiday": TINY_VIEWS,
    "thesislib features holiday": [],
    "thesislib retrieve holiday_index": [],
    "thesislib report table 2.1": [],
    "thesislib report claims": [],
    # Executing the chapter is the business of the notebooks' own check. A name it does not know
    # is refused once the chapter is found and its parameters are read.
    "thesislib reproduce 02 --seed 1": ["--parameter", "sede=1"],
}
REFUSED = {"thesislib reproduce 02 --seed 1": "sede"}


def typed(text: str) -> list[str]:
    """The lines of all shell blocks, without their remarks."""
    blocks = re.findall(r"^```(?:shell|bash|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = (line.split("  #")[0].split(" # ")[0].strip() for b in blocks for line in b.split("\n"))
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place of its own for data, runs and results."""
    return tmp_path_factory.mktemp("home")


def own_videos(home: Path) -> Path:
    """A folder ``<class>/<video>`` like one that a user has; the videos were just prepared."""
    folder = home / "videos"
    if not folder.exists():
        from thesislib.data.manifest import read_manifest

        manifest = read_manifest("synthetic", root=home / "data")
        for video in manifest.videos[:24]:
            place = folder / video.label / Path(video.path).name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(manifest.root / video.path, place)
        (folder / "broken.mp4").write_text("no video at all")
    return folder


def test_every_typed_command_is_tried() -> None:
    found = {line for path in DOCUMENTS for line in typed(path.read_text(encoding="utf-8"))}
    assert found == set(COMMANDS)
    assert {"make book", "make test"} <= found


def test_remarks_and_other_languages_are_not_commands() -> None:
    text = "```shell\nmake book   # trains\n\n```\n```python\nimport os\n```\n"
    assert typed(text) == ["make book"]


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, home: Path) -> None:
    words = command.split() + COMMANDS[command]
    if "PATH" in words:
        words[words.index("PATH")] = str(own_videos(home))
    folder = REPO
    if words[0] == "thesislib":
        folder = home
        words[:1] = [sys.executable, "-m", "thesislib.cli"]
    elif shutil.which("make") is None:
        pytest.skip("make is not installed")
    roots = {f"THESISLIB_{name.upper()}": str(home / name) for name in ("data", "runs", "results")}
    done = subprocess.run(
        words, cwd=folder, env={**os.environ, **roots}, capture_output=True, text=True, timeout=300
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    if command in REFUSED:
        assert done.returncode == 1 and REFUSED[command] in done.stderr, said
    else:
        assert done.returncode == 0, said
        assert done.stdout or done.stderr
