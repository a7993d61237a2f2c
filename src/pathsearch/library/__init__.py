"""The library: a folder with a catalog (SQLite), embeddings (Zarr v3) and derived files.

``docs/library-format.md`` is the format; `Library` reads it, `Writer` changes it. Names
are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathsearch.library.header import FORMAT_VERSION
    from pathsearch.library.keys import row_ids, segment_key, split_row_ids
    from pathsearch.library.library import Library
    from pathsearch.library.records import (
        EncoderRecord,
        IndexState,
        LogLine,
        Problem,
        Run,
        SegmentArrays,
        SegmentRecord,
        SlideRecord,
    )
    from pathsearch.library.roots import map_root
    from pathsearch.library.segment_writer import SegmentWriter
    from pathsearch.library.writer import Writer

__all__ = [
    "FORMAT_VERSION",
    "EncoderRecord",
    "IndexState",
    "Library",
    "LogLine",
    "Problem",
    "Run",
    "SegmentArrays",
    "SegmentRecord",
    "SegmentWriter",
    "SlideRecord",
    "Writer",
    "map_root",
    "row_ids",
    "segment_key",
    "split_row_ids",
]

_HOMES = {
    "FORMAT_VERSION": "header",
    "Library": "library",
    "SegmentWriter": "segment_writer",
    "Writer": "writer",
    "map_root": "roots",
    "row_ids": "keys",
    "segment_key": "keys",
    "split_row_ids": "keys",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'records')}")
    return getattr(home, name)
