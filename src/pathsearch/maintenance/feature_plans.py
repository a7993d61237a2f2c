"""What one file of features says, settled against its slide: before anything is written."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.config import TileSpec
from pathsearch.errors import FeaturesError, MppMissingError
from pathsearch.indexing.reading import Opener, Stamp, as_jpeg, record_of
from pathsearch.maintenance.feature_files import FeatureHead, number, read_coords, read_head
from pathsearch.maintenance.feature_slides import Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pathsearch.library import SlideRecord

#: Patches of one spec may differ so much in µm per pixel: archives call 0.45 to 0.55 "20x".
SPEC_TOLERANCE = 1.2
#: The longer side of the small picture that is kept of a slide at hand.
_THUMBNAIL_PX = 512


@dataclass(frozen=True)
class Given:
    """What the user says because the files do not.

    Attributes
    ----------
    patch_size : int or None
        Pixels of a patch as it was cut.
    spec_mpp : float or None
        µm per pixel that patches were cut at.
    """

    patch_size: int | None = None
    spec_mpp: float | None = None


@dataclass(frozen=True)
class Cut:
    """How the patches were cut.

    Attributes
    ----------
    size_px : int
        Pixels of a patch as the encoder saw it.
    footprint : int
        Level-0 pixels of it.
    mpp : float
        µm per pixel, of the patch.
    overlap_px : int
        Of neighbours, pixels of the patch.
    """

    size_px: int
    footprint: int
    mpp: float
    overlap_px: int = 0

    def fits(self, spec: TileSpec) -> bool:
        """Whether patches cut like this may stand beside those of a spec."""
        return self.size_px == spec.size_px and self.distance(spec) <= math.log(SPEC_TOLERANCE)

    def distance(self, spec: TileSpec) -> float:
        """How far the resolutions are apart, as the logarithm of their ratio."""
        return abs(math.log(self.mpp / spec.mpp))

    def nearest(self, specs: Iterable[TileSpec]) -> TileSpec | None:
        """The spec that fits best; None where none does."""
        return min((s for s in specs if self.fits(s)), key=self.distance, default=None)

    def as_spec(self, mpp: float | None = None) -> TileSpec:
        """A spec for patches cut like this."""
        rounded = mpp if mpp is not None else float(f"{self.mpp:.3g}")
        stride = max(1, self.size_px - self.overlap_px)
        return TileSpec(size_px=self.size_px, mpp=rounded, stride_px=stride)


@dataclass(frozen=True)
class Plan:
    """A file of features and its slide, ready to be written.

    Attributes
    ----------
    xy : int64 array, shape (n, 2)
    rows : int64 array, shape (m,)
        Those to take: of a place that occurs twice the first.
    thumbnail : bytes or None
        Where the slide's file is at hand.
    """

    task: Task
    head: FeatureHead
    record: SlideRecord
    cut: Cut
    xy: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    thumbnail: bytes | None


def plan(task: Task, given: Given, opener: Opener) -> Plan:
    """Settle one file.

    Raises
    ------
    FeaturesError
        Something is missing or contradicts itself; the message names the option.
    MppMissingError
        Nobody says how many µm a pixel of the slide is.
    SlideError
        The slide's file is there and cannot be read.
    """
    if task.error is not None:
        raise task.error
    if task.coords_path is not None and not task.coords_path.exists():
        raise FeaturesError(
            f"{task.path}: no coordinates of it in {task.coords_path.parent} (looked for "
            f"{task.coords_path.name} and {task.coords_path.stem}_patches.h5).",
            path=str(task.path),
        )
    head = read_head(task.path, task.coords_path)
    record, thumbnail = _slide(task, head, opener)
    assert record.mpp is not None
    cut = cut_of(head, given, record.mpp)
    xy = read_coords(head)
    _refuse_outside(head, xy, record)
    rows = np.sort(np.unique(xy, axis=0, return_index=True)[1]).astype(np.int64)
    return Plan(task, head, record, cut, xy, rows, thumbnail)


def cut_of(head: FeatureHead, given: Given, slide_mpp: float) -> Cut:
    """How the patches of a file were cut, from its attributes and what the user says.

    Raises
    ------
    FeaturesError
        Neither says it, or they contradict each other.
    """
    stated = number(head, "patch_size")
    if stated is not None and given.patch_size not in (None, round(stated)):
        raise FeaturesError(
            f"{head.path}: its patches are {stated:g} px, not {given.patch_size}; leave "
            "--patch-size out.",
            path=str(head.path),
        )
    size = given.patch_size if stated is None else round(stated)
    if size is None:
        raise FeaturesError(
            f"{head.path}: does not say how large its patches are; give --coords FOLDER (the "
            "run's files of coordinates say it), or --patch-size PIXELS with --spec-mpp.",
            path=str(head.path),
        )
    footprint = _footprint(head, size)
    if footprint is None and given.spec_mpp is None:
        raise FeaturesError(
            f"{head.path}: does not say at which resolution its patches of {size} px were cut; "
            "give --coords FOLDER, or --spec-mpp in µm per pixel.",
            path=str(head.path),
        )
    if footprint is None:
        assert given.spec_mpp is not None
        footprint = max(1, round(size * given.spec_mpp / slide_mpp))
    cut = Cut(size, footprint, footprint * slide_mpp / size, _overlap(head))
    _check_cut(head, cut, given)
    return cut


def _check_cut(head: FeatureHead, cut: Cut, given: Given) -> None:
    try:
        spec = cut.as_spec(given.spec_mpp)
    except ValueError:
        raise FeaturesError(
            f"{head.path}: patches of {cut.size_px} px at {cut.mpp:g} µm per pixel cannot be "
            "searched (16 to 4096 px, 0.05 to 10 µm per pixel); check --mpp.",
            path=str(head.path),
        ) from None
    if not cut.fits(spec):
        raise FeaturesError(
            f"{head.path}: its patches were cut at {cut.mpp:.3g} µm per pixel, not at "
            f"{spec.mpp:g}; leave --spec-mpp out.",
            path=str(head.path),
        )


def _footprint(head: FeatureHead, size: int) -> int | None:
    """Level-0 pixels of a patch, by TRIDENT's attributes or CLAM's; None if neither is there."""
    level0 = number(head, "patch_size_level0")
    if level0 is not None:
        return round(level0)
    have, wanted = (number(head, f"{which}_magnification") for which in ("level0", "target"))
    if have is not None and wanted is not None:
        return round(size * have / wanted)
    level = head.attributes.get("patch_level")
    if level is None:
        return None
    downsample = 1.0 if level == 0 else number(head, "downsample")
    if downsample is None:
        return None
    return round(size * downsample * (number(head, "custom_downsample") or 1.0))


def _overlap(head: FeatureHead) -> int:
    return 0 if head.attributes.get("overlap") in (0, None) else round(number(head, "overlap") or 0)


def _size(task: Task, head: FeatureHead) -> tuple[int, int]:
    """Level-0 width and height as the file or the manifest states them; 0 where neither does."""
    wide, high = number(head, "level0_width"), number(head, "level0_height")
    if wide is not None and high is not None:
        return round(wide), round(high)
    dims = head.attributes.get("level_dim")
    if head.attributes.get("patch_level") == 0 and isinstance(dims, list) and len(dims) == 2:
        return int(dims[0]), int(dims[1])
    return task.size


def _slide(task: Task, head: FeatureHead, opener: Opener) -> tuple[SlideRecord, bytes | None]:
    from pathsearch.tiling import thumbnail

    stated = _size(task, head)
    source = task.source
    if not source.root or not source.path.exists():
        return _unseen_slide(task, head, stated), None
    with opener(source.path, mpp=source.mpp) as slide:
        record = record_of(source, Stamp.of(source), slide)
        if all(stated) and stated != slide.size:
            raise FeaturesError(
                f"{task.path}: was made from a slide of {stated[0]} x {stated[1]} pixels, but "
                f"{source.path} is {slide.size[0]} x {slide.size[1]}; give a --manifest with the "
                "columns path and features.",
                path=str(task.path),
            )
        return record, as_jpeg(thumbnail(slide, _THUMBNAIL_PX)[0])


def _unseen_slide(task: Task, head: FeatureHead, size: tuple[int, int]) -> SlideRecord:
    """The record of a slide whose file is not at hand."""
    from pathsearch.library import SlideRecord

    source = task.source
    mpp = source.mpp if source.mpp is not None else number(head, "level0_mpp")
    if mpp is None:
        raise MppMissingError(
            f"{task.path}: its slide is not at hand, and nothing says how many µm a pixel of it "
            "is (a magnification does not); give --slides FOLDER, --mpp, or a --manifest with a "
            "column mpp.",
            path=str(task.path),
        )
    if not all(size):
        raise FeaturesError(
            f"{task.path}: its slide is not at hand, and nothing says how large it is; give "
            "--slides FOLDER, or a --manifest with the columns width and height.",
            path=str(task.path),
        )
    what = f"features of {source.slide_id}\n{size[0]}x{size[1]}\n{mpp!r}"
    return SlideRecord(
        slide_id=source.slide_id,
        root=source.root,
        path=source.relative,
        case_id=source.case_id,
        width=size[0],
        height=size[1],
        mpp=mpp,
        fingerprint=hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest(),
        metadata=source.metadata,
    )


def _refuse_outside(head: FeatureHead, xy: npt.NDArray[np.int64], record: SlideRecord) -> None:
    if len(xy) and (xy.min() < 0 or (xy >= (record.width, record.height)).any()):
        low, high = (tuple(map(int, edge)) for edge in (xy.min(axis=0), xy.max(axis=0)))
        raise FeaturesError(
            f"{head.path}: patches from {low} to {high} are not within the slide of "
            f"{record.width} x {record.height}; it is another slide's, or the coordinates are "
            "not in level-0 pixels.",
            path=str(head.path),
        )
