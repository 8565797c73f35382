"""What a clip is: its frames, its streams, its augmentation, and the flow that it may need."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

from thesislib.config import RunConfig
from thesislib.fields import (
    Count,
    Frames,
    Natural,
    NonNegative,
    Pixels,
    Positive,
    Share,
    between,
    one_of,
    rising,
    settle,
)

MODALITIES = ("rgb", "flow", "both")
SCOPES = ("frame", "clip")
INTERPOLATIONS = ("bilinear", "nearest", "bicubic")
BACKENDS = ("auto", "decord", "pyav", "torchcodec")
FLOW_ALGORITHMS = ("tvl1", "tvl1_fast", "tvl1_quick", "farneback", "dis")


@dataclass(frozen=True)
class Augment:
    """Augmentation of one clip; every random operation states its scope.

    A *clip* scope draws once for all frames of the clip, a *frame* scope anew for each frame.
    Crop, flip and blur are always per clip: the thesis applies the first two "in a consistent way"
    (2.3.5), and all of chapter 4's "clip-wise consistent" (4.4.2).
    """

    # resized (area and aspect drawn), random (fixed size), centre
    crop: Annotated[str, one_of("crop", ("resized", "random", "centre"))] = "resized"
    # Share of the frame's area, and width / height, for "resized".
    crop_area: Annotated[tuple[Positive, Positive], rising] = (0.5, 1.0)
    crop_aspect: Annotated[tuple[Positive, Positive], rising] = (0.75, 4 / 3)
    # No box fits: after ten tries the largest square, or whole: the whole frame after one try (as
    # CoCLR was released).
    crop_fallback: Annotated[str, one_of("crop fallback", ("square", "whole"))] = "square"
    # Pixels, for "random" and "centre"; 0: the largest square.
    crop_size: Annotated[int, between(0, 8192)] = 0
    flip: Share = 0.5  # probability of a mirror image
    grey: Share = 0.0  # probability of grey
    grey_scope: Annotated[str, one_of("scope for grey", SCOPES)] = "frame"
    # luma; channel: one random channel copied (as released); channels: another one in each frame,
    # also where the clip turns grey as a whole (as CoCLR was released)
    grey_kind: Annotated[str, one_of("grey kind", ("luma", "channel", "channels"))] = "luma"
    # Brightness, contrast, saturation: factor in 1 +- value; hue: shift in +- value turns.
    jitter: tuple[NonNegative, NonNegative, NonNegative, Share] = (0.0, 0.0, 0.0, 0.0)
    jitter_p: Share = 1.0  # probability that the jitter is applied at all
    jitter_scope: Annotated[str, one_of("scope for jitter", SCOPES)] = "frame"
    test_jitter: bool = False  # the jitter at test time as well (as MemDPC was released)
    blur_p: Share = 0.0  # probability of a Gaussian blur, for training alone
    # Range of its sigma, in pixels of the output.
    blur: Annotated[tuple[Positive, Positive], rising] = (0.1, 2.0)
    # Or nearest (as DPC was released), bicubic (as CoCLR was).
    interpolation: Annotated[str, one_of("interpolation", INTERPOLATIONS)] = "bilinear"
    normalise: bool = True  # ImageNet mean and standard deviation, of flow too (as released)
    # Flow becomes a picture of three channels. The thesis stacks "a third zero-valued channel" and
    # *then* maps [-20, 20] to [0, 255] (3.5.2, 4.4.2): zero motion, 128, as in the released files.
    # 0 for the other reading: a channel of zeros after the mapping.
    flow_third: Annotated[int, between(0, 255)] = 128
    # x, y, third; or 0yx (the released files in an RGB reader).
    flow_channels: Annotated[str, one_of("order of flow channels", ("xy0", "0yx"))] = "xy0"
    flow_colour: bool = True  # grey, jitter and blur for flow too: "for both streams" (3.5.2)

    def __post_init__(self) -> None:
        settle(self)

    def light(self) -> Augment:
        """The same crop and flip without grey, jitter and blur."""
        return dataclasses.replace(self, grey=0.0, jitter=(0.0,) * 4, blur_p=0.0)


@dataclass(frozen=True)
class FlowConfig:
    """How optical flow is computed (thesis 3.5.2 and 4.4.2: TV-L1, clipped at 20 pixels)."""

    # OpenCV's own settings; the others are faster, and departures.
    algorithm: Annotated[str, one_of("flow algorithm", FLOW_ALGORITHMS)] = "tvl1"
    bound: Positive = 20.0  # pixels at which x and y are clipped

    def __post_init__(self) -> None:
        settle(self)


# Colour per frame, against the optical-flow shortcut (thesis 2.3.3).
FRAME_WISE = Augment(grey=0.5, grey_scope="frame", jitter=(0.5, 0.5, 0.5, 0.25))


@dataclass(frozen=True)
class ClipConfig(RunConfig):
    """What a run on clips has besides; the same for training clips and for test windows.

    Videos of at most ``span`` frames are *short*. Flow field k belongs to frame k; the last frame,
    which has none, takes the field before it.
    """

    unhashed = (*RunConfig.unhashed, "cache", "backend")

    cache: bool = False  # keep decoded frames in memory: for small data sets
    # What decodes: auto is decord, and PyAV for what that does not read as a player shows it.
    backend: Annotated[str, one_of("video backend", BACKENDS)] = "auto"
    num_seq: Frames = 8  # blocks N
    seq_len: Frames = 5  # frames per block T
    stride: Frames = 3  # raw frames from one frame to the next
    size: Pixels = 128  # pixels, side of the square input
    # Clips of each video in an item: 2 for a query and its key (4.4.2).
    views: Annotated[int, one_of("number of views", (1, 2))] = 1
    one_window: Share = 0.0  # two views: probability that both show the same window of time
    heavy: Share = 1.0  # views of two windows: probability that one gets colour and blur besides
    #   crop and flip; below 1, of two views of one window exactly one does
    # Groups of videos that a batch is drawn from (hard negatives); 0: the batch is drawn at large,
    # as in the thesis, and so where videos have no groups.
    batch_groups: Natural = 0
    batch_clips: Count = 1  # clips of each video in a batch of groups
    min_clips: Natural = 160  # clips of an epoch at least: a small set is passed over several times
    # Videos shorter than the clip: drop, or pad with the last frame.
    short: Annotated[str, one_of("policy for short videos", ("drop", "pad"))] = "drop"
    augment: Augment = Augment()
    # rgb, flow, or both streams of the same clip
    modality: Annotated[str, one_of("modality", MODALITIES)] = "rgb"
    flow: FlowConfig = FlowConfig()  # which flow, for "flow" and "both"

    @property
    def streams(self) -> str:
        """What a clip for training has to hold: ``modality``, unless a method needs more."""
        return self.modality

    @property
    def span(self) -> int:
        """Raw frames that a clip covers."""
        return self.num_seq * self.seq_len * self.stride

    @property
    def hop(self) -> int:
        """Raw frames from one test window to the next: half a window, in whole blocks if many."""
        if self.num_seq == 1:
            return max(1, self.span // 2)
        return self.num_seq // 2 * self.seq_len * self.stride


def one_view(config: ClipConfig) -> ClipConfig:
    """The clips of any settings, one of each video and of its own stream alone."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(ClipConfig)}
    return ClipConfig(**{**fields, "views": 1})


# Clips of the small profile: one place, so that pre-training and fine-tuning of all methods agree.
SMALL_CLIPS: dict[str, Any] = {
    "profile": "small", "dataset": "synthetic", "num_workers": 0, "cache": True,
    "size": 48, "seq_len": 3, "stride": 2,
}  # fmt: skip
