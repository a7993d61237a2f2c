"""A picture of what training has learnt: reconstructions and nearest neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

#: Patches shown, and neighbours of each.
ROWS = 6
NEIGHBOURS = 5
_GAP = 4


def draw_page(
    clean: npt.NDArray[np.uint8],
    distorted: npt.NDArray[np.uint8],
    rebuilt: npt.NDArray[np.uint8],
    features: npt.NDArray[np.float32],
    path: Path,
) -> None:
    """Write the page of one validation.

    Each row is one patch: its middle, another view of it distorted, and that view as the
    decoder rebuilt it; then its nearest neighbours among the validation patches.

    Parameters
    ----------
    clean, distorted, rebuilt : uint8 arrays, shape (n, h, w, 3)
    features : float32 array, shape (n, dim)
        Of the clean patches; compared by cosine.
    path : Path
        A PNG file.
    """
    from PIL import Image

    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(length, 1e-12)
    # Evenly spread, so that every collection is likely to be seen.
    shown = np.unique(np.linspace(0, len(clean) - 1, min(ROWS, len(clean))).astype(int))
    score = unit[shown] @ unit.T
    score[np.arange(len(shown)), shown] = -np.inf
    nearest = np.argsort(-score, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(clean) - 1)]
    rows = []
    for row, near in zip(shown, nearest, strict=True):
        left = [clean[row], distorted[row], rebuilt[row]]
        rows.append(np.concatenate([_padded(p) for p in [*left, *clean[near]]], axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows, axis=0)).save(path)


def _padded(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.pad(pixels, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
