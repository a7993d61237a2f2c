"""Where labelled patches come from: picture files, or places on slides; always streamed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pathsearch.errors import SlideNotFoundError, SlideUnreadableError
from pathsearch.evaluate.tables import LabelTable, RegionTable

__all__ = ["PatchSource", "PictureSource", "RegionSource"]

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]
#: Pictures beyond this many pixels are slides, and are refused before they are decoded.
_MAX_PIXELS = 10**8
_THREADS = 2


class PatchSource(Protocol):
    """Labelled patches that can be read again and again."""

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """The class of each patch, shape (n,)."""
        ...

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """Case, slide or source of each patch, shape (n,)."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """What each patch is called on a page."""
        ...

    @property
    def mpp(self) -> float | None:
        """µm per pixel; None where it is not known."""
        ...

    def stream(
        self, batch_size: int = 64, rows: Rows | None = None
    ) -> Iterator[tuple[Rows, Pixels]]:
        """Patches in batches.

        Parameters
        ----------
        batch_size : int
        rows : int64 array, optional
            Only these.

        Yields
        ------
        rows : int64 array, shape (b,)
        pixels : uint8 array, shape (b, h, w, 3)
        """
        ...


class PictureSource:
    """The pictures of a `LabelTable`; of any size, also mixed.

    Parameters
    ----------
    table : LabelTable
    """

    mpp: float | None = None

    def __init__(self, table: LabelTable) -> None:
        self._table = table
        for path, name in zip(table.paths, table.names, strict=True):
            if not path.is_file():
                raise SlideNotFoundError(
                    f"{name}: there is no such picture beside the table ({path}).", path=str(path)
                )

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """The class of each patch, shape (n,)."""
        return self._table.labels

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """Case, slide or source of each patch, shape (n,)."""
        return self._table.groups

    @property
    def names(self) -> Sequence[str]:
        """The paths as the table has them."""
        return self._table.names

    def stream(
        self, batch_size: int = 64, rows: Rows | None = None
    ) -> Iterator[tuple[Rows, Pixels]]:
        """Patches in batches of one size; see `PatchSource.stream`."""
        wanted = np.arange(len(self._table.paths)) if rows is None else np.asarray(rows)
        held: list[Pixels] = []
        first = 0
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="pathsearch-read") as pool:
            # A batch is decoded ahead, while the caller works on the last one.
            pending: deque[Future[Pixels]] = deque()
            for place in range(len(wanted) + batch_size):
                if place < len(wanted):
                    pending.append(pool.submit(self._read, int(wanted[place])))
                if place < batch_size or not pending:
                    continue
                pixels = pending.popleft().result()
                if held and (pixels.shape != held[0].shape or len(held) == batch_size):
                    yield wanted[first : first + len(held)], np.stack(held)
                    first += len(held)
                    held = []
                held.append(pixels)
        if held:
            yield wanted[first : first + len(held)], np.stack(held)

    def _read(self, row: int) -> Pixels:
        return read_picture(self._table.paths[row])


def read_picture(path: Path) -> Pixels:
    """A picture file as RGB; transparent parts on white.

    Returns
    -------
    uint8 array, shape (h, w, 3)

    Raises
    ------
    SlideUnreadableError
        Not a picture, damaged, or larger than 100 million pixels.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise SlideUnreadableError(
                    f"{path}: {image.width} x {image.height} pixels are a slide, not a patch; "
                    "give a table with slide, x, y, label instead.",
                    path=str(path),
                )
            if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
                rgba = image.convert("RGBA")
                white = Image.new("RGBA", rgba.size, "white")
                return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SlideUnreadableError(
            f"{path}: cannot be read as a picture ({' '.join(str(error).split())}).", path=str(path)
        ) from None


class RegionSource:
    """The patches centred on the places of a `RegionTable`.

    Parameters
    ----------
    table : RegionTable
    folder : Path
        Where the slides lie.
    size_px : int
        Width and height of a patch.
    mpp : float
        µm per pixel.
    names : sequence of str
        One for each place.

    Raises
    ------
    SlideError
        A slide is missing or does not open, or does not have this resolution.
    """

    def __init__(self, table: RegionTable, folder: Path, *, size_px: int, mpp: float) -> None:
        from pathsearch.slides import open_slide

        self._table = table
        self._folder = folder
        self._size_px = size_px
        self.mpp: float | None = mpp
        self._mpp = mpp
        self.names = [
            f"{slide}#{x:g},{y:g}" for slide, (x, y) in zip(table.slides, table.xy, strict=True)
        ]
        self._corners = np.empty((len(table.labels), 2), dtype=np.int64)
        for slide_name, rows in self._by_slide(None):
            with open_slide(folder / slide_name) as slide:
                self._check_inside(slide_name, slide.size, rows)
                half = size_px * mpp / slide.mpp / 2
            self._corners[rows] = np.rint(table.xy[rows] - half).astype(np.int64)

    @property
    def labels(self) -> npt.NDArray[np.str_]:
        """The class of each patch, shape (n,)."""
        return self._table.labels

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """The slide of each patch, or its case, shape (n,)."""
        return self._table.groups

    def stream(
        self, batch_size: int = 64, rows: Rows | None = None
    ) -> Iterator[tuple[Rows, Pixels]]:
        """Patches in batches, slide by slide; see `PatchSource.stream`.

        Raises
        ------
        SlideUnreadableError
            A patch cannot be decoded.
        """
        from pathsearch.slides import open_slide, stream_patches

        for name, wanted in self._by_slide(rows):
            # Reading order is fastest; the row numbers travel along.
            corners = self._corners[wanted]
            order = np.lexsort((corners[:, 0], corners[:, 1] // self._size_px))
            with open_slide(self._folder / name) as slide:
                for batch in stream_patches(
                    slide, corners[order], self._size_px, self._mpp, batch_size=batch_size
                ):
                    here = wanted[order[batch.first : batch.first + len(batch.pixels)]]
                    if not batch.ok.all():
                        bad = self.names[here[int(np.argmin(batch.ok))]]
                        raise SlideUnreadableError(f"{bad}: the patch cannot be decoded.", path=bad)
                    yield here, batch.pixels

    def _by_slide(self, rows: Rows | None) -> Iterator[tuple[str, Rows]]:
        wanted = np.arange(len(self._table.labels)) if rows is None else np.asarray(rows)
        for name in np.unique(self._table.slides[wanted]):
            yield str(name), wanted[self._table.slides[wanted] == name]

    def _check_inside(self, name: str, size: tuple[int, int], rows: Rows) -> None:
        xy = self._table.xy[rows]
        outside = ((xy < 0) | (xy >= np.array(size))).any(axis=1)
        if outside.any():
            x, y = xy[int(np.argmax(outside))]
            raise SlideUnreadableError(
                f"{name}: the place {x:g},{y:g} lies outside the slide ({size[0]} x {size[1]} "
                "level-0 pixels).",
                path=name,
            )
