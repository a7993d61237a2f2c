"""``catalog.db``: the connection, and rows to records and back.

Rollback journal, never WAL: libraries live on network disks and in read-only folders.
Every read is one statement that is fetched whole, so that no reader holds a writer up.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pathsearch.errors import (
    LibraryCorruptError,
    LibraryLockedError,
    LibraryReadOnlyError,
    LibraryWriteError,
)
from pathsearch.library.header import FORMAT_VERSION
from pathsearch.library.records import IndexState, LogLine, Run, SegmentRecord, SlideRecord
from pathsearch.library.schema import SCHEMA, SEGMENT_COLUMNS, SLIDE_COLUMNS

CATALOG_NAME = "catalog.db"
#: Seconds that a statement waits for another process's short transaction.
BUSY_SECONDS = 60.0


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Catalog:
    """One connection to a catalog; safe to use from several threads.

    Parameters
    ----------
    path : Path
        The database; it must exist.
    read_only : bool
        Never write, not even to heal a transaction that was cut off.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._lock = threading.RLock()
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        with translated(path):
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise LibraryCorruptError(
                f"{self.path}: the catalog is missing; restore it from a backup.",
                path=str(self.path),
            )
        if not self.read_only:
            return _checked(connect(self.path, "mode=rw"))
        try:
            return _checked(connect(self.path, "mode=ro"))
        except sqlite3.OperationalError:
            if not _has_journal(self.path):
                # A file system without locks, or one that SQLite takes for writable.
                return _checked(connect(self.path, "immutable=1"))
        # A writer was killed in the middle of a transaction, and this folder cannot be
        # written: undo it in a copy. Without the journal the rows would be half-changed.
        self._copy = tempfile.TemporaryDirectory(prefix="pathsearch-")
        copied = Path(self._copy.name, CATALOG_NAME)
        shutil.copyfile(self.path, copied)
        shutil.copyfile(_journal(self.path), _journal(copied))
        return _checked(connect(copied, "mode=rw"))

    def close(self) -> None:
        """Give the files back."""
        with self._lock:
            self._connection.close()
            if self._copy is not None:
                self._copy.cleanup()
                self._copy = None

    def rows(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with translated(self.path), self._lock:
            return self._connection.execute(sql, arguments).fetchall()

    @contextlib.contextmanager
    def transaction(self, *, counted: bool = True) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; the generation counts up if anything was changed."""
        with translated(self.path), self._lock:
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                before = connection.total_changes
                yield connection
                if counted and connection.total_changes != before:
                    connection.execute(
                        "UPDATE meta SET value = CAST(value AS INTEGER) + 1 "
                        "WHERE key = 'generation'"
                    )
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def execute_alone(self, sql: str, arguments: Sequence[Any] = ()) -> None:
        """One statement that cannot run within a transaction (VACUUM)."""
        with translated(self.path), self._lock:
            self._connection.execute(sql, arguments)

    def backup_to(self, path: Path) -> None:
        """A consistent copy, also while another process writes."""
        with translated(path), self._lock, contextlib.closing(sqlite3.connect(path)) as target:
            self._connection.backup(target)

    def image(self) -> bytes:
        """The database as the bytes of its file, read through SQLite and its locks."""
        with translated(self.path), self._lock:
            return self._connection.serialize()

    def generation(self) -> int:
        """Counts up with every committed change."""
        return int(self.rows("SELECT value FROM meta WHERE key = 'generation'")[0][0])

    def meta(self, key: str) -> str:
        """A cell of the meta table; empty where there is none."""
        found = self.rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(found[0][0]) if found else ""

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
    with translated(path), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.executescript(SCHEMA)
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        rows = [("generation", "0"), ("library_id", library_id), ("writer", "")]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
        connection.commit()


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection with the settings that every use of a catalog needs."""
    connection = sqlite3.connect(
        f"{_uri(path)}?{mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # EXTRA also syncs the folder when the journal goes: a committed slide survives
        # a power cut.
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA foreign_keys = ON")
        # A large transaction stays in memory until it is committed: spilling pages would
        # lock readers out from then on.
        connection.execute("PRAGMA cache_spill = OFF")
        # Deleted rows are overwritten: a removed patient's id must not stay in the file.
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("SELECT count(*) FROM meta").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _uri(path: Path) -> str:
    text = path.absolute().as_posix()
    # C:/x becomes file:///C:/x, and a Windows share //host/x becomes file:////host/x.
    prefix = "file://" if text.startswith("/") else "file:///"
    return prefix + urllib.parse.quote(text)


def _journal(path: Path) -> Path:
    return path.with_name(path.name + "-journal")


def _has_journal(path: Path) -> bool:
    journal = _journal(path)
    return journal.exists() and journal.stat().st_size > 0


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, one line each."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text:
            raise LibraryLockedError(
                f"{path}: another process has held the catalog for {BUSY_SECONDS:g} s; "
                "try again, or end that process.",
                path=str(path),
            ) from error
        if "readonly" in text:
            raise LibraryReadOnlyError(
                f"{path}: cannot be written; check the permissions.", path=str(path)
            ) from error
        if "full" in text or "disk I/O" in text:
            raise LibraryWriteError(
                f"{path}: {text}; free space or check the disk, and run again; nothing is "
                "half-written.",
                path=str(path),
            ) from error
        raise _damaged(path, text) from error
    except sqlite3.IntegrityError:
        raise  # a rule of the schema was broken: our own mistake, never the user's
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, reason: str) -> LibraryCorruptError:
    return LibraryCorruptError(
        f"{path}: the catalog cannot be read ({reason}); restore it from a backup.",
        path=str(path),
    )


def is_writable(folder: Path, probe: Path) -> bool:
    """Whether a folder can be written, without writing to it.

    `probe` is a file of it that may be opened for writing: on Windows a folder's
    permissions cannot be asked for. It must not be the catalog, whose locks POSIX drops
    when any handle of this process on it is closed.
    """
    if not os.access(folder, os.W_OK):
        return False
    try:
        with probe.open("r+b"):
            return True
    except OSError:
        return False


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
