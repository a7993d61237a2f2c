"""One slide to committed segments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from pathsearch.config import IndexSettings, SlideSettings
from pathsearch.errors import BadTilesError
from pathsearch.indexing.sources import Source
from pathsearch.nouns import Array, Encoder, Slide, TileSpec, Tiling

if TYPE_CHECKING:
    from pathsearch.indexing.drawn import Drawn
    from pathsearch.library import SegmentRecord, SlideRecord, Writer
    from pathsearch.tiling import Found

#: Called with the patches done so far and the slide's patches in all.
Progress = Callable[[int, int], None]


class Opener(Protocol):
    """`pathsearch.slides.open_slide`, or its twin that reads in a child process."""

    def __call__(
        self,
        path: Path | str,
        *,
        mpp: float | None = None,
        color: Literal["raw", "srgb"] = "raw",
        settings: SlideSettings | None = None,
    ) -> Slide:
        """Open a slide."""
        ...


@contextmanager
def slide_opener(settings: SlideSettings) -> Iterator[Opener]:
    """How a run opens its slides: in a child process, unless the settings say otherwise."""
    if not settings.isolate:
        from pathsearch.slides import open_slide

        yield open_slide
        return
    from pathsearch.indexing.isolate import SlideProcess

    with SlideProcess(settings.deadline_s) as process:
        yield process.open_slide


@dataclass(frozen=True)
class Stamp:
    """What tells an unchanged slide without reading it: bytes and the newest change."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, source: Source) -> Stamp:
        """The stamp of all files of a slide; zeros where one is missing."""
        try:
            stats = [os.stat(file) for file in source.files]  # noqa: PTH116
        except OSError:
            return cls(0, 0)
        return cls(sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats))


@dataclass(frozen=True)
class Done:
    """What came of a slide.

    Attributes
    ----------
    patches : int
        Written now, over all specs.
    empty : bool
        No tissue was found under any spec.
    bad_patches : int
        Could not be read and were left out.
    lifted : bool
        Patches were chosen by the user's regions before, and by the tissue now.
    """

    patches: int
    empty: bool
    bad_patches: int
    lifted: bool = False


class _View:
    """One open slide; its overview is read once, for the thumbnail and for every spec."""

    def __init__(self, slide: Slide, drawn: Drawn | None, settings: IndexSettings) -> None:
        self.slide = slide
        self.drawn = drawn
        self._settings = settings
        self._found: Found | None = None

    def thumbnail(self) -> Array:
        """A small picture of the slide, uint8 (h, w, 3)."""
        from pathsearch.tiling import shrunk, thumbnail

        longest = self._settings.thumbnail_px
        small = None
        if self._needs_tissue:
            small = shrunk(self._tissue()[0], self.slide, longest)
        return thumbnail(self.slide, longest)[0] if small is None else small

    def tile(self, spec: TileSpec) -> Tiling:
        """The patches to take."""
        from pathsearch.tiling import tile

        return tile(
            self.slide,
            spec,
            regions=self.drawn.regions if self.drawn else None,
            regions_mode=self.drawn.mode if self.drawn else "replace",
            found=self._tissue() if self._needs_tissue else None,
        )

    @property
    def _needs_tissue(self) -> bool:
        drawn = self.drawn
        return drawn is None or drawn.regions is None or drawn.mode == "restrict"

    def _tissue(self) -> Found:
        from pathsearch.tiling import find_tissue

        if self._found is None:
            self._found = find_tissue(self.slide, self._settings.tissue)
        return self._found


