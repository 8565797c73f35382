"""The page *Compare on UCF101*: its commands, one after the other, on a miniature of UCF101."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
import torch

import miniature
from reference import state
from test_commands import REPO, typed
from thesislib import book
from thesislib.cli import main

PAGE = (REPO / "book" / "compare.md").read_text(encoding="utf-8")
TINY = {
    "epochs": "1", "size": "32", "seq_len": "3", "num_seq": "4", "stride": "1", "min_clips": "0",
    "batch_size": "4", "num_workers": "0",
}  # fmt: skip
BLOCKS = {**TINY, "width": "4", "pred_step": "2", "accumulate": "1"}
VIEWS = {
    **TINY, "num_seq": "1", "seq_len": "8", "stride": "1", "width": "0.05", "queue": "8",
    "topk": "2", "cycles": "1", "cycle_epochs": "1", "bn_splits": "2", "flow.algorithm": "dis",
    "mixed": "3b,4b,5b",
}  # fmt: skip
THEIRS = {name: TINY[name] for name in ("size", "seq_len", "num_seq", "stride", "num_workers")}


def smaller(words: list[str]) -> list[str]:
    """What is added to a command so that it is done at once."""

    def sets(option: str, values: dict[str, str]) -> list[str]:
        return [word for k, v in values.items() for word in (option, f"{k}={v}")]

    if words[0] == "flow":
        return ["--algorithm", "dis", "--jobs", "1"]
    if words[0] == "train":
        return sets("--set", VIEWS if words[1] == "coclr" else BLOCKS)
    if words[0] == "eval":
        changes = THEIRS | {"pred_step": "2"} if "--run" in words else BLOCKS
        return sets("--set", changes) + sets("--tune", TINY | {"num_seq": "2"})
    return ["--dirty"] if words[:2] == ["report", "promote"] else []


def as_thesislib(line: str) -> list[str]:
    """The words for `thesislib` of a typed line, whatever starts it."""
    words = line.split()
    if words[0] == "torchrun":
        start = words.index("thesislib.cli")
        assert words[1:start] == ["--standalone", "--nproc-per-node", "4", "-m"]
        return words[start + 1 :]
    if words[0] == "sbatch":
        script = (REPO / words[1]).read_text(encoding="utf-8")
        assert '-m thesislib.cli train "$@"' in script and "--gpus-per-node=4" in script
        return ["train", *words[2:]]
    assert words[0] == "thesislib"
    return words[1:]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command printed, by the line as it stands on the page."""
    home = tmp_path_factory.mktemp("compare")
    source = miniature.ucf101(home / "ucf")
    tensors = {f"module.{k}": v for k, v in state("dpc_r18").items()}
    torch.save({"epoch": 470, "net": "resnet18", "state_dict": tensors}, home / "dpc.pth.tar")
    files = {
        "PATH": str(source / "UCF-101"),
        "LISTS": str(source / "ucfTrainTestlist"),
        "FILE": str(home / "dpc.pth.tar"),
    }
    found: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "runs", "results"):
            patch.setenv(f"THESISLIB_{name.upper()}", str(home / name))
        for line in typed(PAGE):
            words = [files.get(word, word) for word in as_thesislib(line)]
            text = io.StringIO()
            patch.setattr("sys.stdout", text)
            assert main([*words, *smaller(words)]) == 0, line
            found[line] = text.getvalue()
            if run := re.search(r"^run +(\S+)$", found[line], re.MULTILINE):
                files["RUN"] = Path(run[1]).name
    return found


def test_every_command_does_what_the_page_says(said: dict[str, str]) -> None:
    assert len(said) == len(set(typed(PAGE))) >= 15
    assert "ucf101_split2" in said["thesislib prepare ucf101 PATH --annotations LISTS --split 2 "
                                   "--full-check"]  # fmt: skip
    assert "ucf101-rgb-128_resnet18_dpc.pth.tar" in said["thesislib weights"]
    assert "finetune_top1" in said["thesislib eval dpc --run RUN"]
    assert "paper" in said["thesislib eval dpc --profile paper --set accumulate=4"]
    assert "| R-18 | 5pred3 | DPC | 53.6 |" in said["thesislib report table 2.1 --profile paper"]
    latex = said["thesislib report table 2.1 --profile paper --format latex"]
    assert re.search(r"R-18 & 5pred3 & DPC & 53\.6 & [\d.]+ &  &  & 1 & 60\.6 & [\d.]+ &", latex)
    theirs = said["thesislib report table 2.1 --profile authors --format csv"]
    (line,) = [r for r in csv.DictReader(io.StringIO(theirs)) if r["ours"]]
    assert (line["key"], line["metric"], line["n"]) == ("dpc/5pred3", "finetune_top1", "1")


def test_the_batches_of_the_page_are_those_of_the_presets() -> None:
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE, re.MULTILINE)
    typed_sets = {line.split()[-5]: line for line in typed(PAGE) if line.startswith("torchrun")}
    assert {name for name, _ in lines} == {"dpc", "memdpc", "coclr"} and typed_sets
    for name, rest in lines:
        thesis, one, clips, four, more, _ = (cell.strip() for cell in rest.split("|"))
        preset = book.method(name).CONFIG.preset("paper")
        alone, together = (preset.override(_settings(cell)) for cell in (one, four))
        assert alone.batch_size * alone.accumulate == int(clips)
        assert 4 * together.batch_size * together.accumulate == int(more)
        each = int(re.match(r"\d+", thesis)[0])  # type: ignore[index]
        assert together.batch_size == each
        if "each of 4 GPUs" in thesis:
            assert int(clips) == int(more) == 4 * each, "the thesis's, on one GPU and on four"
        if name == "coclr":
            assert alone == preset and alone.bn_splits == 4 * together.bn_splits
        else:
            assert alone.batch_size == together.batch_size == preset.batch_size


def _settings(cell: str) -> dict[str, str]:
    return dict(word.split("=") for word in cell.strip("`").split())


def test_its_trainings_use_these_batches() -> None:
    lines = dict(re.findall(r"^\| `(\w+)` \|(?:[^|]*\|){3} `([^`]*)`", PAGE, re.MULTILINE))
    for line in (line for line in typed(PAGE) if line.split()[0] in ("torchrun", "sbatch")):
        words = as_thesislib(line)
        given = dict(w.split("=") for w in words if "=" in w and not w.startswith("num_workers"))
        preset = book.method(words[1]).CONFIG.preset("paper")
        assert preset.override(given) == preset.override(_settings(lines[words[1]]))
