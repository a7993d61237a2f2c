"""`Writer`: everything that changes a library, under its lock."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pathsearch import __version__
from pathsearch.config import TileSpec
from pathsearch.errors import (
    LibraryCorruptError,
    PathsearchError,
    SlideIdClashError,
    SlideNotFoundError,
    UsageError,
)
from pathsearch.library import roots
from pathsearch.library.arrays import digest_of, read_group
from pathsearch.library.building import THUMBNAIL_FOLDER, THUMBNAIL_TYPES
from pathsearch.library.catalog import CATALOG_NAME, Catalog, now
from pathsearch.library.changes import (
    commit_within,
    put_failure_within,
    storable,
    upsert_slide,
)
from pathsearch.library.durable import remove_file, write_file, writing_to
from pathsearch.library.header import write_header
from pathsearch.library.keys import segment_key, thumbnail_stem
from pathsearch.library.lock import WriterLock
from pathsearch.library.records import IndexState, Metadata, SegmentRecord, SlideRecord
from pathsearch.library.segment_writer import SegmentWriter

if TYPE_CHECKING:
    from pathsearch.library.library import Library


class Writer:
    """The one writer of a library; from `Library.writer`, used in a ``with`` block.

    Every method is one transaction: it is done whole or not at all, and a reader sees it
    from then on.
    """

    def __init__(
        self, library: Library, catalog: Catalog, lock: WriterLock, *, wait: float = 0.0
    ) -> None:
        self.library = library
        self._catalog = catalog
        self._lock = lock
        self._wait = wait

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(self._wait)
        except BaseException:
            self._catalog.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
        self._catalog.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction that fails if the lock was lost meanwhile."""
        with self._catalog.transaction() as connection:
            self._lock.check(connection)
            yield connection

    # ----------------------------------------------------------------- roots, specs

    def ensure_root(self, name: str, path: Path | str) -> None:
        """Make a root known, by a name that is unique in the library.

        Raises
        ------
        SlideIdClashError
            The name stands for another folder, or one root would be within another:
            both could give one id to two slides.
        """
        path = Path(path).absolute()
        known = self.library.root_folders()
        if name in known:
            if known[name] != path:
                raise SlideIdClashError(
                    f"root '{name}' is {known[name]} in this library, not {path}; choose "
                    "another name with --root-name, or use 'pathsearch relocate' if the "
                    "slides have moved.",
                    root=name,
                )
            return
        for other, folder in known.items():
            if roots.relative_to(path, folder) is not None or roots.relative_to(folder, path):
                raise SlideIdClashError(
                    f"{path}: is within, or holds, root '{other}' ({folder}); index that "
                    "folder, or give the slides ids in a manifest.",
                    root=other,
                )
        with self.transaction() as connection:
            connection.execute("INSERT INTO roots VALUES (?, ?)", (name, str(path)))

    def move_root(self, name: str, path: Path | str) -> None:
        """Change where a root is, for everyone who has not mapped it."""
        with self.transaction() as connection:
            connection.execute("UPDATE roots SET path = ? WHERE name = ?", (str(path), name))

    def vacuum(self) -> None:
        """Write the catalog anew, without what was deleted from it."""
        self._catalog.execute_alone("VACUUM")

    def add_spec(self, spec: TileSpec) -> None:
        """Add a magnification; nothing happens where the library has it.

        Raises
        ------
        UsageError
            The library has another spec of this name.
        """
        known = self.library.specs
        if known.get(spec.name) == spec:
            return
        if self.library.is_part:
            raise UsageError(f"spec '{spec.name}': add it to the library before its parts run.")
        if spec.name in known:
            raise UsageError(
                f"the library has a spec '{spec.name}' with other settings; give the new one "
                "another name.",
                spec=spec.name,
            )
        with self.transaction() as connection, writing_to(self.library.path):
            write_header(self.library.path, self.library.header.with_spec(spec))
            # Readers look at the generation to know that something is new.
            connection.execute("UPDATE meta SET value = value WHERE key = 'generation'")

    # ---------------------------------------------------------------------- slides

    def put_slide(self, slide: SlideRecord) -> None:
        """Add or change a slide's row, as given."""
        self.put_slides([slide])

    def put_slides(self, slides: Sequence[SlideRecord]) -> None:
        """Add or change many rows in one transaction.

        Raises
        ------
        SlideIdClashError
            An id stands for another file with other content.
        """
        with self.transaction() as connection:
            for slide in slides:
                upsert_slide(connection, slide)

    def put_failure(self, slide: SlideRecord, error: BaseException, *, spec: str = "") -> None:
        """Record that a slide could not be indexed, so that a rerun knows.

        What was committed of it before stays and is found: it was right when it was read.

        Parameters
        ----------
        slide : SlideRecord
            As much as is known of it.
        error : exception
            Its code (``error`` for one that has none) and its line are kept.
        spec : str
            The spec that failed; empty where the whole slide did.
        """
        slide = storable(slide)
        code = error.code if isinstance(error, PathsearchError) else "error"
        text = " ".join(str(error).split()) or type(error).__name__
        with self.transaction() as connection:
            put_failure_within(connection, slide, (code, text, spec))

    def remove_slides(self, slide_ids: Sequence[str]) -> int:
        """Take slides out of every answer at once; their arrays go with a compaction.

        Returns
        -------
        int
            How many were there and not yet removed.

        Raises
        ------
        SlideNotFoundError
            No such id; then none is removed.
        """
        count = 0
        with self.transaction() as connection:
            for slide_id in slide_ids:
                row = connection.execute(
                    "SELECT status FROM slides WHERE slide_id = ?", (slide_id,)
                ).fetchone()
                if row is None:
                    raise SlideNotFoundError(
                        f"{slide_id}: no such slide in {self.library.path.name}; nothing was "
                        "removed.",
                        slide_id=slide_id,
                    )
                count += row[0] != "removed"
                connection.execute(
                    "UPDATE slides SET status = 'removed' WHERE slide_id = ?", (slide_id,)
                )
                connection.execute(
                    "UPDATE segments SET removed = 1 WHERE slide_id = ?", (slide_id,)
                )
        return count

    def save_thumbnail(self, slide_id: str, data: bytes) -> None:
        """Keep a small picture (JPEG or PNG) of a slide."""
        ending = next((e for e, start in THUMBNAIL_TYPES.items() if data.startswith(start)), "")
        if not ending:
            raise ValueError("a thumbnail is a JPEG or a PNG")
        folder = self.library.path / THUMBNAIL_FOLDER
        stem = thumbnail_stem(slide_id)
        with writing_to(folder):
            folder.mkdir(exist_ok=True)
            write_file(folder / (stem + ending), data)
            for other in THUMBNAIL_TYPES:
                if other != ending:
                    remove_file(folder / (stem + other))

    # -------------------------------------------------------------------- segments

    def key_for(self, slide: SlideRecord, spec: TileSpec, regions: str = "") -> str:
        """The key that a segment of this slide, spec and choice of regions has.

        Raises
        ------
        ValueError
            The slide has no fingerprint or no mpp.
        """
        if slide.mpp is None or not slide.fingerprint:
            raise ValueError(f"{slide.slide_id}: a segment needs the slide's mpp and fingerprint")
        encoder = self.library.encoder.fingerprint
        return segment_key(
            slide.slide_id, slide.fingerprint, slide.mpp, spec, encoder, regions=regions
        )

    def open_segment(
        self,
        slide: SlideRecord,
        spec: TileSpec,
        footprint: int,
        *,
        enlarged: float = 1.0,
        facts: Metadata | None = None,
        regions: str = "",
    ) -> SegmentWriter:
        """Start writing the patches of a slide; nothing is seen before its `commit`.

        Parameters
        ----------
        slide : SlideRecord
            With mpp, size and fingerprint.
        spec : TileSpec
            One of the library's.
        footprint : int
            Width and height of every patch, level-0 pixels.
        enlarged : float
            1.0, or by how much the pixels had to be enlarged.
        facts : mapping, optional
            Precision, runtime and the like, kept in the catalog.
        regions : str
            The mode and digest of the user's regions that chose the patches; part of the
            key, and kept in the facts. Empty where the tissue alone decides.
        """
        draft = self._draft(slide, spec, footprint, regions)
        return SegmentWriter(
            self, replace(draft, enlarged=float(enlarged), facts={**draft.facts, **(facts or {})})
        )

    def put_empty(
        self,
        slide: SlideRecord,
        spec: TileSpec,
        footprint: int = 0,
        *,
        bad_patches: int = 0,
        regions: str = "",
    ) -> SegmentRecord:
        """Record that a slide holds no tissue under a spec, so that a rerun knows."""
        draft = self._draft(slide, spec, footprint, regions)
        return self.commit_segment(slide, replace(draft, bad_patches=bad_patches))

    def intact_segment(self, key: str) -> SegmentRecord | None:
        """The newest segment of a key whose arrays on disk are what they were; else None.

        A part looks into the whole library too: it must not write again, under the same
        name, what readers have open.
        """
        for known in reversed(self._segments_of(key)):
            if known.rows == 0:
                return known
            try:
                found = read_group(self.library.embeddings_path / key)
            except (FileNotFoundError, LibraryCorruptError):
                return None
            if digest_of(found) == known.digest:
                return known
        return None

    def _segments_of(self, key: str) -> list[SegmentRecord]:
        rows = self._catalog.segments("WHERE key = ?", (key,))
        if not self.library.is_part:
            return rows
        whole = Catalog(self.library.path / CATALOG_NAME, read_only=True)
        with contextlib.closing(whole):
            return [*whole.segments("WHERE key = ?", (key,)), *rows]

    def reuse_segment(
        self, slide: SlideRecord, spec: TileSpec, regions: str = ""
    ) -> SegmentRecord | None:
        """Bring back arrays that are still on disk, e.g. of a slide that was removed.

        Returns
        -------
        SegmentRecord or None
            The new segment; None where there are no arrays of the same slide content,
            mpp, spec, encoder and regions.
        """
        known = self.intact_segment(self.key_for(slide, spec, regions))
        if known is None:
            return None
        return self.commit_segment(slide, replace(known, number=0, removed=False))

    def _draft(
        self, slide: SlideRecord, spec: TileSpec, footprint: int, regions: str
    ) -> SegmentRecord:
        if self.library.specs.get(spec.name) != spec:
            raise UsageError(
                f"spec '{spec.name}' is not one of this library's "
                f"({', '.join(self.library.specs)}).",
                spec=spec.name,
            )
        key = self.key_for(slide, spec, regions)
        assert slide.mpp is not None
        return SegmentRecord(
            number=0,
            slide_id=slide.slide_id,
            spec=spec.name,
            key=key,
            rows=0,
            footprint=int(footprint),
            mpp=float(slide.mpp),
            fingerprint=slide.fingerprint,
            facts={"regions": regions} if regions else {},
        )

    def commit_segment(self, slide: SlideRecord, draft: SegmentRecord) -> SegmentRecord:
        """The one short transaction that makes a segment exist; its arrays are in place."""
        with self.transaction() as connection:
            return commit_within(connection, slide, draft)

    # ------------------------------------------------------------- index, runs, sweep

    def put_index_state(self, state: IndexState) -> None:
        """Make the files in ``index/<state.folder>`` the ones in use for their spec.

        Raises
        ------
        UsageError
            The folder is not a plain name.
        """
        if Path(state.folder).name != state.folder or state.folder in ("", ".", ".."):
            raise UsageError(f"index folder '{state.folder}': a plain name is needed.")
        row = (
            state.spec,
            state.version,
            state.folder,
            json.dumps(sorted(state.covered), separators=(",", ":")),
            state.created or now(),
            json.dumps(dict(state.facts)),
        )
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO index_state VALUES (?, ?, ?, ?, ?, ?)", row)

    def drop_index_state(self, spec: str) -> None:
        """Forget the index of a spec; search goes on, by comparing with every patch."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM index_state WHERE spec = ?", (spec,))

    def start_run(self, command: str) -> int:
        """Open a run's log; the number that `log` and `end_run` take."""
        with self.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO runs (started, ended, command, software, counts) "
                "VALUES (?, '', ?, ?, '{}')",
                (now(), command, __version__),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def log(self, run: int, message: str, *, slide_id: str = "") -> None:
        """Add a line to a run's log."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO log VALUES (?, ?, ?, ?)", (run, now(), slide_id, message)
            )

    def end_run(self, run: int, counts: Metadata) -> None:
        """Close a run's log with its figures."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE runs SET ended = ?, counts = ? WHERE number = ?",
                (now(), json.dumps(dict(counts)), run),
            )

    def sweep(self) -> int:
        """Remove what killed runs left behind; the number of things removed.

        A part removes nothing: what it does not know may belong to another part.
        """
        from pathsearch.library.leftovers import sweep

        return 0 if self.library.is_part else sweep(self)
