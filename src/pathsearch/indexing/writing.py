"""The writing half of indexing: pixels to vectors to committed segments, in one thread."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pathsearch.errors import SlideError
from pathsearch.indexing.reading import (
    Cut,
    CutDone,
    Ended,
    Event,
    Kept,
    Opened,
    SpecFailed,
    Task,
)
from pathsearch.indexing.report import Listener, Outcome
from pathsearch.nouns import Batch, Encoder

if TYPE_CHECKING:
    from pathsearch.library import SegmentWriter, SlideRecord, Writer


class SlideWriting:
    """Takes the events of one slide, and commits each magnification as it is whole.

    Parameters
    ----------
    task : Task
    writer : Writer
    encoder : Encoder
    listener : Listener
    """

    def __init__(self, task: Task, writer: Writer, encoder: Encoder, listener: Listener) -> None:
        self.task = task
        self._writer = writer
        self._encoder = encoder
        self._listener = listener
        self._record: SlideRecord | None = None
        self._cut: Cut | None = None
        self._segment: SegmentWriter | None = None
        self._bad = 0
        self._failures: list[SlideError] = []
        self._given_up = False
        self._written = self._all_bad = self._rows = self._new = 0
        self._lifted = False

    def take(self, event: Event) -> None:
        """Do what an event asks for.

        Raises
        ------
        LibraryError, EncoderError
            The library or the encoder is at fault: every further slide would fail too.
        """
        if self._given_up:
            return
        try:
            self._take(event)
        except SlideError as error:  # its name cannot be stored
            self._fail(error, "")
            self._given_up = True

    def _take(self, event: Event) -> None:
        if isinstance(event, Batch):
            self._patches(event)
        elif isinstance(event, Opened):
            # Before the first commit: a slide that has a row has its picture
            self._writer.save_thumbnail(event.record.slide_id, event.picture)
            self._record = event.record
        elif isinstance(event, Kept):
            assert self._record is not None
            self._writer.commit_segment(
                self._record, replace(event.segment, number=0, removed=False)
            )
            self._rows += event.segment.rows
            self._all_bad += event.segment.bad_patches
        elif isinstance(event, Cut):
            self._begin(event)
        elif isinstance(event, CutDone):
            self._commit()
        elif isinstance(event, SpecFailed):
            self.abort()
            self._fail(event.error, event.spec.name)
        elif isinstance(event, Ended) and event.error is not None:
            self.abort()
            self._fail(_as_slide_error(event.error, self.task), "")

    def _begin(self, cut: Cut) -> None:
        assert self._record is not None
        self._cut, self._bad = cut, 0
        self._lifted |= cut.lifted
        self._new += 1
        footprint = cut.tiling.footprint
        if not len(cut.tiling):
            self._writer.put_empty(self._record, cut.spec, footprint, regions=cut.regions)
            return
        self._segment = self._writer.open_segment(
            self._record, cut.spec, footprint, facts=self._facts(), regions=cut.regions
        )

    def _facts(self) -> dict[str, str | int | float]:
        """What is recorded of how the vectors were made; not part of their key."""
        facts: dict[str, str | int | float] = {
            name: str(getattr(self._encoder, name))
            for name in ("runtime", "precision")
            if getattr(self._encoder, name, "")
        }
        if self.task.source.mpp is not None:
            facts["mpp_given"] = 1
        return facts

    def _patches(self, batch: Batch) -> None:
        assert self._segment is not None
        assert self._cut is not None
        tiling = self._cut.tiling
        rows = batch.first + np.flatnonzero(batch.ok)
        self._bad += len(batch.ok) - len(rows)
        if len(rows):
            whole = len(rows) == len(batch.ok)
            vectors = self._encoder.encode(batch.pixels if whole else batch.pixels[batch.ok])
            self._segment.append(tiling.xy[rows], vectors, tiling.tissue[rows])
        done = batch.first + len(batch.ok)
        self._listener.patches(self.task.source.slide_id, done, len(tiling))

    def _commit(self) -> None:
        assert self._record is not None
        if self._segment is None:  # no tissue: its row is there already
            return
        committed = self._segment.commit(self._record, bad_patches=self._bad)
        self._segment = None
        self._written += committed.rows
        self._rows += committed.rows
        self._all_bad += self._bad

    def abort(self) -> None:
        """Leave no trace of the magnification that is being written."""
        if self._segment is not None:
            self._segment.abort()
            self._segment = None

    def _fail(self, error: SlideError, spec: str) -> None:
        self._failures.append(error)
        record = self._record or unopened(self.task)
        self._writer.put_failure(record, error, spec=spec)

    def outcome(self) -> Outcome:
        """What came of the slide, after its `Ended`."""
        slide_id = self.task.source.slide_id
        if self._failures:
            return Outcome(
                slide_id,
                "failed",
                self._written,
                code=self._failures[0].code,
                message=" ".join(dict.fromkeys(str(error) for error in self._failures)),
            )
        kind = "indexed" if self._rows else "empty"
        return Outcome(slide_id, kind, self._written, note=self._note())  # type: ignore[arg-type]

    def _note(self) -> str:
        drawn = self.task.source.drawn
        bounded = drawn is not None and drawn.regions is not None
        notes = [
            f"{self._all_bad} patches could not be read." if self._all_bad else "",
            "" if self._new else "Its content is as before: the patches were kept.",
            "Its regions hold no patch: are they in level-0 pixels?"
            if bounded and not self._rows
            else "",
            "Read again without --regions: all its tissue was taken." if self._lifted else "",
        ]
        return " ".join(filter(None, notes))


def unopened(task: Task) -> SlideRecord:
    """What is known of a slide that could not be opened."""
    from pathsearch.library import SlideRecord

    source = task.source
    return SlideRecord(
        slide_id=source.slide_id,
        root=source.root,
        path=source.relative,
        case_id=source.case_id,
        mpp=source.mpp,
        file_size=task.stamp.size,
        file_mtime_ns=task.stamp.mtime_ns,
        metadata=source.metadata,
    )


def _as_slide_error(error: Exception, task: Task) -> SlideError:
    if isinstance(error, SlideError):
        return error
    reason = f"{type(error).__name__}: {error}"
    return SlideError(f"{task.source.slide_id}: could not be indexed ({reason}).")
