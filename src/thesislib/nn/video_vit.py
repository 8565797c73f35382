"""Video ViT on the tokens that are visible, and the decoder that guesses the others (thesis 6.3).

After VideoMAE (Tong et al., 2022): a token is a *tubelet* of 2 x 16 x 16 pixels, its place a fixed
sine-cosine code of its number, the blocks have their norms first. What is dropped costs nothing:
only the pixels of visible tokens are ever gathered and embedded.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thesislib.errors import ThesisError, choose
from thesislib.nn.tokens import Grid
from thesislib.nn.transformer import Block, QVAttention

POOLS = ("cls", "mean")
POSITIONS = ("continue", "stretch")
EPS = 1e-6  # of all layer norms, as in VideoMAE

VideoBlock = partial(Block, activation=nn.GELU, attention=QVAttention, eps=EPS)


def token_grid(frames: int, height: int, width: int, tubelet: Grid) -> Grid:
    """Tokens over time, rows and columns.

    Raises:
        ThesisError: A length that the tubelet does not divide.
    """
    whole = {"frames": frames, "pixels of height": height, "pixels of width": width}
    for (name, length), part in zip(whole.items(), tubelet, strict=True):
        if part < 1 or length < part or length % part:
            raise ThesisError(
                f"{length} {name} do not divide into tubelets of {part}: choose a multiple of it."
            )
    t, h, w = (length // part for length, part in zip(whole.values(), tubelet, strict=True))
    return t, h, w


def by_token(video: Tensor, tubelet: Grid) -> Tensor:
    """Pixels by token, as a view: ``(B, C, T, H, W)`` to ``(B, t, h, w, C, pt, ph, pw)``."""
    frames, height, width = video.shape[2:]
    t, h, w = token_grid(frames, height, width, tubelet)
    x = video.unflatten(4, (w, -1)).unflatten(3, (h, -1)).unflatten(2, (t, -1))
    return x.permute(0, 2, 4, 6, 1, 3, 5, 7)


def grid_of(patches: Tensor) -> Grid:
    """Tokens over time, rows and columns of :func:`by_token`."""
    return patches.shape[1], patches.shape[2], patches.shape[3]


def take(patches: Tensor, tokens: Tensor) -> Tensor:
    """Pixels of chosen tokens, and of these alone: ``(B, K, C, pt, ph, pw)``.

    Args:
        patches: :func:`by_token`.
        tokens: int64 ``(B, K)``.
    """
    _, _, h, w = patches.shape[:4]
    row = torch.arange(len(tokens), device=tokens.device)[:, None]
    return patches[row, tokens // (h * w), tokens // w % h, tokens % w]


def put(video: Tensor, tokens: Tensor, pixels: Tensor, tubelet: Grid) -> Tensor:
    """A copy of a video with the pixels of some tokens replaced; the inverse of :func:`take`."""
    out = video.clone()
    patches = by_token(out, tubelet)
    _, _, h, w = patches.shape[:4]
    row = torch.arange(len(tokens), device=tokens.device)[:, None]
    patches[row, tokens // (h * w), tokens // w % h, tokens % w] = pixels
    return out


def pixel_target(pixels: Tensor, normalise: bool = True) -> Tensor:
    """What the decoder is to guess of a token: its pixels, channel last.

    Args:
        pixels: ``(B, R, C, pt, ph, pw)`` in ``[0, 1]``.
        normalise: Each colour channel of each token less its mean, over its deviation (unbiased
            variance, 1e-6 added to the root), as VideoMAE does.

    Returns:
        ``(B, R, pt * ph * pw * C)``.
    """
    x = pixels.flatten(3)  # (B, R, C, P)
    if normalise:
        x = (x - x.mean(3, keepdim=True)) / (x.var(3, keepdim=True).sqrt() + 1e-6)
    return x.transpose(2, 3).flatten(2)


def sine_cosine(count: int, dim: int) -> Tensor:
    """Fixed codes of the numbers 0 to count - 1, ``(count, D)`` (Vaswani et al., 2017).

    Column j is the sine (even j) or cosine (odd j) of n / 10000 ** (2 floor(j / 2) / D).
    """
    # On the CPU in float64 whatever the device: angles go up to thousands.
    exponent = torch.arange(dim, dtype=torch.float64, device="cpu") // 2 * 2 / dim
    angle = torch.arange(count, dtype=torch.float64, device="cpu")[:, None] / 10000**exponent
    angle[:, 0::2] = angle[:, 0::2].sin()
    angle[:, 1::2] = angle[:, 1::2].cos()
    return angle.float()


class Places(nn.Module):
    """Codes of the places of tokens, for any grid; they are no parameters.

    Args:
        dim: Length D of a code.
        extend: What other lengths of video get than the ``steps`` that the weights were trained
            with. ``continue``: the numbers run on, so a step of time keeps its code and later ones
            have codes that the weights never saw. ``stretch``: the codes of the trained steps are
            interpolated linearly over the new length, as is the custom for images of other sizes.
        steps: Tokens over time in training, for ``stretch``.
    """

    def __init__(self, dim: int, extend: str = "continue", steps: int = 8) -> None:
        super().__init__()
        self.dim, self.steps = dim, steps
        self.extend = choose("way to extend positions", extend, POSITIONS)
        self.known: dict[tuple[Grid, torch.device], Tensor] = {}  # copies to a GPU take time

    def forward(self, grid: Grid, device: torch.device) -> Tensor:
        """``(t * h * w, D)``, float32."""
        if (grid, device) not in self.known:
            self.known[grid, device] = self._table(grid).to(device)
        return self.known[grid, device]

    def _table(self, grid: Grid) -> Tensor:
        time, h, w = grid
        if self.extend == "continue" or time == self.steps:
            return sine_cosine(time * h * w, self.dim)
        trained = sine_cosine(self.steps * h * w, self.dim).unflatten(0, (self.steps, -1))
        lines = F.interpolate(trained.permute(1, 2, 0), time, mode="linear")  # (h * w, D, time)
        return lines.permute(2, 0, 1).flatten(0, 1)


class VideoViT(nn.Module):
    """The encoder: visible tokens in, as many out, and a summary of all.

    Args:
        width: Length D of a token.
        depth: Blocks.
        heads: Of each attention.
        tubelet: Frames, height and width of a token in pixels.
        pool: What sums a clip up. ``cls``: a learnt token besides (6.3.1); it has no place.
            ``mean``: the mean of the tokens, as VideoMAE's classifier has it.
        positions: See :class:`Places`.
        steps: Likewise.
        drop_path: Rate of the last block; the others' rise to it from 0.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        tubelet: Grid = (2, 16, 16),
        pool: str = "cls",
        positions: str = "continue",
        steps: int = 8,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.tubelet = tubelet
        self.prefix = int(choose("pool", pool, POOLS) == "cls")
        self.places = Places(width, positions, steps)
        self.patches = nn.Conv3d(3, width, tubelet, stride=tubelet)
        self.cls = nn.Parameter(torch.zeros(1, 1, width)) if self.prefix else None
        rates = [drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(VideoBlock(width, heads, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(width, EPS)
        initialise(self)
        if self.cls is not None:
            nn.init.trunc_normal_(self.cls, std=0.02)

    def embed(
        self, video: Tensor, visible: Tensor | None = None, all_first: bool = False
    ) -> Tensor:
        """Tokens with their places, before the first block.

        Args:
            video: ``(B, 3, T, H, W)``.
            visible: int64 ``(B, V)``; ``None`` for all tokens.
            all_first: Embed all tokens and drop then, which gives the same and costs more (what the
                operation counts of Table 6.1 assume).

        Returns:
            ``(B, V, D)``.
        """
        patches = by_token(video, self.tubelet)
        codes = self.places(grid_of(patches), video.device)
        if visible is None or all_first:
            x = self._project(patches.flatten(1, 3)) + codes
            return x if visible is None else gather(x, visible)
        return self._project(take(patches, visible)) + codes[visible]

    def _project(self, pixels: Tensor) -> Tensor:
        """The convolution whose stride is its kernel, as the matrix product that it is."""
        return F.linear(pixels.flatten(2), self.patches.weight.flatten(1), self.patches.bias)

    def forward(
        self, video: Tensor, visible: Tensor | None = None, all_first: bool = False
    ) -> Tensor:
        """``(B, [1 +] V, D)``, before the last norm; arguments as in :meth:`embed`."""
        x = self.embed(video, visible, all_first)
        if self.cls is not None:
            x = torch.cat([self.cls.to(x.dtype).expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return x

    def summary(self, x: Tensor) -> Tensor:
        """The feature of a clip, ``(B, D)``, of what :meth:`forward` gives."""
        return self.norm(x[:, 0] if self.prefix else x.mean(1))

    def tokens(self, x: Tensor) -> Tensor:
        """The normalised tokens without CLS, ``(B, V, D)``, likewise."""
        return self.norm(x[:, self.prefix :])

    def level(self, name: str) -> int:
        """How deep a parameter of its own lies: 0 the embedding, 1 to depth the blocks, the norm.

        Args:
            name: As in ``named_parameters``.
        """
        part, *inner = name.split(".")
        if part == "blocks":
            return int(inner[0]) + 1
        return len(self.blocks) + 1 if part == "norm" else 0


class PatchDecoder(nn.Module):
    """Guesses the pixels of tokens from the visible ones (thesis 6.3.2; VideoMAE).

    Args:
        dim: Length D of the encoder's tokens.
        width: Length of its own.
        depth: Blocks.
        heads: Of each attention.
        pixels: Numbers of a token, P.
        positions: See :class:`Places`.
        steps: Likewise.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        depth: int,
        heads: int,
        pixels: int,
        positions: str = "continue",
        steps: int = 8,
    ) -> None:
        super().__init__()
        self.places = Places(width, positions, steps)
        self.project = nn.Linear(dim, width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(VideoBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, EPS)
        self.head = nn.Linear(width, pixels)
        initialise(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)

    def forward(self, tokens: Tensor, visible: Tensor, wanted: Tensor, grid: Grid) -> Tensor:
        """Pixels of the wanted tokens.

        Args:
            tokens: ``(B, V, D)``, the encoder's, normalised.
            visible: int64 ``(B, V)``, which they are.
            wanted: int64 ``(B, R)``; tokens in neither list are as if they were not there.
            grid: Tokens over time, rows and columns.

        Returns:
            ``(B, R, P)``, as :func:`pixel_target` lays them.
        """
        codes = self.places(grid, tokens.device)
        x = torch.cat([self.project(tokens) + codes[visible], self.mask_token + codes[wanted]], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, visible.shape[1] :]))


def gather(x: Tensor, index: Tensor) -> Tensor:
    """Rows of each item: ``(B, N, D)`` by int64 ``(B, K)`` to ``(B, K, D)``."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


def initialise(module: nn.Module) -> None:
    """VideoMAE's: linear layers by Xavier with zero bias; the rest as PyTorch draws it."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def operations(tokens: int, dim: int, depth: int) -> int:
    """Of ``depth`` blocks with an MLP of width 4 D, as fvcore counts: see ``turbo.gflops``."""
    linear, attention, norms = 12 * dim * dim, 2 * tokens * dim, 2 * 5 * dim
    return depth * tokens * (linear + attention + norms)
