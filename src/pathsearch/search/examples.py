"""Examples to vectors, and to the places that an answer must not return."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderNotFoundError, QueryError, SlideError, SlideNotFoundError
from pathsearch.nouns import (
    Encoder,
    Example,
    Picture,
    Point,
    Region,
    Slide,
    TileSpec,
    Vector,
)
from pathsearch.search.cover import Cover, cover_region, overlapping, patch_at, region_geometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapely import Geometry

    from pathsearch.library import Library, SlideRecord

_ENCODE_BATCH = 64
#: Examples of up to so many patches are averaged over their turned and mirrored views.
TURN_UP_TO = 4


@dataclass(frozen=True)
class OwnSpot:
    """Where a query comes from.

    Attributes
    ----------
    slides : frozenset of str
        Ids in the library that are this slide: usually one, none for an outside slide.
    geometry : shapely geometry
        The region and the patches that stand for it, level-0 pixels.
    """

    slides: frozenset[str]
    geometry: Geometry


@dataclass(frozen=True)
class EncodedExample:
    """One example as vectors.

    Attributes
    ----------
    vectors : float32 array, shape (n, dim), unit length
    weights : float32 array, shape (n,)
    own : OwnSpot or None
        None for pictures and vectors.
    notes : tuple of str
        What the user should know, e.g. that a large region was sampled.
    offsets : float64 array, shape (n, 2), or None
        Of each patch's corner from the example's corner, in patch widths; None for vectors.
    size : tuple of float
        Width and height of the example, in patch widths.
    """

    vectors: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    own: OwnSpot | None = None
    notes: tuple[str, ...] = field(default=())
    offsets: npt.NDArray[np.float64] | None = None
    size: tuple[float, float] = (1.0, 1.0)


class StoredPatches(Protocol):
    """The library's own vectors of a slide, for when its file is not at hand."""

    def of_slide(
        self, slide_id: str
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], int] | None:
        """Corners (n, 2), vectors (n, dim), footprint; None where the slide has none."""
        ...


