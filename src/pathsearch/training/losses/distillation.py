"""Distillation of a general-purpose teacher."""

from __future__ import annotations

import torch  # noqa: TID253 - this file is reached lazily only
from torch.nn import functional  # noqa: TID253


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """One minus cosine, averaged.

    Parameters
    ----------
    student, teacher : float tensors, shape (n, dim)
        The teacher's are whitened, so that no few directions decide the cosine.
    """
    return 1 - functional.cosine_similarity(student.float(), teacher.float(), dim=1).mean()
