"""Files as real archives also hold them: broken, mislabelled, absurd."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pathsearch.testing.made_slide import MadeSlide, make_slide


@dataclass(frozen=True, slots=True)
class Hostile:
    """One way in which a file can be wrong.

    Attributes
    ----------
    name : str
    file : str
        What the file is called.
    make : callable
        ``make(path)`` writes it.
    codes : tuple of str
        Codes of the errors that opening, or reading, may end in; empty where only single
        patches are lost.
    """

    name: str
    file: str
    make: Callable[[Path], None]
    codes: tuple[str, ...]


def empty(path: Path) -> None:
    """A file of no bytes: a copy that was interrupted at once."""
    path.write_bytes(b"")


def text(path: Path) -> None:
    """Words under a slide's name."""
    path.write_text("this is no slide\n" * 40, encoding="utf-8")


def truncated(path: Path, share: float = 0.5) -> None:
    """The first part of a slide: a copy that was interrupted later.

    The table of contents stands in front, so that the file opens and only some of its tiles
    are missing.
    """
    _small(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def headless(path: Path) -> None:
    """A slide whose table of contents is cut off: nothing can be opened."""
    _small(path)
    path.write_bytes(path.read_bytes()[:6])


def corrupt_tile(path: Path, tiles: tuple[int, ...] = (5,)) -> None:
    """A slide in which these tiles of the finest level are noise."""
    _small(path)
    overwrite_tiles(path, tiles)


def unknown_compression(path: Path) -> None:
    """A slide that opens and whose tiles nothing can decode."""
    import tifffile

    _small(path)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for page in tiff.pages:
            page.tags["Compression"].overwrite(65001)


def without_mpp(path: Path) -> None:
    """A good slide that does not say how large its pixels are."""
    make_slide(path, size=(1024, 1024), seed=2, stated_mpp=None)


def wrong_mpp(path: Path) -> None:
    """A good slide that states 100 times its resolution: µm and 0.1 mm mixed up."""
    make_slide(path, size=(1024, 1024), seed=2, stated_mpp=50.0)


def huge(path: Path) -> None:
    """A small file that claims 4 million pixels a side."""
    import tifffile

    _small(path)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        page: Any = tiff.pages[0]
        page.tags["ImageWidth"].overwrite(4_000_000)
        page.tags["ImageLength"].overwrite(4_000_000)


HOSTILE: tuple[Hostile, ...] = (
    Hostile("empty", "empty.svs", empty, ("slide-unreadable",)),
    Hostile("text", "text.svs", text, ("slide-unreadable",)),
    Hostile("truncated", "truncated.tiff", truncated, ("slide-unreadable", "read-failed")),
    Hostile("headless", "headless.tiff", headless, ("slide-unreadable",)),
    Hostile("corrupt tile", "corrupt-tile.tiff", corrupt_tile, ()),
    Hostile(
        "unknown compression",
        "unknown-compression.tiff",
        unknown_compression,
        ("slide-unreadable", "read-failed"),
    ),
    Hostile("without mpp", "without-mpp.tiff", without_mpp, ("mpp-missing",)),
    Hostile("wrong mpp", "wrong-mpp.tiff", wrong_mpp, ("mpp-insane",)),
    Hostile("huge", "huge.tiff", huge, ("slide-too-large", "slide-unreadable")),
)


def make_hostile(folder: Path) -> dict[str, Path]:
    """One file of each kind of `HOSTILE` in a folder; their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for kind in HOSTILE:
        paths[kind.name] = folder / kind.file
        kind.make(paths[kind.name])
    return paths


def overwrite_tiles(path: Path, tiles: tuple[int, ...], level: int = 0) -> None:
    """Fill stored tiles of a TIFF with noise, in place; their places and sizes stay.

    Parameters
    ----------
    path : Path
    tiles : tuple of int
        Numbers of the tiles, in reading order.
    level : int
    """
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[level]
        places = [(page.dataoffsets[t], page.databytecounts[t]) for t in tiles]
    rng = np.random.default_rng(0)
    with path.open("r+b") as file:
        for start, count in places:
            file.seek(start)
            file.write(rng.integers(0, 256, count, np.uint8).tobytes())


def made_slides(folder: Path, count: int, **options: Any) -> list[MadeSlide]:
    """Slides of different laboratories in a folder: ``made-0.tiff``, ``made-1.tiff`` and on.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    count : int
    **options
        Of `pathsearch.testing.make_slide`; the seeds count up from `seed`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seed = int(options.pop("seed", 0))
    return [
        make_slide(folder / f"made-{number}.tiff", seed=seed + number, **options)
        for number in range(count)
    ]


def moved_copy(slide: MadeSlide, path: Path) -> Path:
    """The same bytes under another name: a rescan's double, or a slide that moved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(slide.path, path)
    return path


def _small(path: Path) -> None:
    make_slide(path, size=(1024, 1024), seed=1, tile=256, downsamples=(1.0, 4.0))
