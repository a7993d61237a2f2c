"""Made-up patches and a small architecture, shared by the tests of encoders."""

from __future__ import annotations

import numpy as np

from pathsearch.config import EncoderArchitecture

TINY = EncoderArchitecture(channels=(8, 12, 16), depths=(1, 1, 1), pooled_stages=(1, 2))


def made_up(n: int, size: int = 64, seed: int = 0) -> np.ndarray:
    """Patches with structure at several scales: noise alone pools to the same numbers."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size * 2 * np.pi
    out = np.empty((n, size, size, 3), np.float32)
    for patch in out:
        waves = sum(
            np.sin(random.integers(1, 12) * x + random.uniform(0, 6))
            * np.cos(random.integers(1, 12) * y + random.uniform(0, 6))
            for _ in range(4)
        )
        patch[:] = random.uniform(90, 220, 3) + 25 * waves[..., None] * random.uniform(0.3, 1, 3)
        patch[:] += random.normal(0, random.uniform(2, 15), patch.shape)
    return np.clip(out, 0, 255).astype(np.uint8)
