"""Networks around timm's, so that each returns what its vector is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch  # noqa: TID253 - this file is reached lazily only
from torch import nn  # noqa: TID253


class Tokens(nn.Module):
    """All tokens (n, tokens, d) after the last norm, or the last feature map (n, c, h, w)."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised pixels (n, 3, h, w) to tokens or a map."""
        out: torch.Tensor = self.trunk.forward_features(x)  # type: ignore[operator]
        return out


class AttentionPooler(nn.Module):
    """One learned query that attends to all tokens (CoCa, Yu et al. 2022)."""

    def __init__(self, dim: int, context: int, heads: int = 8) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.attn = nn.MultiheadAttention(dim, heads, kdim=context, vdim=context)
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(context)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (n, t, context) to vectors (n, dim)."""
        keys = self.ln_k(tokens).transpose(0, 1)
        query = self.ln_q(self.query)[:, None].expand(-1, len(tokens), -1)
        out: torch.Tensor = self.attn(query, keys, keys, need_weights=False)[0][0]
        return out


class AttentionPooled(nn.Module):
    """CONCH's vision tower, before the projection that compares it with text."""

    def __init__(self, trunk: nn.Module, dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = AttentionPooler(dim, int(trunk.num_features))  # type: ignore[arg-type]
        self.ln_contrast = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised pixels (n, 3, h, w) to vectors (n, dim)."""
        tokens = self.trunk.forward_features(x)  # type: ignore[operator]
        out: torch.Tensor = self.ln_contrast(self.attn_pool_contrast(tokens))
        return out


def layer_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The preset's arguments with the two layers that it names in place of their names."""
    out = dict(arguments)
    if out.get("mlp_layer") == "SwiGLUPacked":
        from timm.layers import SwiGLUPacked

        out["mlp_layer"] = SwiGLUPacked
    if out.get("act_layer") == "SiLU":
        out["act_layer"] = nn.SiLU
    return out
