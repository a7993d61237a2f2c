"""Two views of a patch that show the same tissue and differ in everything else.

Batched torch operations on whatever device the batch is on; every random number comes
from the generator that is passed in, so a view follows from (seed, step).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch  # noqa: TID253 - this file is reached lazily only
from torch.nn import functional  # noqa: TID253

from pathsearch.config import AugmentSettings, TrainSettings

#: Optical densities of haematoxylin, eosin and a third, in RGB (Ruifrok and Johnston 2001).
_HED = ((0.650, 0.704, 0.286), (0.072, 0.990, 0.105), (0.268, 0.570, 0.776))
#: Luminance, and the two colour axes that hue turns in (YIQ, NTSC 1953).
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
#: Quantisation of luminance in JPEG's annex K, quality 50.
_JPEG = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


class Crops(NamedTuple):
    """Where views lie on their patches.

    Attributes
    ----------
    theta : float32 tensor, shape (n, 2, 3)
        Affine maps of `torch.nn.functional.affine_grid`.
    """

    theta: torch.Tensor


def random_crops(
    count: int,
    settings: AugmentSettings,
    view_px: int,
    patch_px: int,
    generator: torch.Generator,
) -> Crops:
    """Views of random place, scale, angle and handedness, mostly inside the patch.

    Parameters
    ----------
    count : int
    settings : AugmentSettings
    view_px, patch_px : int
        Width of a view and of a patch, pixels.
    generator : torch.Generator
        On the CPU.
    """
    low, high = (math.log(z) for z in settings.zoom)
    zoom = torch.exp(low + (high - low) * torch.rand(count, generator=generator))
    # Half-width of the view in units of the patch's half-width; never more than all of it.
    half = (view_px / patch_px / zoom).clamp(max=1.0)
    angle = torch.zeros(count)
    flip = torch.ones(count)
    if settings.rotate:
        turns = torch.rand(count, 2, generator=generator)
        quarter = torch.randint(0, 4, (count,), generator=generator)
        # Quarter turns for half of the views: they need no interpolation between pixels.
        angle = torch.where(turns[:, 0] < 0.5, quarter * (math.pi / 2), turns[:, 1] * 2 * math.pi)
        flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    centre = (torch.rand(count, 2, generator=generator) * 2 - 1) * (1 - half).unsqueeze(1)
    cos, sin = torch.cos(angle) * half, torch.sin(angle) * half
    row0 = torch.stack([cos * flip, -sin, centre[:, 0]], dim=1)
    row1 = torch.stack([sin * flip, cos, centre[:, 1]], dim=1)
    return Crops(torch.stack([row0, row1], dim=1))


def cut(patches: torch.Tensor, crops: Sequence[Crops], view_px: int) -> torch.Tensor:
    """The views' pixels.

    Parameters
    ----------
    patches : uint8 tensor, shape (n, h, w, 3)
    crops : sequence of Crops
        Each holds one view a patch.
    view_px : int

    Returns
    -------
    float32 tensor, shape (views * n, 3, view_px, view_px), 0..1
        The first view of every patch, then the second of every patch, and so on.
    """
    pixels = patches.permute(0, 3, 1, 2).float().div_(255)
    shape = [len(patches), 3, view_px, view_px]
    views = [
        functional.grid_sample(
            pixels,
            functional.affine_grid(crop.theta.to(pixels.device), shape, align_corners=False),
            mode="bilinear",
            padding_mode="reflection",
            align_corners=False,
        )
        for crop in crops
    ]
    return torch.cat(views)


def as_pixels(views: torch.Tensor) -> npt.NDArray[np.uint8]:
    """Views 0..1, (n, 3, h, w), as uint8 pixels (n, h, w, 3), which is what encoders take."""
    pixels = views.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def gentle(settings: TrainSettings) -> AugmentSettings:
    """The distortions that whitening is told of: stain as it differs within an archive.

    Colour may be changed but not lost: two tissues may differ in nothing else.
    """
    augment = settings.augment
    share = settings.whitening_stain
    colour = ("stain", "hue", "saturation", "brightness", "contrast")
    weaker = {name: share * getattr(augment, name) for name in colour}
    return augment.model_copy(update={**weaker, "gray": 0.0})


def distort(
    views: torch.Tensor, settings: AugmentSettings, generator: torch.Generator
) -> torch.Tensor:
    """Another stain, scanner and file around the same tissue.

    Parameters
    ----------
    views : float32 tensor, shape (n, 3, h, w), 0..1
        Is left unchanged; h and w multiples of 8.
    settings : AugmentSettings
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    float32 tensor, shape (n, 3, h, w), 0..1
    """
    views = _restain(views, settings.stain, generator)
    views = _recolour(views, settings, generator)
    for share, change in ((settings.blur, _blur), (settings.jpeg, _jpeg), (settings.noise, _noise)):
        count = round(share * len(views))
        if count:
            rows = torch.randperm(len(views), generator=generator)[:count].to(views.device)
            views[rows] = change(views[rows], generator)
    return views.clamp_(0, 1)


def _restain(views: torch.Tensor, amount: float, generator: torch.Generator) -> torch.Tensor:
    """Scale each stain's optical density: one 3 x 3 matrix a view, in log space."""
    count = len(views)
    stains = torch.tensor(_HED)
    stains = stains / stains.norm(dim=1, keepdim=True)
    factor = torch.exp(amount * torch.randn(count, 3, generator=generator))
    matrix = torch.linalg.inv(stains) @ torch.diag_embed(factor) @ stains
    shift = 0.1 * amount * torch.randn(count, 3, 1, generator=generator)
    density = -torch.log(views.clamp_min(1 / 256)).flatten(2)
    density = torch.baddbmm(
        shift.to(views.device), matrix.transpose(1, 2).to(views.device), density
    )
    return torch.exp(-density).clamp_(0, 1).view_as(views)


