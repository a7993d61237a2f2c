"""Pictures and types that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Writer = Callable[..., Path]


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture with detail at several scales, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    out = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        wave = np.sin(x / (9 + channel)) + np.cos(y / (13 - channel)) + np.sin((x + y) / 41)
        out[..., channel] = 150 + 25 * wave
    out += rng.normal(0, 6, out.shape)
    return np.clip(out, 0, 255).astype(np.uint8)
