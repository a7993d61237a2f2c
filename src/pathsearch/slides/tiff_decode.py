"""From the bytes of a TIFF's tile to RGB pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pathsearch.errors import ReadFailedError
from pathsearch.slides.pyramid import WHITE
from pathsearch.slides.resample import Pixels, composite
from pathsearch.slides.tiff_structure import TiffLevel

_JPEG = 7
_APERIO_YCBCR = 33003
_MINISWHITE, _RGB = 0, 2
# Kinds of a fourth sample, by the tag ExtraSamples.
_NOT_ALPHA, _PREMULTIPLIED_ALPHA, _STRAIGHT_ALPHA = 0, 1, 2
# Adobe's APP14 marker with transform 0: the three components are RGB. Without it a decoder
# takes them for YCbCr, since a TIFF says in its own tags what they are.
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
_SOI, _EOI, _APP0 = b"\xff\xd8", b"\xff\xd9", b"\xff\xe0"


class Decoder(Protocol):
    """Bytes of one tile to pixels. Raises whatever it likes on damaged ones."""

    def __call__(self, parts: list[bytes], tile: int, factor: int) -> Pixels | None:
        """Decode.

        Parameters
        ----------
        parts : list of bytes
            One entry, or one a colour plane.
        tile : int
            Number of the tile in its level.
        factor : int
            1, 2, 4 or 8, averages over squares of so many pixels.

        Returns
        -------
        uint8 array, shape (tile_height / factor, tile_width / factor, 3)
            Fewer rows or columns at the level's edge if so stored. None where this decoder
            does not average by this factor.
        """
        ...


def decoder_for(level: TiffLevel) -> Decoder:
    """The quickest decoder of a level's tiles."""
    page = level.page
    general = _PageDecoder(level)
    if page.compression != _JPEG or len(level.offsets) > 1 or page.photometric == _MINISWHITE:
        return general
    shape = (level.grid.tile_height, level.grid.tile_width)
    if page.jpegheader is not None:  # NDPI: pieces of one JPEG file, between restart markers
        return JpegDecoder(shape, JpegFrame(page.jpegheader, 0, _EOI), False, general)
    is_rgb = page.photometric == _RGB
    return JpegDecoder(shape, tile_frame(page.jpegtables, is_rgb), is_rgb, general)


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What makes a complete JPEG file of a tile's bytes.

    Attributes
    ----------
    head : bytes
        Goes before them.
    skip : int
        So many of them are left out first.
    tail : bytes
        Goes after them.
    """

    head: bytes
    skip: int
    tail: bytes


def tile_frame(tables: bytes | None, is_rgb: bool) -> JpegFrame | None:
    """The frame of a tile that is a JPEG file but for shared tables and a missing marker.

    Parameters
    ----------
    tables : bytes, optional
        Tables that the tiles share, as a JPEG file without an image.
    is_rgb : bool
        The components are RGB.

    Returns
    -------
    JpegFrame or None
        None where the tiles are complete.
    """
    if not tables and not is_rgb:
        return None
    # The tables go before the tile's own segments, without their SOI and EOI.
    head = _SOI + (_ADOBE_RGB if is_rgb else b"") + (tables or b"")[2:-2]
    return JpegFrame(head, len(_SOI), b"")


class JpegDecoder:
    """JPEG through libjpeg-turbo, which halves, quarters and eighths as it decodes.

    Its scaled decoding was within 0.2 to 0.4 levels of 255 (mean absolute difference) of an
    exact area average of the same tiles, on real H&E, in RGB and in YCbCr 4:2:0.

    Parameters
    ----------
    shape : (int, int)
        Height and width of every tile.
    frame : JpegFrame, optional
        What makes JPEG files of the tiles' bytes.
    is_rgb : bool
        The components are RGB, whatever the tiles' own markers leave open.
    general : Decoder, optional
        For the rare tile whose markers contradict `is_rgb`.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        frame: JpegFrame | None,
        is_rgb: bool,
        general: Decoder | None,
    ) -> None:
        self._shape = shape
        self._frame = frame
        self._is_rgb = is_rgb
        self._general = general

    def complete(self, data: bytes) -> bytes:
        """The JPEG file of a tile's bytes."""
        frame = self._frame
        return data if frame is None else frame.head + data[frame.skip :] + frame.tail

    def __call__(self, parts: list[bytes], tile: int, factor: int) -> Pixels | None:
        """Decode one tile, scaled; see `Decoder`."""
        import simplejpeg

        data = parts[0]
        if self._is_rgb and data[2:4] == _APP0:
            # A JFIF marker outranks Adobe's: only the general decoder can be told.
            if self._general is None:
                raise ValueError("RGB behind a marker of YCbCr")
            return self._general(parts, tile, factor)
        data = self.complete(data)
        height, width = (side // factor for side in self._shape)
        # The buffer is as large as the tile ought to be: a header that claims more fails.
        out = np.empty((height, width, 3), np.uint8)
        smallest = (height, width) if factor > 1 else (0, 0)
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", False, False, *smallest, factor, buffer=out
        )
        if factor > 1 and pixels.shape != out.shape:
            return None
        return pixels


