"""Every command that README and the pages tell a reader to type, in a quick form."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thesislib import __version__, book
from thesislib.chapters.coclr.cycles import plan
from thesislib.ledger import Ledger
from thesislib.methods.coclr_config import CoCLRConfig

REPO = Path(__file__).resolve().parents[2]
# test_compare.py has the commands of that page, on a data set of their own.
PAGES = [path for path in sorted((REPO / "book").glob("*.md")) if path.name != "compare.md"]
DOCUMENTS = [REPO / "README.md", *PAGES]
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
# What is added to make it quick; PATH is a folder of videos by class, RUN the newest run of DPC. In
# the order in which a reader would type them: a data set comes before what reads it.
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
    "thesislib features PATH --out look": [],
    "thesislib retrieve look": [],
    "thesislib features PATH --moments --out when": [],
    "thesislib retrieve when": [],
    "thesislib prepare folder PATH --name holiday": [],
    "thesislib doctor holiday": [],
    "thesislib show holiday": [],
    "thesislib flow holiday --algorithm dis": ["--jobs", "1"],
    "thesislib train dpc --dataset holiday": TINY,
    "thesislib train dpc --set init=RUN": TINY,
    "thesislib train coclr --dataset holiday": TINY_VIEWS,
    "thesislib features holiday": [],
    "thesislib features holiday --csv": [],
    "thesislib retrieve holiday_index": [],
    "thesislib retrieve holiday_index --above 0.9 --csv near.csv": [],
    "thesislib classify PATH --classes names.txt --out page.html": [],
    "thesislib align FILM": [],
    "thesislib describe --check TRACK --film FILM": [],
    "thesislib describe FILM": ["--min-gap", "0.1"],
    "thesislib report table 2.1": [],
    "thesislib report table 2.1 --format csv": [],
    "thesislib report claims --format latex": [],
    "thesislib prepare ucf101 PATH": [],
    "thesislib prepare ucf101 PATH --split 2 --val 0": [],
    # At full scale: two processes in the place of four GPUs, and a shell in that of SLURM.
    "torchrun --standalone --nproc-per-node 4 -m thesislib.cli train coclr --profile paper "
    "--set batch_size=32 --set bn_splits=1": [
        *("--profile", "small", "--dataset", "holiday", "--row", "infonce-rgb", *TINY_VIEWS)
    ],
    "sbatch scripts/train.sbatch dpc --profile paper --set num_workers=8": [
        *("--profile", "small", "--seed", "2", *TINY)
    ],
    # Executing the chapter is the business of the notebooks' own check. A name it does not know
    # is refused once the chapter is found and its parameters are read.
    "thesislib reproduce 02 --seed 1": ["--parameter", "sede=1"],
}
SAYS = {
    "thesislib features PATH --out look": ["small-coclr-rgb encodes, which ships"],
    "thesislib classify PATH --classes names.txt --out page.html": [
        "small, zero-shot",
        "page: page.html",
        "Of real videos it knows nothing",
    ],
    "thesislib align FILM": ["1 cue, seen", "film.aligned.html"],
    "thesislib describe --check TRACK --film FILM": ["passed                         true"],
    "torchrun": ["batches of 2 processes x 4 = 8"],
    "sbatch": ["batches of 4\n"],
}
REFUSED = {
    "thesislib reproduce 02 --seed 1": "sede",
    "thesislib describe FILM": "there is no finished one here",  # no run of chapter 8 is made here
}


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
        names = []
        for video in manifest.videos[:24]:
            place = folder / video.label / Path(video.path).name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(manifest.root / video.path, place)
            names.append(f"{video.label}/{place.name}\n")
        (folder / "broken.mp4").write_text("no video at all")
        for split in (1, 2):  # lists like UCF101's, which may lie anywhere in the folder
            test, train = names[split::4], [n for i, n in enumerate(names) if i % 4 != split]
            (folder / f"trainlist{split:02d}.txt").write_text("".join(train))
            (folder / f"testlist{split:02d}.txt").write_text("".join(test))
    return folder


def typed_here(command: str, home: Path) -> list[str]:
    """The words of a command with this home's files in the place of a reader's."""
    words = command.split()
    if "names.txt" in words:
        (home / "names.txt").write_text("waving\nkicking\nsomething else\n")
    if "PATH" in words:
        words[words.index("PATH")] = str(own_videos(home))
    if "FILM" in words:
        film = shutil.copy(next(own_videos(home).glob("*/*.mp4")), home / "film.mp4")
        (home / "film.en.srt").write_text("1\n00:00:00,200 --> 00:00:01,500\nSomeone waves.\n")
        words[words.index("FILM")] = str(film)
    if "TRACK" in words:
        (home / "track.vtt").write_text("WEBVTT\n\n00:01.500 --> 00:02.000\nSomeone stands.\n")
        words[words.index("TRACK")] = str(home / "track.vtt")
    if "RUN" in command:
        newest = max((home / "runs").glob("dpc-*"), key=lambda run: run.stat().st_mtime)
        words = [word.replace("init=RUN", f"init={newest.name}") for word in words]
    here = str(Path(sys.executable).parent)
    return {
        "thesislib": [sys.executable, "-m", "thesislib.cli", *words[1:]],
        "torchrun": [f"{here}/torchrun", *("2" if word == "4" else word for word in words[1:])],
        "sbatch": ["bash", *(str(REPO / word) for word in words[1:2]), *words[2:]],
    }.get(words[0], words)


def test_every_typed_command_is_tried() -> None:
    found = {line for path in DOCUMENTS for line in typed(path.read_text(encoding="utf-8"))}
    assert found == set(COMMANDS)
    assert {"make book", "make test"} <= found


def test_remarks_and_other_languages_are_not_commands() -> None:
    text = "```shell\nmake book   # trains\n\n```\n```python\nimport os\n```\n"
    assert typed(text) == ["make book"]


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, home: Path) -> None:
    words = typed_here(command, home) + COMMANDS[command]
    if words[0] == "make" and shutil.which("make") is None:
        pytest.skip("make is not installed")
    roots = {f"THESISLIB_{name.upper()}": str(home / name) for name in ("data", "runs", "results")}
    tools = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        words,
        cwd=REPO if words[0] == "make" else home,
        env={**os.environ, **tools, **roots},
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    if command in REFUSED:
        assert done.returncode == 1 and REFUSED[command] in done.stderr, said
    else:
        assert done.returncode == 0, said
        assert done.stdout or done.stderr
    for text in SAYS.get(command, SAYS.get(command.split()[0], ())):
        assert text in said


def test_readme_cites_what_the_bibliography_and_the_package_say() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```bibtex\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    thesis, book = re.findall(r"^@.*?^}\n", shown, re.MULTILINE | re.DOTALL)
    assert thesis in (REPO / "book" / "references.bib").read_text(encoding="utf-8")
    citation = (REPO / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version = {{{__version__}}}" in book
    assert f"version: {__version__}" in citation and 'title: "thesislib: a thesis' in citation


def test_readme_counts_what_there_is() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    stages = plan(CoCLRConfig.preset("small").cycles, "rgb")
    assert ("`train coclr` has five trainings" in readme) == (len(stages) == 5)
    profiles = {entry.profile for entry in Ledger.load(REPO / "results").entries}
    assert ("None of these is in the ledger yet" in readme) == (profiles == {"small"})
    paper = {name: book.method(name).CONFIG.preset("paper") for name in ("dpc", "memdpc", "coclr")}
    assert "the thesis's 64\nand 16 a GPU" in readme and "the thesis's 4 × 32" in readme
    assert [paper[name].batch_size for name in ("dpc", "memdpc")] == [64, 16]
    assert (paper["coclr"].batch_size, paper["coclr"].bn_splits) == (4 * 32, 4)
