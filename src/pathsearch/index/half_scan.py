"""Compare a query with float16 rows where they lie, without converting them first.

numpy turns float16 into float32 before it multiplies: 100,000 rows of 128 took 26 ms, FAISS
on the same memory 2.3 (one thread, busy machine). FAISS normally copies what it searches;
here it is shown the rows, memory-mapped ones too.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.nouns import Array


@cache
def available() -> bool:
    """Whether this FAISS can look at memory of ours, and finds in it what numpy finds."""
    rows = np.eye(3, 8, dtype=np.float16)[::-1].copy()
    try:
        scores, positions = best_rows(np.linspace(1.0, 0.125, 8, dtype=np.float32), rows, 3)
    except (ImportError, AttributeError, TypeError, RuntimeError):
        return False
    return bool(positions.tolist() == [2, 1, 0] and scores.tolist() == [1.0, 0.875, 0.75])


def usable(rows: Array) -> bool:
    """Whether `best_rows` can look at these rows."""
    fits: bool = rows.dtype == np.dtype("<f2") and rows.flags.c_contiguous
    return fits and available()


def best_rows(
    query: npt.NDArray[np.float32], rows: Array, k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The rows of largest inner product with a query.

    Parameters
    ----------
    query : float32 array, shape (dim,)
    rows : float16 array, shape (n, dim), C-contiguous
    k : int
        At most n are returned.

    Returns
    -------
    scores, positions : arrays, shape (min(k, n),)
        Descending; equal scores in no particular order.
    """
    import faiss

    n, dim = rows.shape
    k = min(k, n)
    if k == 0:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    index: Any = faiss.IndexScalarQuantizer(
        dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    # `owner` points into `nobody`, which must therefore outlive the call
    kind: Any = faiss.MaybeOwnedVectorUInt8
    nobody = kind()
    flat = rows.view(np.uint8).reshape(-1)
    index.codes = kind.create_view(faiss.swig_ptr(flat), flat.nbytes, nobody.owner)
    index.ntotal = n
    scores, positions = index.search(np.ascontiguousarray(query[None, :], np.float32), k)
    return scores[0], positions[0]
