"""An encoder that needs no weights: for tests of everything around encoders."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderInvalidError


class PlainEncoder:
    """Mean and spread of each colour over a 4 x 4 grid, centred and made unit length.

    Deterministic, cheap, and good enough to tell drawn tissues apart. Not for tissue.

    Parameters
    ----------
    seed : int
        Of the projection; another seed is another encoder, with another fingerprint.
    dim : int
        Length of a vector.
    """

    def __init__(self, seed: int = 0, dim: int = 32) -> None:
        rng = np.random.default_rng(seed)
        self._projection = rng.normal(size=(96, dim)).astype(np.float32)
        self.name = f"plain-{seed}"
        self.dim = dim
        self.input_px = 224
        self.mpp_range = (0.1, 4.0)
        self.copyable = False
        self.fingerprint = hashlib.sha256(f"plain {seed} {dim}".encode()).hexdigest()

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Vectors of patches (n, h, w, 3): float32 (n, dim), L2-normalised."""
        pixels = pixels[:, ::4, ::4]
        n, h, w, _ = pixels.shape
        grid = pixels[:, : h // 4 * 4, : w // 4 * 4].reshape(n, 4, h // 4, 4, w // 4, 3)
        cells = grid.astype(np.float32) / 255.0
        mean, spread = cells.mean(axis=(2, 4)), cells.std(axis=(2, 4))
        raw = np.concatenate([mean.reshape(n, 48) - 0.7, 3 * spread.reshape(n, 48)], axis=1)
        vectors = raw @ self._projection
        norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
        return np.asarray(vectors / norms, np.float32)

    def save(self, folder: str) -> None:
        """Refuse: there is nothing to save."""
        raise EncoderInvalidError(f"{self.name} has no files to write to {folder}.")