class ExampleEncoder:
    """Turn the examples of a query into vectors.

    Parameters
    ----------
    library : Library
    encoder : Encoder or None
        None where the library has none (imported vectors): stored patches answer for
        places on its slides, and nothing else can be asked.
    spec : TileSpec
        The magnification that is searched.
    stored : StoredPatches
    slides : mapping of slide id to SlideRecord, optional
        The library's slides, where the caller has them at hand.
    turned : bool
        Average examples of up to four patches over their turned and mirrored views.
    """

    def __init__(
        self,
        library: Library,
        encoder: Encoder | None,
        spec: TileSpec,
        stored: StoredPatches,
        *,
        slides: Mapping[str, SlideRecord] | None = None,
        turned: bool = False,
    ) -> None:
        self._library = library
        self._encoder = encoder
        self._spec = spec
        self._stored = stored
        self._slides = slides
        self._turned = turned

    def encode(self, example: Example) -> EncodedExample:
        """The example's vectors.

        Raises
        ------
        QueryError
            The example lies outside its slide, or its vector has another length.
        SlideNotFoundError
            Neither the library nor the disk has that slide.
        EncoderNotFoundError
            Pixels would have to be encoded, and the library has no encoder.
        """
        if isinstance(example, Vector):
            return self._vector(example)
        if isinstance(example, Picture):
            return self._picture(example)
        return self._place(example)

    def _vector(self, example: Vector) -> EncodedExample:
        values = np.asarray(example.values, np.float32)
        norm = float(np.linalg.norm(values))
        dim = self._library.encoder.dim
        if values.shape != (dim,) or not np.isfinite(norm) or norm == 0:
            raise QueryError(
                f"a vector must hold {dim} finite numbers that are not all 0; got {values.size}."
            )
        return EncodedExample((values / norm)[None, :], np.ones(1, np.float32))

    def _picture(self, example: Picture) -> EncodedExample:
        if self._encoder is None:
            self._library.encoder_source()  # raises, and says what can be asked
        from pathsearch.slides import open_slide

        with open_slide(example.path, mpp=example.mpp, color=self._spec.color) as slide:
            side = self._footprint(slide.mpp)
            width, height = slide.size
            whole = region_geometry(Region.rectangle("", 0, 0, width, height))
            if width < side or height < side:
                wide = max(width, height) * slide.mpp
                raise QueryError(
                    f"{example.path}: {wide:.0f} µm at {slide.mpp:g} µm per pixel is smaller than "
                    f"a patch ({side * slide.mpp:.0f} µm). Give a larger picture, or check @MPP."
                )
            cover = cover_region(whole, side)
            vectors = self._read(slide, cover.xy)
        offsets, size = _layout(cover.xy, side)
        return EncodedExample(vectors, cover.weights, None, self._sampled(cover), offsets, size)

    def _place(self, example: Region | Point) -> EncodedExample:
        record = find_record(self._library, example.slide)
        try:
            if self._encoder is None:
                self._library.encoder_source()  # raises, and says what can be asked
            with self._opened(example.slide, record) as slide:
                return self._from_pixels(example, slide, record)
        except (SlideError, EncoderNotFoundError) as error:
            stored = self._stored.of_slide(record.slide_id) if record else None
            if record is None or stored is None:
                raise
            return self._from_stored(example, record, stored, error)

    def _from_pixels(
        self, example: Region | Point, slide: Slide, record: SlideRecord | None
    ) -> EncodedExample:
        side = self._footprint(slide.mpp)
        cover = _inside(_cover(example, side), side, slide.size, example)
        notes = self._sampled(cover)
        if record is not None and record.fingerprint not in ("", slide.fingerprint):
            notes += (f"{record.slide_id} has changed since it was indexed: index it again.",)
        own = OwnSpot(self._twins(slide.fingerprint, record), _spot(example, cover, side))
        offsets, size = _layout(cover.xy, side)
        vectors = self._read(slide, cover.xy)
        return EncodedExample(vectors, cover.weights, own, notes, offsets, size)

    def _from_stored(
        self,
        example: Region | Point,
        record: SlideRecord,
        stored: tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], int],
        error: SlideError | EncoderNotFoundError,
    ) -> EncodedExample:
        xy, vectors, side = stored
        cover = _cover(example, side)
        spot = _spot(example, cover, side)
        hit = overlapping(spot, xy, side)
        if not hit.any():
            raise QueryError(
                f"{error} The library's stored patches cannot stand in for it: "
                "none lies where the example is."
            ) from error
        missing = isinstance(error, SlideError)
        why = f"is not at hand ({error.code})" if missing else "the library has no encoder"
        note = f"{record.slide_id}{' ' if missing else ': '}{why}: asked with its stored patches."
        own = OwnSpot(self._twins(record.fingerprint, record), spot)
        offsets, size = _layout(xy[hit], side)
        weights = np.ones(int(hit.sum()), np.float32)
        return EncodedExample(vectors[hit], weights, own, (note,), offsets, size)

    def _twins(self, fingerprint: str, record: SlideRecord | None) -> frozenset[str]:
        """Ids of the slide itself and of its copies: a file under two names is one slide."""
        known = self._library.slides() if self._slides is None else self._slides.values()
        ids = {r.slide_id for r in known if fingerprint == r.fingerprint != ""}
        return frozenset(ids | ({record.slide_id} if record is not None else set()))

    @contextmanager
    def _opened(self, name: str, record: SlideRecord | None) -> Iterator[Slide]:
        from pathsearch.slides import open_slide

        if record is None:
            path: Path | None = Path(name)
        else:
            path = self._library.locate(record)
        mpp = record.mpp if record is not None else None
        with open_slide(str(path), mpp=mpp, color=self._spec.color) as slide:
            yield slide

    def _read(self, slide: Slide, xy: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        from pathsearch.slides import stream_patches

        found = []
        for batch in stream_patches(
            slide,
            xy,
            self._spec.size_px,
            self._spec.mpp,
            batch_size=_ENCODE_BATCH,
            threads=min(4, os.cpu_count() or 1),
        ):
            if not batch.ok.all():
                raise QueryError(
                    f"{Path(slide.path).name}: pixels of the example cannot be read; mark "
                    "another spot."
                )
            found.append(self._vectors(batch.pixels, few=len(xy) <= TURN_UP_TO))
        return np.concatenate(found)

    def _vectors(self, pixels: npt.NDArray[np.uint8], *, few: bool) -> npt.NDArray[np.float32]:
        """Vectors of patches (n, h, w, 3); of a few, the mean over their eight views."""
        assert self._encoder is not None
        if not (self._turned and few):
            return self._encoder.encode(pixels)
        views = [
            np.rot90(p, turns, axes=(1, 2))
            for p in (pixels, pixels[:, :, ::-1])
            for turns in range(4)
        ]
        vectors = self._encoder.encode(np.concatenate(views)).reshape(8, len(pixels), -1)
        mean = vectors.mean(axis=0)
        norms = np.linalg.norm(mean, axis=1, keepdims=True)
        return np.asarray(mean / np.maximum(norms, 1e-12), np.float32)

    def _footprint(self, mpp: float) -> int:
        return max(1, round(self._spec.size_px * self._spec.mpp / mpp))

    @staticmethod
    def _sampled(cover: Cover) -> tuple[str, ...]:
        used = len(cover.xy)
        if cover.total == used:
            return ()
        return (f"the region has {cover.total} patches: {used} of them, evenly spread, were used.",)


def _layout(
    xy: npt.NDArray[np.int64], side: int
) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
    """Offsets from the common corner and size of the whole, in patch widths."""
    low = xy.min(axis=0)
    width, height = ((xy.max(axis=0) - low) / side + 1).tolist()
    return (xy - low) / side, (width, height)


def find_record(library: Library, name: str) -> SlideRecord | None:
    """The library's slide of that id, path or unambiguous file name.

    Returns
    -------
    SlideRecord or None
        None where `name` is a file that is not in the library.

    Raises
    ------
    SlideNotFoundError
        It is neither; the message names ids that are close.
    """
    try:
        return library.slide(name)
    except SlideNotFoundError as error:
        missing = error
    path = Path(name).expanduser()
    if path.exists():
        home = library.root_for(path)
        if home is not None:
            for record in library.slides():
                if (record.root, record.path) == home:
                    return record
        return None
    ends = [r for r in library.slides() if r.slide_id.endswith("/" + name)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        ids = ", ".join(r.slide_id for r in ends[:3])
        raise SlideNotFoundError(f"'{name}' could be {ids}: give the whole id.", slide_id=name)
    raise missing


def _cover(example: Region | Point, side: int) -> Cover:
    if isinstance(example, Point):
        return Cover(patch_at(example.x, example.y, side), np.ones(1, np.float32), 1)
    return cover_region(region_geometry(example), side)


def _spot(example: Region | Point, cover: Cover, side: int) -> Geometry:
    """The region together with the patches that were taken for it."""
    import shapely

    x, y = cover.xy[:, 0], cover.xy[:, 1]
    parts = list(shapely.box(x, y, x + side, y + side))
    if isinstance(example, Region):
        parts.append(region_geometry(example))
    return shapely.union_all(parts)


def _inside(cover: Cover, side: int, size: tuple[int, int], example: Region | Point) -> Cover:
    """The patches whose centre lies on the slide; QueryError where there is none."""
    centre = cover.xy + side / 2
    keep = ((centre >= 0) & (centre < np.asarray(size))).all(axis=1)
    if not keep.any():
        raise QueryError(
            f"{example.slide}: the example lies outside the slide, which is "
            f"{size[0]} x {size[1]} level-0 pixels."
        )
    outside = int((~keep).sum())
    return Cover(cover.xy[keep], cover.weights[keep], cover.total - outside)
