"""The schedule of a stream of patches over tiles: what is decoded when, and dropped when."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ReadFailedError
from pathsearch.nouns import Batch
from pathsearch.slides.pyramid import source_boxes
from pathsearch.slides.resolution import Resolution
from pathsearch.slides.streaming import Corners
from pathsearch.slides.tiles import DecodedTile, TiledSlide, TileGrid, TileKey

#: Tiles that one job decodes: enough to make the job's own cost small.
_RUN = 8
#: Patches that one job cuts.
_CUT = 16
#: Decoded tiles that wait for later batches; beyond, the last needed are decoded again.
_HELD_BYTES = 256 << 20

_Run = Future[list[DecodedTile]]
_Ints = npt.NDArray[np.int64]
#: Of each tile: box, x, y in the tile, x, y in the box, width, height.
TileParts = dict[int, list[list[int]]]


@dataclass
class _Pending:
    """A batch that is being made."""

    number: int
    batch: Batch
    jobs: list[Future[Any]]


class TileStream:
    """Patches of one slide, cut from tiles that are each decoded once.

    Tiles are decoded in runs, in worker threads, in the order in which the batches need
    them; a tile that a later batch needs too (the row of patches below) is held until then.
    Where nothing is resampled, a tile is laid into the batch's patches as soon as it is
    decoded, while it is in the processor's cache: so its memory is used again for the next
    tile, and reading it costs next to nothing. Else patches are cut once their tiles are there.
    Jobs go through one queue, first in, first out, and a batch's tiles are queued before
    the jobs that need them: a job only ever waits for jobs that have already begun.

    Parameters
    ----------
    slide : TiledSlide
    xy : int64 array, shape (n, 2)
        Level-0 corners.
    size_px : int
    how : Resolution
        Of the wanted mpp, by `slide.resolution`.
    batch_size : int
    """

    def __init__(
        self, slide: TiledSlide, xy: Corners, size_px: int, how: Resolution, batch_size: int
    ) -> None:
        self._slide = slide
        self._size = (size_px, size_px)
        self._how = how
        self._batch_size = batch_size
        self._count = len(xy)
        grid = slide.grids[how.level]
        self._columns = grid.columns
        corners = np.asarray(xy, np.float64).reshape(-1, 2) / how.pixel
        self._boxes, self._insets = source_boxes(how, corners, self._size)
        self._spans = tile_spans(grid, how.factor, self._boxes)
        self._last_use = self._last_uses()
        self._tile_bytes = grid.tile_width * grid.tile_height * 3 // how.factor**2
        self._runs: dict[int, tuple[_Run, int]] = {}
        self._start = self._laid if how.scale == 1.0 and not slide.converts else self._cuts

    def batches(self, *, threads: int, prefetch: int) -> Iterator[Batch]:
        """Run the schedule.

        Yields
        ------
        Batch
        """
        pending: deque[_Pending] = deque()
        pool = ThreadPoolExecutor(threads, thread_name_prefix="pathsearch-read")
        try:
            for number in range(-(-self._count // self._batch_size)):
                pending.append(self._started(number, pool))
                if len(pending) > prefetch:
                    yield self._finished(pending.popleft())
            while pending:
                yield self._finished(pending.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._runs.clear()

    def _last_uses(self) -> dict[int, int]:
        """The last batch that needs each tile."""
        grid = self._slide.grids[self._how.level]
        last = np.full(grid.rows * grid.columns, -1, np.int64)
        batches = np.arange(self._count) // self._batch_size
        for ids, patches in tiles_in_spans(self._spans, self._columns):
            np.maximum.at(last, ids, batches[patches])
        used = np.flatnonzero(last >= 0)
        return dict(zip(used.tolist(), last[used].tolist(), strict=True))

    def _rows_of(self, number: int) -> range:
        first = number * self._batch_size
        return range(first, min(first + self._batch_size, self._count))

    def _tiles_of(self, rows: range) -> list[int]:
        """The tiles under some patches in reading order, each once."""
        spans = self._spans[rows.start : rows.stop]
        found = [ids for ids, _ in tiles_in_spans(spans, self._columns)]
        return np.unique(np.concatenate(found)).tolist() if found else []

    def _started(self, number: int, pool: ThreadPoolExecutor) -> _Pending:
        rows = self._rows_of(number)
        shape = (len(rows), self._size[1], self._size[0], 3)
        batch = Batch(rows.start, np.empty(shape, np.uint8), np.ones(len(rows), np.bool_))
        return _Pending(number, batch, self._start(number, rows, batch, pool))

    def _laid(
        self, number: int, rows: range, batch: Batch, pool: ThreadPoolExecutor
    ) -> list[Future[Any]]:
        """Start the jobs that decode a batch's tiles and lay them into its patches."""
        slide, how = self._slide, self._how
        grid = slide.grids[how.level]
        boxes = self._boxes[rows.start : rows.stop]
        ends = np.array([-(-grid.width // how.factor), -(-grid.height // how.factor)])
        over = (boxes[:, :2] < 0) | (boxes[:, :2] + boxes[:, 2:] > ends)
        batch.pixels[over.any(axis=1)] = slide.background
        parts = tile_parts(grid, how.factor, boxes, self._spans[rows.start : rows.stop])
        held = [tile for tile in parts if tile in self._runs]
        missing = [tile for tile in parts if tile not in self._runs]
        jobs: list[Future[Any]] = []
        for start in range(0, len(missing), _RUN):
            run = missing[start : start + _RUN]
            kept = [self._last_use[tile] > number for tile in run]
            decoded = pool.submit(self._decode_and_lay, batch, run, parts, kept)
            for place, tile in enumerate(run):
                if kept[place]:
                    self._runs[tile] = (decoded, place)
            jobs.append(decoded)
        for start in range(0, len(held), _RUN):
            runs = {tile: self._runs[tile] for tile in held[start : start + _RUN]}
            jobs.append(pool.submit(self._lay_held, batch, runs, parts))
        return jobs

    def _decode_and_lay(
        self, batch: Batch, tiles: list[int], parts: TileParts, kept: list[bool]
    ) -> list[DecodedTile]:
        answer: list[DecodedTile] = []
        for tile, keep in zip(tiles, kept, strict=True):
            pixels = self._decoded(tile)
            self._lay(batch, pixels, parts[tile])
            answer.append(pixels if keep else None)
        return answer

    def _lay_held(self, batch: Batch, runs: dict[int, tuple[_Run, int]], parts: TileParts) -> None:
        for tile, (run, place) in runs.items():
            self._lay(batch, run.result()[place], parts[tile])

    def _lay(self, batch: Batch, tile: DecodedTile, parts: list[list[int]]) -> None:
        """Copy a tile to where patches of a batch show it."""
        if isinstance(tile, ReadFailedError):
            # Made white at the end: other tiles may still be laid into these patches.
            batch.ok[[part[0] for part in parts]] = False
            return
        patches, background = batch.pixels, self._slide.background
        for i, x, y, at_x, at_y, w, h in parts:
            patches[i, at_y : at_y + h, at_x : at_x + w] = (
                background if tile is None else tile[y : y + h, x : x + w]
            )

    def _cuts(
        self, _number: int, rows: range, batch: Batch, pool: ThreadPoolExecutor
    ) -> list[Future[Any]]:
        """Start the jobs that decode a batch's tiles, and those that cut its patches."""
        missing = [tile for tile in self._tiles_of(rows) if tile not in self._runs]
        for start in range(0, len(missing), _RUN):
            run = missing[start : start + _RUN]
            future = pool.submit(self._decoded_run, run)
            for place, tile in enumerate(run):
                self._runs[tile] = (future, place)
        cuts: list[Future[Any]] = []
        for start in range(rows.start, rows.stop, _CUT):
            chunk = range(start, min(start + _CUT, rows.stop))
            # The job takes its tiles along: when it runs, they may have left `_runs`.
            runs = {tile: self._runs[tile] for tile in self._tiles_of(chunk)}
            cuts.append(pool.submit(self._cut, batch, chunk, runs))
        return cuts

    def _decoded_run(self, tiles: list[int]) -> list[DecodedTile]:
        return [self._decoded(tile) for tile in tiles]

    def _decoded(self, tile: int) -> DecodedTile:
        row, column = divmod(tile, self._columns)
        return self._slide.decoded(TileKey(self._how.level, self._how.factor, column, row))

    def _cut(self, batch: Batch, rows: range, runs: dict[int, tuple[_Run, int]]) -> None:
        columns = self._columns
        tiles = {tile: run.result()[place] for tile, (run, place) in runs.items()}

        def tile_at(column: int, row: int) -> DecodedTile:
            return tiles[row * columns + column]

        how, slide = self._how, self._slide
        for i in rows:
            out = batch.pixels[i - batch.first]
            x, y, w, h = self._boxes[i].tolist()
            whole = np.empty((h, w, 3), np.uint8)
            try:
                slide.cut(whole, how.level, how.factor, (x, y), tile_at)
            except ReadFailedError:
                batch.ok[i - batch.first] = False
                continue
            if how.scale != 1.0:
                inset = (float(self._insets[i, 0]), float(self._insets[i, 1]))
                whole = slide.resampled(whole, how, (x, y), inset, self._size)
            out[:] = slide.finished(whole)

    def _finished(self, pending: _Pending) -> Batch:
        for job in pending.jobs:
            job.result()
        self._drop(pending.number)
        batch = pending.batch
        if not batch.ok.all():
            batch.pixels[~batch.ok] = 255
        return batch

    def _drop(self, number: int) -> None:
        """Forget the tiles that no later batch needs, and those that are too many to hold."""
        for tile in [tile for tile in self._runs if self._last_use[tile] <= number]:
            del self._runs[tile]
        excess = len(self._runs) - _HELD_BYTES // self._tile_bytes
        if excess > 0:
            for tile in sorted(self._runs, key=lambda tile: -self._last_use[tile])[:excess]:
                del self._runs[tile]


def tile_spans(grid: TileGrid, factor: int, boxes: _Ints) -> _Ints:
    """The ranges of tiles that boxes touch.

    Parameters
    ----------
    grid : TileGrid
    factor : int
    boxes : int64 array, shape (n, 4)
        x, y, width, height in averaged pixels.

    Returns
    -------
    int64 array, shape (n, 4)
        First and one-past-last column, first and one-past-last row; empty ranges for boxes
        outside the level.
    """
    tile = np.array([grid.tile_width // factor, grid.tile_height // factor])
    ends = np.array([-(-grid.width // factor), -(-grid.height // factor)])
    first = np.maximum(boxes[:, :2], 0)
    stop = np.minimum(boxes[:, :2] + boxes[:, 2:], ends)
    begin, end = first // tile, (stop - 1) // tile + 1
    empty = (stop <= first).any(axis=1, keepdims=True)
    end = np.where(empty, begin, end)
    return np.stack([begin[:, 0], end[:, 0], begin[:, 1], end[:, 1]], axis=1)


def tile_parts(grid: TileGrid, factor: int, boxes: _Ints, spans: _Ints) -> TileParts:
    """What of each tile lies in which box, and where.

    Parameters
    ----------
    grid : TileGrid
    factor : int
    boxes : int64 array, shape (n, 4)
        x, y, width, height in averaged pixels.
    spans : int64 array, shape (n, 4)
        What `tile_spans` answers for them.

    Returns
    -------
    dict of list
        By tile (row * columns + column), in reading order: ``[box, x, y, at_x, at_y, w, h]``
        for each box, w x h pixels at x, y of the tile that belong at at_x, at_y of the box.
    """
    found = list(tiles_in_spans(spans, grid.columns))
    if not found:
        return {}
    tiles = np.concatenate([ids for ids, _ in found])
    owners = np.concatenate([which for _, which in found])
    order = np.lexsort((owners, tiles))
    tiles, owners = tiles[order], owners[order]
    side = np.array([grid.tile_width // factor, grid.tile_height // factor])
    ends = np.array([-(-grid.width // factor), -(-grid.height // factor)])
    corner = np.stack([tiles % grid.columns, tiles // grid.columns], axis=1) * side
    box = boxes[owners]
    first = np.maximum(box[:, :2], corner)
    stop = np.minimum(np.minimum(box[:, :2] + box[:, 2:], corner + side), ends)
    rows = np.column_stack([owners, first - corner, first - box[:, :2], stop - first]).tolist()
    parts: TileParts = {}
    for tile, row in zip(tiles.tolist(), rows, strict=True):
        parts.setdefault(tile, []).append(row)
    return parts


def tiles_in_spans(spans: _Ints, columns: int) -> Iterator[tuple[_Ints, _Ints]]:
    """The tiles of spans, as numbers row * columns + column.

    Yields
    ------
    tiles, spans : two int64 arrays of equal length
        The tiles at one place of each span that reaches so far, and the spans' positions.
    """
    widths, heights = spans[:, 1] - spans[:, 0], spans[:, 3] - spans[:, 2]
    for down in range(int(heights.max(initial=0))):
        for along in range(int(widths.max(initial=0))):
            where = np.flatnonzero((heights > down) & (widths > along))
            yield (spans[where, 2] + down) * columns + spans[where, 0] + along, where
