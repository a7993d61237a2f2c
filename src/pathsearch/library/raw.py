"""Chunks that lie on the disk as they are in memory, read without going through Zarr.

What this library writes is uncompressed, so that a chunk's file is the array. Reading it
directly takes a small part of the time (a segment is read when an index is built, when
nothing covers it yet, and when it is verified). Whatever is not written in this plain way
is left to Zarr; a test compares the two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_plain(
    path: Path, dtype: str, rows: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[Any] | None:
    """An array, or some rows of it; None where its chunks are not plain.

    Parameters
    ----------
    path : Path
        The Zarr v3 array's folder.
    dtype : str
        What it must be.
    rows : int64 array, shape (m,), optional
        In the order wanted, each within the array.

    Returns
    -------
    array, shape (n, ...) or (m, ...), or None

    Raises
    ------
    FileNotFoundError
        The array is not there.
    ValueError
        It is of another dtype, or a chunk is missing or has the wrong size.
    """
    meta = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    if not _is_plain(meta):
        return None
    if meta["data_type"] != dtype:
        raise ValueError(f"{path.name} is {meta['data_type']}, not {dtype}")
    shape = tuple(meta["shape"])
    chunk = tuple(meta["chunk_grid"]["configuration"]["chunk_shape"])
    if chunk[1:] != shape[1:] or not chunk[0]:
        return None
    kind = np.dtype(dtype).newbyteorder("<")
    native = np.dtype(dtype)
    if rows is None:
        whole = np.empty(shape, native)
        for number, start in enumerate(range(0, shape[0], chunk[0])):
            part = whole[start : start + chunk[0]]
            part[...] = _chunk(path, number, chunk, kind)[: len(part)]
        return whole
    some = np.empty((len(rows), *shape[1:]), native)
    numbers = rows // chunk[0]
    for number in np.unique(numbers).tolist():
        mine = numbers == number
        some[mine] = _chunk(path, number, chunk, kind)[rows[mine] - number * chunk[0]]
    return some


def _chunk(
    path: Path, number: int, chunk: tuple[int, ...], kind: np.dtype[Any]
) -> npt.NDArray[Any]:
    file = path.joinpath("c", str(number), *["0"] * (len(chunk) - 1))
    try:
        flat = np.fromfile(file, kind)
    except FileNotFoundError:
        raise ValueError(f"chunk {number} of {path.name} is missing") from None
    if flat.size != int(np.prod(chunk)):
        raise ValueError(f"chunk {number} of {path.name} is cut off")
    return flat.reshape(chunk)


def _is_plain(meta: Any) -> bool:
    """Whether an array is exactly as `pathsearch.library.arrays` writes it."""
    try:
        codecs = [(c["name"], c.get("configuration", {})) for c in meta["codecs"]]
        encoding = meta["chunk_key_encoding"]
        return (
            meta["zarr_format"] == 3
            and meta["node_type"] == "array"
            and codecs == [("bytes", {"endian": "little"})]
            and meta["chunk_grid"]["name"] == "regular"
            and encoding["name"] == "default"
            and encoding.get("configuration", {}).get("separator", "/") == "/"
            and not meta.get("storage_transformers")
        )
    except (KeyError, TypeError, AttributeError):
        return False
