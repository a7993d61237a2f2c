"""A library's patches as one Parquet table: keys and vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pathsearch.errors import UsageError
from pathsearch.export.feature_files import (
    Exported,
    Progress,
    live_segments,
    need_pyarrow,
    whole_file,
    written_records,
)

if TYPE_CHECKING:
    from pathsearch.export.pseudonyms import Pseudonyms
    from pathsearch.library import Library, SegmentArrays, SegmentRecord, SlideRecord

#: Rows of a row group at most; a segment has one or more of its own.
_GROUP = 65536


def export_parquet(
    library: Library,
    path: Path,
    *,
    spec: str = "",
    progress: Progress | None = None,
    names: Pseudonyms | None = None,
) -> Exported:
    """Write one table, a row a patch; its columns are described in docs/features.md.

    Parameters
    ----------
    library : Library
    path : Path
        The file; it must not exist.
    spec : str
        Only this one.
    progress : callable, optional
        Told the slides done and all.
    names : Pseudonyms, optional
        Write pseudonyms for slides and cases.

    Raises
    ------
    UsageError
        The file exists, or there is no such spec.
    ExtraMissingError
        ``pyarrow`` is not installed.
    LibraryWriteError
        The disk is full or cannot be written.
    """
    need_pyarrow(path)
    from pyarrow import parquet

    segments = live_segments(library, spec)
    if path.exists():
        raise UsageError(f"{path}: exists; name a new file.")
    records = written_records(library, names)
    schema = _schema(library)
    rows = 0
    with whole_file(path) as building, parquet.ParquetWriter(building, schema) as writer:
        for done, segment in enumerate(segments):
            arrays = library.read_segment(segment)
            table = _table(schema, segment, records[segment.slide_id], arrays)
            writer.write_table(table, row_group_size=_GROUP)
            rows += len(arrays)
            if progress is not None:
                progress(done + 1, len(segments))
    return Exported(len({s.slide_id for s in segments}), rows, 1)


def _schema(library: Library) -> Any:
    import pyarrow as pa

    columns = [
        ("slide_id", pa.string()),
        ("case_id", pa.string()),
        ("spec", pa.string()),
        ("x", pa.int64()),
        ("y", pa.int64()),
        ("footprint", pa.int32()),
        ("mpp", pa.float64()),
        ("tissue", pa.float32()),
        ("scale", pa.float32()),
        ("vector", pa.list_(pa.float32(), library.encoder.dim)),
    ]
    return pa.schema(columns).with_metadata(
        {
            "pathsearch.library_id": library.library_id,
            "pathsearch.encoder": library.encoder.name,
            "pathsearch.encoder_fingerprint": library.encoder.fingerprint,
        }
    )


def _table(schema: Any, segment: SegmentRecord, slide: SlideRecord, arrays: SegmentArrays) -> Any:
    import pyarrow as pa

    n = len(arrays)
    unit = (arrays.vectors.astype(np.float32) / arrays.norms[:, None]).astype(np.float32)
    scales = pa.nulls(n, pa.float32()) if arrays.scales is None else pa.array(arrays.scales)
    columns = [
        pa.repeat(pa.scalar(slide.slide_id, pa.string()), n),
        pa.repeat(pa.scalar(slide.case_id, pa.string()), n),
        pa.repeat(pa.scalar(segment.spec, pa.string()), n),
        pa.array(np.ascontiguousarray(arrays.coords[:, 0])),
        pa.array(np.ascontiguousarray(arrays.coords[:, 1])),
        pa.repeat(pa.scalar(segment.footprint, pa.int32()), n),
        pa.repeat(pa.scalar(segment.mpp, pa.float64()), n),
        pa.array(arrays.tissue),
        scales,
        pa.FixedSizeListArray.from_arrays(pa.array(unit.ravel()), unit.shape[1]),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
