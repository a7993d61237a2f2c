"""All patches of one spec that can be asked: the index, and what it does not cover yet.

Search is always complete: the ordinals of the index come first, then, compared exactly,
the rows of segments that were committed since. Removed segments are never allowed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.errors import IndexFileError
from pathsearch.index import IvfIndex, ranges
from pathsearch.index.exact import ExactIndex
from pathsearch.index.files import OpenIndex
from pathsearch.index.ranges import Ranges
from pathsearch.search.opening import Stamp, checked_index, stamp_of
from pathsearch.search.percentile import Background

if TYPE_CHECKING:
    from pathsearch.library import Library, SegmentRecord

#: Candidates beyond the wanted ones, so that ties at the end are seen;
_TIES = 8
#: and as many at most: of a thousand equal patches any may come.
_MOST_TIES = 1000


@dataclass(frozen=True)
class Tail:
    """The rows of segments that the index does not cover, held in memory.

    Attributes
    ----------
    exact : ExactIndex
    coords : int64 array, shape (n, 2)
    table : int64 array, shape (m, 3)
        Segment number, first row, one past the last; counted from the tail's start.
    """

    exact: ExactIndex
    coords: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]


class Pool:
    """The searchable patches of a spec, as of one generation of the library.

    Parameters
    ----------
    library : Library
    spec : str
    before : Pool, optional
        Of an earlier generation: what it has read and has not changed is used again, so that
        a slide more costs a slide and not the whole index.
    """

    def __init__(self, library: Library, spec: str, before: Pool | None = None) -> None:
        self.spec = spec
        self.notes: list[str] = []
        self.damaged = False
        self.segments = {s.number: s for s in library.segments(spec) if s.rows}
        self.opened = self._open_index(library, before)
        covered = set(self.opened.segments[:, 0].tolist()) if self.opened else set()
        fresh = [s for number, s in self.segments.items() if number not in covered]
        self.tail: Tail = _read_tail(library, fresh, before.tail if before else None)
        self.indexed = self.opened.manifest.size if self.opened else 0
        self.size = self.indexed + self.tail.exact.size
        self._table = self._whole_table()
        self._live = np.array([n in self.segments for n in self._table[:, 0].tolist()], bool)
        self._numbered: tuple[Mapping[str, int], npt.NDArray[np.int64]] | None = None
        self._of_slide = self._group(s.slide_id for s in self._rows_segments())

    def _open_index(self, library: Library, before: Pool | None) -> OpenIndex | None:
        state = library.index_state(self.spec)
        self.folder: Path | None = None
        self._stamp: Stamp | None = None
        if state is None:
            return None
        folder = Path(library.path) / "index" / state.folder
        stamp = stamp_of(folder)
        try:
            if before is not None and before.opened is not None and before._stamp == stamp:
                opened = before.opened
            else:
                opened = checked_index(library, folder, self.segments)
        except IndexFileError as error:
            self.notes.append(
                f"The index is not used, every patch is compared: {error} Run 'pathsearch reindex'."
            )
            self.damaged = True
            return None
        self.folder, self._stamp = folder, stamp
        return opened

    def _whole_table(self) -> npt.NDArray[np.int64]:
        shifted = self.tail.table + np.array([0, self.indexed, self.indexed])
        if self.opened is None:
            return np.asarray(shifted, np.int64)
        return np.concatenate([self.opened.segments, shifted])

    def _rows_segments(self) -> Iterable[SegmentRecord]:
        return (self.segments[n] for n in self._table[:, 0].tolist() if n in self.segments)

    def _group(self, names: Iterable[str]) -> dict[str, list[tuple[int, int]]]:
        groups: dict[str, list[tuple[int, int]]] = defaultdict(list)
        live = (row for row in self._table.tolist() if row[0] in self.segments)
        for name, (_, start, stop) in zip(names, live, strict=True):
            groups[name].append((start, stop))
        return groups

    @cached_property
    def background(self) -> Background | None:
        """What searches here usually find, or None where there is no index yet."""
        return Background.load(self.folder) if self.folder else None

    @cached_property
    def removed(self) -> Ranges:
        """Ordinals whose segment is not part of the library any more."""
        gone = [(a, b) for n, a, b in self._table.tolist() if n not in self.segments]
        return ranges.union(np.array(gone, np.int64).reshape(-1, 2))

    @cached_property
    def segment_ranges(self) -> tuple[tuple[int, int], ...]:
        """Numbers of the segments that are asked, as inclusive ranges."""
        held = ranges.from_ordinals(np.array(sorted(self.segments), np.int64))
        return tuple((first, stop - 1) for first, stop in held.tolist())

    @property
    def exact_only(self) -> bool:
        """Whether every search here compares with every patch."""
        return self.opened is None or self.opened.manifest.kind == "exact"

    def of_slides(self, slide_ids: Iterable[str]) -> Ranges:
        """The ordinals of some slides."""
        found = [r for slide_id in slide_ids for r in self._of_slide.get(slide_id, ())]
        return ranges.union(np.array(found, np.int64).reshape(-1, 2))

    def ordinals(self, slide_id: str) -> npt.NDArray[np.int64]:
        """The ordinals of one slide, ascending; empty where it has none."""
        held = self._of_slide.get(slide_id, ())
        return np.concatenate([np.empty(0, np.int64), *(np.arange(a, b) for a, b in sorted(held))])

    def patches_of_slides(
        self, allowed: Ranges, number: Mapping[str, int]
    ) -> npt.NDArray[np.int64]:
        """How many of the allowed rows each slide has: int64, one a slide of `number`."""
        if self._numbered is None or self._numbered[0] is not number:
            slides = [number[segment.slide_id] for segment in self._rows_segments()]
            self._numbered = number, np.array(slides, np.int64)
        edges = self._table[self._live, 1:]
        held = ranges.count_below(allowed, edges[:, 1]) - ranges.count_below(allowed, edges[:, 0])
        counts = np.bincount(self._numbered[1], weights=held, minlength=len(number))
        return counts.astype(np.int64)

    def coords(self, ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Level-0 x, y of the top-left corners: int64, shape (n, 2)."""
        if not self.tail.exact.size and self.opened is not None:
            return np.take(self.opened.coords, ordinals, axis=0).astype(np.int64)
        answer = np.empty((len(ordinals), 2), np.int64)
        late = ordinals >= self.indexed
        if self.opened is not None:
            answer[~late] = self.opened.coords[ordinals[~late]]
        answer[late] = self.tail.coords[ordinals[late] - self.indexed]
        return answer

    def vectors(self, ordinals: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Stored vectors, made unit length again: float32, shape (n, dim)."""
        rows = np.empty((len(ordinals), self.tail.exact.vectors.shape[1]), np.float32)
        late = ordinals >= self.indexed
        if self.opened is not None:
            rows[~late] = self.opened.exact.vectors[ordinals[~late]]
        rows[late] = self.tail.exact.vectors[ordinals[late] - self.indexed]
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)

    def segment_of(self, ordinals: npt.NDArray[np.int64]) -> list[SegmentRecord]:
        """The segment of each ordinal."""
        at = np.searchsorted(self._table[:, 1], ordinals, side="right") - 1
        return [self.segments[number] for number in self._table[at, 0].tolist()]

    def of_slide(
        self, slide_id: str
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], int] | None:
        """Corners (n, 2), vectors (n, dim) and footprint of a slide's patches, or None."""
        ordinals = self.ordinals(slide_id)
        if not len(ordinals):
            return None
        footprint = self.segment_of(ordinals[:1])[0].footprint
        return self.coords(ordinals), self.vectors(ordinals), footprint

    def search(
        self, query: npt.NDArray[np.float32], k: int, allowed: Ranges, *, exact: bool
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The `k` best allowed rows of one query (dim,): scores and ordinals, each (<=k,).

        Equal scores come in the order of `by_key`, whichever way the rows lie in the index:
        a few more than `k` are looked at, until the last of them is worse than the k-th.
        """
        wanted = k + _TIES
        while True:
            scores, ordinals = self._nearest(query, wanted, allowed, exact=exact)
            if len(scores) < wanted or scores[-1] < scores[k - 1] or wanted > k + _MOST_TIES:
                order = self.by_key(scores, ordinals)[:k]
                return scores[order], ordinals[order]
            wanted = k + 4 * (wanted - k)

    def by_key(
        self, scores: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """The order of falling scores, equal ones by slide id, then x, then y: positions."""
        order = np.argsort(-scores, kind="stable")
        sorted_scores = scores[order]
        if not (sorted_scores[1:] == sorted_scores[:-1]).any():
            return order
        x, y = self.coords(ordinals).T
        slides = np.array([segment.slide_id for segment in self.segment_of(ordinals)])
        return np.lexsort((ordinals, y, x, slides, -scores))

    def answers_exactly(self, allowed: Ranges) -> bool:
        """Whether a search among these rows compares with each of them."""
        if self.opened is None or not isinstance(self.opened.index, IvfIndex):
            return True
        return self.opened.index.scans(ranges.count(ranges.clip(allowed, 0, self.indexed)))

    def _nearest(
        self, query: npt.NDArray[np.float32], k: int, allowed: Ranges, *, exact: bool
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """`search`, ties in the order of ordinals."""
        scores: list[npt.NDArray[np.float32]] = []
        ordinals: list[npt.NDArray[np.int64]] = []
        if self.opened is not None:
            index = self.opened.exact if exact else self.opened.index
            got = index.search(query[None, :], k, ranges.clip(allowed, 0, self.indexed))
            if not self.tail.exact.size:
                found = got[1][0] >= 0
                return got[0][0][found], got[1][0][found]
            scores.append(got[0][0])
            ordinals.append(got[1][0])
        got = self.tail.exact.search(
            query[None, :], k, ranges.clip(allowed, self.indexed, self.size)
        )
        scores.append(got[0][0])
        ordinals.append(np.where(got[1][0] >= 0, got[1][0] + self.indexed, -1))
        all_scores, all_ordinals = np.concatenate(scores), np.concatenate(ordinals)
        order = np.lexsort((all_ordinals, -all_scores))[:k]
        order = order[all_ordinals[order] >= 0]
        return all_scores[order], all_ordinals[order]


def _read_tail(library: Library, segments: Sequence[SegmentRecord], before: Tail | None) -> Tail:
    known = {} if before is None else {n: slice(a, b) for n, a, b in before.table.tolist()}
    dim = library.encoder.dim
    vectors = [np.empty((0, dim), np.float16)]
    norms = [np.empty(0, np.float32)]
    coords = [np.empty((0, 2), np.int64)]
    table, size = [], 0
    for segment in segments:
        rows = known.get(segment.number)
        if before is not None and rows is not None:
            assert before.exact.norms is not None
            vectors.append(before.exact.vectors[rows])
            norms.append(before.exact.norms[rows])
            coords.append(before.coords[rows])
        else:
            arrays = library.read_segment(segment)
            vectors.append(arrays.vectors)
            norms.append(arrays.norms)
            coords.append(arrays.coords)
        table.append((segment.number, size, size + segment.rows))
        size += segment.rows
    exact = ExactIndex(np.concatenate(vectors), np.concatenate(norms))
    return Tail(exact, np.concatenate(coords), np.array(table, np.int64).reshape(-1, 3))
