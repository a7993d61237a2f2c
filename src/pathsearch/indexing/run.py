"""Index many slides: skip what is unchanged, go on after a bad one, end with a report."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pathsearch.config import IndexSettings, TileSpec
from pathsearch.errors import (
    EncoderMismatchError,
    PathsearchError,
    SlideError,
    UsageError,
)
from pathsearch.indexing.slide_job import Done, SlideJob, Stamp, slide_opener
from pathsearch.indexing.sources import Source
from pathsearch.nouns import Encoder

if TYPE_CHECKING:
    from pathsearch.library import Library, SlideRecord, Writer

_LOG = logging.getLogger(__name__)

Kind = Literal["indexed", "empty", "unchanged", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What came of one slide.

    Attributes
    ----------
    slide_id : str
    kind : {'indexed', 'empty', 'unchanged', 'failed'}
    patches : int
        Written now.
    code, message : str
        Of the error, where it failed.
    note : str
        What the user should know although it went well.
    """

    slide_id: str
    kind: Kind
    patches: int = 0
    code: str = ""
    message: str = ""
    note: str = ""


@dataclass(frozen=True)
class Report:
    """What came of a run.

    Attributes
    ----------
    outcomes : tuple of Outcome
    seconds : float
        Wall clock, indexing and index building; without loading the encoder.
    interrupted : bool
        Ctrl-C; what was committed before is kept.
    notes : tuple of str
    """

    outcomes: tuple[Outcome, ...]
    seconds: float
    interrupted: bool = False
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind) -> list[Outcome]:
        """The outcomes of one kind."""
        return [o for o in self.outcomes if o.kind == kind]

    @property
    def patches(self) -> int:
        """Patches written by this run."""
        return sum(o.patches for o in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """The line that ``index --json`` ends with."""
        failed = [
            {"slide_id": o.slide_id, "code": o.code, "message": o.message}
            for o in self.of("failed")
        ]
        return {
            "indexed": len(self.of("indexed")),
            "empty": len(self.of("empty")),
            "unchanged": len(self.of("unchanged")),
            "failed": failed,
            "patches": self.patches,
            "seconds": round(self.seconds, 3),
            "patches_per_second": round(self.patches / self.seconds, 1) if self.seconds else 0.0,
            "interrupted": self.interrupted,
            "notes": list(self.notes),
        }


class Listener:
    """Told how a run goes; does nothing. Override what is of interest."""

    def start(self, slides_in_all: int) -> None:
        """The run begins."""

    def slide(self, source: Source) -> None:
        """A slide begins."""

    def patches(self, done: int, total: int) -> None:
        """Patches of the present slide were encoded."""

    def outcome(self, outcome: Outcome) -> None:
        """A slide is done."""

    def building(self, spec: str) -> None:
        """The search index of a spec is being built."""


def open_or_create(path: Path, settings: IndexSettings, encoder: Encoder, source: str) -> Library:
    """The library at `path`; a new one where there is none.

    Raises
    ------
    EncoderMismatchError
        The library's vectors are of another encoder.
    UsageError
        The library is there with other specs than `settings` asks for.
    """
    from pathsearch.library import EncoderRecord, Library

    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        record = EncoderRecord(
            name=encoder.name,
            dim=encoder.dim,
            input_px=encoder.input_px,
            mpp_range=encoder.mpp_range,
            fingerprint=encoder.fingerprint,
            storage="copy" if encoder.copyable else "reference",
            source=source,
        )
        return create_with_encoder(path, settings.specs, record, encoder)
    library = Library.open(path)
    if library.encoder.fingerprint != encoder.fingerprint:
        have = library.encoder
        library.close()
        raise EncoderMismatchError(
            f"{path} was made with {have.name} ({have.fingerprint[:12]}), not with "
            f"{encoder.name} ({encoder.fingerprint[:12]}). Leave --encoder out, or name a new "
            "library.",
            expected=have.fingerprint,
            got=encoder.fingerprint,
        )
    return library


def create_with_encoder(
    path: Path, specs: Sequence[TileSpec], record: Any, encoder: Encoder
) -> Library:
    """A new library that holds a copy of its encoder where the licence permits."""
    import tempfile

    from pathsearch.library import Library

    if record.storage != "copy":
        return Library.create(path, specs=specs, encoder=record, encoder_files=None)
    with tempfile.TemporaryDirectory(prefix="pathsearch-") as folder:
        encoder.save(folder)
        return Library.create(path, specs=specs, encoder=record, encoder_files=Path(folder))


def index_slides(
    library: Library,
    sources: Sequence[Source],
    encoder: Encoder,
    settings: IndexSettings,
    *,
    listener: Listener | None = None,
    retry_failed: bool = False,
) -> Report:
    """Bring slides into a library, one after the other.

    Each slide is committed on its own: a run that is stopped and repeated goes on where it
    was. A slide that cannot be read is recorded with a code, and the run goes on.

    Parameters
    ----------
    library : Library
    sources : sequence of Source
    encoder : Encoder
        The library's own.
    settings : IndexSettings
    listener : Listener, optional
    retry_failed : bool
        Try slides again that failed before and have not changed.
    """
    run = _Run(library, encoder, settings, listener or Listener(), retry_failed)
    began = time.perf_counter()
    run.listener.start(len(sources))
    with library.writer() as writer:
        writer.sweep()
        number = writer.start_run("index")
        interrupted = run.all_slides(writer, sources)
        if not interrupted:
            interrupted = run.build_indexes(writer)
        for failed in (o for o in run.outcomes if o.kind == "failed"):
            writer.log(number, f"{failed.code}: {failed.message}", slide_id=failed.slide_id)
        writer.end_run(number, run.counts())
    seconds = time.perf_counter() - began
    return Report(tuple(run.outcomes), seconds, interrupted, tuple(run.notes))


class _Run:
    def __init__(
        self,
        library: Library,
        encoder: Encoder,
        settings: IndexSettings,
        listener: Listener,
        retry_failed: bool,
    ) -> None:
        self.library = library
        self.encoder = encoder
        self.settings = settings
        self.listener = listener
        self.retry_failed = retry_failed
        self.outcomes: list[Outcome] = []
        self.notes = self._mpp_notes()
        self._known = {record.slide_id: record for record in library.slides()}
        self._covered = {(s.slide_id, s.spec): s for s in library.segments()}
        self._kept_regions = 0

    def counts(self) -> dict[str, int]:
        """How many slides of each kind, and patches written."""
        kinds: tuple[Kind, ...] = ("indexed", "empty", "unchanged", "failed")
        counts = {str(k): sum(o.kind == k for o in self.outcomes) for k in kinds}
        return counts | {"patches": sum(o.patches for o in self.outcomes)}

    def _mpp_notes(self) -> list[str]:
        low, high = self.encoder.mpp_range
        return [
            f"{self.encoder.name} was trained at {low:g} to {high:g} µm per pixel; spec "
            f"{spec.name} is at {spec.mpp:g}: expect poorer matches."
            for spec in self.library.specs.values()
            if not low * 0.98 <= spec.mpp <= high * 1.02
        ]

    def all_slides(self, writer: Writer, sources: Sequence[Source]) -> bool:
        """Every slide in turn; True where the user stopped it."""
        for name, path in {(s.root, s.root_path) for s in sources}:
            writer.ensure_root(name, path)
        try:
            with slide_opener(self.settings.slides) as opener:
                job = SlideJob(
                    writer,
                    self.encoder,
                    self.settings,
                    opener,
                    self.listener.patches,
                    before=self._covered,
                )
                for source in sources:
                    self.listener.slide(source)
                    outcome = self._one(writer, job, source)
                    self.outcomes.append(outcome)
                    self.listener.outcome(outcome)
        except KeyboardInterrupt:
            return True
        if self._kept_regions:
            self.notes.append(
                f"{self._kept_regions} unchanged slides keep the regions that they were indexed "
                "with; --regions none takes all their tissue."
            )
        return False

    def _one(self, writer: Writer, job: SlideJob, source: Source) -> Outcome:
        stamp = Stamp.of(source)
        record = self._known.get(source.slide_id)
        if record is not None:
            settled = self._settled(writer, source, stamp, record)
            if settled is not None:
                return settled
        specs = list(self.library.specs.values())
        try:
            done = job.run(source, stamp, specs)
        except SlideError as error:
            return self._failed(writer, source, stamp, error)
        except (PathsearchError, MemoryError):
            raise  # the library or the encoder is at fault: every further slide would fail too
        except Exception as error:  # noqa: BLE001  one odd slide must not end a week's run
            _LOG.debug("reading %s", source.path, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            wrapped = SlideError(f"{source.slide_id}: could not be indexed ({reason}).")
            return self._failed(writer, source, stamp, wrapped)
        return Outcome(
            source.slide_id,
            "empty" if done.empty else "indexed",
            done.patches,
            note=_note(source, done),
        )

    def _settled(
        self, writer: Writer, source: Source, stamp: Stamp, record: SlideRecord
    ) -> Outcome | None:
        """The outcome of a slide that need not be read again, or None."""
        same_file = (record.file_size, record.file_mtime_ns) == (stamp.size, stamp.mtime_ns)
        same_mpp = source.mpp is None or source.mpp == record.mpp
        if not (same_file and same_mpp) or record.status == "removed":
            return None
        if record.status == "failed":
            if self.retry_failed:
                return None
            return Outcome(
                source.slide_id, "failed", code=record.error_code, message=record.error_message
            )
        covered = [self._covered.get((source.slide_id, spec)) for spec in self.library.specs]
        if any(segment is None for segment in covered):
            return None
        had = {segment.regions for segment in covered if segment is not None}
        if source.drawn is not None and had != {source.drawn.token}:
            return None
        self._kept_regions += source.drawn is None and had != {""}
        if (record.case_id, dict(record.metadata)) != (source.case_id, dict(source.metadata)):
            writer.put_slide(replace(record, case_id=source.case_id, metadata=source.metadata))
        return Outcome(source.slide_id, "unchanged")

    def _failed(self, writer: Writer, source: Source, stamp: Stamp, error: SlideError) -> Outcome:
        from pathsearch.library import SlideRecord

        writer.put_failure(
            SlideRecord(
                slide_id=source.slide_id,
                root=source.root,
                path=source.relative,
                case_id=source.case_id,
                mpp=source.mpp,
                file_size=stamp.size,
                file_mtime_ns=stamp.mtime_ns,
                metadata=source.metadata,
            ),
            error,
        )
        return Outcome(source.slide_id, "failed", code=error.code, message=str(error))

    def build_indexes(self, writer: Writer) -> bool:
        """Rebuild what is out of date; True where the user stopped it."""
        from pathsearch.search.build import UNCOVERED_SHARE, rebuild_index, uncovered_share

        try:
            for spec in self.library.specs:
                if uncovered_share(self.library, spec) > UNCOVERED_SHARE:
                    self.listener.building(spec)
                    rebuild_index(self.library, writer, spec)
        except KeyboardInterrupt:
            return True
        return False


def _note(source: Source, done: Done) -> str:
    """What the user should know of a slide that went well."""
    drawn = source.drawn is not None and source.drawn.regions is not None
    notes = [
        f"{done.bad_patches} patches could not be read." if done.bad_patches else "",
        "Its regions hold no patch: are they in level-0 pixels?" if drawn and done.empty else "",
        "Read again without --regions: all its tissue was taken." if done.lifted else "",
    ]
    return " ".join(filter(None, notes))


def refuse_other_specs(library: Library, specs: Sequence[TileSpec]) -> None:
    """UsageError where a library has other specs than were asked for by name or numbers."""
    for spec in specs:
        have = library.specs.get(spec.name)
        if have != spec:
            names = ", ".join(library.specs)
            raise UsageError(
                f"{library.path} holds {names}, not {spec.name}: leave --mpp and --config out, "
                "or name a new library."
            )
