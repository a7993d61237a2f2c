"""Every way in which a TIFF stores tiles, against what was written and against OpenSlide."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from made_slides import Writer, picture

from pathsearch.config import SlideSettings
from pathsearch.errors import MppInsaneError, SlideTooLargeError, SlideUnreadableError
from pathsearch.slides import open_slide
from pathsearch.slides.tiff_decode import ycbcr_to_rgb

LOSSLESS: list[dict[str, Any]] = [
    {},
    {"bigtiff": True},
    {"byteorder": ">"},
    {"compression": "deflate"},
    {"compression": "deflate", "predictor": True},
    {"compression": "lzw"},
    {"compression": "zstd"},
    {"compression": "jpeg2000", "compressionargs": {"reversible": True}},
    {"planarconfig": "separate"},
    {"planarconfig": "separate", "compression": "lzw"},
    {"tile": None, "rowsperstrip": 37},
    {"tile": None, "rowsperstrip": 64, "compression": "deflate"},
    {"tile": (48, 80)},
]


def written(path: Path, pixels: np.ndarray, options: dict[str, Any]) -> Path:
    options = {"tile": (128, 128), "photometric": "rgb", **options}
    if options.get("planarconfig") == "separate":
        pixels = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    file = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    with tifffile.TiffWriter(path, **file) as tiff:
        tiff.write(
            pixels, metadata=None, resolution=(20000, 20000), resolutionunit="CENTIMETER", **options
        )
    return path


def names(options: dict[str, Any]) -> str:
    return "-".join(f"{key}={value}" for key, value in options.items()) or "plain"


@pytest.mark.parametrize("options", LOSSLESS, ids=names)
def test_lossless_pixels_come_back(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = picture(301, 270)
    path = written(tmp_path / "a.tiff", pixels, options)
    with open_slide(path) as slide:
        assert slide.info.reader == "tiff"
        np.testing.assert_array_equal(slide.read(0, 0, 301, 270, 0.5), pixels)
        halves = pixels[:270, :300].reshape(135, 2, 150, 2, 3).mean((1, 3))
        read = slide.read(0, 0, 150, 135, 1.0)
        # Where a tile's side is odd the general filter does it: not exactly the mean.
        assert np.abs(read - halves).mean() < 1.5


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
def test_jpeg_equals_openslide(
    tmp_path: Path, photometric: str, subsampling: tuple[int, int]
) -> None:
    # photometric is what is stored: with 'rgb' the JPEG holds RGB, and no marker says so.
    if photometric == "rgb" and subsampling != (1, 1):
        pytest.skip("RGB is not subsampled here")
    options: dict[str, Any] = {"compression": "jpeg"}
    if photometric == "rgb":
        options["compressionargs"] = {"outcolorspace": "rgb"}
    else:
        options["subsampling"] = subsampling  # tifffile converts RGB to YCbCr by itself
    path = written(tmp_path / "a.tiff", picture(301, 270), options)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.photometric == (2 if photometric == "rgb" else 6)
    expected = np.asarray(openslide.OpenSlide(path).read_region((0, 0), 0, (301, 270)))[..., :3]
    with open_slide(path) as slide:
        assert slide.info.reader == "tiff"
        np.testing.assert_array_equal(slide.read(0, 0, 301, 270, 0.5), expected)
    assert np.abs(expected.astype(int) - picture(301, 270)).mean() < 8


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_scaling_in_the_jpeg_decoder_is_an_area_average(tmp_path: Path, factor: int) -> None:
    path = written(
        tmp_path / "a.tiff",
        picture(1029, 1030),
        {"compression": "jpeg", "subsampling": (2, 2)},
    )
    with open_slide(path) as slide:
        full = slide.read(0, 0, 1024, 1024, 0.5)
        small = slide.read(0, 0, 1024 // factor, 1024 // factor, 0.5 * factor)
        edge = slide.read(1024, 1024, 2, 2, 0.5 * factor)
    side = 1024 // factor
    exact = full.reshape(side, factor, side, factor, 3).mean((1, 3))
    assert np.abs(small - exact).mean() < 1.0
    # 5 columns and 6 rows remain: squares that reach over the edge are the mean of these, without
    # the padding of the tile and without the white outside.
    with open_slide(path) as slide:
        inside = slide.read(1024, 1024, 5, 6, 0.5).astype(float)
    expected = np.full((2, 2, 3), 255.0)
    for row, column in np.ndindex(2, 2):
        part = inside[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        if part.size:
            expected[row, column] = part.mean((0, 1))
    assert edge.shape == (2, 2, 3)
    assert np.abs(edge - expected).max() <= 1.0


def test_grey_images_become_rgb(tmp_path: Path) -> None:
    grey = picture(200, 150)[..., 0]
    for photometric, expected in (("minisblack", grey), ("miniswhite", 255 - grey)):
        path = written(tmp_path / f"{photometric}.tiff", grey, {"photometric": photometric})
        with open_slide(path) as slide:
            read = slide.read(0, 0, 200, 150, 0.5)
        np.testing.assert_array_equal(read, np.repeat(expected[..., None], 3, axis=-1))


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    pixels = picture(200, 150)
    rgba = np.dstack([pixels, np.full((150, 200), 255, np.uint8)])
    rgba[:50] = 0
    path = written(tmp_path / "a.tiff", rgba, {"extrasamples": ["unassalpha"]})
    with open_slide(path) as slide:
        read = slide.read(0, 0, 200, 150, 0.5)
    assert (read[:50] == 255).all()
    np.testing.assert_array_equal(read[50:], pixels[50:])


@pytest.mark.parametrize("reader", ["tiff", "auto"])
def test_ome_tiff_pyramids_are_found_in_their_sub_ifds(tmp_path: Path, reader: str) -> None:
    pixels = picture(600, 500)
    half = pixels.reshape(250, 2, 300, 2, 3).mean((1, 3)).astype(np.uint8)
    path = tmp_path / "a.ome.tiff"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb"}
        about = {"axes": "YXS", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm",
                 "PhysicalSizeY": 0.25}  # fmt: skip
        tiff.write(pixels, subifds=1, metadata=about, **options)
        tiff.write(half, subfiletype=1, metadata=None, **options)
    with open_slide(path, settings=SlideSettings(reader=reader)) as slide:  # type: ignore[arg-type]
        assert slide.info.vendor == "ome"
        assert slide.mpp == pytest.approx(0.25)
        assert [(level.width, level.height) for level in slide.levels] == [(600, 500), (300, 250)]
        np.testing.assert_array_equal(slide.read(100, 100, 50, 50, 0.5), half[50:100, 50:100])


def test_label_and_macro_of_an_svs_are_no_levels(tmp_path: Path) -> None:
    pixels = picture(600, 500)
    path = tmp_path / "a.svs"
    about = "Aperio Image Library v1\r\n600x500|AppMag = 20|MPP = 0.4990|ScanScope ID = SS1"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, tile=(64, 64), description=about, **options)
        tiff.write(picture(100, 83), rowsperstrip=16, **options)  # thumbnail
        tiff.write(pixels[::2, ::2], tile=(64, 64), **options)
        tiff.write(picture(120, 100), rowsperstrip=16, subfiletype=1, **options)  # label
        tiff.write(picture(180, 150), rowsperstrip=16, subfiletype=9, **options)  # macro
    for reader in ("auto", "tiff"):
        with open_slide(path, settings=SlideSettings(reader=reader)) as slide:  # type: ignore[arg-type]
            sizes = [(level.width, level.height) for level in slide.levels]
            assert sizes == [(600, 500), (300, 250)]
            assert slide.info.reader == "tiff"
            assert slide.info.scanner == "SS1"
            assert (slide.mpp, slide.info.objective) == (0.499, 20.0)


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (np.zeros((100, 100), np.uint16), {"photometric": "minisblack"}),
        (np.zeros((100, 100, 3), np.float32), {"photometric": "rgb"}),
        (np.zeros((5, 100, 100), np.uint8), {"photometric": "minisblack", "volumetric": True,
                                             "tile": (1, 64, 64)}),
    ],
    ids=["16 bits", "floats", "volume"],
)  # fmt: skip
def test_other_kinds_of_images_are_refused_in_words(
    tmp_path: Path, pixels: np.ndarray, options: dict[str, Any]
) -> None:
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, pixels, **{"tile": (64, 64), "metadata": None, **options})
    with pytest.raises(SlideUnreadableError, match="8-bit RGB"):
        open_slide(path, mpp=0.5, settings=SlideSettings(reader="tiff"))


def test_an_absurd_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tiff", picture(300, 300), {})
    with pytest.raises(SlideTooLargeError, match="300 x 300"):
        open_slide(path, settings=SlideSettings(max_pixels=300 * 300 - 1))


def test_a_flat_file_without_a_resolution_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    tifffile.imwrite(path, picture(90, 80), resolution=(72, 72), resolutionunit="INCH")
    with pytest.raises(MppInsaneError, match=r"352\.8 µm/px.*--mpp"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 90, 80, 0.5), picture(90, 80))


def test_a_jpeg_tile_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    from pathsearch.errors import ReadFailedError

    path = written(tmp_path / "a.tiff", picture(128, 128), {"compression": "jpeg"})
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"  # 65,535 x 65,535: 12 GB
    path.write_bytes(data)
    with (
        open_slide(path, settings=SlideSettings(reader="tiff")) as slide,
        pytest.raises(ReadFailedError),
    ):
        slide.read(0, 0, 64, 64, 0.5)


def test_what_differs_from_openslide_is_read_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "a.tiff", picture(300, 300), {})
    monkeypatch.setattr(
        "pathsearch.slides.stored_tiles.StoredTilesSlide.decode_tile",
        lambda self, key: np.zeros((128, 128, 3), np.uint8),
    )
    with open_slide(path) as slide:
        assert slide.info.reader == "openslide"
    assert "read through OpenSlide, since a tile differs" in caplog.text
    with open_slide(path, settings=SlideSettings(reader="tiff")) as slide:
        assert slide.info.reader == "tiff"


def test_ycbcr_against_known_colours() -> None:
    # JFIF: white, black, and pure red as 76.245, 84.97, 255.5 rounded.
    ycbcr = np.array([[[255, 128, 128], [0, 128, 128], [76, 85, 255]]], np.uint8)
    rgb = ycbcr_to_rgb(ycbcr)
    assert np.abs(rgb.astype(int) - [[[255] * 3, [0] * 3, [254, 0, 0]]]).max() <= 1


def test_missing_tiles_of_an_svs_are_left_to_openslide(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = picture(512, 512)
    half = np.rint(pixels.reshape(256, 2, 256, 2, 3).mean((1, 3))).astype(np.uint8)
    path = tmp_path / "a.svs"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None, "tile": (128, 128)}

    def tiles() -> Any:
        for row in range(2):
            for column in range(2):
                tile = half[row * 128 : row * 128 + 128, column * 128 : column * 128 + 128]
                yield None if (row, column) == (0, 1) else np.ascontiguousarray(tile)

    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, description="Aperio Image Library v1\r\n512x512|MPP = 0.5", **options)
        tiff.write(tiles(), shape=half.shape, dtype=np.uint8, **options)
    with open_slide(path) as slide:
        assert slide.info.reader == "openslide"
        read = slide.read(256, 0, 128, 128, 1.0)
    assert "draws from a finer level" in caplog.text
    assert np.abs(read.astype(int) - half[:128, 128:]).mean() < 8


def test_reading_without_pread_as_on_windows(
    write_tiff: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathsearch.slides import stream_patches

    pixels = picture(400, 300)
    path = write_tiff(pixels, compression="deflate")
    monkeypatch.delattr("os.pread", raising=False)
    xy = np.array([(x, y) for y in range(0, 250, 50) for x in range(0, 350, 50)], np.int64)
    with open_slide(path) as slide:
        read = np.concatenate([b.pixels for b in stream_patches(slide, xy, 50, 0.5, threads=4)])
    for patch, (x, y) in zip(read, xy, strict=True):
        np.testing.assert_array_equal(patch, pixels[y : y + 50, x : x + 50])
