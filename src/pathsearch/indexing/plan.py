"""What a run would do, how long it would take and how much disk, without doing it.

Every slide is opened. On some, spread evenly over the rest, tissue is looked for and patches
are counted; the others are estimated from those by their area. The rate is measured on this
machine, reading and encoding patches of the same slides for some seconds.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pathsearch.config import IndexSettings, TileSpec
from pathsearch.errors import SlideError
from pathsearch.indexing import threads
from pathsearch.indexing.pipeline import Readers, slide_opener
from pathsearch.indexing.reading import Cut, Ended, Opened, Task, View, as_jpeg
from pathsearch.indexing.report import Listener, Outcome
from pathsearch.indexing.settled import Holdings, Settled
from pathsearch.indexing.sources import Source
from pathsearch.nouns import Batch, Encoder, Slide

if TYPE_CHECKING:
    from pathsearch.library import Library

#: Slides that are looked over, and seconds that the rate is measured for.
SAMPLE, SECONDS = 24, 20.0
#: Of one patch besides its vector: coordinates, norm and tissue, in the arrays; coordinates
#: and norm again in the index.
_BESIDE, _BESIDE_INDEX = 16 + 4 + 4, 8 + 4
#: Files of a segment, and what each takes on a disk besides its content, bytes.
_FILES, _BLOCK = 10, 2048
#: For the percentiles: patches that are asked at each magnification, and the bytes of the
#: scores of one (35 ranks, three exclusions, float32).
_ASKED, _SCORES = 2000, 35 * 3 * 4


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes
    ----------
    found, unchanged, to_read : int
        Slides; `to_read` opened well and would be indexed.
    failed : tuple of Outcome
        Those that do not open, or cannot be cut.
    patches : int
        That would be encoded, over all magnifications.
    counted_on : int
        Slides on which the patches were counted; the rest is estimated by area.
    patches_per_second : float
        Measured, reading and encoding at once; 0 where there was nothing to measure.
    measured_patches : int
        What it was measured on.
    seconds : float
        That the run would take at this rate.
    bytes : int
        That the library would grow by, its search index included, a copy of the encoder not.
    free_bytes : int
        On the library's disk.
    """

    found: int
    unchanged: int
    to_read: int
    failed: tuple[Outcome, ...]
    patches: int
    counted_on: int
    patches_per_second: float
    measured_patches: int
    seconds: float
    bytes: int
    free_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As ``index --plan --json`` prints it."""
        fields = asdict(self)
        fields["failed"] = [
            {"slide_id": o.slide_id, "code": o.code, "message": o.message} for o in self.failed
        ]
        return fields


@dataclass(frozen=True)
class _Opened:
    """A slide that opened: mm², and where it was looked over patches and picture bytes."""

    task: Task
    area: float
    patches: int | None = None
    picture: int = 0


def make_plan(
    place: Path,
    library: Library | None,
    sources: Sequence[Source],
    encoder: Encoder,
    settings: IndexSettings,
    *,
    listener: Listener | None = None,
    retry_failed: bool = False,
) -> Plan:
    """Look at what a run would find. Writes nothing.

    Parameters
    ----------
    place : Path
        Where the library is, or would be.
    library : Library or None
        None where it would be made.
    sources : sequence of Source
    encoder : Encoder
    settings : IndexSettings
        With the specs of a new library, and those that would be added.
    listener : Listener, optional
    retry_failed : bool
    """
    told = listener or Listener()
    tasks, settled = _tasks(library, sources, settings, retry_failed)
    told.start(len(sources), {task.source.slide_id: task.stamp.size for task in tasks})
    failed = [s.outcome for s in settled if s.outcome.kind == "failed"]
    for done in settled:
        told.outcome(done.outcome)
    opened = _look(tasks, settings, failed, told)
    counted = [slide for slide in opened if slide.patches is not None]
    patches = _all_patches(opened, counted)
    rate, measured = _rate([slide.task for slide in counted], encoder, settings)
    pictures = sum(slide.picture for slide in counted) / max(len(counted), 1)
    segments = sum(len(slide.task.specs) for slide in opened)
    a_patch = 2 * 2 * encoder.dim + _BESIDE + _BESIDE_INDEX
    size = patches * a_patch + segments * _FILES * _BLOCK + len(opened) * pictures
    specs = len({spec.name for slide in opened for spec in slide.task.specs})
    size += _SCORES * min(_ASKED * specs, patches)
    return Plan(
        found=len(sources),
        unchanged=sum(s.outcome.kind == "unchanged" for s in settled),
        to_read=len(opened),
        failed=tuple(sorted(failed, key=lambda outcome: outcome.slide_id)),
        patches=patches,
        counted_on=len(counted),
        patches_per_second=rate,
        measured_patches=measured,
        seconds=patches / rate if rate else 0.0,
        bytes=round(size),
        free_bytes=shutil.disk_usage(_existing(place)).free,
    )


def _tasks(
    library: Library | None,
    sources: Sequence[Source],
    settings: IndexSettings,
    retry_failed: bool,
) -> tuple[list[Task], list[Settled]]:
    specs: list[TileSpec] = list(settings.specs)
    if library is not None:
        named = settings.specs if "specs" in settings.model_fields_set else ()
        specs = list((library.specs | {spec.name: spec for spec in named}).values())
    holdings = Holdings([] if library is None else [library])
    judged = [holdings.judged(s, specs, retry_failed=retry_failed) for s in sources]
    tasks = [found for found in judged if isinstance(found, Task)]
    return tasks, [found for found in judged if isinstance(found, Settled)]


def _look(
    tasks: Sequence[Task], settings: IndexSettings, failed: list[Outcome], told: Listener
) -> list[_Opened]:
    """Open every slide; look some of them over."""
    chosen = set(np.linspace(0, len(tasks) - 1, min(SAMPLE, len(tasks))).round().astype(int))
    found = []
    with slide_opener(settings.slides) as opener:
        for number, task in enumerate(tasks):
            name = task.source.slide_id
            try:
                with opener(
                    task.source.path, mpp=task.source.mpp, settings=settings.slides
                ) as slide:
                    told.slide(name)
                    found.append(_looked(task, slide, settings, number in chosen))
                outcome = Outcome(name, "indexed")
            except SlideError as error:
                outcome = Outcome(name, "failed", code=error.code, message=str(error))
                failed.append(outcome)
            told.outcome(outcome)
    return found


def _looked(task: Task, slide: Slide, settings: IndexSettings, closely: bool) -> _Opened:
    from pathsearch.tiling.grid import check_resolution

    _, _, width, height = slide.bounds
    area = width * height * (slide.mpp / 1000) ** 2
    for spec in task.specs:
        check_resolution(slide, spec)
    if not closely:
        return _Opened(task, area)
    view = View(slide, task.source.drawn, settings)
    patches = sum(len(view.tile(spec)) for spec in task.specs)
    return _Opened(task, area, patches, len(as_jpeg(view.thumbnail())))


def _all_patches(opened: Sequence[_Opened], counted: Sequence[_Opened]) -> int:
    """Counted ones, and the others by their area and number of magnifications."""
    known = sum(slide.patches or 0 for slide in counted)
    area = sum(slide.area * len(slide.task.specs) for slide in counted)
    rest = sum(s.area * len(s.task.specs) for s in opened if s.patches is None)
    return known + (round(rest * known / area) if area else 0)


def _rate(tasks: Sequence[Task], encoder: Encoder, settings: IndexSettings) -> tuple[float, int]:
    """Patches a second, reading and encoding at once, and how many were measured."""
    patches, began, ended = 0, 0.0, 0.0
    with (
        threads.encoding_threads(),
        contextlib.suppress(_Enough),
        Readers(tasks, settings, lambda *_: None) as readers,
    ):
        for _, event in readers:
            if isinstance(event, Opened | Cut | Ended):
                began = began or time.perf_counter()
            if isinstance(event, Batch):
                encoder.encode(event.pixels)
                patches += len(event.ok)
            ended = time.perf_counter()
            if began and ended - began > SECONDS:
                raise _Enough
    elapsed = ended - began if began else 0.0
    return (patches / elapsed if patches else 0.0), patches


class _Enough(Exception):  # noqa: N818  the measurement has run its time
    pass


def _existing(place: Path) -> Path:
    """The folder that is there, of those above a place that may not be."""
    here = place.absolute()
    while not here.exists():
        here = here.parent
    return here
