"""Vectors for the search benchmarks: of real slides, and mixtures fitted to them for size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def real_vectors(
    data: Path, *, encoder: str = "", stride_px: int = 56, keep: Path | None = None
) -> Vectors:
    """Vectors of all tissue of the whole sections, cut densely.

    Parameters
    ----------
    data : Path
        The folder that holds ``slides/``.
    encoder : str
        What `load_encoder` takes; the default encoder where empty.
    stride_px : int
        Pixels from one patch to the next, at the spec's resolution.
    keep : Path, optional
        A folder; what is there from an earlier run is used again.
    """
    from pathsearch.config import TileSpec
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.slides import open_slide, stream_patches
    from pathsearch.tiling import tile

    loaded = load_encoder(encoder or DEFAULT)
    kept = keep / f"real-{loaded.dim}-{loaded.fingerprint[:12]}-{stride_px}.npy" if keep else None
    if kept is not None and kept.exists():
        return np.asarray(np.load(kept, allow_pickle=False), np.float32)
    spec = TileSpec(stride_px=stride_px)
    found = []
    for path in sorted((data / "slides").glob("her2st_*.tiff")):
        with open_slide(path) as slide:
            tiling = tile(slide, spec)
            stream = stream_patches(slide, tiling.xy, spec.size_px, spec.mpp, threads=2)
            found.extend(loaded.encode(batch.pixels[batch.ok]) for batch in stream)
    vectors = np.concatenate(found)
    if kept is not None:
        np.save(kept, vectors)
    return vectors


class Mixture:
    """Gaussians on the sphere, fitted to vectors: drawn vectors cluster as the real ones do.

    Parameters
    ----------
    vectors : float32 array, shape (n, dim), unit length
    parts : int
        Number of Gaussians, found by k-means.
    """

    def __init__(self, vectors: Vectors, parts: int = 200, seed: int = 0) -> None:
        import faiss

        parts = min(parts, len(vectors) // 50)
        means = faiss.Kmeans(vectors.shape[1], parts, niter=15, seed=seed + 1, verbose=False)
        means.train(vectors)
        label = means.index.search(vectors, 1)[1][:, 0]
        self.weights = np.bincount(label, minlength=parts) / len(vectors)
        whole = np.cov((vectors - means.centroids[label]).T)
        self.means = means.centroids
        self.roots = np.stack([self._root(vectors[label == p], whole) for p in range(parts)])

    @staticmethod
    def _root(rows: Vectors, whole: npt.NDArray[np.float64]) -> Vectors:
        """Square root of a part's covariance, drawn towards the common one."""
        share = len(rows) / (len(rows) + rows.shape[1])
        own = np.cov(rows.T) if len(rows) > 2 else whole
        covariance = share * own + (1 - share) * whole
        return np.linalg.cholesky(covariance + 1e-9 * np.eye(len(whole))).T.astype(np.float32)

    def draw(self, n: int, seed: int) -> Vectors:
        """`n` unit vectors: float32 (n, dim)."""
        rng = np.random.default_rng(seed)
        part = np.sort(rng.choice(len(self.weights), n, p=self.weights))
        rows = rng.standard_normal((n, self.means.shape[1]), np.float32)
        edges = np.searchsorted(part, np.arange(len(self.weights) + 1))
        for p, (a, b) in enumerate(itertools.pairwise(edges)):
            if b > a:
                rows[a:b] = rows[a:b] @ self.roots[p] + self.means[p]
        rng.shuffle(rows)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows
