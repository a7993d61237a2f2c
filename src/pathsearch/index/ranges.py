"""Sets of ordinals as sorted, disjoint ranges: int64 arrays of shape (m, 2), [start, stop)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ranges = npt.NDArray[np.int64]

#: No ordinals at all.
EMPTY: Ranges = np.empty((0, 2), np.int64)


def everything(size: int) -> Ranges:
    """The range of all `size` ordinals."""
    return np.array([[0, size]], np.int64) if size else EMPTY


def count(ranges: Ranges) -> int:
    """How many ordinals the ranges hold."""
    return int((ranges[:, 1] - ranges[:, 0]).sum())


def union(ranges: Ranges) -> Ranges:
    """Any ranges, sorted and merged; empty ones dropped.

    Parameters
    ----------
    ranges : int64 array, shape (m, 2)
        In any order, overlaps allowed.
    """
    ranges = np.asarray(ranges, np.int64).reshape(-1, 2)
    ranges = ranges[ranges[:, 1] > ranges[:, 0]]
    if len(ranges) == 0:
        return EMPTY
    ranges = ranges[np.argsort(ranges[:, 0], kind="stable")]
    stops = np.maximum.accumulate(ranges[:, 1])
    begins = np.concatenate([[True], ranges[1:, 0] > stops[:-1]])
    first = np.flatnonzero(begins)
    last = np.concatenate([first[1:] - 1, [len(ranges) - 1]])
    return np.stack([ranges[first, 0], stops[last]], axis=1)


def complement(ranges: Ranges, size: int) -> Ranges:
    """The ordinals of ``0..size-1`` that `ranges` (sorted, disjoint) leaves out."""
    edges = np.concatenate([[0], ranges.ravel(), [size]]).reshape(-1, 2)
    return edges[edges[:, 1] > edges[:, 0]]


def from_ordinals(ordinals: npt.NDArray[np.int64]) -> Ranges:
    """Single ordinals as ranges."""
    ordinals = np.asarray(ordinals, np.int64).ravel()
    return union(np.stack([ordinals, ordinals + 1], axis=1))


def clip(ranges: Ranges, start: int, stop: int) -> Ranges:
    """The part of the ranges inside [start, stop), counted from `start`."""
    cut = np.clip(ranges, start, stop) - start
    return cut[cut[:, 1] > cut[:, 0]]


def to_mask(ranges: Ranges, size: int) -> npt.NDArray[np.bool_]:
    """Bool array, shape (size,): which ordinals the ranges hold."""
    steps = np.zeros(size + 1, np.int8)
    np.add.at(steps, ranges[:, 0], 1)
    np.add.at(steps, ranges[:, 1], -1)
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def to_bits(ranges: Ranges, size: int) -> npt.NDArray[np.uint8]:
    """The same set as bits, the first ordinal in the lowest bit: uint8, (ceil(size / 8),).

    Whole bytes are filled by slices, so that ten million ordinals in a few ranges cost
    microseconds.
    """
    bits = np.zeros((size + 7) // 8, np.uint8)
    if len(ranges) > size // 64:
        return np.packbits(to_mask(ranges, size), bitorder="little")
    for start, stop in ranges.tolist():
        first, last = start >> 3, stop >> 3
        head, tail = 0xFF << (start & 7) & 0xFF, 0xFF >> (8 - (stop & 7))
        if first == last:
            bits[first] |= head & tail
            continue
        bits[first] |= head
        bits[first + 1 : last] = 0xFF
        if tail:
            bits[last] |= tail
    return bits


def count_below(ranges: Ranges, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many ordinals of the ranges lie below each position: int64, same shape."""
    if not len(ranges):
        return np.zeros_like(positions)
    before = np.concatenate([[0], np.cumsum(ranges[:, 1] - ranges[:, 0])])
    at = np.searchsorted(ranges[:, 0], positions, side="right") - 1
    inside = np.clip(positions - ranges[at, 0], 0, ranges[at, 1] - ranges[at, 0])
    counts: npt.NDArray[np.int64] = np.where(at >= 0, before[at] + inside, 0)
    return counts


def blocks(
    ranges: Ranges, rows: int, *, least: int | None = None
) -> Iterator[slice | npt.NDArray[np.int64]]:
    """The ordinals in pieces of about `rows`: slices of long ranges, arrays of short ones.

    Long ranges are those from `least` on (a quarter of `rows` if not given). They are cut;
    neighbouring short ranges are gathered, so that a thousand ranges of ten rows cost one
    read and not a thousand.
    """
    least = rows // 4 if least is None else least
    gathered: list[npt.NDArray[np.int64]] = []
    held = 0
    for start, stop in ranges.tolist():
        if stop - start >= least:
            if gathered:
                yield np.concatenate(gathered)
                gathered, held = [], 0
            for at in range(start, stop, rows):
                yield slice(at, min(at + rows, stop))
            continue
        gathered.append(np.arange(start, stop, dtype=np.int64))
        held += stop - start
        if held >= rows:
            yield np.concatenate(gathered)
            gathered, held = [], 0
    if gathered:
        yield np.concatenate(gathered)
