"""What need not be read again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pathsearch.indexing.reading import Stamp, Task
from pathsearch.indexing.report import Outcome
from pathsearch.indexing.sources import Source
from pathsearch.nouns import TileSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pathsearch.library import Library, SegmentRecord, SlideRecord


@dataclass(frozen=True)
class Settled:
    """A slide of which nothing has to be read.

    Attributes
    ----------
    outcome : Outcome
    record : SlideRecord or None
        Its new row, where the case or the metadata have changed.
    keeps_regions : bool
        It keeps the regions of an earlier run, without having been told to.
    """

    outcome: Outcome
    record: SlideRecord | None = None
    keeps_regions: bool = False


class Holdings:
    """What is there already.

    Parameters
    ----------
    libraries : sequence of Library
        The library; and, of a job array, the part that is being written: its rows are newer.
    """

    def __init__(self, libraries: Sequence[Library]) -> None:
        self._records: dict[str, SlideRecord] = {}
        self._segments: dict[tuple[str, str], SegmentRecord] = {}
        for library in libraries:
            self._records |= {record.slide_id: record for record in library.slides()}
            self._segments |= {(s.slide_id, s.spec): s for s in library.segments()}

    def judged(
        self, source: Source, specs: Sequence[TileSpec], *, retry_failed: bool
    ) -> Task | Settled:
        """What is to be done about a slide.

        A slide is as it was if its files have the same size and time. What is there of its
        content, at the resolution that was used, is not made again.

        Parameters
        ----------
        source : Source
        specs : sequence of TileSpec
            All of the library.
        retry_failed : bool
            Try again what failed before.
        """
        stamp = Stamp.of(source)
        had = {spec.name: self._had(source, spec) for spec in specs}
        whole = Task(source, stamp, tuple(specs), had)
        record = self._records.get(source.slide_id)
        if record is None:
            return whole
        same_file = (record.file_size, record.file_mtime_ns) == (stamp.size, stamp.mtime_ns)
        same_mpp = source.mpp is None or source.mpp == record.mpp
        if not (same_file and same_mpp):
            return whole
        failed = record.error_code and not retry_failed
        if failed and not record.error_spec:
            return Settled(_failed_before(record))
        missing = tuple(spec for spec in specs if not self._covers(record, source, spec))
        to_do = tuple(s for s in missing if not (failed and s.name == record.error_spec))
        if to_do:
            return replace(whole, specs=to_do)
        if missing:
            return Settled(_failed_before(record))
        changed = (record.case_id, dict(record.metadata)) != (
            source.case_id,
            dict(source.metadata),
        )
        return Settled(
            Outcome(source.slide_id, "unchanged"),
            replace(record, case_id=source.case_id, metadata=source.metadata) if changed else None,
            keeps_regions=source.drawn is None and any(had.values()),
        )

    def _had(self, source: Source, spec: TileSpec) -> str:
        segment = self._segments.get((source.slide_id, spec.name))
        return segment.regions if segment else ""

    def _covers(self, record: SlideRecord, source: Source, spec: TileSpec) -> bool:
        """Whether there are patches of the slide's present content.

        A run that ended between two magnifications of a changed slide leaves the second
        with patches of the old content, which an equal time stamp does not tell.
        """
        segment = self._segments.get((record.slide_id, spec.name))
        if segment is None or (segment.fingerprint, segment.mpp) != (
            record.fingerprint,
            record.mpp,
        ):
            return False
        return source.drawn is None or source.drawn.token == segment.regions


def _failed_before(record: SlideRecord) -> Outcome:
    return Outcome(record.slide_id, "failed", code=record.error_code, message=record.error_message)
