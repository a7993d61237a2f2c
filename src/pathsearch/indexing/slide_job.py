"""One slide to committed segments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from pathsearch.config import IndexSettings, SlideSettings
from pathsearch.errors import BadTilesError
from pathsearch.indexing.sources import Source
from pathsearch.nouns import Array, Encoder, Slide, TileSpec, Tiling

if TYPE_CHECKING:
    from pathsearch.library import SlideRecord, Writer

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
    """

    patches: int
    empty: bool
    bad_patches: int


@dataclass
class SlideJob:
    """Cut, encode and commit one slide under every spec that lacks it."""

    writer: Writer
    encoder: Encoder
    settings: IndexSettings
    opener: Opener
    progress: Progress

    def run(self, source: Source, stamp: Stamp, specs: Sequence[TileSpec]) -> Done:
        """Index a slide.

        Raises
        ------
        SlideError
            It cannot be opened or read; nothing of the failing spec is kept.
        """
        from pathsearch.tiling import thumbnail, tile

        done = Done(0, True, 0)
        with self.opener(source.path, mpp=source.mpp, settings=self.settings.slides) as slide:
            record = record_of(source, stamp, slide)
            small, _ = thumbnail(slide, self.settings.thumbnail_px)
        for spec in specs:
            with self.opener(
                source.path, mpp=source.mpp, color=spec.color, settings=self.settings.slides
            ) as slide:
                kept = self.writer.reuse_segment(record, spec)
                if (
                    kept is not None
                ):  # the same content was encoded before: only touched, or removed
                    done = _sum(done, Done(0, kept.rows == 0, kept.bad_patches))
                    continue
                tiling = tile(slide, spec, tissue=self.settings.tissue)
                done = _sum(done, self._segment(slide, record, spec, tiling))
        self.writer.save_thumbnail(source.slide_id, as_jpeg(small))
        return done

    def _segment(self, slide: Slide, record: SlideRecord, spec: TileSpec, tiling: Tiling) -> Done:
        from pathsearch.slides import stream_patches

        if len(tiling) == 0:
            self.writer.put_empty(record, spec, footprint=tiling.footprint)
            return Done(0, True, 0)
        bad = 0
        segment = self.writer.open_segment(record, spec, footprint=tiling.footprint)
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
    return Done(a.patches + b.patches, a.empty and b.empty, a.bad_patches + b.bad_patches)
