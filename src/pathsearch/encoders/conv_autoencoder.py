"""The convolutional autoencoder, as a plain ``nn.Module``.

A 4 x 4 patchify stem, residual stages with ReLU and batch norm, each half the width of
the one before, and a light decoder that is used in training only. This shape is what a
CPU computes fastest: batch norms fold into the convolutions, and there is nothing between
them but ReLU.
"""

from __future__ import annotations

from collections import OrderedDict

import torch  # noqa: TID253 - this file is reached lazily only
from torch import nn  # noqa: TID253

from pathsearch.config import EncoderArchitecture

#: Width and height of a patch of the stem, pixels.
STEM = 4
#: Added to a variance before its square root: keeps the gradient finite on flat maps.
_EPS = 1e-4


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        # Blocks start as the identity, which makes early training steady.
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature map to feature map of the same shape."""
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + x)


def _entry(before: int, width: int, kernel: int, stride: int) -> nn.Sequential:
    padding = 1 if kernel == 3 else 0
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(before, width, kernel, stride, padding, bias=False),
            norm=nn.BatchNorm2d(width),
            act=nn.ReLU(),
        )
    )


class Backbone(nn.Module):
    """Pixels to one feature map a stage.

    Parameters
    ----------
    architecture : EncoderArchitecture
    """

    def __init__(self, architecture: EncoderArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.entries = nn.ModuleList()
        self.stages = nn.ModuleList()
        before = 3
        for place, (width, depth) in enumerate(
            zip(architecture.channels, architecture.depths, strict=True)
        ):
            kernel, stride = (STEM, STEM) if place == 0 else (3, 2)
            self.entries.append(_entry(before, width, kernel, stride))
            self.stages.append(nn.Sequential(*(ResidualBlock(width) for _ in range(depth))))
            before = width

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps of all stages.

        Parameters
        ----------
        x : tensor, shape (n, 3, h, w)
            Standardised pixels.

        Returns
        -------
        list of tensor, shapes (n, channels[i], h / (4 * 2**i), w / (4 * 2**i))
        """
        maps = []
        for entry, stage in zip(self.entries, self.stages, strict=True):
            x = stage(entry(x))
            maps.append(x)
        return maps


def pooled(maps: list[torch.Tensor], architecture: EncoderArchitecture) -> torch.Tensor:
    """Mean and spread of the pooled stages, which is what the vector is made of.

    Parameters
    ----------
    maps : list of tensor
        As `Backbone` returns them.
    architecture : EncoderArchitecture

    Returns
    -------
    float32 tensor, shape (n, features)
        Per stage: the means of its channels, then their standard deviations.
    """
    parts = []
    for place in architecture.pooled_stages:
        flat = maps[place].flatten(2).float()
        mean = flat.mean(dim=2)
        spread = (flat.square().mean(dim=2) - mean.square()).clamp_min(0)
        parts += [mean, torch.sqrt(spread + _EPS)]
    return torch.cat(parts, dim=1)


def feature_count(architecture: EncoderArchitecture) -> int:
    """Length of what `pooled` returns."""
    return 2 * sum(architecture.channels[place] for place in architecture.pooled_stages)


class Decoder(nn.Module):
    """Last feature map back to pixels; light, and used in training only.

    Parameters
    ----------
    architecture : EncoderArchitecture
    width : int
        Channels inside.
    """

    def __init__(self, architecture: EncoderArchitecture, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(architecture.channels[-1], width, 1), nn.ReLU()]
        for _ in architecture.channels[1:]:
            layers += [
                nn.Upsample(scale_factor=2, mode="nearest"),
                nn.Conv2d(width, max(width // 2, 16), 3, padding=1),
                nn.ReLU(),
            ]
            width = max(width // 2, 16)
        layers += [nn.Conv2d(width, 3 * STEM * STEM, 3, padding=1), nn.PixelShuffle(STEM)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tensor (n, channels[-1], h, w) to standardised pixels (n, 3, H, W)."""
        out: torch.Tensor = self.layers(x)
        return out


class ConvAutoencoder(nn.Module):
    """Backbone and decoder together.

    Parameters
    ----------
    architecture : EncoderArchitecture
    """

    def __init__(self, architecture: EncoderArchitecture) -> None:
        super().__init__()
        self.backbone = Backbone(architecture)
        self.decoder = Decoder(architecture)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pooled features and the reconstruction.

        Parameters
        ----------
        x : tensor, shape (n, 3, h, w)
            Standardised pixels; h and w multiples of the backbone's stride.
        """
        maps = self.backbone(x)
        return pooled(maps, self.backbone.architecture), self.decoder(maps[-1])