@dataclass
class SlideJob:
    """Cut, encode and commit one slide under every spec that lacks it."""

    writer: Writer
    encoder: Encoder
    settings: IndexSettings
    opener: Opener
    progress: Progress
    #: What the library has, by slide and spec: says which regions a slide had.
    before: Mapping[tuple[str, str], SegmentRecord] = field(default_factory=dict)

    def run(self, source: Source, stamp: Stamp, specs: Sequence[TileSpec]) -> Done:
        """Index a slide.

        Raises
        ------
        SlideError
            It cannot be opened or read; nothing of the failing spec is kept.
        """
        done = Done(0, True, 0)
        small: Array | None = None
        for color in dict.fromkeys(spec.color for spec in specs):
            with self.opener(
                source.path, mpp=source.mpp, color=color, settings=self.settings.slides
            ) as slide:
                view = _View(slide, source.drawn, self.settings)
                record = record_of(source, stamp, slide)
                small = view.thumbnail() if small is None else small
                for spec in (spec for spec in specs if spec.color == color):
                    done = _sum(done, self._spec(view, record, spec))
        if small is not None:
            self.writer.save_thumbnail(source.slide_id, as_jpeg(small))
        return done

    def _spec(self, view: _View, record: SlideRecord, spec: TileSpec) -> Done:
        before = self.before.get((record.slide_id, spec.name))
        had = before.regions if before else ""
        kept = self.writer.reuse_segment(record, spec, view.drawn.token if view.drawn else had)
        if kept is not None:  # the same content was encoded before: only touched, or removed
            return Done(0, kept.rows == 0, kept.bad_patches)
        done = self._segment(view, record, spec)
        return replace(done, lifted=bool(had and view.drawn is None))

    def _segment(self, view: _View, record: SlideRecord, spec: TileSpec) -> Done:
        from pathsearch.slides import stream_patches

        slide, tiling = view.slide, view.tile(spec)
        regions = view.drawn.token if view.drawn else ""
        if len(tiling) == 0:
            self.writer.put_empty(record, spec, footprint=tiling.footprint, regions=regions)
            return Done(0, True, 0)
        bad = 0
        segment = self.writer.open_segment(record, spec, tiling.footprint, regions=regions)
        try:
            for batch in stream_patches(
                slide,
                tiling.xy,
                spec.size_px,
                spec.mpp,
                batch_size=self.settings.batch_size,
                threads=self.settings.threads or os.cpu_count() or 1,
            ):
                rows = batch.first + np.flatnonzero(batch.ok)
                bad += int((~batch.ok).sum())
                self._refuse_bad(bad, len(tiling), record.slide_id)
                if len(rows):
                    vectors = self.encoder.encode(batch.pixels[batch.ok])
                    segment.append(tiling.xy[rows], vectors, tiling.tissue[rows])
                self.progress(batch.first + len(batch.ok), len(tiling))
            segment.commit(record, bad_patches=bad)
        except BaseException:
            segment.abort()
            raise
        return Done(len(tiling) - bad, False, bad)

    def _refuse_bad(self, bad: int, total: int, slide_id: str) -> None:
        limit = self.settings.slides.max_bad_share
        if bad > limit * total:
            raise BadTilesError(
                f"{slide_id}: {bad} of {total} patches cannot be read, more than "
                f"{100 * limit:g}%. Copy the file again, or raise slides.max_bad_share.",
                slide_id=slide_id,
                bad=bad,
                total=total,
            )


def record_of(source: Source, stamp: Stamp, slide: Slide) -> SlideRecord:
    """What the catalog keeps of an opened slide."""
    from pathsearch.library import SlideRecord

    width, height = slide.size
    return SlideRecord(
        slide_id=source.slide_id,
        root=source.root,
        path=source.relative,
        case_id=source.case_id,
        width=width,
        height=height,
        mpp=slide.mpp,
        bounds=slide.bounds,
        fingerprint=slide.fingerprint,
        file_size=stamp.size,
        file_mtime_ns=stamp.mtime_ns,
        vendor=slide.info.vendor,
        scanner=slide.info.scanner,
        objective=slide.info.objective,
        metadata=source.metadata,
    )


def as_jpeg(pixels: Array) -> bytes:
    """A picture (h, w, 3) as JPEG bytes."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _sum(a: Done, b: Done) -> Done:
    return Done(
        a.patches + b.patches,
        a.empty and b.empty,
        a.bad_patches + b.bad_patches,
        a.lifted or b.lifted,
    )
