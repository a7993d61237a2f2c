"""``embeddings.zarr``: one Zarr v3 group a segment, written piece by piece.

Chunks are ``min(n, 4096)`` rows and uncompressed: random rows are read 5 times faster
than from zstd, for 10% more space. Chunks of zeros are written too, so that a missing
file always means damage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import LibraryCorruptError
from pathsearch.library.raw import read_plain
from pathsearch.library.records import SegmentArrays

if TYPE_CHECKING:
    import zarr

CHUNK_ROWS = 4096
#: Arrays of a group: name, dtype. `scales` is there where vectors were made elsewhere.
LAYOUT: tuple[tuple[str, str], ...] = (
    ("coords", "int64"),
    ("vectors", "float16"),
    ("norms", "float32"),
    ("tissue", "float32"),
    ("scales", "float32"),
)
OPTIONAL = "scales"


def create_store(path: Path) -> None:
    """Make the empty root group."""
    import zarr

    zarr.create_group(store=str(path), zarr_format=3)


class GroupWriter:
    """Writes one group in pieces of any size, with the memory of one chunk.

    The bytes on disk do not depend on how the rows were cut into pieces.

    Parameters
    ----------
    path : Path
        The group's folder; it must not exist.
    dim : int
        Length of a vector.
    attributes : mapping
        Kept with the group.
    """

    def __init__(self, path: Path, dim: int, attributes: Mapping[str, Any]) -> None:
        self.path = path
        self.rows = 0
        self._dim = dim
        self._attributes = dict(attributes)
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._waiting: list[SegmentArrays] = []
        self._waiting_rows = 0
        self._hashes = {name: hashlib.sha256() for name, _ in LAYOUT}
        self._layout = LAYOUT

    def append(self, piece: SegmentArrays) -> None:
        """Add rows; shapes and dtypes as in `SegmentArrays`; `scales` always or never."""
        layout = tuple((n, d) for n, d in LAYOUT if getattr(piece, n) is not None)
        if (self._arrays or self._waiting) and layout != self._layout:
            raise ValueError("scales are given with every piece or with none")
        self._layout = layout
        self._waiting.append(piece)
        self._waiting_rows += len(piece)
        while self._waiting_rows >= CHUNK_ROWS:
            joined = concatenate(self._waiting, self._dim)
            self._write(_slice(joined, 0, CHUNK_ROWS), CHUNK_ROWS)
            self._waiting = [_slice(joined, CHUNK_ROWS, len(joined))]
            self._waiting_rows = len(self._waiting[0])

    def finish(self) -> str:
        """Write what is left; the digest of the whole (see `digest_of`)."""
        if self._waiting_rows or not self._arrays:
            last = concatenate(self._waiting, self._dim)
            self._write(last, min(CHUNK_ROWS, max(1, len(last))))
        self._waiting, self._waiting_rows = [], 0
        return _joined_digest([self._hashes[name].digest() for name, _ in self._layout])

    def _write(self, piece: SegmentArrays, chunk_rows: int) -> None:
        start, stop = self.rows, self.rows + len(piece)
        values = {
            name: np.ascontiguousarray(getattr(piece, name), dtype=np.dtype(dtype))
            for name, dtype in self._layout
        }
        if not self._arrays:
            self._create(values, chunk_rows)
        else:
            for name, array in self._arrays.items():
                array.resize((stop, *array.shape[1:]))
                array[start:stop] = values[name]
        for name, block in values.items():
            self._hashes[name].update(_little_endian(block))
        self.rows = stop

    def _create(self, values: Mapping[str, npt.NDArray[Any]], chunk_rows: int) -> None:
        """Make the group and its arrays with their first rows, in as few steps as Zarr has."""
        import zarr

        group = zarr.create_group(store=str(self.path), zarr_format=3, attributes=self._attributes)
        for name, block in values.items():
            self._arrays[name] = group.create_array(
                name,
                data=block,
                chunks=(chunk_rows, *block.shape[1:]),
                compressors=None,
                filters=None,
                fill_value=0,
                config={"write_empty_chunks": True},
            )


def read_group(path: Path, rows: npt.NDArray[np.int64] | None = None) -> SegmentArrays:
    """All rows of a group, or some in the order asked for.

    Raises
    ------
    FileNotFoundError
        There is no such group.
    LibraryCorruptError
        The group does not hold what it must.
    """
    if not (path / "zarr.json").exists():
        raise FileNotFoundError(str(path))
    found: dict[str, npt.NDArray[Any]] = {}
    try:
        for name, dtype in LAYOUT:
            if name == OPTIONAL and not (path / name).exists():
                continue
            plain = read_plain(path / name, dtype, rows)
            found[name] = _through_zarr(path / name, dtype, rows) if plain is None else plain
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        if not path.exists():
            raise FileNotFoundError(str(path)) from None
        reason = " ".join(str(error).split())
        raise LibraryCorruptError(
            f"{path}: the arrays cannot be read ({reason}); run 'pathsearch verify --repair'.",
            path=str(path),
        ) from error
    return SegmentArrays(**found)


def _through_zarr(path: Path, dtype: str, rows: npt.NDArray[np.int64] | None) -> npt.NDArray[Any]:
    """Any Zarr v3 array, as another program may have written it."""
    import zarr

    array = zarr.open_array(store=str(path), mode="r", zarr_format=3)
    if array.dtype != np.dtype(dtype):
        raise ValueError(f"{path.name} is {array.dtype}, not {dtype}")
    return np.asarray(array[:] if rows is None else array.get_orthogonal_selection((rows,)))


def concatenate(pieces: list[SegmentArrays], dim: int) -> SegmentArrays:
    """Pieces one after the other; no piece at all gives no rows."""
    if len(pieces) == 1:
        return pieces[0]
    joined: dict[str, npt.NDArray[Any]] = {}
    for name, dtype in LAYOUT:
        parts = [part for p in pieces if (part := getattr(p, name)) is not None]
        if parts:
            joined[name] = np.concatenate(parts)
        elif name != OPTIONAL:
            joined[name] = np.zeros((0, *_tail(name, dim)), dtype=dtype)
    return SegmentArrays(**joined)


def digest_of(arrays: SegmentArrays) -> str:
    """Hex sha256 over the sha256 of coords, vectors, norms, tissue and, if any, scales.

    In this order, each array as little-endian C-order bytes.
    """
    values = [getattr(arrays, name) for name, _ in LAYOUT]
    return _joined_digest(
        [hashlib.sha256(_little_endian(v)).digest() for v in values if v is not None]
    )


def norms_of(vectors: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    """Length of each vector, summed in float64.

    Parameters
    ----------
    vectors : float16 array, shape (n, dim)

    Returns
    -------
    float32 array, shape (n,)
    """
    wide = vectors.astype(np.float64)
    lengths: npt.NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    return lengths.astype(np.float32)


def _joined_digest(digests: list[bytes]) -> str:
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _little_endian(values: npt.NDArray[Any]) -> bytes:
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()


def _slice(arrays: SegmentArrays, start: int, stop: int) -> SegmentArrays:
    values = {name: getattr(arrays, name) for name, _ in LAYOUT}
    return SegmentArrays(**{n: v[start:stop] for n, v in values.items() if v is not None})


def _tail(name: str, dim: int) -> tuple[int, ...]:
    return {"coords": (2,), "vectors": (dim,)}.get(name, ())
