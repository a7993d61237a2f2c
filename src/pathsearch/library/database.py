"""A SQLite file of a library: the connection, transactions, and errors in our words.

Rollback journal, never WAL: libraries live on network disks and in read-only folders.
Every read is one statement that is fetched whole, so that no reader holds a writer up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pathsearch.errors import (
    LibraryCorruptError,
    LibraryLockedError,
    LibraryReadOnlyError,
    LibraryWriteError,
)

#: Seconds that a statement waits for another process's short transaction.
BUSY_SECONDS = 60.0


class Database:
    """One connection to a database file; safe to use from several threads.

    It must have a table ``meta`` with the row ``generation``.

    Parameters
    ----------
    path : Path
        The database; it must exist.
    read_only : bool
        Never write, not even to heal a transaction that was cut off.
    """

    #: What messages call the file.
    what: ClassVar[str] = "the database"

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._lock = threading.RLock()
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        with translated(path, self.what):
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            raise LibraryCorruptError(
                f"{self.path}: {self.what} is missing; restore it from a backup.",
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
        copied = Path(self._copy.name, self.path.name)
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
        with translated(self.path, self.what), self._lock:
            return self._connection.execute(sql, arguments).fetchall()

    @contextlib.contextmanager
    def transaction(self, *, counted: bool = True) -> Iterator[sqlite3.Connection]:
        """All of it or nothing; the generation counts up if anything was changed."""
        with translated(self.path, self.what), self._lock:
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
        with translated(self.path, self.what), self._lock:
            self._connection.execute(sql, arguments)

    def backup_to(self, path: Path) -> None:
        """A consistent copy, also while another process writes."""
        with (
            translated(path, self.what),
            self._lock,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            self._connection.backup(target)

    def image(self) -> bytes:
        """The database as the bytes of its file, read through SQLite and its locks."""
        with translated(self.path, self.what), self._lock:
            return self._connection.serialize()

    def generation(self) -> int:
        """Counts up with every committed change."""
        return int(self.rows("SELECT value FROM meta WHERE key = 'generation'")[0][0])

    def meta(self, key: str) -> str:
        """A cell of the meta table; empty where there is none."""
        found = self.rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(found[0][0]) if found else ""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection with the settings that every use of a library's databases needs."""
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
def translated(path: Path, what: str = "the database") -> Iterator[None]:
    """Turn SQLite's errors into ours, one line each."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text:
            raise LibraryLockedError(
                f"{path}: another process has held {what} for {BUSY_SECONDS:g} s; "
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
        raise _damaged(path, what, text) from error
    except sqlite3.IntegrityError:
        raise  # a rule of the schema was broken: our own mistake, never the user's
    except sqlite3.DatabaseError as error:
        raise _damaged(path, what, str(error)) from error


def _damaged(path: Path, what: str, reason: str) -> LibraryCorruptError:
    return LibraryCorruptError(
        f"{path}: {what} cannot be read ({reason}); restore it from a backup.",
        path=str(path),
    )


def is_writable(folder: Path, probe: Path) -> bool:
    """Whether a folder can be written, without writing to it.

    `probe` is a file of it that may be opened for writing: on Windows a folder's
    permissions cannot be asked for. It must not be a database, whose locks POSIX drops
    when any handle of this process on it is closed.
    """
    if not os.access(folder, os.W_OK):
        return False
    try:
        with probe.open("r+b"):
            return True
    except OSError:
        return False
