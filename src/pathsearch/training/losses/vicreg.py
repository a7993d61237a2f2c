"""VICReg: agree, keep every dimension alive, keep dimensions apart."""

from __future__ import annotations

import torch  # noqa: TID253 - this file is reached lazily only
from torch.nn import functional  # noqa: TID253


def vicreg_loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Bardes et al. 2022, *VICReg*, with its weights 25, 25 and 1, divided by 25.

    Parameters
    ----------
    first, second : float tensors, shape (n, dim)
        Row i of both is the same patch; n at least 2.

    Returns
    -------
    scalar tensor
        ``mse + variance + covariance / 25``: mean squared difference; mean hinge of each
        dimension's standard deviation below 1; squared off-diagonal covariances over dim.
    """
    total = functional.mse_loss(first.float(), second.float())
    for side in (first.float(), second.float()):
        centred = side - side.mean(dim=0)
        spread = torch.sqrt(centred.square().sum(dim=0) / (len(side) - 1) + 1e-4)
        covariance = centred.T @ centred / (len(side) - 1)
        off = covariance.square().sum() - covariance.diagonal().square().sum()
        total = total + functional.relu(1 - spread).mean() / 2 + off / side.shape[1] / 25
    return total
