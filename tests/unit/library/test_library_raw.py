"""Chunks read directly, against Zarr itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from library_cases import grid, put, slide, unit_vectors

from pathsearch.library import Library
from pathsearch.library.arrays import GroupWriter, norms_of, read_group
from pathsearch.library.raw import read_plain
from pathsearch.library.records import SegmentArrays

NAMES = ("coords", "vectors", "norms", "tissue")
DTYPES = {"coords": "int64", "vectors": "float16", "norms": "float32", "tissue": "float32"}


@pytest.mark.parametrize("n", [1, 5, 4096, 4097, 9000])
def test_plain_reading_equals_zarr(library: Library, n: int) -> None:
    with library.writer() as writer:
        made = put(writer, slide("s"), n)
    path = library.embeddings_path / made.key
    group = zarr.open_group(str(path), mode="r", zarr_format=3)
    rows = np.random.default_rng(0).integers(0, n, 50)
    for name in NAMES:
        slow = group[name]
        assert isinstance(slow, zarr.Array)
        assert slow.chunks[0] == min(n, 4096)
        fast = read_plain(path / name, DTYPES[name])
        assert fast is not None
        assert fast.dtype == slow.dtype
        assert fast.flags.writeable
        np.testing.assert_array_equal(fast, slow[:])
        some = read_plain(path / name, DTYPES[name], rows)
        assert some is not None
        np.testing.assert_array_equal(some, slow[:][rows])


@pytest.mark.parametrize("how", [{"compressors": "auto"}, {"chunks": (3, 2)}, {"dtype": ">f2"}])
def test_what_others_wrote_goes_through_zarr(tmp_path: Path, how: dict[str, object]) -> None:
    """Compressed, cut along the vectors, or of another byte order: still a library."""
    n = 7
    vectors = unit_vectors(n).astype(np.float16)
    arrays = SegmentArrays(grid(n), vectors, norms_of(vectors), np.ones(n, np.float32))
    path = tmp_path / "group"
    writer = GroupWriter(path, 8, {})
    writer.append(arrays)
    writer.finish()
    group = zarr.open_group(str(path), mode="r+", zarr_format=3)
    del group["vectors"]
    settings: dict[str, object] = {"chunks": (n, 8), "dtype": "f2", "compressors": None} | how
    if settings["dtype"] == ">f2":
        settings |= {"dtype": "f2", "serializer": zarr.codecs.BytesCodec(endian="big")}
    made = group.create_array("vectors", shape=(n, 8), **settings)
    made[:] = vectors
    assert read_plain(path / "vectors", "float16") is None
    np.testing.assert_array_equal(read_group(path).vectors, vectors)
    rows = np.array([6, 0, 3, 3])
    np.testing.assert_array_equal(read_group(path, rows).vectors, vectors[rows])
