"""Small made-up slides, written with tifffile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from made_slides import Writer


@pytest.fixture
def write_tiff(tmp_path: Path) -> Writer:
    """Write a tiled pyramid; `levels` are shrunk by exact means of 2 x 2."""

    def write(
        pixels: np.ndarray,
        *,
        mpp: float | None = 0.5,
        levels: int = 1,
        name: str = "slide.tiff",
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        options = {"tile": (128, 128), "photometric": "rgb", **options}
        bigtiff = options.pop("bigtiff", False)
        if mpp is not None:
            options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
        with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
            for level in range(levels):
                tiff.write(pixels, subfiletype=1 if level else 0, metadata=None, **options)
                h, w = (side // 2 * 2 for side in pixels.shape[:2])
                halves = pixels[:h, :w].reshape(h // 2, 2, w // 2, 2, -1).mean((1, 3))
                pixels = np.rint(halves).astype(np.uint8)
        return path

    return write
