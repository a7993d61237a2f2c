"""Self-distillation: a view must be sorted as a slow copy of the network sorts the other."""

from __future__ import annotations

import copy

import torch  # noqa: TID253 - this file is reached lazily only
from torch import nn  # noqa: TID253
from torch.nn import functional  # noqa: TID253

#: Sorts (prototypes) that views are put into. DINO's 65,536 suit millions of pictures.
PROTOTYPES = 1024
#: Sharpness of the student's and of the slow copy's opinion, as in DINO.
_STUDENT, _SLOW = 0.1, 0.04
#: How slowly the copy follows (DINO: 0.996 to 1 over 100 epochs; trainings here are short),
#: and how slowly its mean opinion does.
_FOLLOW, _CENTRE = 0.99, 0.9


def self_distillation_loss(
    student: torch.Tensor, slow: torch.Tensor, centre: torch.Tensor
) -> torch.Tensor:
    """DINO of Caron et al. 2021, *Emerging Properties in Self-Supervised Vision Transformers*.

    Parameters
    ----------
    student, slow : float tensors, shape (2n, prototypes)
        Logits of both views: row i and row n + i are the same patch.
    centre : float tensor, shape (1, prototypes)
        Mean of the slow copy's logits so far: without it, all patches end in one sort.

    Returns
    -------
    scalar tensor
        Mean cross entropy between the slow copy's opinion of one view and the student's of
        the other.
    """
    count = len(student) // 2
    opinion = functional.softmax((slow.float() - centre) / _SLOW, dim=1)
    swapped = torch.cat([opinion[count:], opinion[:count]])
    guess = functional.log_softmax(student.float() / _STUDENT, dim=1)
    return -(swapped.detach() * guess).sum(dim=1).mean()


class Prototypes(nn.Module):
    """Logits of a projection: its cosine to every prototype."""

    def __init__(self, projected: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(PROTOTYPES, projected))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tensor (n, projected) to logits (n, prototypes), in -1..1."""
        unit = functional.normalize(self.weight.float(), dim=1)
        return functional.normalize(x.float(), dim=1) @ unit.T


class SlowCopy(nn.Module):
    """A copy of a network that follows it slowly, and the mean of its opinions.

    Parameters
    ----------
    network : nn.Module
        Whatever turns views into logits.
    """

    centre: torch.Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.copy = copy.deepcopy(network).requires_grad_(requires_grad=False)
        self.register_buffer("centre", torch.zeros(1, PROTOTYPES))

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take a small step towards `network`, after each of its own."""
        for mine, theirs in zip(self.copy.parameters(), network.parameters(), strict=True):
            mine.lerp_(theirs.detach(), 1 - _FOLLOW)

    @torch.no_grad()
    def hear(self, logits: torch.Tensor) -> None:
        """Move the centre towards the mean of these logits."""
        self.centre.lerp_(logits.float().mean(dim=0, keepdim=True), 1 - _CENTRE)
