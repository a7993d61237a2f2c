"""InfoNCE: a view must find the other view of its patch among all others."""

from __future__ import annotations

import torch  # noqa: TID253 - this file is reached lazily only
from torch.nn import functional  # noqa: TID253


def contrastive_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent of Chen et al. 2020, *A Simple Framework for Contrastive Learning*.

    Parameters
    ----------
    first, second : float tensors, shape (n, dim)
        Row i of both is the same patch. Need not be normalised.
    temperature : float

    Returns
    -------
    scalar tensor
        Mean over the 2n views of the cross entropy of finding the partner among the
        2n - 1 others, by cosine / temperature.
    """
    count = len(first)
    both = functional.normalize(torch.cat([first, second]).float(), dim=1)
    logits = both @ both.T / temperature
    logits.fill_diagonal_(float("-inf"))
    at = torch.arange(count, device=both.device)
    return functional.cross_entropy(logits, torch.cat([at + count, at]))
