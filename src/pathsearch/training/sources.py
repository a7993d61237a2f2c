"""What a training is given: slides and pictures, and where patches lie on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.config import TileSpec, TrainSettings
from pathsearch.errors import SlideError, TrainingError
from pathsearch.nouns import Slide

#: Suffixes of pictures without a pyramid or a resolution.
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
#: A picture smaller than a patch is enlarged by at most this.
MOST_ENLARGED = 2.0


@dataclass(frozen=True)
class Source:
    """One file to draw patches from.

    Attributes
    ----------
    path : Path
    collection : int
        Which of the user's arguments it came from.
    picture : bool
        A picture without a resolution; else a slide.
    """

    path: Path
    collection: int
    picture: bool


@dataclass(frozen=True)
class Place:
    """Where patches lie on one source at one resolution.

    Attributes
    ----------
    source : int
        Position in the list of sources.
    scale : float
        Slides: µm per pixel. Pictures: the picture is shrunk by this first.
    xy : int64 array, shape (n, 2)
        Top-left corners. Slides: level-0 pixels. Pictures: pixels after shrinking.
    """

    source: int
    scale: float
    xy: npt.NDArray[np.int64]


def find_sources(paths: Sequence[Path | str]) -> list[Source]:
    """Slides and pictures in files and folders, sorted within each argument.

    Raises
    ------
    TrainingError
        Nothing is found.
    """
    found: list[Source] = []
    for number, given in enumerate(paths):
        found += _in_one(Path(given).expanduser(), number)
    if not found:
        named = ", ".join(str(path) for path in paths) or "nothing"
        raise TrainingError(
            f"No slides or pictures found in {named}; name files or folders that hold some."
        )
    return found


def _in_one(path: Path, number: int) -> list[Source]:
    from pathsearch.slides import find_slides

    if path.is_file() and path.suffix.lower() in PICTURES:
        return [Source(path, number, picture=True)]
    slides = [Source(s.path, number, picture=False) for s in find_slides([path])]
    slides = [s for s in slides if s.path.suffix.lower() not in PICTURES]
    if not path.is_dir():
        return slides
    pictures = sorted(
        p
        for p in path.rglob("*")
        if p.suffix.lower() in PICTURES and not any(q.name.startswith(".") for q in (p, *p.parents))
    )
    return slides + [Source(p, number, picture=True) for p in pictures]


def places_of(number: int, source: Source, settings: TrainSettings) -> list[Place]:
    """Every place on one source that a patch may be drawn from, overlapping by half.

    Parameters
    ----------
    number : int
        The source's position in the list.
    source : Source
    settings : TrainSettings

    Raises
    ------
    SlideError
        The slide cannot be used.
    """
    if source.picture:
        return _on_picture(number, source, settings)
    from pathsearch.tiling import tile

    places = []
    with _open(source, settings) as slide:
        for mpp in settings.mpp:
            spec = TileSpec(
                size_px=settings.patch_px,
                mpp=mpp,
                stride_px=settings.patch_px // 2,
                min_tissue=settings.min_tissue,
            )
            places.append(Place(number, mpp, tile(slide, spec).xy))
    return places


def _open(source: Source, settings: TrainSettings) -> Slide:
    """The slide; where it states no resolution, with the one that the settings assume."""
    from pathsearch.errors import MppMissingError
    from pathsearch.slides import open_slide

    try:
        return open_slide(source.path)
    except MppMissingError:
        if settings.slide_mpp is None:
            raise
        return open_slide(source.path, mpp=settings.slide_mpp)


def _on_picture(number: int, source: Source, settings: TrainSettings) -> list[Place]:
    from PIL import Image

    size = settings.patch_px
    try:
        with Image.open(source.path) as picture:
            width, height = picture.size
    except OSError as error:
        raise SlideError(f"{source.path}: is not a readable picture ({error}).") from None
    places = []
    for scale in settings.picture_scales:
        w, h = round(width * scale), round(height * scale)
        # Only the finest scale may be enlarged to a patch; a coarser one would repeat it.
        room = MOST_ENLARGED if scale == max(settings.picture_scales) else 1.0
        if min(w, h) * room < size:
            continue
        if min(w, h) < size:
            grow = size / min(w, h)
            scale, w, h = scale * grow, round(w * grow), round(h * grow)  # noqa: PLW2901
        places.append(Place(number, scale, _grid(max(w, size), max(h, size), size)))
    return places


def _grid(width: int, height: int, size: int) -> npt.NDArray[np.int64]:
    """Corners of patches that overlap by about half and reach every edge."""
    axes = []
    for length in (width, height):
        count = 1 + -(-(length - size) // (size // 2))
        axes.append(np.unique(np.linspace(0, length - size, count).round().astype(np.int64)))
    x, y = np.meshgrid(*axes)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def read_places(source: Source, place: Place, settings: TrainSettings) -> npt.NDArray[np.uint8]:
    """Pixels of a place's patches that could be read.

    Returns
    -------
    uint8 array, shape (at most n, patch_px, patch_px, 3)

    Raises
    ------
    SlideError
    """
    size = settings.patch_px
    if source.picture:
        return _read_picture(source, place, size)
    from pathsearch.slides import stream_patches

    parts = [np.empty((0, size, size, 3), np.uint8)]
    with _open(source, settings) as slide:
        # Batches a whole slide long would hold it; 32 patches are 5 MB.
        stream = stream_patches(slide, place.xy, size, place.scale, batch_size=32)
        parts += [batch.pixels[batch.ok] for batch in stream]
    return np.concatenate(parts)


def _read_picture(source: Source, place: Place, size: int) -> npt.NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(source.path) as picture:
            rgb = picture.convert("RGB")
    except OSError as error:
        raise SlideError(f"{source.path}: is not a readable picture ({error}).") from None
    if place.scale != 1.0:
        shape = (
            max(round(rgb.width * place.scale), size),
            max(round(rgb.height * place.scale), size),
        )
        shrink = place.scale < 1
        rgb = rgb.resize(shape, Image.Resampling.BOX if shrink else Image.Resampling.BICUBIC)
    pixels = np.asarray(rgb)
    return np.stack([pixels[y : y + size, x : x + size] for x, y in place.xy])
