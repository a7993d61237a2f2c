"""Opening: which reader, which mpp, and one clear line for what cannot be opened."""

from __future__ import annotations

import io
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_slides import Writer, picture
from PIL import Image

from pathsearch.config import SlideSettings
from pathsearch.errors import (
    MppAnisotropicError,
    MppInsaneError,
    MppMissingError,
    SlideFormatError,
    SlideNotFoundError,
    SlideUnreadableError,
)
from pathsearch.nouns import Slide
from pathsearch.slides import installed_readers, open_slide, stream_patches
from pathsearch.slides.fingerprint import fingerprint_files
from pathsearch.slides.mpp import from_tiff_tags, number, resolve_mpp


def test_importing_is_light() -> None:
    code = (
        "import sys, pathsearch.slides as s; "
        "heavy = {'openslide', 'tifffile', 'PIL', 'imagecodecs', 'pydicom', 'torch', 'scipy'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_readers_come_by_priority() -> None:
    names = [reader.name for reader in installed_readers()]
    assert names.index("tiff") < names.index("openslide") < names.index("wsidicom")
    assert set(names) >= {"tiff", "openslide", "wsidicom", "czi", "isyntax", "picture"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; copy it again"),
        (b"this is a text file", "not a slide in a format that is known"),
        (b"II*\0\x08\0\0\0\0\0", "cannot be opened"),
        (b"II*\0\xff\xff\xff\xff", "cannot be opened"),
        (b"\x89PNG\r\n\x1a\nbroken", "cannot be opened"),
    ],
)
def test_what_is_no_slide_is_refused_in_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    with pytest.raises(SlideUnreadableError, match=message) as info:
        open_slide(path, mpp=0.5)
    assert str(path) in str(info.value)
    assert "\n" not in str(info.value)
    assert pickle.loads(pickle.dumps(info.value)).path == str(path)


def test_a_reader_that_is_set_is_named_where_it_cannot(tmp_path: Path) -> None:
    Image.fromarray(picture(50, 50)).save(tmp_path / "a.png")
    with pytest.raises(SlideUnreadableError, match="only the reader 'tiff' was asked"):
        open_slide(tmp_path / "a.png", mpp=0.5, settings=SlideSettings(reader="tiff"))


