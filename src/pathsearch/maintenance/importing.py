"""Features made by TRIDENT or CLAM into a library: searchable without encoding again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pathsearch.config import IndexSettings, TileSpec
from pathsearch.errors import (
    EncoderMismatchError,
    FeaturesError,
    SlideError,
    UsageError,
)
from pathsearch.indexing.pipeline import slide_opener
from pathsearch.indexing.reading import Opener, Stamp
from pathsearch.indexing.report import Listener, Outcome, Report
from pathsearch.indexing.target import create_with_encoder
from pathsearch.maintenance.encoder_check import (
    CHECK_SLIDES,
    Agreement,
    check_encoder,
    refuse_other_length,
)
from pathsearch.maintenance.feature_files import read_vectors
from pathsearch.maintenance.feature_plans import Given, Plan, plan
from pathsearch.maintenance.feature_rows import note_on, refuse_others
from pathsearch.maintenance.feature_slides import Task
from pathsearch.maintenance.unbound import create_unbound, unbound_record
from pathsearch.nouns import Encoder

if TYPE_CHECKING:
    from pathsearch.library import Library, SegmentRecord, SlideRecord, Writer

#: Facts of an imported segment: the files that it is from, and what they said.
STAMP, ATTRIBUTES, DTYPE = "features", "features_attributes", "features_dtype"


@dataclass(frozen=True)
class ImportEncoder:
    """Whose vectors come in.

    Attributes
    ----------
    encoder : Encoder or None
        The one that made them, to be checked on the slides.
    source : str
        What it was loaded from.
    name : str
        How it is called, where there are no weights.
    """

    encoder: Encoder | None = None
    source: str = ""
    name: str = ""


@dataclass(frozen=True)
class ImportReport:
    """What came of an import.

    Attributes
    ----------
    report : Report
        As of indexing; `indexed` are the slides that came in.
    agreement : Agreement or None
        Of the encoder with the vectors, where one was checked.
    """

    report: Report
    agreement: Agreement | None = None

    def to_json(self) -> dict[str, Any]:
        """The answer of ``import --json``."""
        found = self.agreement
        check = None
        if found is not None:
            check = {
                "patches": found.patches,
                "slides": found.slides,
                "median_cosine": round(found.median, 6),
                "least_cosine": round(found.least, 6),
                "unrelated_cosine": round(found.unrelated, 6),
            }
        return self.report.to_json() | {"encoder_check": check}


def import_features(
    path: Path,
    tasks: Sequence[Task],
    given: Given,
    who: ImportEncoder,
    *,
    settings: IndexSettings | None = None,
    listener: Listener | None = None,
) -> ImportReport:
    """Bring features into a library, a new one where there is none.

    Each slide is committed on its own: an import that is stopped and repeated goes on where
    it was. What cannot be taken is named in the report, and the rest goes on.

    Parameters
    ----------
    path : Path
        The library.
    tasks : sequence of Task
    given : Given
    who : ImportEncoder
        With an encoder it must have made the vectors: 50 patches are encoded again. Without
        one, a new library needs a name for it.
    settings : IndexSettings, optional
        How slides are read.
    listener : Listener, optional

    Raises
    ------
    EncoderMismatchError
        The encoder did not make these vectors, or the library's vectors are of another one.
    FeaturesError, MppMissingError, SlideError
        The library is new, and none of the files can be taken; this is what the first lacks.
    UsageError
        There is neither an encoder nor a name.
    """
    began = time.perf_counter()
    settings = settings or IndexSettings()
    with slide_opener(settings.slides) as opener:
        run = _Import(given, who, opener, listener or Listener())
        with run.open_or_create(path, tasks) as library:
            run.all_tasks(library, tasks)
    seconds = time.perf_counter() - began
    report = Report(tuple(run.outcomes), seconds, run.interrupted, tuple(run.notes()))
    return ImportReport(report, run.agreement)


@dataclass
class _Import:
    given: Given
    who: ImportEncoder
    opener: Opener
    listener: Listener
    outcomes: list[Outcome] = field(default_factory=list)
    agreement: Agreement | None = None
    interrupted: bool = False
    resolutions: dict[str, list[float]] = field(default_factory=dict)
    live: dict[tuple[str, str], SegmentRecord] = field(default_factory=dict)

    # ------------------------------------------------------------------ the library

    def open_or_create(self, path: Path, tasks: Sequence[Task]) -> Library:
        """The library at `path`; a new one is cut to the first file that can be taken."""
        from pathsearch.library import Library

        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            library = Library.open(path)
            try:
                self._refuse_other_encoder(library)
            except BaseException:
                library.close()
                raise
            return library
        first = self._first_plan(tasks)
        if self.who.encoder is None and not self.who.name:
            stated = f"; the file calls it '{first.head.encoder}'" if first.head.encoder else ""
            raise UsageError(
                "say which encoder made the features: --encoder FOLDER, to ask with regions and "
                f"pictures too, or --encoder-name NAME{stated}."
            )
        if self.who.encoder is not None:
            self._check(tasks, self.who.encoder)
        spec = first.cut.as_spec(self.given.spec_mpp)
        return self._create(path, spec, first.head.dim)

    def _create(self, path: Path, spec: TileSpec, dim: int) -> Library:
        from pathsearch.library import EncoderRecord

        encoder = self.who.encoder
        if encoder is None:
            record = unbound_record(self.who.name, dim, spec)
            return create_unbound(path, spec, record)
        record = EncoderRecord(
            name=encoder.name,
            dim=encoder.dim,
            input_px=encoder.input_px,
            mpp_range=encoder.mpp_range,
            fingerprint=encoder.fingerprint,
            storage="copy" if encoder.copyable else "reference",
            source=self.who.source,
        )
        return create_with_encoder(path, [spec], record, encoder)

    def _first_plan(self, tasks: Sequence[Task]) -> Plan:
        first: SlideError | None = None
        for task in tasks:
            try:
                found = plan(task, self.given, self.opener)
            except SlideError as error:
                first = first or error
            else:
                if found.head.rows:
                    return found
        raise first or FeaturesError("none of the files holds a single patch.")

    def _refuse_other_encoder(self, library: Library) -> None:
        have, who = library.encoder, self.who
        if who.encoder is not None and who.encoder.fingerprint != have.fingerprint:
            hint = "leave --encoder out" if have.bound else "import into a new library with it"
            raise EncoderMismatchError(
                f"{library.path}: holds vectors of '{have.name}' ({have.fingerprint[:12]}), not of "
                f"{who.encoder.name} ({who.encoder.fingerprint[:12]}): {hint}.",
                expected=have.fingerprint,
                got=who.encoder.fingerprint,
            )
        if who.encoder is None and who.name not in ("", have.name):
            raise EncoderMismatchError(
                f"{library.path}: holds vectors of '{have.name}', not of '{who.name}': name a new "
                "library.",
                expected=have.name,
                got=who.name,
            )

    # ------------------------------------------------------------------ the encoder

    def _check(self, tasks: Sequence[Task], encoder: Encoder) -> None:
        """Compare the encoder with the vectors, on some slides that are at hand."""
        if self.agreement is not None:
            return
        here = [t for t in tasks if t.error is None and t.source.root and t.source.path.exists()]
        plans: list[Plan] = []
        for task in _spread(here):
            try:
                found = plan(task, self.given, self.opener)
            except SlideError:
                continue  # it is reported when its turn comes
            plans.append(found)
            if len(plans) == CHECK_SLIDES:
                break
        if plans or not here:
            self.agreement = check_encoder(plans, encoder, self.opener)

    def _library_encoder(self, library: Library) -> Encoder | None:
        if not library.encoder.bound or self.who.encoder is not None:
            return self.who.encoder
        from pathsearch.encoders import load_encoder

        return load_encoder(library.encoder_source())

    # ------------------------------------------------------------------ the slides

    def all_tasks(self, library: Library, tasks: Sequence[Task]) -> None:
        """Every file in turn, then the indexes; each slide is committed on its own."""
        self.listener.start(len(tasks), {t.source.slide_id: t.size[0] for t in tasks})
        todo = self._without_unchanged(library, tasks)
        if not todo:
            return
        encoder = self._library_encoder(library)
        if encoder is not None:
            self._check(todo, encoder)
        with library.writer() as writer:
            writer.sweep()
            number = writer.start_run("import")
            try:
                for task in todo:
                    self.listener.slide(task.source.slide_id)
                    self._record(self._one(library, writer, task))
                self._build_indexes(library, writer)
            except KeyboardInterrupt:
                self.interrupted = True
            for failed in (o for o in self.outcomes if o.kind == "failed"):
                writer.log(number, f"{failed.code}: {failed.message}", slide_id=failed.slide_id)
            report = Report(tuple(self.outcomes), 0.0)
            counts = {k: len(report.of(k)) for k in ("indexed", "empty", "unchanged", "failed")}
            writer.end_run(number, counts | {"patches": report.patches})

    def _without_unchanged(self, library: Library, tasks: Sequence[Task]) -> list[Task]:
        self.live = {(s.slide_id, s.spec): s for s in library.segments()}
        stamps = {(s.slide_id, s.facts.get(STAMP)) for s in self.live.values()}
        records = {r.slide_id: r for r in library.slides()}
        todo = []
        for task in tasks:
            slide_id = task.source.slide_id
            record = records.get(slide_id)
            known = (slide_id, self._stamp(task)) in stamps
            if record is not None and known and _same_file(task, record):
                self._record(Outcome(slide_id, "unchanged"))
            else:
                todo.append(task)
        return todo

    def _record(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.listener.outcome(outcome)

    def _stamp(self, task: Task) -> str:
        metadata = json.dumps(dict(task.source.metadata), sort_keys=True)
        source = task.source
        return task.stamp(self.given, source.mpp, source.case_id, metadata, task.size)

    def _one(self, library: Library, writer: Writer, task: Task) -> Outcome:
        slide_id = task.source.slide_id
        try:
            ready = plan(task, self.given, self.opener)
            self._refuse_length(library, ready)
            spec = ready.cut.nearest(library.specs.values())
            if spec is None:
                spec = ready.cut.as_spec(self.given.spec_mpp)
                writer.add_spec(spec)
            return self._write(library, writer, ready, spec)
        except (SlideError, EncoderMismatchError) as error:  # any other ends the run
            return Outcome(slide_id, "failed", code=error.code, message=str(error))

    def _refuse_length(self, library: Library, ready: Plan) -> None:
        if ready.head.rows and ready.head.dim != library.encoder.dim:
            if self.who.encoder is not None:
                refuse_other_length(ready, self.who.encoder)
            raise EncoderMismatchError(
                f"{ready.head.path}: its vectors have {ready.head.dim} numbers, those of "
                f"'{library.encoder.name}' {library.encoder.dim}; it is of another encoder.",
                expected=library.encoder.dim,
                got=ready.head.dim,
            )

    def _write(self, library: Library, writer: Writer, ready: Plan, spec: TileSpec) -> Outcome:
        record = ready.record
        if ready.task.source.root:
            writer.ensure_root(ready.task.source.root, ready.task.source.root_path)
        if not len(ready.rows):
            writer.put_empty(record, spec, ready.cut.footprint)
            return Outcome(record.slide_id, "empty")
        known = self.live.get((record.slide_id, spec.name))
        if known is not None and known.key == writer.key_for(record, spec):
            refuse_others(library, known, ready)
        facts = {
            STAMP: self._stamp(ready.task),
            DTYPE: ready.head.dtype,
            ATTRIBUTES: json.dumps(dict(ready.head.attributes), default=str),
        }
        segment = writer.open_segment(record, spec, ready.cut.footprint, facts=facts)
        try:
            bad = self._append(segment, ready)
            segment.commit(record, bad_patches=bad)
        except BaseException:
            segment.abort()
            raise
        if ready.thumbnail is not None:
            writer.save_thumbnail(record.slide_id, ready.thumbnail)
        self.resolutions.setdefault(spec.name, []).append(ready.cut.mpp / spec.mpp)
        return Outcome(record.slide_id, "indexed", segment.rows, note=note_on(ready, bad))

    def _append(self, segment: Any, ready: Plan) -> int:
        """Write the rows in blocks; how many vectors could not be used."""
        take = np.zeros(len(ready.xy), bool)
        take[ready.rows] = True
        bad = 0
        for first, block in read_vectors(ready.head):
            wide = block.astype(np.float64)
            lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
            usable = np.isfinite(lengths) & (lengths > 0)
            rows = take[first : first + len(block)]
            bad += int((rows & ~usable).sum())
            keep = rows & usable
            if bad > 0.2 * len(ready.rows):
                raise FeaturesError(
                    f"{ready.head.path}: more than a fifth of its vectors are not finite or are "
                    "zero; make the features again.",
                    path=str(ready.head.path),
                )
            if keep.any():
                scales = lengths[keep]
                segment.append(
                    ready.xy[first : first + len(block)][keep],
                    (wide[keep] / scales[:, None]).astype(np.float32),
                    np.ones(len(scales), np.float32),
                    scales.astype(np.float32),
                )
            done = first + len(block)
            self.listener.patches(ready.record.slide_id, done, ready.head.rows)
        return bad

    def _build_indexes(self, library: Library, writer: Writer) -> None:
        from pathsearch.search.build import UNCOVERED_SHARE, rebuild_index, uncovered_share

        for spec in library.specs:
            if uncovered_share(library, spec) > UNCOVERED_SHARE:
                self.listener.building(spec)
                rebuild_index(library, writer, spec)

    def notes(self) -> list[str]:
        """What the user should know of the whole."""
        found = [str(self.agreement) + "."] if self.agreement is not None else []
        for name, ratios in self.resolutions.items():
            off = [r for r in ratios if abs(r - 1) > 0.02]
            if off:
                found.append(
                    f"{name}: the patches of {len(off)} slides are {min(off):.2f} to "
                    f"{max(off):.2f} times as coarse as it says."
                )
        return found


def _spread(tasks: Sequence[Task]) -> list[Task]:
    """All tasks, those of the first places evenly over the whole."""
    first = np.linspace(0, len(tasks) - 1, min(CHECK_SLIDES, len(tasks))).round().astype(int)
    rest = [i for i in range(len(tasks)) if i not in set(first.tolist())]
    return [tasks[i] for i in [*first.tolist(), *rest]]


def _same_file(task: Task, record: SlideRecord) -> bool:
    """Whether a slide's file is as it was, or still missing."""
    source = task.source
    if not source.root or not source.path.exists():
        return True
    stamp = Stamp.of(source)
    return (record.file_size, record.file_mtime_ns) == (stamp.size, stamp.mtime_ns)
