"""A slide of any size in a small file: one JPEG tile that every entry of the table points to."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_SHORT, _LONG, _RATIONAL, _LONG8 = 3, 4, 5, 16
_TILE = 256


def write_repeated_tile(
    path: Path, side: int, *, mpp: float = 0.25, seed: int = 0, downsamples: tuple[int, ...] = (1,)
) -> Path:
    """Write a BigTIFF of `side` x `side` pixels, 256 px JPEG tiles, all the same.

    Layout after the TIFF 6.0 and BigTIFF specifications: header; for each level a directory and
    the values that do not fit into it; the tile.

    Parameters
    ----------
    path : Path
    side : int
        Width and height in pixels.
    mpp : float
        µm per pixel.
    seed : int
        Of the tile's texture.
    downsamples : tuple of int
        Of the levels, finest first.
    """
    tile = _jpeg_tile(seed)
    sides = [-(-side // downsample) for downsample in downsamples]
    lengths = [_directory(s, mpp * side / s, len(tile), 0, 0, 0, reduced=False) for s in sides]
    tile_at = 16 + sum(len(part) for part in lengths)
    content, start = b"", 16
    for number, (s, length) in enumerate(zip(sides, lengths, strict=True)):
        following = start + len(length) if number + 1 < len(sides) else 0
        content += _directory(
            s, mpp * side / s, len(tile), start, tile_at, following, reduced=number > 0
        )
        start += len(length)
    header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16)
    path.write_bytes(header + content + tile)
    return path


def _directory(
    side: int, mpp: float, length: int, start: int, tile_at: int, following: int, *, reduced: bool
) -> bytes:
    """A level's directory with its values, for its place in the file."""
    count = (-(-side // _TILE)) ** 2
    pixels_per_cm = struct.pack("<II", round(1e4 / mpp), 1)
    fields: list[tuple[int, int, int, bytes]] = [
        (254, _LONG, 1, struct.pack("<I", int(reduced))),  # 1: a reduced level of the first
        (256, _LONG8, 1, struct.pack("<Q", side)),
        (257, _LONG8, 1, struct.pack("<Q", side)),
        (258, _SHORT, 3, struct.pack("<HHH", 8, 8, 8)),
        (259, _SHORT, 1, struct.pack("<H", 7)),  # JPEG
        (262, _SHORT, 1, struct.pack("<H", 6)),  # YCbCr
        (277, _SHORT, 1, struct.pack("<H", 3)),
        (282, _RATIONAL, 1, pixels_per_cm),
        (283, _RATIONAL, 1, pixels_per_cm),
        (284, _SHORT, 1, struct.pack("<H", 1)),
        (296, _SHORT, 1, struct.pack("<H", 3)),  # centimetre
        (322, _SHORT, 1, struct.pack("<H", _TILE)),
        (323, _SHORT, 1, struct.pack("<H", _TILE)),
        (324, _LONG8, count, np.full(count, tile_at, "<u8").tobytes()),
        (325, _LONG8, count, np.full(count, length, "<u8").tobytes()),
        (530, _SHORT, 2, struct.pack("<HH", 2, 2)),
    ]
    outside = start + 8 + 20 * len(fields) + 8
    directory, values = b"", b""
    for tag, kind, number, given in fields:
        value = given
        if len(value) > 8:
            place = struct.pack("<Q", outside + len(values))
            values += value
        else:
            place = value.ljust(8, b"\0")
        directory += struct.pack("<HHQ", tag, kind, number) + place
    return struct.pack("<Q", len(fields)) + directory + struct.pack("<Q", following) + values


def _jpeg_tile(seed: int) -> bytes:
    """A tile with the grain of tissue, about 10 kB."""
    import simplejpeg

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:_TILE, :_TILE] * (2 * np.pi / _TILE)
    pixels = np.empty((_TILE, _TILE, 3), np.float32)
    for channel, base in enumerate((200, 150, 190)):
        wave = sum(np.sin(k * x + rng.uniform(0, 6)) * np.cos(k * y) for k in (3, 7, 19))
        pixels[..., channel] = base + 15 * wave + rng.normal(0, 5, x.shape)
    encoded: bytes = simplejpeg.encode_jpeg(
        np.clip(pixels, 0, 255).astype(np.uint8), quality=80, colorsubsampling="420"
    )
    return encoded
