"""The authors' checkpoints, saved as they save them, become runs that are judged and used."""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import reference
from miniature import ucf101
from reference import CLEAR_PASS, close, golden_clip
from thesislib import book, importing
from thesislib.cli import main, parser
from thesislib.errors import ThesisError
from thesislib.losses import queue_logits, similarity
from thesislib.released import weights
from thesislib.runs import load_run

CLIPS = ("seq_len=3", "stride=2", "num_workers=0")
TUNED = ("epochs=1", "batch_size=4", "min_clips=0", "num_seq=2", "size=32", *CLIPS)
Ran = Callable[..., Any]
state = cache(reference.state)  # a second to fill


def saved(path: Path, schema: str, *, wrapped: bool, legacy: bool = False, **more: Any) -> Path:
    """A file of theirs: DPC's networks were wrapped for several GPUs, the later ones not."""
    tensors = {f"module.{k}" if wrapped else k: v for k, v in state(schema).items()}
    moments = {"state": {0: {"step": 7, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-3}]}
    content = {"epoch": 470, "arch": "x", "state_dict": tensors, "optimizer": moments, **more}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def ran(roots: Path, capsys: pytest.CaptureFixture[str]) -> Ran:
    """Runs a command and returns what it says: JSON, or the error of one that fails."""

    def run(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*words] if "--format" in words else [*words, "--json"]) == code
        done = capsys.readouterr()
        if code or "--format" in words:
            return done.err if code else done.out
        return json.loads(done.out)

    return run


def sets(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]


def test_dpc_from_their_file_to_the_table(roots: Path, ran: Ran) -> None:
    ran("prepare", "ucf101", str(ucf101(roots / "ucf")), "--val", "0", "--full-check")
    best = {"net": "resnet18", "best_acc": np.float64(53.6), "iteration": 5}
    file = saved(roots / "dpc.pth.tar", "dpc_r18", wrapped=True, legacy=True, **best)
    words = ["import", "dpc", str(file), "--set", "size=32", "--set", "num_seq=4"]
    made = ran(*words)
    assert (made["row"], made["preset"]) == ("dpc/5pred3", "as_released")
    told = {name: made["file"][name] for name in ("epoch", "net", "best_acc")}
    assert told == {"epoch": 470, "net": "resnet18", "best_acc": 53.6}
    assert made["tensors"] == {"matched": 70, "start_fresh": [], "set_aside": [], "equal": 0}
    name = Path(made["run"]).name
    assert name.startswith("dpc-authors-as_released-ucf101-s0-")
    assert ran(*words) == made, "found again"

    model, config, _ = load_run(name)
    assert (config.running_stats, config.size) == (False, 32)
    clip = golden_clip("dpc.block64", (2, 8, 3, 5, 64, 64))
    with torch.no_grad():
        close("dpc_r18_p3_64", {"feature_map": model.backbone(clip.flatten(0, 1))}, CLEAR_PASS)

    how = ["--run", name, *sets("--set", (*CLIPS, "pred_step=2")), *sets("--tune", TUNED)]
    judged = ran("eval", "dpc", *how)
    assert judged["videos"] == {"evaluated": 3, "skipped": 0}
    assert {"probe_top1", "retrieval_r1", "finetune_top1"} <= judged["metrics"].keys()
    assert Path(judged["run"]).name.startswith("dpc_5pred3-authors-as_released-ucf101-s0-")
    ran("report", "promote", str(roots / "runs" / judged["run"]), "--dirty")
    table = ran("report", "table", "2.1", "--profile", "authors", "--format", "csv")
    lines = {(r["key"], r["metric"]): r for r in csv.DictReader(io.StringIO(table))}
    line = lines["dpc/5pred3", "finetune_top1"]
    assert (line["thesis"], line["n"], line["ours_dataset"]) == ("60.6", "1", "ucf101")
    assert float(line["ours"]) == pytest.approx(100 * judged["metrics"]["finetune_top1"])
    assert [r["key"] for r in lines.values() if r["ours"]] == ["dpc/5pred3"]
    ours = ran("report", "table", "2.1", "--profile", "as_released", "--format", "csv")
    assert not any(r["ours"] for r in csv.DictReader(io.StringIO(ours))), "not trained by us"

    found = ran("features", "ucf101", "--run", name, "--out", str(roots / "index"))
    assert (found["videos"], found["runs"], found["features"]) == (12, [name], [256])
    for words, message in (
        (["memdpc", "--run", name], "is of method dpc, not memdpc"),
        (["dpc", "--run", name, "--row", "pooled"], "is of --row dpc/5pred3, not pooled"),
        (["dpc", "--run", name, "--profile", "paper"], "is of --profile as_released, not paper"),
        (["dpc", "--run", name, "--stages", "2"], "has no intermediate checkpoints"),
        (["dpc", "--run", judged["run"]], "is no pre-training run"),
        (["dpc", "--run", "dpc-nobody"], "There is no run 'dpc-nobody'"),
    ):
        assert message in ran("eval", *words, code=1)


