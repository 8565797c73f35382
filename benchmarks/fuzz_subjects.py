"""The readers of the library, each with a small valid file: what ``fuzz_readers.py`` damages."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from fuzz_readers import Subject
from thesislib.authors import read_checkpoint
from thesislib.chapters.clip_prompt.retrieval import Embedded
from thesislib.checkpoint import RunFolder, load_state, read_info, save_state, seal
from thesislib.clip_config import FlowConfig
from thesislib.data import few_shot, few_shot_names, flow_files, side_files
from thesislib.data.captions import read_captions, write_captions
from thesislib.data.checking import _read_notes
from thesislib.data.class_list import read_class_list
from thesislib.data.contents import Content
from thesislib.data.failures import read_failures, write_failures
from thesislib.data.features import FeatureStore, feature_file, is_whole, write_features, write_note
from thesislib.data.manifest import Manifest, Video, read_manifest, write_manifest
from thesislib.data.narrations import (
    UNSEEN,
    Alignment,
    Narration,
    read_alignments,
    read_narrations,
    write_narrations,
)
from thesislib.data.public import actions, activities, captions, howto100m, intervals, narrated
from thesislib.data.public.joining import PublicSet, prepare_listed
from thesislib.data.scan import find_candidates
from thesislib.data.segments import read_segments, write_segments
from thesislib.evaluation.index import FeatureIndex, Stream
from thesislib.evaluation.scores import PerVideo, load_rows, save_rows
from thesislib.evaluation.segments import Segments
from thesislib.image_text.model import _read_config
from thesislib.image_text.sentences import _mean_of_tokens
from thesislib.image_text.tokens import make_tokenizer, write_merges
from thesislib.image_text.weights import read_weights
from thesislib.ledger import read_entry
from thesislib.synthetic.studio import RECIPE_FILE, Recipe, claim
from thesislib.torchvision_here import ensure_torchvision

VIDEOS = (
    Video("a b/0.mp4", "wave", "train", "g0", 4, 25.0, 8, 6),
    Video("ü/1.mp4", "bow", "test", "g1", 3, 30.0, 8, 6),
)
UCF = {"trainlist01.txt": "A/v_A_g01_c01.avi 1\r\nB/v_B_g01_c01.avi 2\r\n",
       "testlist01.txt": "A/v_A_g02_c01.avi\nB/v_B_g02_c01.avi\n"}  # fmt: skip
KINETICS = (
    'label,youtube_id,time_start,time_end,split\nplay it,abc_1,3,13,train\n"a, b",-x,0,10,val\n'
)
THUMOS = (
    "video,type,type_idx,start,end\nvideo_validation_0000051,Billiards,12,67.5,75.9\n"
    "video_test_0000004,Ambiguous,0,0.2,1.1\n"
)
TRUTH = (
    "video-name,t-init,t-end,frame-rate,video-frames,label-idx\n"
    "video_test_0000004,0.2,1.1,30,100,5\n"
)
ANNOTATIONS = [{"segment": [1.5, 4], "label": "Long jump"}, {"segment": ["0", "1"], "label": "Run"}]
ACTIVITYNET = {"database": {
    "abc": {"subset": "training", "duration": 9.5, "annotations": ANNOTATIONS},
    "def": {"subset": "validation", "annotations": ANNOTATIONS[:1]},
    "ghi": {"subset": "testing", "annotations": []},
}}  # fmt: skip
BMN = {"v_a": {"duration_second": 9.5, "duration_frame": 285, "annotations": ANNOTATIONS}}
# fmt: off
COIN = {"database": {"x1": {"class": "MakeTea", "subset": "training",
                            "annotation": [{"segment": [1, 2.5], "label": "pour"}]},
                     "x2": {"class": "MakeTea", "subset": "testing", "annotation": []}}}
# fmt: on
MSRVTT = {
    "videos": [{"video_id": "video1", "split": "train"}, {"video_id": "video2", "split": "test"}],
    "sentences": [
        {"video_id": "video1", "caption": "a man é"},
        {"video_id": "video2", "caption": "two"},
    ],
}  # fmt: skip
LSMDC = 'm_00.00.01.000-00.00.02.000\t00.00.01\t00.00.02\t00.00.01\t00.00.02\tHe "runs".\n'
YOUCOOK = {"database": {"y1": {"recipe_type": "101", "subset": "training", "annotations": [
    {"segment": [1, 2], "sentence": "cut it"}]}, "y2": {"subset": "testing"}}}  # fmt: skip
# Set, its files, and which of them is damaged.
PUBLIC: dict[str, tuple[PublicSet, dict[str, Any], str]] = {
    "ucf101": (actions.UCF101, UCF, "trainlist01.txt"),
    "hmdb51": (actions.HMDB51, {"wave_test_split1.txt": "a_wave_u.avi 1 \nb_wave_u.avi 2 \n"}, ""),
    "hmdb51 csv": (
        actions.HMDB51,
        {"hmdb.csv": "id,video_id,label,split1,split2,split3\n0,a.avi,wave_test,1,0,2\n"},
        "",
    ),
    "kinetics": (actions.KINETICS400, {"val.csv": KINETICS}, ""),
    "kinetics frames": (
        actions.KINETICS400, {"train.csv": "x/play_it/ab-c_000001_000011/,300\n"}, ""
    ),
    "breakfast": (
        activities.BREAKFAST, {"P03_cam01_P03_tea.txt": "1-30 SIL  \n31-150 take_bowl  \n"}, ""
    ),
    "breakfast labels": (
        activities.BREAKFAST, {"P03_cam01_P03_tea.txt": "SIL\nSIL\npour\npour\n"}, ""
    ),
    "coin": (activities.COIN, {"COIN.json": COIN}, ""),
    "thumos14": (intervals.THUMOS14, {"test_Annotation.csv": THUMOS}, ""),
    "thumos14 text": (
        intervals.THUMOS14, {"Diving_test.txt": "video_test_0000004  3.5  4.5\n"}, ""
    ),
    "thumos14 truth": (intervals.THUMOS14, {"truth.csv": TRUTH}, ""),
    "activitynet": (intervals.ACTIVITYNET, {"activity_net.json": ACTIVITYNET}, ""),
    "activitynet bmn": (
        intervals.ACTIVITYNET,
        {"anno.json": BMN, "info.csv": "video,numFrame,subset\nv_a,285,training\n"},
        "anno.json",
    ),
    "activitynet csv": (
        intervals.ACTIVITYNET,
        {"anno.json": BMN, "info.csv": "video,numFrame,subset\nv_a,285,training\n"},
        "info.csv",
    ),
    "msrvtt": (captions.MSRVTT, {"all.json": MSRVTT}, ""),
    "msrvtt csv": (
        captions.MSRVTT,
        {"test.csv": 'key,vid_key,video_id,sentence\nret0,msr7,video7,"a, b"\n', "a.json": MSRVTT},
        "test.csv",
    ),
    "lsmdc": (captions.LSMDC, {"LSMDC16_annos_val.csv": LSMDC}, ""),
    "smit": (captions.SMIT, {"train.json": [{"video": "a/b.mp4", "caption": "he said"}]}, ""),
    "smit csv": (captions.SMIT, {"val.csv": "file,transcript\na\\b.mp4,he said\n"}, ""),
    "didemo": (
        captions.DIDEMO, {"train_data.json": [{"video": "a.mp4", "description": "a cat"}]}, ""
    ),
    "htm_align": (
        narrated.HTM_ALIGN,
        {"htm_align.json": {"v1": [[1, 1.5, 3.0, "cut it"], [0, 4, 5, "hello"]]}},
        "",
    ),
    "htm_370k": (
        howto100m.HTM_370K,
        {"sentencified.json": {"v1": {"text": ["cut it"], "start": [1.5], "end": [3.0]}}},
        "",
    ),
    "htm_aa": (narrated.HTM_AA, {"aa.csv": 'vid,timestamp,text\nv1,3.5,"cut, it"\n'}, ""),
    "youcook2": (narrated.YOUCOOK2, {"trainval.json": YOUCOOK}, ""),
    "youcook2 csv": (
        narrated.YOUCOOK2, {"val.csv": "end,start,task,text,video_id\n5,2,101,cut it,v1\n"}, ""
    ),
}  # fmt: skip
ENTRY = {
    "row": "dpc/base", "method": "dpc", "profile": "small", "dataset": "synthetic", "seed": 0,
    "metrics": {"top1": 0.5}, "hits": {"top1": "01"}, "provenance": {"commit": "abc"},
}  # fmt: skip
ARCHITECTURE = {
    "model_cfg": {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 8, "vocab_size": 514, "width": 16, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
}


def subjects(root: Path) -> dict[str, Subject]:
    """All of them, with their files below ``root``."""
    found: dict[str, Subject] = {}
    manifest = _side_files(root / "set", found)
    _user_files(root / "own", found)
    for name, (one, files, which) in PUBLIC.items():
        _listed(root / "public" / name.replace(" ", "_"), name, one, files, which, found)
    _features(root / "features", found)
    _flow(root / "set", manifest, found)
    _runs(root / "runs", found)
    _models(root / "models", found)
    return found


def _write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _side_files(folder: Path, found: dict[str, Subject]) -> Manifest:
    manifest = Manifest("set", folder, VIDEOS, {"licence": "own", "class_texts": {"bow": "to bow"}})
    told = {VIDEOS[0].path: [Narration(0.0, 0.1, "cut, it"), Narration(0.1, 0.2, "é")]}
    seen = {VIDEOS[0].path: [Alignment(True, 0.0, 0.1, "shown"), UNSEEN]}
    write_narrations(manifest, told, seen)
    write_captions(manifest, [(video.path, "he waves") for video in VIDEOS])
    spans = {VIDEOS[0].path: [(0.0, 0.1, "wave")], VIDEOS[1].path: [(0.05, 0.1, "bow")]}
    write_segments(manifest, spans, {VIDEOS[1].path: [(0.0, 0.02, "bow")]})
    write_failures(manifest, {VIDEOS[0].path: 2})
    write_manifest(manifest, {video.path: Content(9, 10**18, "0" * 16) for video in VIDEOS})
    _drop(folder / "dataset.json", "fingerprint", "info_sha256")  # what is behind them is meant
    readers: dict[str, tuple[str, Callable[[Manifest], object]]] = {
        "captions": ("captions.csv", read_captions),
        "narrations": ("narrations.csv", read_narrations),
        "alignments": ("alignments.csv", read_alignments),
        "segments": ("segments.json", read_segments),
        "failures": ("failures.csv", read_failures),
    }
    for name in ("manifest.csv", "dataset.json", "contents.csv"):
        found[name] = Subject(folder / name, lambda: read_manifest(folder))
    for name, (file, read) in readers.items():
        manifest.info.pop(side_files.checksum_key(file), None)
        found[name] = Subject(folder / file, lambda read=read: read(manifest))
    manifest.info["fingerprint"] = manifest.fingerprint  # of the whole, whatever is selected
    return manifest


def _drop(path: Path, *names: str) -> None:
    told = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in told.items() if k not in names}))


def _user_files(folder: Path, found: dict[str, Subject]) -> None:
    def add(name: str, file: str, content: Any, read: Callable[[Path], object]) -> None:
        path = _write(folder / name.replace(" ", "_") / file, content)
        found[name] = Subject(path, lambda: read(path))

    add("class list", "names.txt", "brush_hair\nwave\nride a horse\n", read_class_list)
    csv = 'Path,Class,split\na/b.mp4,wave,train\n"c, d.mp4",bow,validation\n'
    add("csv of videos", "own.csv", csv, find_candidates)
    line = {"video": "a", "start": 1.5, "end": 4.0, "label": "run", "score": 0.5}
    lines = json.dumps(line) + "\n" + json.dumps({**line, "video": "é"}) + "\n"
    add("predicted segments", "s.jsonl", lines, Segments.load)
    trials = folder / "trials"
    _write(trials / "test" / "split_0.list", "wave/x\nbow/y\n")
    path = _write(trials / "train" / "split_0.list", "wave/a\nbow/b\n")
    found["few-shot trials"] = Subject(path, lambda: few_shot.read_trials(trials))
    open_set = folder / "open"
    _write(open_set / "test.list", "x\ny\n")
    path = _write(open_set / "train.list", "wave\nbow\n")
    found["open sets"] = Subject(path, lambda: few_shot.read_open_sets(open_set))
    add("words of classes", "w.json", {"brush_hair": "brush hairs"}, few_shot_names.read_names)
    note = {"n_frames": 4, "fps": 25.0, "width": 8, "height": 6, "duration": 0.2}
    noted = json.dumps(["a.mp4", 9, 10**18, True, note]) + "\n"
    add("checked.jsonl", "checked.jsonl", noted + '["b", 1, 2, false, "no video"]\n', _read_notes)
    made = folder / "recipe"
    recipe = Recipe()
    path = _write(made / RECIPE_FILE, recipe.to_dict())
    found["recipe"] = Subject(path, lambda: claim(made, recipe, False))


def _listed(
    folder: Path, name: str, one: PublicSet, files: dict[str, Any], which: str,
    found: dict[str, Subject],
) -> None:  # fmt: skip
    paths = [_write(folder / "lists" / file, content) for file, content in files.items()]
    path = folder / "lists" / which if which else paths[0]

    def read() -> None:
        prepare_listed(
            one, folder / "lists", lists_only=True, val=0, name="it", root=folder / "data",
            force=True, progress=False,
        )  # fmt: skip

    found[f"list of {name}"] = Subject(path, read, cost=6)


def _features(folder: Path, found: dict[str, Subject]) -> None:
    settings = {"model": "grey", "width": 3, "rate": None, "dtype": "float32"}
    path = feature_file(folder, VIDEOS[0].path)
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    write_features(path, values, np.arange(4) / 25, settings, VIDEOS[0].path, "0" * 32)
    write_note(folder, {"dataset": "set", "settings": settings, "skipped": {"x.mp4": "no video"}})
    found["features.json"] = Subject(folder / "features.json", lambda: FeatureStore(folder).width)
    found["features of frames"] = Subject(
        path, lambda: (is_whole(path), FeatureStore(folder).read(VIDEOS[0], 1, 3))
    )
    stream = Stream(values[:2], "run", "0" * 64, "1" * 8, 1, {"size": "8 pixels"})
    index = FeatureIndex("set", "0" * 64, VIDEOS, ("bow", "wave"), (stream,), ("x",), "abc")
    index.save(folder / "index")
    found["index"] = Subject(
        folder / "index" / "features.safetensors", lambda: FeatureIndex.load(folder / "index")
    )
    names = tuple(video.path for video in VIDEOS)
    rows = PerVideo(values[:2], np.arange(2), np.arange(2), {"total": 2, "used": 2}, names)
    save_rows(folder / "probabilities.safetensors", rows)
    found["probabilities"] = Subject(
        folder / "probabilities.safetensors", lambda: load_rows(folder)
    )
    told = Embedded(torch.ones(2, 3), torch.ones(2, 1, 3), torch.arange(2), names, ("a", "é"))
    told.save(folder / "retrieval.safetensors")
    found["texts and videos"] = Subject(
        folder / "retrieval.safetensors", lambda: Embedded.load(folder / "retrieval.safetensors")
    )


def _flow(folder: Path, manifest: Manifest, found: dict[str, Subject]) -> None:
    video, config = VIDEOS[0], FlowConfig()
    note = {"format": 1, "settings": vars(config), "departure": "", "skipped": {"x": "no video"},
            "fingerprint": flow_files.fingerprint(manifest)}  # fmt: skip
    path = _write(folder / "flow" / "flow.json", note)
    found["flow.json"] = Subject(
        path,
        lambda: (
            flow_files.flow_report(manifest),
            flow_files.remedy(manifest),
            flow_files.check_flow(manifest.select("train"), config),
        ),
    )
    path = flow_files.flow_file(manifest, video)
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(video.n_frames - 1):
            with archive.open(flow_files.member(k) + ".npy", "w") as file:
                np.lib.format.write_array(file, rng.integers(0, 9, (6, 8, 2), np.uint8))
    found["flow"] = Subject(
        path,
        lambda: (flow_files.is_whole(path, video), flow_files.read_flow(manifest, video, [0, 2])),
    )


def _runs(folder: Path, found: dict[str, Subject]) -> None:
    run = RunFolder(folder / "dpc-small-set-s0-01234567")
    _write(run.path / "config.json", {"method": "dpc", "lr": 0.001})
    run.write_metrics([{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.5}])
    model = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    save_state(run.checkpoint, model, optimiser, {"epoch": 2, "config": {"lr": 0.001}})
    run.finish({"skipped": ["a.mp4"], "checkpoint": seal(run.checkpoint)})
    found["config.json"] = Subject(run.path / "config.json", run.settings)
    found["result.json"] = Subject(
        run.path / "result.json", lambda: (run.lost, run.load_into(model)), cost=2
    )
    found["metrics.jsonl"] = Subject(run.path / "metrics.jsonl", run.metrics)
    found["checkpoint"] = Subject(
        run.checkpoint,
        lambda: (
            seal(run.checkpoint), read_info(run.checkpoint),
            load_state(run.checkpoint, model, optimiser),
        ),
    )  # fmt: skip
    path = _write(folder / "entry.json", ENTRY)
    found["result of a row"] = Subject(path, lambda: read_entry(path))


def _models(folder: Path, found: dict[str, Subject]) -> None:
    folder.mkdir(parents=True)
    tensors = {"a.weight": torch.ones(2, 3), "b": torch.arange(4)}
    save_file(tensors, folder / "w.safetensors")
    torch.save({"state_dict": tensors, "epoch": 3, "arch": "s3d"}, folder / "theirs.pth.tar")
    torch.save(tensors, folder / "plain.pt")
    torch.save(tensors, folder / "old.pth", _use_new_zipfile_serialization=False)
    for name, file, read in (
        ("weights", "w.safetensors", read_weights),
        ("authors' safetensors", "w.safetensors", read_checkpoint),
        ("authors' checkpoint", "theirs.pth.tar", read_checkpoint),
        ("authors' old checkpoint", "old.pth", read_checkpoint),
        ("weights of open_clip", "plain.pt", read_weights),
    ):
        path = folder / file
        found[name] = Subject(path, lambda read=read, path=path: read(path), cost=4)
    path = _write(folder / "open_clip_config.json", ARCHITECTURE)
    found["architecture"] = Subject(path, lambda: _read_config(path))
    pooling = _write(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    found["pooling"] = Subject(pooling, lambda: _mean_of_tokens(folder))
    ensure_torchvision()
    merges = folder / "merges.txt.gz"
    write_merges(merges, 20)
    text = {"context_length": 8, "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"}}
    found["merges"] = Subject(merges, lambda: make_tokenizer(text, "it", folder), cost=20)
