"""The rows of a library, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

#: What a manifest column may hold.
Metadata = Mapping[str, str | float | int]
#: `indexed`: has patches; `empty`: no tissue found; `failed`: could not be read;
#: `removed`: taken out, gone from every answer.
SlideStatus = Literal["indexed", "empty", "failed", "removed"]
Severity = Literal["error", "note"]


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """The one encoder of a library.

    Attributes
    ----------
    name : str
    dim : int
        Length of a vector.
    input_px : int
        Width and height of the patches that it was made for.
    mpp_range : tuple of float
        Resolutions that it was trained on, µm per pixel.
    fingerprint : str
        Hex digest over weights and preprocessing.
    storage : {'copy', 'reference', 'unbound'}
        Whether its files are in the library's ``encoder/`` folder, elsewhere, or unknown:
        the vectors were imported without the weights that made them.
    source : str
        What `pathsearch.encoders.load_encoder` takes when it is only referenced.
    """

    name: str
    dim: int
    input_px: int
    mpp_range: tuple[float, float]
    fingerprint: str
    storage: Literal["copy", "reference", "unbound"] = "reference"
    source: str = ""

    @property
    def bound(self) -> bool:
        """Whether pixels can be encoded: false where only imported vectors are known."""
        return self.storage != "unbound"


@dataclass(frozen=True, slots=True)
class SlideRecord:
    """One slide as the library knows it.

    Attributes
    ----------
    slide_id : str
        From the manifest, else the path relative to its root, POSIX form.
    root : str
        Name of the root that `path` is relative to.
    path : str
        POSIX form.
    case_id : str
        Empty where unknown.
    width, height : int
        Level-0 pixels; 0 where the slide could not be opened.
    mpp : float or None
        µm per level-0 pixel, as used.
    bounds : tuple of int or None
        x, y, width, height of the scanned part, level-0 pixels.
    fingerprint : str
        Hex digest of the content that decides the pixels.
    file_size : int
        Bytes; with `file_mtime_ns` it tells an unchanged file without reading it.
    file_mtime_ns : int
        ns since the epoch, as the file system states it.
    status : {'indexed', 'empty', 'failed', 'removed'}
    error_code, error_message : str
        Of the last failure; also kept on an indexed slide when one of several specs
        failed.
    error_spec : str
        The spec that failed; empty where the whole slide did.
    vendor, scanner : str
    objective : float or None
        Magnification as the file states it.
    metadata : mapping
        The manifest's further columns.
    """

    slide_id: str
    root: str
    path: str
    case_id: str = ""
    width: int = 0
    height: int = 0
    mpp: float | None = None
    bounds: tuple[int, int, int, int] | None = None
    fingerprint: str = ""
    file_size: int = 0
    file_mtime_ns: int = 0
    status: SlideStatus = "indexed"
    error_code: str = ""
    error_message: str = ""
    error_spec: str = ""
    vendor: str = ""
    scanner: str = ""
    objective: float | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One committed writing of (slide, spec): never changed, its number never used again.

    Attributes
    ----------
    number : int
        From 1. Row id of row r: ``number << 32 | r``.
    slide_id, spec : str
    key : str
        Name of its group in ``embeddings.zarr``: hex digest of slide id, content, mpp,
        spec and encoder.
    rows : int
        Number of patches; 0 where no tissue was found (then there is no group).
    footprint : int
        Width and height of every patch, level-0 pixels.
    mpp : float
        µm per level-0 pixel that was used.
    removed : bool
        Superseded, or its slide was removed; gone from disk after a compaction.
    bad_patches : int
        Patches of the grid that could not be read, and are not among the rows.
    enlarged : float
        1.0, or by how much the pixels had to be enlarged.
    fingerprint : str
        Content of the slide when it was written.
    digest : str
        Hex sha256 over the arrays (`pathsearch.library.arrays.digest_of`).
    created : str
        ISO 8601, UTC.
    facts : mapping
        Precision, runtime, and whatever else the run wants to be known; ``regions``, where
        the user's regions chose the patches.
    """

    number: int
    slide_id: str
    spec: str
    key: str
    rows: int
    footprint: int
    mpp: float
    removed: bool = False
    bad_patches: int = 0
    enlarged: float = 1.0
    fingerprint: str = ""
    digest: str = ""
    created: str = ""
    facts: Metadata = field(default_factory=dict)

    @property
    def regions(self) -> str:
        """Mode and digest of the user's regions that chose the patches; empty without any."""
        return str(self.facts.get("regions", ""))

    @property
    def first_row_id(self) -> int:
        """Row id of row 0; row r has this plus r."""
        return self.number << 32


@dataclass(frozen=True, slots=True)
class SegmentArrays:
    """The patches of one segment, or some of them, row by row.

    Attributes
    ----------
    coords : int64 array, shape (n, 2)
        Level-0 x, y of the top-left corners.
    vectors : float16 array, shape (n, dim)
        L2-normalised before rounding to float16.
    norms : float32 array, shape (n,)
        Length of the rounded vectors: divide by it for the exact cosine.
    tissue : float32 array, shape (n,)
        Share of each patch that is tissue, 0..1.
    scales : float32 array, shape (n,), or None
        Length that each vector had before it was normalised, where the vectors were
        made elsewhere: ``vectors * scales`` gives back what came in, each number to within
        the rounding to float16.
    """

    coords: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float16]
    norms: npt.NDArray[np.float32]
    tissue: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.coords)


@dataclass(frozen=True, slots=True)
class IndexState:
    """The index files in use for one spec.

    Attributes
    ----------
    spec : str
    version : int
        Counts up with every rebuild.
    folder : str
        Relative to ``index/``.
    covered : tuple of int
        Numbers of the segments in it, ascending; some may be removed since.
    created : str
        ISO 8601, UTC.
    facts : mapping
        Kind of index, measured recall, and so on.
    """

    spec: str
    version: int
    folder: str
    covered: tuple[int, ...]
    created: str
    facts: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command that wrote to the library.

    `ended` is empty while it runs, and for ever if it was killed.
    """

    number: int
    started: str
    ended: str
    command: str
    software: str
    counts: Metadata


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's log; `slide_id` is empty where it concerns no single slide."""

    run: int
    at: str
    slide_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `verify` found.

    Attributes
    ----------
    severity : {'error', 'note'}
        A note harms no answer: left-overs of a killed run, an index that is behind.
    code : str
        Stable, e.g. ``arrays-missing``.
    message : str
        One line: what is wrong, and what to do.
    slide_id : str
        Empty where it concerns no single slide.
    segment : int
        0 where it concerns no single segment.
    """

    severity: Severity
    code: str
    message: str
    slide_id: str = ""
    segment: int = 0

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"
