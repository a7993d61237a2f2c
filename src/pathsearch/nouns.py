"""The values and protocols that pass between the rooms; nothing else.

Every x and y is in level-0 pixels, origin top-left, x right, y down, of the top-left
corner. Every resolution is in µm per pixel (mpp).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from pathsearch.config import TileSpec

__all__ = [
    "Array",
    "Batch",
    "Combine",
    "Encoder",
    "Example",
    "Exclude",
    "Footprint",
    "Index",
    "Level",
    "Match",
    "PatchKey",
    "Picture",
    "Point",
    "Query",
    "Region",
    "Slide",
    "SlideInfo",
    "TileSpec",
    "Tiling",
    "Vector",
]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a slide's pyramid.

    Attributes
    ----------
    width, height : int
        In pixels of this level.
    downsample : float
        Level-0 pixels per pixel of this level; often not an integer (4.016).
    """

    width: int
    height: int
    downsample: float


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """What is kept of the vendor's properties; nothing else may be."""

    vendor: str = ""
    scanner: str = ""
    objective: float | None = None
    reader: str = ""


@runtime_checkable
class Slide(Protocol):
    """An open image. Never reads label or macro images. Safe to read from several threads."""

    @property
    def path(self) -> str:
        """The file, as it was opened."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in level-0 pixels."""
        ...

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel."""
        ...

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the part that was scanned, level-0 pixels."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]:
        """The stored resolutions, finest first."""
        ...

    @property
    def info(self) -> SlideInfo:
        """Vendor, scanner, objective and the reader in use."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content that decides the pixels; not of the file's name."""
        ...

    def read(self, x: float, y: float, w: int, h: int, mpp: float) -> npt.NDArray[np.uint8]:
        """Pixels of a region at a resolution.

        Parameters
        ----------
        x, y : float
            Top-left corner in level-0 pixels. The region may reach outside the slide:
            there the background colour is returned, never black.
        w, h : int
            Size of the answer in pixels at `mpp`.
        mpp : float
            Resolution of the answer, µm per pixel.

        Returns
        -------
        uint8 array, shape (h, w, 3), RGB

        Raises
        ------
        ResolutionTooCoarseError
            The slide would have to be enlarged by more than 1.5 times.
        ReadFailedError
            The pixels cannot be decoded. Later reads elsewhere still work.
        """
        ...

    def close(self) -> None:
        """Give the file back. Reading afterwards raises ValueError."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Tiling:
    """The patches of one slide under one spec.

    Attributes
    ----------
    xy : int64 array, shape (n, 2)
        Level-0 x, y of the top-left corners, in reading order (rows from the top).
    tissue : float32 array, shape (n,)
        Share of each patch that is tissue, 0..1.
    footprint : int
        Width and height of every patch in level-0 pixels.
    tissue_share : float
        Share of the slide's bounds that is tissue, 0..1.
    """

    xy: npt.NDArray[np.int64]
    tissue: npt.NDArray[np.float32]
    footprint: int
    tissue_share: float = 0.0

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some patches of one slide, in the order of the grid that was asked for.

    Attributes
    ----------
    first : int
        Position of the batch's first patch in the grid.
    pixels : uint8 array, shape (n, size, size, 3)
    ok : bool array, shape (n,)
        False where the pixels could not be read (a corrupt tile); those are white.
    """

    first: int
    pixels: npt.NDArray[np.uint8]
    ok: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, order=True)
class PatchKey:
    """Identity of a patch: where it is, never what it holds."""

    slide_id: str
    spec: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """A rectangle in level-0 pixels."""

    x: int
    y: int
    width: int
    height: int


@runtime_checkable
class Encoder(Protocol):
    """Pixels to unit vectors."""

    @property
    def name(self) -> str:
        """How it is called in messages and in the library."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def input_px(self) -> int:
        """Width and height of the patches that it was made for."""
        ...

    @property
    def mpp_range(self) -> tuple[float, float]:
        """Resolutions it was trained on, µm per pixel; outside it, callers warn."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest over weights and preprocessing; not over precision or device."""
        ...

    @property
    def copyable(self) -> bool:
        """Whether its licence permits a copy inside a library."""
        ...

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Vectors of patches.

        Parameters
        ----------
        pixels : uint8 array, shape (n, h, w, 3), RGB

        Returns
        -------
        float32 array, shape (n, dim), L2-normalised
        """
        ...

    def save(self, folder: str) -> None:
        """Write what `pathsearch.encoders.load_encoder` takes back."""
        ...


class Index(Protocol):
    """Vectors to nearest rows."""

    @property
    def size(self) -> int:
        """Number of vectors covered: ordinals 0..size-1."""
        ...

    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        allowed: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The nearest vectors by inner product.

        Parameters
        ----------
        queries : float32 array, shape (q, dim), L2-normalised
        k : int
        allowed : int64 array, shape (m, 2), optional
            Sorted, disjoint ordinal ranges [start, stop); None allows all.

        Returns
        -------
        scores : float32 array, shape (q, k)
            Descending; -inf where there are fewer than `k`.
        ordinals : int64 array, shape (q, k)
            -1 where there are fewer than `k`.
        """
        ...