def test_a_folder_that_is_one_slide_opens(write_tiff: Writer) -> None:
    path = write_tiff(picture(100, 100))
    with open_slide(path.parent) as slide:
        assert slide.path == str(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFoundError, match="No such file"):
        open_slide(tmp_path / "a.svs")
    with pytest.raises(SlideNotFoundError, match="is a folder with 0 slides"):
        open_slide(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "content", "format_name"),
    [
        (".isyntax", b"<DataObject", "iSyntax"),
        (".czi", b"ZISRAWFILE\0\0", "CZI"),
        (".dcm", bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_a_format_that_needs_an_extra_names_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    content: bytes,
    format_name: str,
) -> None:
    for module in ("formats", "dicom_reader", "czi_reader", "isyntax_reader"):
        monkeypatch.setattr(f"pathsearch.slides.{module}.find_spec", lambda name: None)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(SlideFormatError, match=format_name) as info:
        open_slide(path)
    assert "napari-pathsearch[formats]" in str(info.value)


def test_mpp_of_the_user_wins(write_tiff: Writer) -> None:
    with open_slide(write_tiff(picture(100, 100), mpp=0.5), mpp=0.25) as slide:
        assert slide.mpp == 0.25


def test_no_mpp_is_an_error_that_names_the_way_out(write_tiff: Writer) -> None:
    path = write_tiff(picture(100, 100), mpp=None, resolutionunit="NONE")
    with pytest.raises(MppMissingError, match="--mpp"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.mpp == 0.5


def test_pixels_that_are_not_square(write_tiff: Writer) -> None:
    path = write_tiff(picture(100, 100), mpp=None, resolution=(20000, 18000),
                      resolutionunit="CENTIMETER")  # fmt: skip
    with pytest.raises(MppAnisotropicError, match=r"0\.5 x 0\.5556 µm"):
        open_slide(path)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.mpp == 0.5


@pytest.mark.parametrize("mpp", [0.049, 10.1, float("nan"), -1.0, 0.0])
def test_resolutions_that_no_microscope_has(mpp: float) -> None:
    with pytest.raises(MppInsaneError):
        resolve_mpp(mpp, 0.5, 0.5, "a.svs")
    with pytest.raises(MppInsaneError):
        resolve_mpp(None, mpp, mpp, "a.svs")


def test_mpp_arithmetic() -> None:
    assert resolve_mpp(None, 0.499, 0.501, "a") == pytest.approx(0.5)
    assert from_tiff_tags(20000, "centimeter") == 0.5
    assert from_tiff_tags(25400, 2) == 1.0
    assert from_tiff_tags(100, 1) is None
    assert from_tiff_tags(None, 2) is None
    assert [number(text) for text in ("0.5", "x", "-1", "inf", None)] == [0.5, None, None, None,
                                                                        None]  # fmt: skip


def test_pictures_are_slides_of_one_level(tmp_path: Path) -> None:
    pixels = picture(120, 90)
    rgba = np.dstack([pixels, np.full((90, 120), 255, np.uint8)])
    rgba[:10] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    with pytest.raises(MppMissingError, match="--mpp"):
        open_slide(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        assert isinstance(slide, Slide)
        assert slide.info.reader == "picture"
        read = slide.read(-5, 0, 130, 90, 0.5)
    assert (read[:10] == 255).all()
    assert (read[:, :5] == 255).all()
    np.testing.assert_array_equal(read[10:, 5:125], pixels[10:])


def test_pictures_of_other_kinds_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((50, 50), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(SlideUnreadableError, match="8-bit RGB"):
        open_slide(tmp_path / "a.png", mpp=0.5)
    Image.fromarray(picture(50, 50)).save(tmp_path / "b.jpg")
    data = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(SlideUnreadableError, match="damaged"):
        open_slide(tmp_path / "b.jpg", mpp=0.5)


def test_the_fingerprint_is_of_the_content_and_not_of_the_name(write_tiff: Writer) -> None:
    first = write_tiff(picture(600, 600), name="a.tiff")
    digests = {}
    for reader in ("tiff", "openslide"):
        with open_slide(first, settings=SlideSettings(reader=reader)) as slide:
            digests[reader] = slide.fingerprint
    moved = first.rename(first.with_name("b.tif"))
    with open_slide(moved, mpp=0.25) as slide:
        assert {slide.fingerprint} == set(digests.values())
    data = bytearray(moved.read_bytes())
    data[66000] ^= 1
    moved.write_bytes(data)
    with open_slide(moved) as slide:
        assert slide.fingerprint not in digests.values()


def test_a_fingerprint_covers_every_file_in_any_order(tmp_path: Path) -> None:
    files = []
    for i in range(3):
        files.append(tmp_path / f"{i}.bin")
        files[-1].write_bytes(bytes([i]) * (1000 + 200_000 * i))
    whole = fingerprint_files(files)
    assert fingerprint_files(reversed(files)) == whole
    assert fingerprint_files(files[:2]) != whole
    files[2].write_bytes(files[2].read_bytes() + b"x")
    assert fingerprint_files(files) != whole


def test_srgb_applies_the_profile(write_tiff: Writer, caplog: pytest.LogCaptureFixture) -> None:
    from PIL import ImageCms

    pixels = picture(200, 200)
    profile = swapped_profile()
    path = write_tiff(pixels, iccprofile=profile)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = np.asarray(
        ImageCms.profileToProfile(
            Image.fromarray(pixels), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    )
    assert np.abs(expected.astype(int) - pixels).mean() > 3
    for reader in ("tiff", "openslide"):
        settings = SlideSettings(reader=reader)  # type: ignore[arg-type]
        with open_slide(path, settings=settings) as raw:
            np.testing.assert_array_equal(raw.read(0, 0, 200, 200, 0.5), pixels)
        with open_slide(path, color="srgb", settings=settings) as srgb:
            np.testing.assert_array_equal(srgb.read(0, 0, 200, 200, 0.5), expected)
            xy = np.array([(x, y) for y in range(0, 200, 20) for x in range(0, 200, 20)])
            for batch in stream_patches(srgb, xy, 20, 0.5, batch_size=7, threads=4):
                for patch, (x, y) in zip(batch.pixels, xy[batch.first :], strict=False):
                    np.testing.assert_array_equal(patch, expected[y : y + 20, x : x + 20])
    caplog.set_level(logging.WARNING)
    with open_slide(write_tiff(pixels, name="plain.tiff"), color="srgb") as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 200, 200, 0.5), pixels)
    assert "has no ICC profile" in caplog.text


def swapped_profile() -> bytes:
    """SRGB's ICC profile with the colorants of red and green exchanged."""
    from PIL import ImageCms

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    for i in range(count):
        start = 132 + 12 * i
        signature = bytes(data[start : start + 4])
        swap = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}
        data[start : start + 4] = swap.get(signature, signature)
    return bytes(data)
