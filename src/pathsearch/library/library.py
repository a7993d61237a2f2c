"""`Library`: the one thing a user carries around, and everything read from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pathsearch.config import TileSpec
from pathsearch.errors import (
    LibraryCorruptError,
    LibraryReadOnlyError,
)
from pathsearch.library.building import (
    build_library,
)
from pathsearch.library.catalog import CATALOG_NAME, Catalog
from pathsearch.library.contents import Contents
from pathsearch.library.database import is_writable
from pathsearch.library.durable import absolute
from pathsearch.library.header import HEADER_NAME, Header, read_header
from pathsearch.library.lock import LOCK_NAME, WriterLock
from pathsearch.library.records import (
    EncoderRecord,
    Problem,
)
from pathsearch.library.writer import Writer


class Library(Contents):
    """A library on disk. Made by `create` or `open`; a context manager.

    One object may be read from several threads. Reading is never disturbed by a writer,
    in this process or another: it sees a segment whole or not at all.
    """

    # ------------------------------------------------------------------ life

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        specs: Sequence[TileSpec],
        encoder: EncoderRecord,
        encoder_files: Path | str | None = None,
    ) -> Library:
        """Make an empty library and open it.

        It is built beside its place and moved there whole, so that a half-made one is
        never opened.

        Parameters
        ----------
        path : Path or str
            The folder, taken as given; it must not exist, or be empty.
        specs : sequence of TileSpec
            At least one; unique names.
        encoder : EncoderRecord
        encoder_files : Path or str, optional
            What `Encoder.save` wrote; copied in where `encoder.storage` is ``copy``.

        Raises
        ------
        LibraryExistsError
            There is something at `path`.
        UsageError
            No spec, two specs of one name, or a copy without files.
        LibraryWriteError
            The disk is full or cannot be written.
        """
        path = absolute(path)
        build_library(path, specs=specs, encoder=encoder, encoder_files=encoder_files)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str, *, read_only: bool | None = None) -> Library:
        """Open a library.

        Parameters
        ----------
        path : Path or str
        read_only : bool, optional
            True never writes. None opens a folder that cannot be written read-only.

        Raises
        ------
        LibraryNotFoundError
            There is no library at `path`.
        LibraryFormatError
            It is of another format version; the message says what to run.
        LibraryCorruptError
            Its parts are missing or contradict each other.
        LibraryReadOnlyError
            `read_only` is False and the folder cannot be written.
        """
        path = absolute(path)
        header = read_header(path)
        if read_only is None or not read_only:
            writable = is_writable(path, path / HEADER_NAME)
            if read_only is False and not writable:
                raise _read_only(path)
            read_only = not writable
        catalog = Catalog(path / CATALOG_NAME, read_only=read_only)
        try:
            _check_catalog(catalog, header)
        except BaseException:
            catalog.close()
            raise
        return cls(path, header, catalog)

    def close(self) -> None:
        """Give the files back; also what leaving a ``with`` block does."""
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r})"

    def writer(self, *, wait: float = 0.0) -> Writer:
        """The one writer of this library, as a context manager.

        Parameters
        ----------
        wait : float
            Seconds to wait for another writer that is seen to be alive. One that died
            is known at once on the same machine; from another machine its silence is
            watched for a minute.

        Raises
        ------
        LibraryLockedError
            Another process writes; its `host` and `pid` are in the message.
        LibraryReadOnlyError
            The library was opened read-only.
        """
        if self.read_only:
            raise _read_only(self.path)
        catalog = Catalog(self._catalog.path, read_only=False)
        lock = WriterLock(catalog.path.with_name(LOCK_NAME), catalog)
        return Writer(self, catalog, lock, wait=wait)

    def part(self, number: int, count: int) -> Library:
        """One part of a job array: a `Library` of the same folder with its own catalog.

        It holds what this part wrote and nothing else, has its own writer's lock, and is
        folded in by `pathsearch.maintenance.merge_parts`. To skip what is done already,
        look into both.

        Parameters
        ----------
        number, count : int
            Part `number` (from 1) of `count`.

        Raises
        ------
        UsageError, LibraryReadOnlyError
            As `pathsearch.library.parts.part_catalog`.
        """
        from pathsearch.library.parts import part_catalog

        return Library(self.path, self.header, part_catalog(self, number, count))

    @property
    def is_part(self) -> bool:
        """Whether this is one part of a job array."""
        return self._catalog.path.parent != self.path

    def verify(self, *, deep: bool = False) -> list[Problem]:
        """Check every row against its arrays; see `pathsearch.library.verify.verify`."""
        from pathsearch.library.verify import verify

        return verify(self, deep=deep)


def _check_catalog(catalog: Catalog, header: Header) -> None:
    version = catalog.rows("PRAGMA user_version")[0][0]
    if version != header.format_version or catalog.meta("library_id") != header.library_id:
        raise LibraryCorruptError(
            f"{catalog.path}: does not belong to the {HEADER_NAME} beside it; restore both from "
            "one backup.",
            path=str(catalog.path),
        )


def _read_only(path: Path) -> LibraryReadOnlyError:
    return LibraryReadOnlyError(
        f"{path}: the library cannot be written; check the folder's permissions, or copy it "
        "to a place of your own.",
        path=str(path),
    )