#: A closed ring of level-0 x, y corners; a polygon is its outline, then its holes.
Ring = tuple[tuple[float, float], ...]
Polygon = tuple[Ring, ...]

#: What an answer leaves out: patches that overlap the query, its slides, or its cases.
Exclude = Literal["overlap", "slide", "case"]


@dataclass(frozen=True, slots=True)
class Region:
    """An area of a slide, of any shape.

    Attributes
    ----------
    slide : str
        An id in the library, or the path of a slide that is not in it.
    polygons : tuple of polygons
        Level-0 pixels.
    """

    slide: str
    polygons: tuple[Polygon, ...]

    @classmethod
    def rectangle(cls, slide: str, x: float, y: float, w: float, h: float) -> Region:
        """The rectangle with its top-left corner at x, y; level-0 pixels."""
        return cls(slide, ((((x, y), (x + w, y), (x + w, y + h), (x, y + h)),),))


@dataclass(frozen=True, slots=True)
class Point:
    """The patch centred on a place: level-0 x, y of its centre."""

    slide: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file, and how many µm a pixel of it is."""

    path: str
    mpp: float


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding of the library's own encoder."""

    values: tuple[float, ...]


Example = Region | Point | Picture | Vector


#: How several patches make one question: their mean, the best of them, or area by area.
Combine = Literal["mean", "max", "set"]


#: How far, in patch widths, matches keep from the query's own spot unless told otherwise.
GUARD = 0.5


@dataclass(frozen=True, slots=True)
class Query:
    """A question.

    Attributes
    ----------
    like, unlike : tuple of examples
        What the matches should look like (at least one, or accepted patches), and not.
    accepted, rejected : tuple of PatchKey
        Matches judged in earlier rounds; they change the query and are not served again.
    shown : tuple of PatchKey
        Matches that were seen; not served again.
    exclude : {'overlap', 'slide', 'case'}
        What is never returned; patches on the query's own spot never are.
    guard : float
        Nor are those nearer to it than this, in patch widths.
    where : str
        Filter over the catalog's columns (`pathsearch.search.where`).
    spec : str
        The tile spec to search; empty where the library has one, ``all`` for every one.
    k : int
        Number of matches wanted.
    per_slide, per_case : int or None
        At most so many from one slide or case.
    spacing : float
        Least distance between the centres of two matches of a slide, in patch widths.
    diversity : float
        0 ranks by score alone; up to 1, matches unlike those before them come forward
        (maximal marginal relevance, Carbonell and Goldstein 1998).
    combine : {'mean', 'max', 'set'}
        Mean of the examples' patches; the best of them; or areas of the region's size,
        compared patch by patch in both directions.
    rotations : bool
        Average up to four patches over their turned and mirrored views.
    exact : bool
        Compare with every patch instead of asking the index.
    """

    like: tuple[Example, ...] = ()
    unlike: tuple[Example, ...] = ()
    accepted: tuple[PatchKey, ...] = ()
    rejected: tuple[PatchKey, ...] = ()
    shown: tuple[PatchKey, ...] = ()
    exclude: Exclude = "overlap"
    where: str = ""
    spec: str = ""
    k: int = 20
    per_slide: int | None = None
    per_case: int | None = None
    spacing: float = 0.0
    diversity: float = 0.0
    combine: Combine = "mean"
    rotations: bool = True
    exact: bool = False
    guard: float = GUARD


@dataclass(frozen=True, slots=True)
class Match:
    """One answer to a query.

    Attributes
    ----------
    rank : int
        From 1.
    key : PatchKey
    footprint : Footprint
        Level-0 pixels of the match's slide.
    mpp : float
        µm per level-0 pixel of that slide.
    score : float
        Cosine, -1..1.
    percentile : float or None
        Share (0..100) of what usually is found at this rank that scores lower.
    case_id : str
    metadata : mapping
        The slide's own columns from the manifest.
    """

    rank: int
    key: PatchKey
    footprint: Footprint
    mpp: float
    score: float
    percentile: float | None
    case_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
