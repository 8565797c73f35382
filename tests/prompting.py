"""Chapter 5 without a film: a tiny image-text model with random weights, and made-up features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from thesislib.chapters import frame_features
from thesislib.data.features import feature_file, fingerprint, write_features, write_note
from thesislib.data.manifest import Manifest, Video, write_manifest
from thesislib.methods.clip_prompt import ClipPromptConfig
from thesislib.torchvision_here import ensure_torchvision

Features = Mapping[str, tuple[np.ndarray, np.ndarray]]  # path -> rows (N, D), times (N,)
SETTINGS: dict[str, Any] = {"warmup": 0, "heads": 2, "batch_size": 8, "num_workers": 0}


def tiny_model(folder: Path, dim: int) -> Path:
    """A folder that ``load_image_text`` reads; unlike open_clip's own weights these tell texts."""
    ensure_torchvision()
    open_clip = pytest.importorskip("open_clip")
    vision = {"layers": 1, "width": 16, "patch_size": 16, "image_size": 32, "head_width": 8}
    text = {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": dim, "vision_cfg": vision, "text_cfg": text}
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1.0 if "token_embedding" in name else 0.3)
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {}})
    )
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def tiny_preset(patch: pytest.MonkeyPatch, model: Path, **settings: Any) -> ClipPromptConfig:
    """Makes the small preset one of this model; the others stay."""
    usual = ClipPromptConfig.preset
    small = usual("small").override({"model": str(model), **SETTINGS, **settings})
    known = {"small": small, "paper": usual("paper"), "gpu": usual("gpu")}
    patch.setattr(ClipPromptConfig, "preset", staticmethod(known.get))
    return small


def listed(root: Path, name: str, videos: Mapping[str, str], info: dict[str, Any]) -> Manifest:
    """A data set of files that are no videos: path -> split."""
    rows = []
    for path, split in videos.items():
        file = root / "data" / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())
        rows.append(Video(path, "", split, path, 8, 4.0, 32, 32))
    return Manifest(name, root / "data" / name, tuple(rows), info)


def given_features(patch: pytest.MonkeyPatch, features: Features) -> None:
    """Lets "extraction" write these; a video that they lack is skipped."""

    def extract(
        manifest: Manifest, encoder: Any, folder: Path, *, rate: float | None, dtype: str, **_: Any
    ) -> None:
        settings = encoder.describe() | {"rate": rate, "dtype": dtype}
        skipped = {}
        for video in manifest.videos:
            if video.path not in features:
                skipped[video.path] = "made up"
                continue
            source = fingerprint(manifest.file(video))
            place = feature_file(folder, video.path)
            write_features(place, *features[video.path], settings, video.path, source)
        write_note(folder, {"dataset": manifest.name, "settings": settings, "skipped": skipped})

    patch.setattr(frame_features, "extract_features", extract)


def written(manifest: Manifest) -> Manifest:
    """The manifest, on disk."""
    write_manifest(manifest)
    return manifest
