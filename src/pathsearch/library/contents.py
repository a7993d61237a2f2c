"""What a library holds: everything that is read from it, without ever writing."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.config import TileSpec
from pathsearch.errors import (
    EncoderNotFoundError,
    LibraryCorruptError,
    SegmentGoneError,
    SlideNotFoundError,
)
from pathsearch.library import arrays, roots
from pathsearch.library.building import (
    ENCODER_FOLDER,
    INDEX_FOLDER,
    THUMBNAIL_FOLDER,
    THUMBNAIL_TYPES,
)
from pathsearch.library.catalog import Catalog
from pathsearch.library.durable import absolute
from pathsearch.library.header import HEADER_NAME, Header, read_header
from pathsearch.library.keys import thumbnail_stem
from pathsearch.library.records import (
    EncoderRecord,
    IndexState,
    LogLine,
    Run,
    SegmentArrays,
    SegmentRecord,
    SlideRecord,
)


class Contents:
    """The reading half of `Library`; from several threads, while others write."""

    def __init__(self, path: Path, header: Header, catalog: Catalog) -> None:
        self.path = path
        self._header = header
        self._header_stamp = _stamp(path)
        self._catalog = catalog

    # ----------------------------------------------------------------- facts

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through this object."""
        return self._catalog.read_only

    @property
    def library_id(self) -> str:
        """32 hex digits, made at creation; a copy of the folder keeps them."""
        return self._header.library_id

    @property
    def specs(self) -> dict[str, TileSpec]:
        """The tile specs by name; one that another process adds is seen."""
        return {spec.name: spec for spec in self.header.specs}

    @property
    def encoder(self) -> EncoderRecord:
        """The one encoder of the library."""
        return self._header.encoder

    @property
    def header(self) -> Header:
        """The content of ``library.json``, read again when the file has changed."""
        stamp = _stamp(self.path)
        if stamp != self._header_stamp:
            self._header, self._header_stamp = read_header(self.path), stamp
        return self._header

    @property
    def embeddings_path(self) -> Path:
        """The Zarr store of the vectors."""
        return self.path / self._header.embeddings

    @property
    def index_path(self) -> Path:
        """The folder of derived index files."""
        return self.path / INDEX_FOLDER

    def encoder_source(self) -> str | Path:
        """What `pathsearch.encoders.load_encoder` takes to get the library's encoder.

        Raises
        ------
        EncoderNotFoundError
            The vectors were imported without an encoder.
        """
        if not self.encoder.bound:
            raise EncoderNotFoundError(
                f"{self.path}: its vectors were imported from '{self.encoder.name}' without an "
                "encoder, so pixels cannot be encoded: ask with places on its own slides, or "
                "import the features with --encoder into a new library.",
                encoder=self.encoder.name,
            )
        if self.encoder.storage == "copy":
            return self.path / ENCODER_FOLDER
        return self.encoder.source

    def generation(self) -> int:
        """A number that changes with every committed change, by whatever process; cheap."""
        return self._catalog.generation()

    # ---------------------------------------------------------------- slides

    def slides(self, status: str | None = None) -> list[SlideRecord]:
        """Slides in the order of their ids.

        Parameters
        ----------
        status : {'indexed', 'empty', 'failed', 'removed', 'all'}, optional
            None leaves out removed ones. ``failed`` also gives indexed slides of which
            one spec failed.
        """
        if status is None:
            return self._catalog.slides("WHERE status <> 'removed'")
        if status == "all":
            return self._catalog.slides()
        if status == "failed":
            return self._catalog.slides(
                "WHERE status = 'failed' OR (error_code <> '' AND status <> 'removed')"
            )
        return self._catalog.slides("WHERE status = ?", (status,))

    def slide(self, slide_id: str) -> SlideRecord:
        """One slide, removed ones too.

        Raises
        ------
        SlideNotFoundError
            No such id; the message names the closest ones.
        """
        found = self._catalog.slides("WHERE slide_id = ?", (slide_id,))
        if found:
            return found[0]
        close = self._close_ids(slide_id)
        hint = f"; did you mean {' or '.join(close)}?" if close else "; see 'pathsearch list'."
        raise SlideNotFoundError(
            f"{slide_id}: no such slide in {self.path.name}{hint}", slide_id=slide_id, close=close
        )

    def _close_ids(self, slide_id: str) -> list[str]:
        ids = [row[0] for row in self._catalog.rows("SELECT slide_id FROM slides")]
        wanted = slide_id.replace("\\", "/").lower()
        ends = [i for i in ids if i.lower().endswith(wanted) or wanted.endswith("/" + i.lower())]
        return ends[:3] or difflib.get_close_matches(slide_id, ids[:20_000], n=3)

    def thumbnail(self, slide_id: str) -> bytes | None:
        """The slide's small picture (JPEG or PNG); None where there is none."""
        for ending in THUMBNAIL_TYPES:
            path = self.path / THUMBNAIL_FOLDER / (thumbnail_stem(slide_id) + ending)
            if path.exists():
                return path.read_bytes()
        return None

    # ----------------------------------------------------------------- roots

    def roots(self) -> dict[str, str]:
        """Root names and where each was on the machine that added it."""
        return dict(self._catalog.rows("SELECT name, path FROM roots"))

    def root_folders(self) -> dict[str, Path]:
        """Root names and where each is on this machine: its own mapping, else the hint."""
        mapped = roots.mapped_roots(self.library_id)
        return {name: Path(mapped.get(name, hint)) for name, hint in self.roots().items()}

    def root_for(self, path: Path | str) -> tuple[str, str] | None:
        """The root that holds a file, and the file's path in it (POSIX); None if none does."""
        path = absolute(path)
        for name, folder in self.root_folders().items():
            relative = roots.relative_to(path, folder)
            if relative is not None:
                return name, relative
        return None

    def locate(self, slide: SlideRecord) -> Path:
        """Where a slide's file is on this machine.

        Raises
        ------
        SlideNotFoundError
            It is not there; the message says how to map the root.
        """
        if not slide.root:
            raise SlideNotFoundError(
                f"{slide.slide_id}: its features were imported without its file; import them "
                "again with --slides FOLDER.",
                slide_id=slide.slide_id,
                path="",
            )
        tables = (roots.mapped_roots(self.library_id), self.roots())
        places = [roots.join(t[slide.root], slide.path) for t in tables if slide.root in t]
        for place in places:
            if place.exists():
                return place
        tried = f"not at {places[0]}" if places else f"its root '{slide.root}' is unknown"
        raise SlideNotFoundError(
            f"{slide.slide_id}: {tried}; if the slides are elsewhere on this machine, run "
            f"'pathsearch relocate {self.path} {slide.root}=FOLDER'.",
            slide_id=slide.slide_id,
            path=str(places[0]) if places else "",
        )

    # -------------------------------------------------------------- segments

    def segments(
        self,
        spec: str | None = None,
        *,
        include_removed: bool = False,
        include_empty: bool = True,
    ) -> list[SegmentRecord]:
        """Segments in the order of their numbers.

        Parameters
        ----------
        spec : str, optional
            Only of this spec.
        include_removed : bool
            Superseded ones and those of removed slides too.
        include_empty : bool
            Also the entries without rows that say "looked at, no tissue"; they read as
            empty arrays.
        """
        parts, arguments = [], []
        if spec is not None:
            parts.append("spec = ?")
            arguments.append(spec)
        if not include_removed:
            parts.append("removed = 0")
        if not include_empty:
            parts.append("rows > 0")
        where = f"WHERE {' AND '.join(parts)}" if parts else ""
        return self._catalog.segments(where, arguments)

    def read_segment(self, segment: SegmentRecord) -> SegmentArrays:
        """All rows of a segment.

        Raises
        ------
        SegmentGoneError
            It was removed and compacted after it was listed.
        LibraryCorruptError
            Its arrays are missing or damaged.
        """
        return self._read(segment, None)

    def read_rows(
        self, segment: SegmentRecord, rows: npt.NDArray[np.int64] | Sequence[int]
    ) -> SegmentArrays:
        """Some rows of a segment, in the order asked for; errors as `read_segment`."""
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(wanted) and (wanted.min() < 0 or wanted.max() >= segment.rows):
            raise IndexError(f"segment {segment.number} has rows 0 to {segment.rows - 1}")
        return self._read(segment, wanted)

    def _read(self, segment: SegmentRecord, rows: npt.NDArray[np.int64] | None) -> SegmentArrays:
        if segment.rows == 0 or (rows is not None and len(rows) == 0):
            return arrays.concatenate([], self.encoder.dim)
        try:
            found = arrays.read_group(self.embeddings_path / segment.key, rows)
        except FileNotFoundError:
            raise self._missing(segment) from None
        if rows is None and (len(found), found.vectors.shape[1]) != (
            segment.rows,
            self.encoder.dim,
        ):
            raise LibraryCorruptError(
                f"{self.path}: segment {segment.number} of {segment.slide_id} holds "
                f"{found.vectors.shape} numbers, the catalog says "
                f"{(segment.rows, self.encoder.dim)}; run 'pathsearch verify --repair'.",
                segment=segment.number,
            )
        return found

    def _missing(self, segment: SegmentRecord) -> LibraryCorruptError | SegmentGoneError:
        alive = self._catalog.rows(
            "SELECT 1 FROM segments WHERE number = ? AND removed = 0", (segment.number,)
        )
        if alive:
            return LibraryCorruptError(
                f"{self.path}: the arrays of {segment.slide_id} (segment {segment.number}) are "
                "missing; run 'pathsearch verify --repair', then index the slide again.",
                segment=segment.number,
            )
        return SegmentGoneError(
            f"segment {segment.number} of {segment.slide_id} was removed meanwhile; ask again.",
            segment=segment.number,
        )

    # ------------------------------------------------------- index, runs, health

    def index_state(self, spec: str) -> IndexState | None:
        """The index files in use for a spec; None where there are none."""
        return next((s for s in self._catalog.index_states() if s.spec == spec), None)

    def runs(self) -> list[Run]:
        """All runs that wrote to the library, oldest first."""
        return self._catalog.runs()

    def run_log(self, run: int) -> list[LogLine]:
        """The log of one run."""
        return self._catalog.log(run)

    @property
    def catalog(self) -> Catalog:
        """The open catalog, for maintenance and for SQL of one's own; reading only."""
        return self._catalog


def _stamp(path: Path) -> tuple[int, int]:
    try:
        facts = (path / HEADER_NAME).stat()
    except OSError:
        return (0, 0)
    return facts.st_mtime_ns, facts.st_size
