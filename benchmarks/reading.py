"""How fast patches are read: every way on the same tissue, in one run.

    python -m benchmarks.reading [--data DIR] [--threads 1 2] [--parts speed exactness memory]

DIR (by default the folder that PATHSEARCH_DATA names) holds `slides/her2st_C2.tiff` and
`slides/CMU-1-Small-Region.svs`. Without it a made-up slide is read. Mpx/s are pixels of the
finest level under the patches, so that the columns of different resolutions compare.

CMU-1 holds 81 patches at its own resolution and 4 at four times that; so its tiles are also read
from a file in which they lie side by side four times each way. The peers tiffslide and fastslide
take part where they are installed (`pip install tiffslide fastslide`).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.big_slide import write_repeated_tile
from benchmarks.reading_exactness import print_exactness
from benchmarks.reading_memory import print_memory
from benchmarks.slide_copies import level_alone, side_by_side

from pathsearch.slides import open_slide, stream_patches

PATCH = 224
ONE_LEVEL = "her2st_C2-one-level.tiff"
MANY = "CMU-1-side-by-side.tiff"
PARTS = ("speed", "exactness", "memory")
FEW = 64  # patches of one batch
MPP = 0.5  # what the files state does not matter here: every slide is opened with this


@dataclass(frozen=True)
class Scene:
    """Patches on one file at one resolution.

    Attributes
    ----------
    name : str
    path : Path
    factor : int
        Finest-level pixels per patch pixel.
    xy : int64 array, shape (n, 2)
    """

    name: str
    path: Path
    factor: int
    xy: np.ndarray

    @property
    def megapixels(self) -> float:
        """Finest-level pixels under the patches, in millions."""
        return len(self.xy) * (PATCH * self.factor) ** 2 / 1e6


#: Opens the file afresh (no cache of an earlier run), reads all patches with so many threads,
#: and returns the seconds that the reading took, without the opening.
Way = Callable[[Scene, int], float]


def openslide_per_patch(scene: Scene, threads: int) -> float:
    """`read_region` and `.convert("RGB")` for each patch, shrunk by a whole factor."""
    import openslide

    def work(slide: Any, part: np.ndarray) -> None:
        level, rest = best_level(slide.level_downsamples, scene.factor)
        for x, y in part.tolist():
            image = slide.read_region((x, y), level, (PATCH * rest, PATCH * rest)).convert("RGB")
            np.asarray(image.reduce(rest) if rest > 1 else image)

    return in_threads(work, lambda: openslide.OpenSlide(str(scene.path)), scene.xy, threads)


def openslide_in_blocks(scene: Scene, threads: int) -> float:
    """Bands of patches read in one call each, then cut."""
    import openslide

    def work(slide: Any, part: np.ndarray) -> None:
        level, rest = best_level(slide.level_downsamples, scene.factor)
        for y in np.unique(part[:, 1]).tolist():
            row = part[part[:, 1] == y]
            left = int(row[:, 0].min())
            span = int(row[:, 0].max()) - left
            width = round(span / slide.level_downsamples[level]) + PATCH * rest
            image = slide.read_region((left, y), level, (width, PATCH * rest)).convert("RGB")
            pixels = np.asarray(image.reduce(rest) if rest > 1 else image)
            for x in ((row[:, 0] - left) // scene.factor).tolist():
                pixels[:, x : x + PATCH].copy()

    return in_threads(work, lambda: openslide.OpenSlide(str(scene.path)), scene.xy, threads)


def tiffslide_per_patch(scene: Scene, threads: int) -> float:
    """Through tiffslide's `read_region`, as arrays."""
    from PIL import Image
    from tiffslide import TiffSlide

    def work(slide: Any, part: np.ndarray) -> None:
        level, rest = best_level(slide.level_downsamples, scene.factor)
        side = (PATCH * rest, PATCH * rest)
        for x, y in part.tolist():
            pixels = slide.read_region((x, y), level, side, as_array=True)
            if rest > 1:
                np.asarray(Image.fromarray(pixels).reduce(rest))

    return in_threads(work, lambda: TiffSlide(scene.path), scene.xy, threads)