def _recolour(
    views: torch.Tensor, settings: AugmentSettings, generator: torch.Generator
) -> torch.Tensor:
    """Hue, saturation, contrast, brightness and gray as one affine map of RGB a view."""
    count = len(views)
    draw = torch.rand(count, 5, generator=generator) * 2 - 1
    angle = draw[:, 0] * settings.hue * 2 * math.pi
    saturation = 1 + draw[:, 1] * settings.saturation
    saturation[draw[:, 4] < settings.gray * 2 - 1] = 0.0
    zero = torch.zeros(count)
    cos, sin = saturation * torch.cos(angle), saturation * torch.sin(angle)
    inner = torch.stack(
        [
            torch.stack([zero + 1, zero, zero], dim=1),
            torch.stack([zero, cos, -sin], dim=1),
            torch.stack([zero, sin, cos], dim=1),
        ],
        dim=1,
    )
    yiq = torch.tensor(_YIQ)
    matrix = torch.linalg.inv(yiq) @ inner @ yiq
    contrast = (1 + draw[:, 2] * settings.contrast).view(-1, 1, 1)
    bright = (1 + draw[:, 3] * settings.brightness).view(-1, 1, 1)
    matrix = (matrix * contrast * bright).to(views.device)
    middle = views.mean(dim=(1, 2, 3)).view(-1, 1, 1)
    shift = (1 - contrast.to(views.device)) * middle * bright.to(views.device)
    out = torch.baddbmm(shift.expand(-1, 3, 1), matrix, views.flatten(2))
    return out.clamp_(0, 1).view_as(views)


def _blur(views: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gaussian blur, one sigma (0.4 to 1.4 pixels) for all."""
    sigma = 0.4 + float(torch.rand(1, generator=generator))
    at = torch.arange(-3, 4, dtype=torch.float32, device=views.device)
    kernel = torch.exp(-at.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(views, (3, 3, 3, 3), mode="reflect")
    padded = functional.conv2d(padded, kernel.view(1, 1, 1, 7).expand(3, 1, 1, 7), groups=3)
    return functional.conv2d(padded, kernel.view(1, 1, 7, 1).expand(3, 1, 7, 1), groups=3)


def _jpeg(views: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """What JPEG loses: 8 x 8 cosine transform, rounded, and back; quality 30 to 85.

    All channels in RGB and with the table of luminance: an imitation, not a codec.
    """
    quality = 30 + 55 * float(torch.rand(1, generator=generator))
    scale = (50 / quality) if quality < 50 else (2 - quality / 50)
    step = torch.tensor(_JPEG, device=views.device) * scale / 255
    k = torch.arange(8, dtype=torch.float32, device=views.device)
    basis = torch.cos((2 * k + 1) * k.unsqueeze(1) * math.pi / 16) * 0.5
    basis[0] *= math.sqrt(0.5)
    n, c, h, w = views.shape
    blocks = views.view(n, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    coded = torch.round(basis @ (blocks - 0.5) @ basis.T / step) * step
    return (basis.T @ coded @ basis + 0.5).transpose(3, 4).reshape(n, c, h, w)


def _noise(views: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Gaussian noise of up to 4% of the range."""
    sigma = 0.04 * torch.rand(len(views), 1, 1, 1, generator=generator)
    noise = torch.randn(views.shape, generator=generator) * sigma
    return views + noise.to(views.device)