class _PageDecoder:
    """Every other compression, through tifffile and imagecodecs; full size only."""

    def __init__(self, level: TiffLevel) -> None:
        page = level.page
        self._decode: Any = page.decode
        self._tables = {"jpegtables": page.jpegtables} if page.compression == _JPEG else {}
        self._inverted = page.photometric == _MINISWHITE
        self._extra = int(page.extrasamples[0]) if page.samplesperpixel == 4 else _NOT_ALPHA
        self._ycbcr = page.compression == _APERIO_YCBCR
        self._tiles = level.grid.rows * level.grid.columns

    def __call__(self, parts: list[bytes], tile: int, factor: int) -> Pixels | None:
        if factor > 1:
            return None
        planes = [self._plane(data, i * self._tiles + tile) for i, data in enumerate(parts)]
        return self._rgb(planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1))

    def _plane(self, data: bytes, number: int) -> Pixels:
        pixels = self._decode(data, number, **self._tables)[0]
        if pixels is None:
            raise ValueError("an empty tile")
        plane: Pixels = pixels.reshape(pixels.shape[-3:])
        return plane

    def _rgb(self, pixels: Pixels) -> Pixels:
        if pixels.shape[-1] == 1:
            grey: Pixels = 255 - pixels if self._inverted else pixels
            return np.repeat(grey, 3, axis=-1)
        if self._ycbcr:
            return ycbcr_to_rgb(pixels)
        if self._extra == _STRAIGHT_ALPHA:
            return composite(pixels, WHITE)
        if self._extra == _PREMULTIPLIED_ALPHA:
            missing = 255 - pixels[..., 3:].astype(np.int16)
            white: Pixels = np.minimum(pixels[..., :3] + missing, 255).astype(np.uint8)
            return white
        rgb: Pixels = np.ascontiguousarray(pixels[..., :3])
        return rgb


def ycbcr_to_rgb(pixels: Pixels) -> Pixels:
    """Full-range YCbCr to RGB by the matrix of JFIF 1.02 (ITU-R BT.601).

    Parameters
    ----------
    pixels : uint8 array, shape (h, w, 3)
    """
    y, cb, cr = (pixels[..., i].astype(np.float32) for i in range(3))
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    pixels = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return pixels


def decode_or_fail(
    decoder: Decoder, parts: list[bytes], tile: int, factor: int, path: str
) -> Pixels | None:
    """Decode a tile, any failure as a ReadFailedError.

    Raises
    ------
    ReadFailedError
    """
    try:
        return decoder(parts, tile, factor)
    except Exception as error:  # noqa: BLE001  codecs raise whatever damaged bytes make them raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ReadFailedError(
            f"{path}: a tile cannot be decoded ({reason}); copy the file again.",
            path=path,
            tile=tile,
        ) from None
