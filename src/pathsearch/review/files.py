"""Where reviews are kept, and the SQLite files there: one a user and machine.

Nobody writes another's file: a library on a share is reviewed by several people at once, and
SQLite's locks are only trusted within one machine. Reading merges all files.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING, ClassVar

from pathsearch.errors import LibraryError, ReviewError
from pathsearch.library.database import Database, connect, translated
from pathsearch.library.durable import sync_folder
from pathsearch.library.processes import host_name
from pathsearch.review.schema import FORMAT_VERSION, SCHEMA

if TYPE_CHECKING:
    from pathsearch.library import Library

REVIEW_FOLDER = "reviews"
#: Environment variable that names another folder for the user's own data.
DATA_VARIABLE = "PATHSEARCH_USER_DATA_DIR"
_WHAT = "the file of reviews"


class ReviewFile(Database):
    """One user's and machine's file of reviews."""

    what: ClassVar[str] = _WHAT

    @contextlib.contextmanager
    def appending(self) -> Iterator[tuple[Connection, str]]:
        """A transaction and its time: ISO 8601, UTC, later than every time in the file."""
        with self.transaction() as connection:
            held = connection.execute("SELECT value FROM meta WHERE key = 'clock'").fetchone()
            at = datetime.now(UTC)
            if held[0]:
                # The time of day may have been set back: the order of the rows is kept
                at = max(at, datetime.fromisoformat(held[0]) + timedelta(microseconds=1))
            text = at.isoformat(timespec="microseconds")
            connection.execute("UPDATE meta SET value = ? WHERE key = 'clock'", (text,))
            yield connection, text


def user_folder(library_id: str) -> Path:
    """Where this user keeps reviews of a library that cannot be written."""
    named = os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named) / REVIEW_FOLDER / library_id
    import platformdirs

    data = platformdirs.user_data_path("pathsearch", appauthor=False)
    return data / REVIEW_FOLDER / library_id


def own_stem() -> str:
    """Name of this user's file on this machine: 12 hex digits that name nobody."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(getattr(os, "getuid", lambda: "")())
    text = "|".join((host_name(), user, os.path.expanduser("~")))  # noqa: PTH111  may fail in Path
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Files:
    """All files of one library: in its own folder, and in this user's data folder."""

    def __init__(self, library: Library) -> None:
        self._places = (library.path / REVIEW_FOLDER, user_folder(library.library_id))
        self._library_id = library.library_id
        self._read_only = library.read_only
        self._lock = threading.RLock()
        self._open: dict[Path, ReviewFile] = {}
        self._own: ReviewFile | None = None
        self._retired: list[ReviewFile] = []
        self.problems: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where this user's rows go."""
        ours, users = self._places
        if self._read_only or (ours.is_dir() and not os.access(ours, os.W_OK)):
            return users
        return ours

    def own(self) -> ReviewFile:
        """The user's own file, made when it is first written to.

        Raises
        ------
        ReviewError
            The folder cannot be made or written.
        """
        with self._lock:
            if self._own is None:
                path = self.folder / f"{own_stem()}.db"
                if path in self._open:
                    self._retired.append(self._open.pop(path))  # another thread may read it
                create(path, self._library_id)
                self._own = self._open[path] = ReviewFile(path, read_only=False)
            return self._own

    def all(self) -> list[tuple[str, ReviewFile]]:
        """Every file that can be read, with its stem; what cannot be is in `problems`."""
        problems: list[str] = []
        found: list[tuple[str, ReviewFile]] = []
        with self._lock:
            for path in self.paths():
                try:
                    if path not in self._open:
                        self._open[path] = _checked(ReviewFile(path, read_only=True))
                    found.append((path.stem, self._open[path]))
                except (LibraryError, ReviewError, OSError) as error:
                    problems.append(str(error))
            self.problems = tuple(problems)
        return found

    def paths(self) -> list[Path]:
        """The files that are there; one that is being made is not yet."""
        found = [p for folder in self._places if folder.is_dir() for p in folder.glob("*.db")]
        return sorted(path for path in found if path.stat().st_size)

    def close(self) -> None:
        """Give the files back."""
        with self._lock:
            for file in (*self._open.values(), *self._retired):
                file.close()
            self._open.clear()
            self._retired.clear()
            self._own = None


def create(path: Path, library_id: str) -> None:
    """Make a file of reviews unless it is there; two processes may do so at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReviewError(
            f"{path.parent}: cannot be made ({error.strerror}); set {DATA_VARIABLE} to a folder "
            "of your own.",
            path=str(path),
        ) from error
    with translated(path, _WHAT), contextlib.closing(connect(path, "mode=rwc")) as connection:
        if connection.execute("PRAGMA user_version").fetchone()[0]:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                # One by one: executescript would commit before it starts
                for statement in SCHEMA.split(";"):
                    connection.execute(statement)
                rows = [("generation", "0"), ("clock", ""), ("library_id", library_id)]
                connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
                connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    sync_folder(path.parent)


def _checked(file: ReviewFile) -> ReviewFile:
    version = file.rows("PRAGMA user_version")[0][0]
    if version != FORMAT_VERSION:
        file.close()
        raise ReviewError(
            f"{file.path}: written by another version of pathsearch (format {version}); use that "
            "version.",
            path=str(file.path),
        )
    return file
