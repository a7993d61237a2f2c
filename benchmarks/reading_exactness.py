"""How right the pixels are: against OpenSlide, and against exact area averages."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from pathsearch.slides import open_slide
from pathsearch.slides.tiles import TiledSlide

RATIOS = (1.1, 1.38, 1.9, 2.0, 2.7, 4.0, 6.1, 8.0)
#: Beyond this OpenSlide cuts a region in parts and interpolates between level-0 pixels.
_PART = 4096


def print_exactness(slides: list[Path], one_level: list[Path]) -> None:
    """Print both tables.

    Parameters
    ----------
    slides : list of Path
        JPEG slides, compared with OpenSlide at every level.
    one_level : list of Path
        Slides without a pyramid, compared with area averages of their own pixels.
    """
    print("\nidentical to OpenSlide, places at every level, edges among them")
    for path in slides:
        same, places = identical_places(path)
        print(f"  {path.name:34} {same} of {places}")
    print("\nmean absolute difference to an exact area average, levels of 255")
    print(f"  {'ratio to the finest mpp':34} " + " ".join(f"{ratio:5g}" for ratio in RATIOS))
    for path in one_level:
        row = " ".join(f"{difference(path, ratio):5.2f}" for ratio in RATIOS)
        print(f"  {path.name:34} {row}")


def identical_places(path: Path, count: int = 50, side: int = 200) -> tuple[int, int]:
    """How many random places of all levels are identical to OpenSlide's, and of how many.

    Places are within the part that OpenSlide reads at whole pixels of the level: from its
    corner, up to 4,096 pixels; of a level with a whole downsample, anywhere.
    """
    import openslide

    rng = np.random.default_rng(0)
    same = places = 0
    with open_slide(path, mpp=0.5) as slide, openslide.OpenSlide(str(path)) as reference:
        assert isinstance(slide, TiledSlide)
        for number, level in enumerate(slide.levels):
            whole = level.downsample == round(level.downsample)
            width, height = level.width, level.height
            if not whole:
                width, height = min(width, _PART), min(height, _PART)
                region = reference.read_region((0, 0), number, (width, height)).convert("RGB")
                theirs = np.asarray(region)
            for i in range(count):
                x = int(rng.integers(0, max(1, width - side))) if i % 5 else max(0, width - side)
                y = int(rng.integers(0, max(1, height - side))) if i % 3 else max(0, height - side)
                w, h = min(side, width - x), min(side, height - y)
                if whole:
                    at = (round(x * level.downsample), round(y * level.downsample))
                    image = reference.read_region(at, number, (w, h)).convert("RGB")
                    part = np.asarray(image)
                else:
                    part = theirs[y : y + h, x : x + w]
                places += 1
                same += np.array_equal(slide.averaged(number, 1, x, y, w, h), part)
    return same, places


def difference(path: Path, ratio: float, size: int = 224, count: int = 12) -> float:
    """Mean absolute difference over some places with tissue."""
    rng = np.random.default_rng(1)
    found: list[float] = []
    with open_slide(path, mpp=0.5) as slide:
        reach = int(size * ratio) + 1
        width, height = slide.size
        for _ in range(20 * count):
            # Whole output pixels from the corner: the same grid as the exact average.
            x = int(rng.integers(0, max(1, (width - reach) // 8))) * 8
            y = int(rng.integers(0, max(1, (height - reach) // 8))) * 8
            source = slide.read(x, y, reach, reach, 0.5)
            if source.std() < 20:  # glass
                continue
            exact = area_average(source, size, ratio)
            found.append(float(np.abs(slide.read(x, y, size, size, 0.5 * ratio) - exact).mean()))
            if len(found) == count:
                break
    return float(np.mean(found))


def area_average(pixels: np.ndarray, size: int, ratio: float) -> np.ndarray:
    """The exact area average of a square from the upper left corner, float64."""
    edges = np.arange(size + 1) * ratio
    shares = np.zeros((size, pixels.shape[0]))
    for i, (low, high) in enumerate(pairwise(edges)):
        for j in range(int(low), min(pixels.shape[0], int(np.ceil(high)))):
            shares[i, j] = max(0.0, min(high, j + 1) - max(low, j)) / ratio
    return np.einsum("ij,jkc,lk->ilc", shares, pixels.astype(float), shares, optimize=True)
