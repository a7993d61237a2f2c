"""Index many slides: skip what is unchanged, go on after a bad one, end with a report."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pathsearch.config import IndexSettings
from pathsearch.errors import LibraryError
from pathsearch.indexing import threads
from pathsearch.indexing.pipeline import Readers
from pathsearch.indexing.reading import Ended, Opened, Task
from pathsearch.indexing.report import Listener, Outcome, Report
from pathsearch.indexing.settled import Holdings, Settled
from pathsearch.indexing.sources import Source
from pathsearch.indexing.target import open_or_create
from pathsearch.indexing.writing import SlideWriting
from pathsearch.nouns import Encoder, TileSpec

if TYPE_CHECKING:
    from pathsearch.library import Library, SegmentRecord, SlideRecord, Writer
    from pathsearch.maintenance import Merge

__all__ = ["index_slides", "merge", "open_or_create", "part_of"]

_LOG = logging.getLogger(__name__)


def part_of(slide_id: str, count: int) -> int:
    """The part (from 1) of a job array of `count` that a slide falls to.

    By a hash of its id: whatever is added while the array runs, no slide is in two parts.
    """
    digest = hashlib.sha256(slide_id.encode("utf-8", "surrogatepass")).digest()
    return 1 + int.from_bytes(digest[:8], "big") % count


def index_slides(
    library: Library,
    sources: Sequence[Source],
    encoder: Encoder,
    settings: IndexSettings,
    *,
    listener: Listener | None = None,
    retry_failed: bool = False,
    part: tuple[int, int] | None = None,
) -> Report:
    """Bring slides into a library.

    Each slide is committed on its own: a run that is stopped and repeated goes on where it
    was. A slide that cannot be read is recorded with a code, and the run goes on. Several
    slides are read at once (``settings.workers``), one is encoded at a time; the library is
    the same whatever the number, but for the order in which slides were committed.

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
    part : (int, int), optional
        I of N: only the slides of this part, into its own catalog; `merge` folds it in.

    Raises
    ------
    LibraryLockedError
        Another process writes this library, or this part of it.
    LibraryWriteError
        The disk is full; what was committed before is kept.
    """
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        target = library
        if part is not None:
            target = stack.enter_context(library.part(*part))
            sources = [s for s in sources if part_of(s.slide_id, part[1]) == part[0]]
        writer = stack.enter_context(target.writer())
        stack.enter_context(threads.encoding_threads())
        run = _Run(library, writer, encoder, settings, listener or Listener())
        with run.logged("index" if part is None else f"index --part {part[0]}/{part[1]}"):
            interrupted = run.all_slides(sources, retry_failed)
            if part is None and not interrupted:
                interrupted = build_indexes(library, writer, run.listener)
            report = Report(
                run.outcomes, time.perf_counter() - began, interrupted, tuple(run.notes)
            )
            run.counts = report.counts
    return report


def merge(library: Library, *, listener: Listener | None = None) -> Merge:
    """Fold the parts of a job array into the library, and bring its indexes up to date.

    Raises
    ------
    LibraryLockedError
        A part, or another writer, is still at work; then nothing was merged.
    """
    from pathsearch.maintenance import merge_parts

    merged = merge_parts(library)
    with library.writer() as writer:
        build_indexes(library, writer, listener or Listener())
    return merged


class _Run:
    """One run under the writer's lock."""

    def __init__(
        self,
        library: Library,
        writer: Writer,
        encoder: Encoder,
        settings: IndexSettings,
        listener: Listener,
    ) -> None:
        self.library = library
        self.writer = writer
        self.encoder = encoder
        self.settings = settings
        self.listener = listener
        self.notes = self._mpp_notes()
        self.counts: dict[str, int] = {}
        self._number = 0
        self._found: dict[str, Outcome] = {}

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What came of each slide, in the order of the ids."""
        return tuple(self._found[name] for name in sorted(self._found))

    @contextlib.contextmanager
    def logged(self, command: str) -> Iterator[None]:
        """Keep a log of the run in the library, its end or its fault included."""
        self.writer.sweep()
        self._number = self.writer.start_run(command)
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(LibraryError):  # a full disk has no room for it either
                self.log(f"stopped: {type(error).__name__}: {error}")
            raise
        self.writer.end_run(self._number, self.counts)

    def log(self, message: str, slide_id: str = "") -> None:
        """A line in the run's log."""
        self.writer.log(self._number, " ".join(message.split()), slide_id=slide_id)

    def _mpp_notes(self) -> list[str]:
        low, high = self.encoder.mpp_range
        return [
            f"{self.encoder.name} was trained at {low:g} to {high:g} µm per pixel; spec "
            f"{spec.name} is at {spec.mpp:g}: expect poorer matches."
            for spec in self.library.specs.values()
            if not low * 0.98 <= spec.mpp <= high * 1.02
        ]

    def all_slides(self, sources: Sequence[Source], retry_failed: bool) -> bool:
        """Every slide; True where the user stopped it."""
        for name, path in {(s.root, s.root_path) for s in sources}:
            self.writer.ensure_root(name, path)
        tasks = self._tasks(sources, retry_failed)
        self.listener.start(len(sources), {task.source.slide_id: task.stamp.size for task in tasks})
        for outcome in self.outcomes:
            self.listener.outcome(outcome)
        if tasks:
            self.log(
                f"{len(sources)} slides, {len(tasks)} to read with "
                f"{threads.workers(self.settings)} readers; {self.encoder.name}"
            )
        try:
            self._read(tasks)
        except KeyboardInterrupt:
            self.log("interrupted")
            return True
        return False

    def _tasks(self, sources: Sequence[Source], retry_failed: bool) -> list[Task]:
        holdings = Holdings([self.library, self.writer.library])
        specs = list(self.library.specs.values())
        tasks, changed, keep_regions = [], [], 0
        for source in sources:
            found = holdings.judged(source, specs, retry_failed=retry_failed)
            if isinstance(found, Settled):
                self._found[source.slide_id] = found.outcome
                keep_regions += found.keeps_regions
                if found.record is not None:
                    changed.append(found.record)
            else:
                tasks.append(found)
        if changed:
            self.writer.put_slides(changed)
        if keep_regions:
            self.notes.append(
                "Unchanged slides that keep the regions that they were indexed with: "
                f"{keep_regions}; --regions none takes all their tissue."
            )
        return tasks

    def _read(self, tasks: Sequence[Task]) -> None:
        """Encode and write what the readers bring, until every slide has ended."""
        begun: dict[int, SlideWriting] = {}
        try:
            with Readers(tasks, self.settings, self._stored) as readers:
                for number, event in readers:
                    if number not in begun:
                        begun[number] = SlideWriting(
                            tasks[number], self.writer, self.encoder, self.listener
                        )
                    if isinstance(event, Opened):
                        self.listener.slide(event.record.slide_id)
                    begun[number].take(event)
                    if isinstance(event, Ended):
                        self._ended(begun.pop(number).outcome())
        finally:
            for writing in begun.values():
                writing.abort()

    def _stored(self, record: SlideRecord, spec: TileSpec, regions: str) -> SegmentRecord | None:
        return self.writer.intact_segment(self.writer.key_for(record, spec, regions))

    def _ended(self, outcome: Outcome) -> None:
        self._found[outcome.slide_id] = outcome
        if outcome.kind == "failed":
            _LOG.info("%s: %s", outcome.slide_id, outcome.message)
            self.log(f"{outcome.code}: {outcome.message}", outcome.slide_id)
        else:
            self.log(f"{outcome.kind}: {outcome.patches} patches. {outcome.note}", outcome.slide_id)
        self.listener.outcome(outcome)


def build_indexes(library: Library, writer: Writer, listener: Listener) -> bool:
    """Rebuild what is out of date; True where the user stopped it."""
    from pathsearch.search.build import UNCOVERED_SHARE, rebuild_index, uncovered_share

    try:
        for spec in library.specs:
            if uncovered_share(library, spec) > UNCOVERED_SHARE:
                listener.building(spec)
                rebuild_index(library, writer, spec)
    except KeyboardInterrupt:
        return True
    return False
