"""Names and numbers that are computed, never chosen: group keys, row ids, file names."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import numpy.typing as npt

from pathsearch.config import TileSpec

#: Hex digits of a key: 160 bits, short enough for Windows paths.
_DIGITS = 40


def segment_key(
    slide_id: str,
    fingerprint: str,
    mpp: float,
    spec: TileSpec,
    encoder_fingerprint: str,
    *,
    regions: str = "",
) -> str:
    """Name of a segment's group: equal inputs give equal keys, on every machine.

    The sha256 of a JSON list, so that no two different inputs can be written alike, and
    no slide id can name a place outside the library.

    Parameters
    ----------
    slide_id : str
    fingerprint : str
        Content of the slide.
    mpp : float
        µm per level-0 pixel, as used.
    spec : TileSpec
    encoder_fingerprint : str
    regions : str
        How and by which of the user's regions the patches were chosen; empty, and no part
        of the key, where the tissue alone decided.

    Returns
    -------
    str
        40 lower-case hex digits.
    """
    parts = [
        slide_id,
        fingerprint,
        float(mpp),
        spec.name,
        spec.size_px,
        float(spec.mpp),
        spec.stride_px,
        float(spec.min_tissue),
        spec.color,
        encoder_fingerprint,
        *([regions] if regions else []),
    ]
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:_DIGITS]


def thumbnail_stem(slide_id: str) -> str:
    """File name, without its ending, of a slide's thumbnail."""
    data = slide_id.encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def row_ids(segment: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Row ids ``segment << 32 | row``.

    Parameters
    ----------
    segment : int
    rows : int64 array, shape (n,)

    Returns
    -------
    int64 array, shape (n,)
    """
    return (np.int64(segment) << np.int64(32)) | np.asarray(rows, dtype=np.int64)


def split_row_ids(
    ids: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Segment numbers and rows of row ids; the inverse of `row_ids`."""
    ids = np.asarray(ids, dtype=np.int64)
    return ids >> np.int64(32), ids & np.int64(0xFFFFFFFF)
