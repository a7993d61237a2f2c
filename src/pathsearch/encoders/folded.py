"""The backbone as it runs after training: batch norms and preprocessing folded away."""

from __future__ import annotations

from collections.abc import Sequence

import torch  # noqa: TID253 - this file is reached lazily only
from torch import nn  # noqa: TID253
from torch.nn.utils.fusion import fuse_conv_bn_eval  # noqa: TID253

from pathsearch.encoders.conv_autoencoder import Backbone, ResidualBlock


class FoldedBackbone(nn.Module):
    """The same function as `Backbone` in evaluation mode, on raw pixels, and faster.

    Parameters
    ----------
    backbone : Backbone
        Is left unchanged.
    mean, std : sequence of 3 floats
        The preprocessing, on 0..255; goes into the stem.
    """

    def __init__(self, backbone: Backbone, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        backbone.eval()
        self.entries = nn.ModuleList()
        self.stages = nn.ModuleList()
        for entry, stage in zip(backbone.entries, backbone.stages, strict=True):
            self.entries.append(_fused(entry.get_submodule("conv"), entry.get_submodule("norm")))
            self.stages.append(nn.Sequential(*(_FoldedBlock(block) for block in stage.children())))
        stem = self.entries[0]
        assert isinstance(stem, nn.Conv2d)
        assert stem.bias is not None
        with torch.no_grad():
            # conv((p - mean) / std) = conv'(p) + b': exact, as the stem has no padding.
            weight = stem.weight / torch.tensor(std).view(1, 3, 1, 1)
            stem.bias -= (weight * torch.tensor(mean).view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
            stem.weight.copy_(weight)
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Raw pixels 0..255, shape (n, 3, h, w), to one feature map a stage."""
        maps = []
        for entry, stage in zip(self.entries, self.stages, strict=True):
            x = stage(torch.relu_(entry(x)))
            maps.append(x)
        return maps


def _fused(conv: object, norm: object) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)


class _FoldedBlock(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        assert isinstance(block, ResidualBlock)
        self.conv1 = _fused(block.conv1, block.norm1)
        self.conv2 = _fused(block.conv2, block.norm2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.conv2(torch.relu_(self.conv1(x)))
        return torch.relu_(inner.add_(x))