def fastslide_per_patch(scene: Scene, threads: int) -> float:
    """Through fastslide's `read_region`, which takes coordinates of the level."""
    from fastslide import FastSlide
    from PIL import Image

    def work(slide: Any, part: np.ndarray) -> None:
        level, rest = best_level(slide.level_downsamples, scene.factor)
        scale = slide.level_downsamples[level]
        for x, y in part.tolist():
            at = (round(x / scale), round(y / scale))
            pixels = slide.read_region(at, level, (PATCH * rest, PATCH * rest)).numpy()
            if rest > 1:
                np.asarray(Image.fromarray(pixels).reduce(rest))

    return in_threads(work, lambda: FastSlide.from_file_path(str(scene.path)), scene.xy, threads)


def ours(scene: Scene, threads: int) -> float:
    """`pathsearch.slides.stream_patches`."""
    with open_slide(scene.path, mpp=MPP) as slide:
        start = time.perf_counter()
        for _ in stream_patches(slide, scene.xy, PATCH, MPP * scene.factor, threads=threads):
            pass
        return time.perf_counter() - start


def bare_decoder(scene: Scene, threads: int) -> float:
    """Only simplejpeg, over the bytes of the same tiles, held in memory; nothing is cut."""
    import simplejpeg

    tiles, sides, factor = _tile_bytes(scene)
    smallest = tuple(side // factor for side in sides) if factor > 1 else (0, 0)

    def work(_: None, part: list[bytes]) -> None:
        for data in part:
            simplejpeg.decode_jpeg(data, "RGB", False, False, *smallest, factor)

    return in_threads(work, lambda: None, tiles, threads)


_BYTES: dict[tuple[Path, int], tuple[list[bytes], tuple[int, int], int]] = {}


def _tile_bytes(scene: Scene) -> tuple[list[bytes], tuple[int, int], int]:
    """The complete JPEG files of the tiles under the patches, tile height and width, factor."""
    key = (scene.path, scene.factor)
    if key not in _BYTES:
        from pathsearch.slides.pyramid import source_boxes
        from pathsearch.slides.tile_stream import tile_spans, tiles_in_spans

        with open_slide(scene.path, mpp=MPP) as slide:
            how = slide.resolution(MPP * scene.factor)  # type: ignore[attr-defined]
            table = slide._tables[how.level]  # type: ignore[attr-defined]
        boxes, _ = source_boxes(how, scene.xy / how.pixel, (PATCH, PATCH))
        spans = tile_spans(table.grid, how.factor, boxes)
        found = [ids for ids, _ in tiles_in_spans(spans, table.grid.columns)]
        data = scene.path.read_bytes()
        tiles = []
        for tile in np.unique(np.concatenate(found)).tolist():
            start, count = int(table.offsets[0, tile]), int(table.counts[0, tile])
            tiles.append(table.decoder.complete(data[start : start + count]))
        _BYTES[key] = (tiles, (table.grid.tile_height, table.grid.tile_width), how.factor)
    return _BYTES[key]


WAYS: dict[str, Way] = {
    "OpenSlide, per patch": openslide_per_patch,
    "OpenSlide, in blocks": openslide_in_blocks,
    "tiffslide": tiffslide_per_patch,
    "fastslide": fastslide_per_patch,
    "pathsearch": ours,
    "bare decoder": bare_decoder,
}


def best_level(downsamples: Any, factor: int) -> tuple[int, int]:
    """The coarsest level that is fine enough, and the whole factor that remains."""
    level = max(i for i, scale in enumerate(downsamples) if scale <= factor * 1.02)
    return level, max(1, round(factor / downsamples[level]))


def in_threads(
    work: Callable[[Any, Any], None], opened: Callable[[], Any], items: Any, threads: int
) -> float:
    """Run `work` on equal consecutive parts of `items`, each with a handle; seconds."""
    edges = np.linspace(0, len(items), threads + 1).astype(int)
    parts = [items[a:b] for a, b in pairwise(edges)]
    handles = [opened() for _ in parts]
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(work, handles, parts))
        return time.perf_counter() - start


