"""The formats of the extra, where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_slides import picture

from pathsearch.errors import SlideUnreadableError
from pathsearch.slides import OpenRequest, find_slides, open_slide
from pathsearch.slides.czi_reader import CziReader, czi_scaling
from pathsearch.slides.dicom_reader import WsiDicomReader
from pathsearch.slides.isyntax_reader import ISyntaxReader


def test_czi_against_what_was_written(tmp_path: Path) -> None:
    library = pytest.importorskip("pylibCZIrw.czi")
    pixels = picture(400, 300)
    path = tmp_path / "a.czi"
    with library.create_czi(str(path)) as czi:
        czi.write(np.ascontiguousarray(pixels[..., ::-1]), location=(0, 0))
        czi.write_metadata("a", scale_x=0.25e-6, scale_y=0.25e-6)
    with CziReader().open(path, OpenRequest()) as slide:
        assert slide.size == (400, 300)
        assert slide.mpp == pytest.approx(0.25)
        read = slide.read(-20, 30, 100, 50, 0.25)
        assert (read[:, :20] == 255).all()
        np.testing.assert_array_equal(read[:, 20:], pixels[30:80, :80])
        half = slide.read(100, 50, 100, 100, 0.5)
    exact = pixels[50:250, 100:300].reshape(100, 2, 100, 2, 3).mean((1, 3))
    assert np.abs(half - exact).mean() < 1.0


def test_czi_metadata_with_parts_missing() -> None:
    assert czi_scaling({}) == (None, None, None)
    metadata = {
        "ImageDocument": {
            "Metadata": {
                "Scaling": {"Items": {"Distance": [{"@Id": "X", "Value": "2.2e-07"},
                                                   {"@Id": "Y", "Value": "x"}]}},
                "Information": {"Instrument": {"Objectives": {
                    "Objective": {"NominalMagnification": "20"}}}},
            }
        }
    }  # fmt: skip
    assert czi_scaling(metadata) == (pytest.approx(0.22), None, 20.0)


def test_a_file_that_is_no_isyntax_never_reaches_the_c_library(tmp_path: Path) -> None:
    path = tmp_path / "a.isyntax"
    path.write_bytes(b"\0" * 5000)
    pytest.importorskip("isyntax")
    assert ISyntaxReader().can_open(path)
    with pytest.raises(SlideUnreadableError, match="is not an iSyntax file"):
        ISyntaxReader().open(path, OpenRequest())
    path.write_bytes(b"<DataObject>" + bytes(5000))
    with pytest.raises(SlideUnreadableError, match="cannot open it"):
        ISyntaxReader().open(path, OpenRequest())


def test_wsidicom_reads_what_openslide_reads(data_dir: Path) -> None:
    pytest.importorskip("wsidicom")
    (found,) = find_slides([data_dir / "slides" / "CMU-1-dicom"])
    with (
        open_slide(found.path) as reference,
        WsiDicomReader().open(found.path, OpenRequest()) as slide,
    ):
        assert (slide.size, slide.mpp) == (reference.size, reference.mpp)
        assert slide.fingerprint == reference.fingerprint
        for region in [(500, 700, 200, 150, 0.499), (-30, -40, 200, 150, 1.2)]:
            np.testing.assert_array_equal(slide.read(*region), reference.read(*region))