def test_coclr_is_the_authors_network(roots: Path, ran: Ran) -> None:
    file = saved(roots / "coclr.pth.tar", "coclr_s3d_k64", wrapped=False)
    made = ran("import", "coclr", str(file), "--row", "coclr-rgb", "--set", "siblings=true")
    queue = [n for n in state("coclr_s3d_k64") if n.startswith("queue")]
    assert made["tensors"]["set_aside"] == queue
    assert all(name.startswith("queue.") for name in made["tensors"]["start_fresh"])
    model, config, run = load_run(Path(made["run"]).name)
    assert (config.objective, config.size, config.queue) == ("coclr", 128, 2048)
    theirs = state("coclr_s3d_k64")
    one, two = (golden_clip(f"coclr.block{i}", (4, 2, 3, 16, 64, 64)) for i in (1, 2))
    with torch.no_grad():
        query, key = model.pair(one[:, 0], two[:, 0])
        second = model.sampler(two[:, 1])
        logits = queue_logits(query, key, theirs["queue"].T, config.temperature)
        found = {
            "logits": logits,
            "similarity_second": similarity(second, theirs["queue_second"].T),
        }
    close("coclr_16x64", found, CLEAR_PASS)
    assert run.result()["file"]["sha256"] == made["file"]["sha256"]


@pytest.mark.parametrize(
    ("method", "schema", "words", "message"),
    [
        ("dpc", "dpc_r18", ["--row", "5pred3+4pred4-r34-224"], "It fits 5pred3 --preset as_"),
        ("dpc", "dpc_r18", ["--preset", "paper"], "It fits 5pred3 --preset as_released"),
        ("dpc", "dpc_lc_r18", [], "does not fit: 4 tensors are missing, the first is predictors.0"),
        ("dpc", "memdpc_bd_r18", [], "`thesislib weights` lists rows and presets"),
        ("memdpc", "memdpc_bd_r18", ["--row", "rgb"], "tensors have no place in the model, the"),
        ("dpc", "dpc_r18", ["--row", "random"], "dpc/random (random initialisation) trains"),
        ("dpc", "dpc_r18", ["--preset", "small"], "There is no preset at full scale 'small'"),
        ("clip_prompt", "dpc_r18", [], "choose one of dpc, memdpc, coclr, turbo"),
        ("dpc", "dpc_r18", ["--row", "5pred"], "did you mean 'dpc/5pred3"),
        ("dpc", "dpc_r18", ["--set", "networks=3"], "did you mean 'network'"),
    ],
)
def test_names_that_do_not_match_make_no_run(
    method: str, schema: str, words: list[str], message: str, roots: Path, ran: Ran
) -> None:
    file = saved(roots / "file.pth", schema, wrapped=False)
    assert message in ran("import", method, str(file), *words, code=1)
    assert not list((roots / "runs").iterdir())