def best_of(way: Way, scene: Scene, threads: int, seconds: float) -> float:
    """The shortest of runs that take so many seconds together; the first warms up."""
    way(scene, threads)
    taken = [way(scene, threads)]
    while sum(taken) < seconds:
        taken.append(way(scene, threads))
    return min(taken)


def scenes(data: Path | None, work: Path) -> Iterator[Scene]:
    """The patches that are read."""
    if data is None:
        path = write_repeated_tile(work / "made-up.tiff", 6000)
        yield from (Scene("made-up", path, f, grid((0, 0), 5120, f)) for f in (1, 2, 4))
        return
    her2st = data / "slides" / "her2st_C2.tiff"
    alone = level_alone(her2st, work / ONE_LEVEL)
    # At four times the mpp a larger square, so that it holds as many patches as one batch.
    squares = {1: ((2048, 3072), 5120), 2: ((2048, 3072), 5120), 4: ((1024, 2048), 7168)}
    for factor, (corner, side) in squares.items():
        yield Scene("her2st_C2", her2st, factor, grid(corner, side, factor))
    for factor in (2, 4):
        name = "her2st_C2, level 0 alone"
        yield Scene(name, alone, factor, grid(*squares[factor], factor))
    cmu = data / "slides" / "CMU-1-Small-Region.svs"
    yield Scene("CMU-1", cmu, 1, grid((0, 0), 2220, 1))
    many = side_by_side(cmu, work / MANY, 4)
    for factor, side in ((1, 4480), (2, 4480), (4, 8064)):
        yield Scene("CMU-1, side by side", many, factor, grid((0, 0), side, factor))


def grid(corner: tuple[int, int], side: int, factor: int) -> np.ndarray:
    """Patches side by side in a square, in reading order, int64 (n, 2)."""
    step = PATCH * factor
    places = np.arange(0, side - step + 1, step)
    return np.array([(corner[0] + x, corner[1] + y) for y in places for x in places], np.int64)


def print_scene(scene: Scene, threads: int, seconds: float) -> None:
    """One block of the table."""
    head = f"{scene.name}, {scene.factor}x the finest mpp, {len(scene.xy)} patches"
    print(f"\n{head}, {threads} thread{'s' if threads > 1 else ''}")
    if len(scene.xy) < FEW:
        print("  (so few patches that starting threads counts: no measure of steady reading)")
    print(f"  {'':22} {'Mpx/s':>7} {'patches/s':>10} {'x OpenSlide':>12} {'of decoder':>11}")
    took: dict[str, float] = {}
    for name, way in WAYS.items():
        try:
            took[name] = best_of(way, scene, threads, seconds)
        except ImportError as error:
            print(f"  {name:22} is not installed ({error.name})")
    for name, spent in took.items():
        rate, patches = scene.megapixels / spent, len(scene.xy) / spent
        against = took["OpenSlide, per patch"] / spent
        share = took["bare decoder"] / spent
        print(f"  {name:22} {rate:7.0f} {patches:10.0f} {against:12.1f} {share:11.0%}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("PATHSEARCH_DATA") or None)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2.0, help="of runs a row, at least")
    parser.add_argument("--only", default="", help="scenes whose name contains this")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}; best of several runs")
    data = Path(options.data) if options.data else None
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in options.parts:
            for scene in scenes(data, Path(folder)):
                if options.only in scene.name:
                    for threads in options.threads:
                        print_scene(scene, threads, options.seconds)
        if "exactness" in options.parts and data is not None:
            print_exactness(data / "slides", Path(folder))
        if "memory" in options.parts:
            print_memory(Path(folder))


if __name__ == "__main__":
    main()
