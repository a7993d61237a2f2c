"""The stream of patches: the fast way against the plain one, order, memory, faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_slides import Writer, picture

from pathsearch.config import SlideSettings
from pathsearch.errors import BadTilesError, ReadFailedError, ResolutionTooCoarseError
from pathsearch.nouns import Batch
from pathsearch.slides import limit_bad, open_slide, stream_patches
from pathsearch.slides.streaming import read_one_by_one
from pathsearch.slides.tiles import TiledSlide, TileKey


def grid(width: int, height: int, step: int) -> np.ndarray:
    """Corners in reading order, int64 (n, 2)."""
    rows, columns = np.arange(0, height - step, step), np.arange(0, width - step, step)
    return np.array([(x, y) for y in rows for x in columns], np.int64)


def everything(batches: object) -> tuple[np.ndarray, np.ndarray]:
    listed: list[Batch] = list(batches)  # type: ignore[call-overload]
    assert [batch.first for batch in listed] == list(
        np.cumsum([0, *(len(batch.ok) for batch in listed)])[:-1]
    )
    return (
        np.concatenate([batch.pixels for batch in listed]),
        np.concatenate([batch.ok for batch in listed]),
    )


@pytest.mark.parametrize("mpp", [0.5, 0.65, 1.0, 1.9, 2.05, 4.6])
@pytest.mark.parametrize("threads", [1, 3])
def test_cut_from_tiles_equals_read_one_by_one(
    write_tiff: Writer, mpp: float, threads: int
) -> None:
    path = write_tiff(picture(900, 800), levels=2, compression="jpeg")
    rng = np.random.default_rng(1)
    xy = np.stack([rng.integers(-150, 950, 60), rng.integers(-150, 850, 60)], axis=1)
    with open_slide(path) as slide:
        assert isinstance(slide, TiledSlide)
        fast, ok = everything(
            stream_patches(slide, xy, 40, mpp, batch_size=7, threads=threads, prefetch=2)
        )
        plain, _ = everything(
            read_one_by_one(slide, xy, 40, mpp, batch_size=60, threads=1, prefetch=0)
        )
    assert ok.all()
    np.testing.assert_array_equal(fast, plain)


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
@pytest.mark.parametrize(("batch_size", "prefetch"), [(1, 0), (5, 1), (64, 2), (1000, 3)])
def test_patches_come_in_order_whatever_the_batches(
    write_tiff: Writer, reader: str, batch_size: int, prefetch: int
) -> None:
    pixels = picture(600, 400)
    xy = grid(600, 400, 50)
    with open_slide(write_tiff(pixels), settings=SlideSettings(reader=reader)) as slide:
        read, ok = everything(
            stream_patches(slide, xy, 50, 0.5, batch_size=batch_size, threads=2, prefetch=prefetch)
        )
    assert ok.all()
    for patch, (x, y) in zip(read, xy, strict=True):
        np.testing.assert_array_equal(patch, pixels[y : y + 50, x : x + 50])


def test_each_tile_is_decoded_once(write_tiff: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiff(picture(1000, 700))
    decoded: list[TileKey] = []
    with open_slide(path) as slide:
        assert isinstance(slide, TiledSlide)
        decode = slide.decode_tile

        def counted(key: TileKey) -> np.ndarray | None:
            decoded.append(key)
            return decode(key)

        monkeypatch.setattr(slide, "decode_tile", counted)
        list(stream_patches(slide, grid(1000, 700, 60), 60, 0.5, batch_size=4, threads=2))
    assert len(decoded) == len(set(decoded)) == 8 * 6


def test_held_tiles_are_bounded(write_tiff: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(1000, 700)
    monkeypatch.setattr("pathsearch.slides.tile_stream._HELD_BYTES", 3 * 128 * 128 * 3)
    xy = grid(1000, 700, 60)
    with open_slide(write_tiff(pixels)) as slide:
        # No order at all: without the bound nearly every tile would be held to the end.
        xy = np.random.default_rng(0).permutation(xy)
        read, ok = everything(stream_patches(slide, xy, 60, 0.5, batch_size=4, threads=2))
    assert ok.all()
    for patch, (x, y) in zip(read, xy, strict=True):
        np.testing.assert_array_equal(patch, pixels[y : y + 60, x : x + 60])


def corrupted(path: Path, tile: int) -> Path:
    """The file with the bytes of one tile overwritten."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        offset, count = page.dataoffsets[tile], page.databytecounts[tile]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(count)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
@pytest.mark.parametrize("mpp", [0.5, 1.0])
def test_a_corrupt_tile_costs_its_patches_only(write_tiff: Writer, reader: str, mpp: float) -> None:
    # 5 x 4 tiles; number 7 covers x 256..384, y 128..256.
    pixels = picture(640, 512)
    intact = write_tiff(pixels, compression="jpeg", name="intact.tiff")
    damaged = corrupted(write_tiff(pixels, compression="jpeg"), 7)
    step = round(32 * mpp / 0.5)
    xy = grid(640, 512, step)
    settings = SlideSettings(reader=reader)
    with open_slide(intact, settings=settings) as slide:
        whole, _ = everything(stream_patches(slide, xy, 32, mpp))
    with open_slide(damaged, settings=settings) as slide:
        read, ok = everything(stream_patches(slide, xy, 32, mpp, batch_size=16, threads=2))
        with pytest.raises(ReadFailedError):
            slide.read(300, 150, 20, 20, 0.5)
        slide.read(0, 0, 20, 20, 0.5)
    inside = (xy[:, 0] + step > 256) & (xy[:, 0] < 384) & (xy[:, 1] + step > 128) & (xy[:, 1] < 256)
    np.testing.assert_array_equal(ok, ~inside)
    assert (read[~ok] == 255).all()
    np.testing.assert_array_equal(read[ok], whole[ok])


def test_too_many_bad_patches_end_the_slide() -> None:
    def batches() -> object:
        for first in range(0, 100, 10):
            ok = np.ones(10, np.bool_)
            ok[:3] = False
            yield Batch(first, np.zeros((10, 1, 1, 3), np.uint8), ok)

    assert len(list(limit_bad(batches(), 100, 0.3, "a.svs"))) == 10  # type: ignore[arg-type]
    seen = []
    with pytest.raises(BadTilesError, match="12 of 100 patches") as info:
        seen.extend(limit_bad(batches(), 100, 0.1, "a.svs"))  # type: ignore[arg-type]
    assert info.value.bad == 12


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
def test_a_stream_can_be_left_early(write_tiff: Writer, reader: str) -> None:
    import threading

    before = threading.active_count()
    with open_slide(write_tiff(picture(600, 600)), settings=SlideSettings(reader=reader)) as slide:
        stream = stream_patches(slide, grid(600, 600, 30), 30, 0.5, batch_size=5, threads=3)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before


@pytest.mark.parametrize("reader", ["tiff", "openslide"])
def test_no_patches_and_a_resolution_that_is_not_there(write_tiff: Writer, reader: str) -> None:
    with open_slide(write_tiff(picture(200, 200)), settings=SlideSettings(reader=reader)) as slide:
        assert list(stream_patches(slide, np.empty((0, 2), np.int64), 32, 0.5)) == []
        with pytest.raises(ResolutionTooCoarseError):
            list(stream_patches(slide, np.zeros((3, 2), np.int64), 32, 0.2))
        with pytest.raises(ValueError, match="at least 1"):
            stream_patches(slide, np.zeros((3, 2), np.int64), 32, 0.5, threads=0)
