"""Patches of a grid in batches: what the indexer, the trainer and the viewer share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pathsearch.errors import BadTilesError, ReadFailedError
from pathsearch.nouns import Batch, Slide
from pathsearch.slides.resample import Pixels

Corners = npt.NDArray[np.int64]


@runtime_checkable
class PatchReader(Protocol):
    """A slide with a way of its own to read many patches."""

    def read_patches(
        self, xy: Corners, size_px: int, mpp: float, *, batch_size: int, threads: int, prefetch: int
    ) -> Iterator[Batch]:
        """As `stream_patches`, with the same pixels as `Slide.read`."""
        ...


def stream_patches(
    slide: Slide,
    xy: Corners,
    size_px: int,
    mpp: float,
    *,
    batch_size: int = 64,
    threads: int = 1,
    prefetch: int = 2,
) -> Iterator[Batch]:
    """Read the patches of a grid, in its order, in batches.

    Batches are decoded ahead in worker threads while the caller works on the last one, and
    no more than `prefetch` of them are held.

    Parameters
    ----------
    slide : Slide
    xy : int64 array, shape (n, 2)
        Top-left corners in level-0 pixels; fastest in reading order.
    size_px : int
        Width and height of a patch in pixels at `mpp`.
    mpp : float
        µm per pixel.
    batch_size : int
        Patches in a batch; the last one may hold fewer.
    threads : int
        Worker threads.
    prefetch : int
        Batches that are read ahead.

    Yields
    ------
    Batch
        Patches that cannot be read are white and not `ok`.

    Raises
    ------
    ResolutionTooCoarseError
        The slide does not have this resolution.
    """
    xy = np.asarray(xy, np.int64).reshape(-1, 2)
    if size_px < 1 or batch_size < 1 or threads < 1 or prefetch < 0:
        raise ValueError("size_px, batch_size and threads must be at least 1, prefetch at least 0")
    read = slide.read_patches if isinstance(slide, PatchReader) else partial(read_one_by_one, slide)
    return read(xy, size_px, mpp, batch_size=batch_size, threads=threads, prefetch=prefetch)


def limit_bad(
    batches: Iterator[Batch], total: int, max_bad_share: float, path: str
) -> Iterator[Batch]:
    """Pass batches on until too many of their patches turned out unreadable.

    Parameters
    ----------
    batches : iterator of Batch
    total : int
        Patches that all batches will hold.
    max_bad_share : float
        Share of `total` that may be unreadable, 0..1.
    path : str
        For the message.

    Raises
    ------
    BadTilesError
        As soon as the share is passed; not only at the end.
    """
    bad = 0
    for batch in batches:
        bad += int((~batch.ok).sum())
        if bad > max_bad_share * total:
            raise BadTilesError(
                f"{path}: {bad} of {total} patches cannot be read, more than the "
                f"{max_bad_share:.0%} that are accepted; copy or scan the slide again.",
                path=path,
                bad=bad,
                total=total,
            )
        yield batch


def read_one_by_one(
    slide: Slide,
    xy: Corners,
    size_px: int,
    mpp: float,
    *,
    batch_size: int,
    threads: int,
    prefetch: int,
) -> Iterator[Batch]:
    """`stream_patches` through `Slide.read`, a patch at a time: the plain way."""

    def read(i: int) -> Pixels | None:
        try:
            return slide.read(float(xy[i, 0]), float(xy[i, 1]), size_px, size_px, mpp)
        except ReadFailedError:
            return None

    starts = range(0, len(xy), batch_size)
    pending: deque[tuple[int, list[Future[Pixels | None]]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="pathsearch-read") as pool:
        try:
            for start in starts:
                stop = min(start + batch_size, len(xy))
                pending.append((start, [pool.submit(read, i) for i in range(start, stop)]))
                if len(pending) > prefetch:
                    yield _gathered(*pending.popleft(), size_px)
            while pending:
                yield _gathered(*pending.popleft(), size_px)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _gathered(first: int, futures: list[Future[Pixels | None]], size_px: int) -> Batch:
    pixels = np.full((len(futures), size_px, size_px, 3), 255, np.uint8)
    ok = np.zeros(len(futures), np.bool_)
    for i, future in enumerate(futures):
        patch = future.result()
        if patch is not None:
            pixels[i] = patch
            ok[i] = True
    return Batch(first, pixels, ok)
