"""The reading half of indexing: a slide file to pixels, in a thread of its own.

It never writes. What it finds goes to the writing half (`pathsearch.indexing.writing`) as
events, in this order: `Opened`, then for each magnification either `Kept`, or `Cut`, its
`Batch`es and `CutDone`; a `SpecFailed` ends a magnification at any place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from pathsearch.config import IndexSettings, SlideSettings
from pathsearch.errors import SlideCrashedError, SlideError, SlideTimeoutError
from pathsearch.indexing.drawn import Drawn
from pathsearch.indexing.sources import Source
from pathsearch.nouns import Array, Batch, Slide, TileSpec, Tiling

if TYPE_CHECKING:
    from pathsearch.library import SegmentRecord, SlideRecord
    from pathsearch.tiling import Found

#: Asks the library for whole arrays of a slide's content, a spec and a choice of regions.
Stored = Callable[["SlideRecord", TileSpec, str], "SegmentRecord | None"]


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
class Task:
    """One slide that has to be read.

    Attributes
    ----------
    source : Source
    stamp : Stamp
    specs : tuple of TileSpec
        Those that the library lacks of it.
    had : mapping of spec name to str
        The regions that the library's present patches were chosen by; empty without any.
    """

    source: Source
    stamp: Stamp
    specs: tuple[TileSpec, ...]
    had: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """The slide is open: what the catalog keeps of it, and a small picture as JPEG."""

    record: SlideRecord
    picture: bytes


@dataclass(frozen=True)
class Kept:
    """The library has the patches of this very content: only touched, or brought back."""

    spec: TileSpec
    segment: SegmentRecord


@dataclass(frozen=True)
class Cut:
    """The patches to take; `lifted` where the user's regions chose them before, but not now."""

    spec: TileSpec
    tiling: Tiling
    regions: str = ""
    lifted: bool = False


@dataclass(frozen=True)
class CutDone:
    """All patches of the `Cut` were sent."""


@dataclass(frozen=True)
class SpecFailed:
    """A magnification could not be read; the others go on."""

    spec: TileSpec
    error: SlideError


@dataclass(frozen=True)
class Ended:
    """The last event of a slide; with the error, where it could not be opened at all."""

    error: Exception | None = None


Event = Opened | Kept | Cut | Batch | CutDone | SpecFailed | Ended


@dataclass(frozen=True)
class TaskReader:
    """Reads slides, one after the other.

    Attributes
    ----------
    opener : Opener
    settings : IndexSettings
    threads : int
        That decode.
    stored : Stored
    """

    opener: Opener
    settings: IndexSettings
    threads: int
    stored: Stored

    def events(self, task: Task) -> Iterator[Event]:
        """All but the `Ended` of one slide.

        Raises
        ------
        SlideError
            It cannot be opened.
        """
        # One opening serves all specs of a colour, and is not shared where a child has died
        to_do = sorted(task.specs, key=lambda spec: spec.color)
        first = True
        while to_do:
            color = to_do[0].color
            path, mpp = task.source.path, task.source.mpp
            with self.opener(path, mpp=mpp, color=color, settings=self.settings.slides) as slide:
                view = View(slide, task.source.drawn, self.settings)
                record = record_of(task.source, task.stamp, slide)
                if first:
                    yield Opened(record, as_jpeg(view.thumbnail()))
                    first = False
                while to_do and to_do[0].color == color:
                    spec = to_do.pop(0)
                    try:
                        yield from self._spec(task, view, record, spec)
                    except SlideError as error:
                        yield SpecFailed(spec, error)
                        if isinstance(error, SlideTimeoutError | SlideCrashedError):
                            break

    def _spec(self, task: Task, view: View, record: SlideRecord, spec: TileSpec) -> Iterator[Event]:
        from pathsearch.slides import stream_patches
        from pathsearch.slides.streaming import limit_bad

        had, drawn = task.had.get(spec.name, ""), task.source.drawn
        kept = self.stored(record, spec, drawn.token if drawn else had)
        if kept is not None:
            yield Kept(spec, kept)
            return
        tiling = view.tile(spec)
        yield Cut(spec, tiling, drawn.token if drawn else "", bool(had and drawn is None))
        if len(tiling):
            batches = stream_patches(
                view.slide,
                tiling.xy,
                spec.size_px,
                spec.mpp,
                batch_size=self.settings.batch_size,
                threads=self.threads,
            )
            limit = self.settings.slides.max_bad_share
            yield from limit_bad(batches, len(tiling), limit, record.slide_id)
        yield CutDone()


class View:
    """One open slide; its overview is read once, for the thumbnail and for every spec.

    Parameters
    ----------
    slide : Slide
    drawn : Drawn or None
        The user's regions.
    settings : IndexSettings
    """

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
