"""How right the pixels are: against OpenSlide, and against exact area averages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.slide_copies import level_alone

from pathsearch.slides import find_slides, open_slide
from pathsearch.slides.tiles import TiledSlide

RATIOS = (1.1, 1.38, 1.9, 2.0, 2.7, 4.0, 6.1, 8.0)
MPP = 0.5  # what the files state does not matter here
#: Beyond this OpenSlide cuts a region in parts and interpolates between level-0 pixels.
_PART = 4096
#: Steps of a pixel in which shifts are looked for, and how far, in pixels of the answer.
_FINE, _FAR = 50, 1.0


def print_exactness(slides: Path, work: Path) -> None:
    """Print the tables.

    Parameters
    ----------
    slides : Path
        Folder of slides; those of tiles are compared with OpenSlide at every level.
    work : Path
        Folder for copies of their levels.
    """
    print("\nidentical to OpenSlide, random places of every level, edges among them")
    for found in find_slides([slides]):
        levels, same, places = identical_places(found.path, work)
        name = found.path.parent.name if found.path.suffix == ".dcm" else found.path.name
        print(f"  {name:34} {same} of {places}, {levels} level{'s' if levels > 1 else ''}")
    print("\nmean absolute difference to an exact area average, levels of 255")
    print(f"  {'ratio to the finest mpp':34} " + " ".join(f"{ratio:5g}" for ratio in RATIOS))
    her2st = level_alone(slides / "her2st_C2.tiff", work / "her2st_C2 level 0.tiff")
    for path in (slides / "CMU-1-Small-Region.svs", her2st):
        row = " ".join(f"{difference(path, ratio):5.2f}" for ratio in RATIOS)
        print(f"  {path.name:34} {row}")
    print("\nshift against the exact area average of a made-up grid, pixels of the answer")
    print(f"  {'by cross-correlation, x and y':34} " + " ".join(f"{r:5g}" for r in RATIOS))
    grid = made_up_grid(work / "grid.tiff")
    shifts = [shift(grid, ratio) for ratio in RATIOS]
    for axis, name in enumerate("xy"):
        print(f"  {name:34} " + " ".join(f"{pair[axis]:5.2f}" for pair in shifts))


def identical_places(
    path: Path, work: Path, count: int = 50, side: int = 200
) -> tuple[int, int, int]:
    """The levels of a slide; at how many random places they are identical to OpenSlide's.

    Every fifth place lies at the right edge, every third at the lower one. OpenSlide reads a
    level at its own pixels where its downsample is whole, and within the first 4,096 pixels;
    elsewhere it is asked for the level's tiles, copied into a file of their own.

    Returns
    -------
    levels, identical, places : int
    """
    import openslide

    rng = np.random.default_rng(0)
    same = 0
    with open_slide(path, mpp=MPP) as slide, openslide.OpenSlide(str(path)) as reference:
        assert isinstance(slide, TiledSlide)
        numbers = {tuple(size): i for i, size in enumerate(reference.level_dimensions)}
        for number, level in enumerate(slide.levels):
            theirs = numbers[level.width, level.height]
            read = _reader(path, reference, theirs, level.downsample, work)
            for i in range(count):
                w, h = min(side, level.width), min(side, level.height)
                x = int(rng.integers(0, level.width - w + 1)) if i % 5 else level.width - w
                y = int(rng.integers(0, level.height - h + 1)) if i % 3 else level.height - h
                ours = slide.averaged(number, 1, x, y, w, h)
                same += np.array_equal(ours, read(x, y, w, h))
        return len(slide.levels), same, count * len(slide.levels)


def _reader(
    path: Path, reference: Any, number: int, downsample: float, work: Path
) -> Callable[[int, int, int, int], np.ndarray]:
    """Reads OpenSlide's pixels of a level, x, y, width, height in pixels of the level."""
    import openslide

    def at_whole_pixels(x: int, y: int, w: int, h: int) -> np.ndarray:
        at = (round(x * downsample), round(y * downsample))
        return np.asarray(reference.read_region(at, number, (w, h)).convert("RGB"))

    if downsample == round(downsample):
        return at_whole_pixels
    width, height = (min(_PART, length) for length in reference.level_dimensions[number])
    corner = np.asarray(reference.read_region((0, 0), number, (width, height)).convert("RGB"))
    copy: list[Any] = []

    def anywhere(x: int, y: int, w: int, h: int) -> np.ndarray:
        if x + w <= width and y + h <= height:
            return corner[y : y + h, x : x + w]
        if not copy:
            alone = level_alone(path, work / f"{path.stem} level {number}.tiff", number)
            copy.append(openslide.OpenSlide(str(alone)))
        return np.asarray(copy[0].read_region((x, y), 0, (w, h)).convert("RGB"))

    return anywhere


def difference(path: Path, ratio: float, size: int = 224, count: int = 12) -> float:
    """Mean absolute difference over some places with tissue."""
    rng = np.random.default_rng(1)
    found: list[float] = []
    with open_slide(path, mpp=MPP) as slide:
        reach = int(size * ratio) + 1
        width, height = slide.size
        for _ in range(20 * count):
            # Whole output pixels from the corner: the same grid as the exact average.
            x = int(rng.integers(0, max(1, (width - reach) // 8))) * 8
            y = int(rng.integers(0, max(1, (height - reach) // 8))) * 8
            source = slide.read(x, y, reach, reach, MPP)
            if source.std() < 20:  # glass
                continue
            exact = area_average(source, size, ratio)
            found.append(float(np.abs(slide.read(x, y, size, size, MPP * ratio) - exact).mean()))
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


def made_up_grid(path: Path, side: int = 2048) -> Path:
    """A one-level JPEG slide of dark lines 10 pixels wide, 53 to 61 pixels apart."""
    import tifffile

    pixels = np.full((side, side, 3), 230, np.uint8)
    starts = np.cumsum(np.resize(np.arange(53, 62), side // 53))
    for start in starts[starts < side].tolist():
        pixels[start : start + 10] = 40
        pixels[:, start : start + 10] = 40
    tifffile.imwrite(
        path, pixels, tile=(256, 256), compression="jpeg", compressionargs={"level": 95}
    )
    return path


def shift(path: Path, ratio: float) -> tuple[float, float]:
    """How far the pixels of a slide lie from those of the exact area average, in x and y."""
    with open_slide(path, mpp=MPP) as slide:
        size = int(1900 / ratio)
        reach = int(size * ratio) + 1
        exact = area_average(slide.read(64, 32, reach, reach, MPP), size, ratio)
        found = slide.read(64, 32, size, size, MPP * ratio).astype(float)
    x, y = (best_offset(exact.mean((axis, 2)), found.mean((axis, 2))) for axis in (0, 1))
    return x, y


def best_offset(expected: np.ndarray, found: np.ndarray) -> float:
    """The offset at which two profiles correlate best, in pixels, to a fiftieth."""
    places = np.arange(0, len(found) - 1, 1 / _FINE)
    theirs, ours = (np.interp(places, np.arange(len(p)), p) for p in (expected, found))
    far = round(_FAR * _FINE)
    inner = theirs[far:-far]
    rows = np.lib.stride_tricks.sliding_window_view(ours, len(inner))
    likeness = [float(np.corrcoef(inner, row)[0, 1]) for row in rows]
    return (int(np.argmax(likeness)) - far) / _FINE
