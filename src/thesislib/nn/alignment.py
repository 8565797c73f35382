"""The network of temporal alignment: a dual and a joint Transformer (thesis 7.3, Figure 7.2)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError
from thesislib.nn.transformer import Block, draw_as_clip


class Encoded(NamedTuple):
    """What one encoder makes of B videos of T seconds and their N sentences, at S stages.

    Its fields:

    - ``video``: ``(B, S, T, W)`` unit vectors.
    - ``text``: ``(B, S, N, W)`` unit vectors. Those of the dual encoder are the same at all stages.
    - ``head``: ``(B, S, N)`` logits of alignability.
    """

    video: Tensor
    text: Tensor
    head: Tensor


class Stages(nn.Module):
    """A Transformer that tells what it has after each of its layers.

    Stage l is the output of layer l as the next one sees it, through that one's first norm; the
    last has a norm of its own. Without a layer there is one stage, the input.

    Args:
        dim: Length W of a token.
        depth: Layers.
        heads: Of the attention.
        drop_path: How often, in training, an item passes half a layer by.
    """

    def __init__(self, dim: int, depth: int, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, heads, drop_path=drop_path) for _ in range(depth))
        self.norm = nn.LayerNorm(dim) if depth else nn.Identity()
        draw_as_clip(self.blocks)

    def forward(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """``(B, N, W)`` to ``(B, S, N, W)``; padding is bool ``(B, N)``."""
        outputs = []
        layers: list[Any] = list(self.blocks)
        for number, block in enumerate(layers):
            if number:
                outputs.append(block.norm_1(x))
            x = block(x, padding=padding)
        return torch.stack([*outputs, self.norm(x)], 1)


class AlignmentNetwork(nn.Module):
    """Both encoders on projections, norms and positions that they share.

    The dual encoder sees the video alone, the joint one video and sentences as one sequence.
    Sentences have no positions. Without layers for the video, each second stands for itself and
    has none either.

    Args:
        dim: Numbers of a second's feature.
        text_dim: Of a sentence's.
        width: Length W of a token.
        depth: Layers of the dual encoder; 0: each second for itself.
        joint_depth: Layers of the joint one; 0: there is none.
        heads: Of the attention.
        places: Seconds that have a position.
        one_space: Features of seconds and sentences are of one space, and the network begins with
            its cosines: both projections are the same rotation, and layers and positions add
            nothing until they have learnt to.
        dropout: Share of the numbers of a feature that training leaves out.
        drop_path: See :class:`Stages`.
    """

    def __init__(
        self,
        dim: int,
        text_dim: int,
        width: int,
        depth: int,
        joint_depth: int,
        heads: int,
        places: int,
        one_space: bool = False,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.project_video = nn.Linear(dim, width, bias=False)
        self.project_text = nn.Linear(text_dim, width, bias=False)
        self.norm_video, self.norm_text = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dual = Stages(width, depth, heads, drop_path)
        self.joint = Stages(width, joint_depth, heads, drop_path) if joint_depth else None
        self.positions = None
        if depth or joint_depth:
            self.positions = nn.Parameter(torch.empty(places, width))
            self.norm_positions = nn.LayerNorm(width)
            nn.init.normal_(self.positions, std=0.01)
        self.head = nn.Linear(width, 1)
        for layer in (self.project_video, self.project_text):
            nn.init.normal_(layer.weight, std=0.01)
        if one_space:
            self._add_nothing()

    def _add_nothing(self) -> None:
        nn.init.orthogonal_(self.project_video.weight)
        self.project_text.load_state_dict(self.project_video.state_dict())
        for name, weight in self.named_parameters():
            if name.endswith(
                ("out_proj.weight", "mlp.2.weight", "mlp.2.bias", "norm_positions.weight")
            ):
                nn.init.zeros_(weight)

    def places(self, seconds: int, offset: int = 0, stretched: int = 0) -> Tensor:
        """Codes of ``seconds`` in a row, ``(T, W)``.

        Args:
            seconds: T.
            offset: The first one's.
            stretched: The codes of so many seconds, drawn out or pressed to T; 0: one a second.

        Raises:
            ThesisError: There are not as many.
        """
        assert self.positions is not None
        have, wanted = len(self.positions), offset + (stretched or seconds)
        if wanted > have:
            raise ThesisError(
                f"A window of {seconds} seconds has no position from second {have} on: align by "
                "windows, or build the model with more places."
            )
        codes = self.positions[offset:wanted]
        if stretched:
            codes = F.interpolate(codes.T[None], size=seconds, mode="linear")[0].T
        return self.norm_positions(codes)

    def forward(
        self,
        video: Tensor,
        text: Tensor,
        video_padding: Tensor | None = None,
        text_padding: Tensor | None = None,
        offset: int = 0,
        stretched: int = 0,
    ) -> tuple[Encoded, Encoded | None]:
        """What the dual and the joint encoder make of videos and their own sentences.

        Args:
            video: ``(B, T, D)``, a feature a second.
            text: ``(B, N, E)``.
            video_padding: bool ``(B, T)``, True for seconds that are not there.
            text_padding: bool ``(B, N)``, likewise.
            offset: See :meth:`places`.
            stretched: See :meth:`places`.
        """
        text = self.sentences(text)
        alone = self.alone(video, video_padding, offset, stretched)
        same = text[:, None].expand(-1, alone.shape[1], -1, -1)
        dual = Encoded(_unit(alone), _unit(same), self._alignable(same))
        if self.joint is None:
            return dual, None
        placed = self._placed(video, True, offset, stretched)
        padding = _beside(video_padding, text_padding, placed, text)
        both = self.joint(torch.cat([placed, text], 1), padding)
        seconds, sentences = both.split([video.shape[1], text.shape[1]], 2)
        return dual, Encoded(_unit(seconds), _unit(sentences), self._alignable(sentences))

    def alone(
        self, video: Tensor, padding: Tensor | None = None, offset: int = 0, stretched: int = 0
    ) -> Tensor:
        """Seconds by the dual encoder, ``(B, S, T, W)``."""
        placed = self._placed(video, len(self.dual.blocks) > 0, offset, stretched)
        return self.dual(placed, padding)

    def sentences(self, text: Tensor) -> Tensor:
        """Sentences by the dual encoder, which are also the joint one's input, ``(B, N, W)``."""
        return self.norm_text(self.project_text(self.dropout(text)))

    def _alignable(self, text: Tensor) -> Tensor:
        return self.head(text)[..., 0].float()

    def _placed(self, video: Tensor, wanted: bool, offset: int, stretched: int) -> Tensor:
        video = self.norm_video(self.project_video(self.dropout(video)))
        return video + self.places(video.shape[1], offset, stretched) if wanted else video


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)


def _beside(
    video: Tensor | None, text: Tensor | None, seconds: Tensor, sentences: Tensor
) -> Tensor | None:
    """Padding of the joint sequence."""
    if video is None and text is None:
        return None
    parts = [
        torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device) if padding is None else padding
        for padding, x in ((video, seconds), (text, sentences))
    ]
    return torch.cat(parts, 1)


def all_pairs(encoded: Encoded) -> Tensor:
    """Cosines of the seconds of all videos and the sentences of all, ``(A, S, T, B, N)``.

    A sentence is as its own video b makes it, whichever video a it is compared with. Always
    float32.
    """
    with torch.autocast(encoded.video.device.type, enabled=False):
        return torch.einsum("astw,bsnw->astbn", encoded.video.float(), encoded.text.float())
