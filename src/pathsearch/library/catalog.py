"""``catalog.db``: rows to records and back."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from pathsearch.library.database import Database, translated
from pathsearch.library.header import FORMAT_VERSION
from pathsearch.library.records import IndexState, LogLine, Run, SegmentRecord, SlideRecord
from pathsearch.library.schema import SCHEMA, SEGMENT_COLUMNS, SLIDE_COLUMNS

CATALOG_NAME = "catalog.db"


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Catalog(Database):
    """The catalog of a library, open; safe to use from several threads."""

    what: ClassVar[str] = "the catalog"

    def slides(self, where: str = "", arguments: Sequence[Any] = ()) -> list[SlideRecord]:
        """Slides in the order of their ids."""
        sql = f"SELECT {SLIDE_COLUMNS} FROM slides {where} ORDER BY slide_id"  # noqa: S608
        return [slide_of(row) for row in self.rows(sql, arguments)]

    def segments(self, where: str = "", arguments: Sequence[Any] = ()) -> list[SegmentRecord]:
        """Segments in the order of their numbers."""
        sql = f"SELECT {SEGMENT_COLUMNS} FROM segments {where} ORDER BY number"  # noqa: S608
        return [segment_of(row) for row in self.rows(sql, arguments)]

    def index_states(self) -> list[IndexState]:
        """The index files in use, one a spec at most."""
        sql = "SELECT spec, version, folder, covered, created, facts FROM index_state"
        return [
            IndexState(spec, version, folder, tuple(json.loads(covered)), created, json.loads(f))
            for spec, version, folder, covered, created, f in self.rows(sql)
        ]

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        sql = "SELECT number, started, ended, command, software, counts FROM runs ORDER BY number"
        return [
            Run(number, started, ended, command, software, json.loads(counts))
            for number, started, ended, command, software, counts in self.rows(sql)
        ]

    def log(self, run: int) -> list[LogLine]:
        """The log of one run, in the order it was written."""
        sql = "SELECT run, at, slide_id, message FROM log WHERE run = ? ORDER BY rowid"
        return [LogLine(*row) for row in self.rows(sql, (run,))]


def create_catalog(path: Path, library_id: str) -> None:
    """Make an empty catalog; the caller syncs it."""
    with translated(path, Catalog.what), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.executescript(SCHEMA)
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        rows = [("generation", "0"), ("library_id", library_id), ("writer", "")]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        connection.commit()


def slide_of(row: tuple[Any, ...]) -> SlideRecord:
    """A row of SLIDE_COLUMNS as a record."""
    bounds = tuple(json.loads(row[7])) if row[7] else None
    metadata = json.loads(row[18]) if row[18] != "{}" else {}
    fields: Sequence[Any] = (*row[:7], bounds, *row[8:18], metadata)
    return SlideRecord(*fields)


def slide_row(slide: SlideRecord) -> tuple[Any, ...]:
    """A record as a row of SLIDE_COLUMNS."""
    return (
        slide.slide_id,
        slide.root,
        slide.path,
        slide.case_id,
        slide.width,
        slide.height,
        slide.mpp,
        json.dumps(list(slide.bounds)) if slide.bounds else None,
        slide.fingerprint,
        slide.file_size,
        slide.file_mtime_ns,
        slide.status,
        slide.error_code,
        slide.error_message,
        slide.error_spec,
        slide.vendor,
        slide.scanner,
        slide.objective,
        json.dumps(dict(slide.metadata), ensure_ascii=False),
    )


def segment_of(row: tuple[Any, ...]) -> SegmentRecord:
    """A row of SEGMENT_COLUMNS as a record."""
    facts = json.loads(row[13]) if row[13] != "{}" else {}
    fields: Sequence[Any] = (*row[:7], bool(row[7]), *row[8:13], facts)
    return SegmentRecord(*fields)
