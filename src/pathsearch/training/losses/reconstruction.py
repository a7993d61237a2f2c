"""Reconstruction of the clean view from the distorted one."""

from __future__ import annotations

import torch  # noqa: TID253 - this file is reached lazily only
from torch.nn import functional  # noqa: TID253


def reconstruction_loss(rebuilt: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Mean squared error in units of the preprocessing's standard deviation.

    Parameters
    ----------
    rebuilt, clean : float tensors, shape (n, 3, h, w)
    """
    return functional.mse_loss(rebuilt.float(), clean)