class Evil:
    """Would leave a file if it were executed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_files_that_are_no_checkpoint(roots: Path, ran: Ran) -> None:
    trap = roots / "executed"
    evil, old, text, lame = (roots / name for name in ("evil.pth", "old.pth", "a.pth", "nan.pth"))
    torch.save({"state_dict": {"conv1.weight": torch.zeros(2)}, "args": Evil(trap)}, evil)
    old.write_bytes(pickle.dumps({"state_dict": Evil(trap)}))
    text.write_text("not found: 404")
    tensors = dict(state("dpc_r18"))
    tensors["backbone.conv1.weight"] = torch.full((64, 3, 1, 7, 7), float("nan"))
    torch.save({"state_dict": tensors}, lame)
    torch.save({"state_dict": {}, "epoch": 3}, roots / "empty.pth")
    for path, message in (
        (evil, "is not a checkpoint that can be read safely"),
        (old, "is not a checkpoint that can be read safely"),
        (text, "is not a checkpoint that can be read safely"),
        (roots / "empty.pth", "is not a checkpoint that can be read safely"),
        (roots, "There is no checkpoint"),
        (roots / "none.pth", "There is no checkpoint"),
        (lame, "holds numbers that are not finite, first in backbone.conv1.weight"),
    ):
        said = ran("import", "dpc", str(path), code=1)
        assert message in said and said.count("\n") == 1, said
    assert not trap.exists() and not list((roots / "runs").iterdir())


def test_a_run_of_ours_is_not_judged_as_theirs(roots: Path, ran: Ran) -> None:
    run = roots / "runs" / "dpc-small-x-s0-1"
    run.mkdir()
    (run / "config.json").write_text("{}")
    (run / "result.json").write_text('{"metrics": {}, "provenance": {}}')
    assert "was trained here, and `thesislib eval` finds it" in ran(
        "eval", "dpc", "--run", run.name, code=1
    )


def test_what_the_authors_published_is_listed(ran: Ran) -> None:
    found = ran("weights")["published"]
    assert list(found) == list(book.methods())
    for method in found:
        for one in weights(method):
            assert one.where.startswith("http") and found[method][one.what]["where"] == one.where
            if one.row:
                args = parser().parse_args(one.command.split()[1:])
                assert (args.method, args.preset) == (method, one.preset)
                importing.settings(one.row, one.preset, one.changes)
    assert not any(one.row for one in weights("clip_prompt"))
    with pytest.raises(ThesisError, match="There is no method"):
        weights("dpcc")


TAN_NAMES = (  # ours, theirs
    ("network.dual.blocks", "video_temporal_encoder.resblocks"),
    ("network.joint.blocks", "joint_temporal_encoder.resblocks"),
    (".norm_1", ".ln_1"), (".norm_2", ".ln_2"), (".attention.", ".attn."),
    (".mlp.0.", ".mlp.c_fc."), (".mlp.2.", ".mlp.c_proj."),
    ("network.positions", "temporal_pos_embed"), ("network.project_video", "video_pre_proj"),
    ("network.project_text", "text_pre_proj"), ("network.norm_video", "ln_video_init"),
    ("network.norm_text", "ln_text_init"), ("network.norm_positions", "ln_position_init"),
    ("network.dual.norm", "ln_video_post_enc"), ("network.joint.norm", "ln_joint_post_enc"),
    ("network.head", "binary_head"), ("text.table", "lang_model.word_embd"),
    ("text.fc", "lang_model.fc"),
)  # fmt: skip
SMALL_TAN = (
    "dim=8", "width=8", "depth=1", "joint_depth=1", "heads=2", "words=10", "word_dim=4",
    "word_hidden=6", "text_dim=8", "places=64",
)  # fmt: skip


def test_tan_of_both_stages(roots: Path, ran: Ran) -> None:
    config = importing.settings("tan/d", "as_released", {})
    config = config.override({n: int(v) for n, _, v in (s.partition("=") for s in SMALL_TAN)})
    torch.manual_seed(3)
    ours = book.method("tan").MODEL(config)
    theirs = {}
    for name, value in ours.state_dict().items():
        for mine, other in TAN_NAMES:
            name = name.replace(mine, other)
        theirs[name] = value
    theirs |= {f"{part}.mlp.weight": torch.zeros(8, 8) for part in ("online", "target")}
    file = roots / "epoch19.pth.tar"
    torch.save({"epoch": 19, "state_dict": theirs, "best_acc": 0.5, "iteration": 9}, file)
    made = ran("import", "tan", str(file), *sets("--set", SMALL_TAN))
    assert made["row"] == "tan/d" and made["file"]["epoch"] == 19
    assert sorted(made["tensors"]["set_aside"]) == ["online.mlp.weight", "target.mlp.weight"]
    assert made["tensors"]["start_fresh"] == []
    model, config, _ = load_run(made["run"], ("tan",))
    assert config.texts == "words"
    for name, value in ours.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert "trains nothing" in ran("import", "tan", str(file), "--row", "stamps", code=1)
