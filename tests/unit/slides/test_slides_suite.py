"""The suite of every reader, over the built-in ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pathsearch.slides.czi_reader import CziReader
from pathsearch.slides.openslide_reader import OpenSlideReader
from pathsearch.slides.picture_reader import PictureReader
from pathsearch.slides.readers import Reader
from pathsearch.slides.tiff_reader import TiffReader
from pathsearch.testing.reader_suite import ReaderSuite


class _Tiff(ReaderSuite):
    def written(self, folder: Path, pixels: np.ndarray, mpp: float) -> Path:
        path = folder / "a.tiff"
        tifffile.imwrite(
            path, pixels, tile=(64, 64), photometric="rgb", metadata=None,
            resolution=(1e4 / mpp, 1e4 / mpp), resolutionunit="CENTIMETER",
        )  # fmt: skip
        return path


class TestTiff(_Tiff):
    def reader(self) -> Reader:
        return TiffReader()


class TestOpenSlide(_Tiff):
    def reader(self) -> Reader:
        return OpenSlideReader()


class TestPicture(ReaderSuite):
    states_mpp = False

    def reader(self) -> Reader:
        return PictureReader()

    def written(self, folder: Path, pixels: np.ndarray, mpp: float) -> Path:
        Image.fromarray(pixels).save(folder / "a.png")
        return folder / "a.png"


class TestCzi(ReaderSuite):
    def reader(self) -> Reader:
        pytest.importorskip("pylibCZIrw")
        return CziReader()

    def written(self, folder: Path, pixels: np.ndarray, mpp: float) -> Path:
        library = pytest.importorskip("pylibCZIrw.czi")
        path = folder / "a.czi"
        path.unlink(missing_ok=True)
        with library.create_czi(str(path)) as czi:
            czi.write(np.ascontiguousarray(pixels[..., ::-1]), location=(0, 0))
            czi.write_metadata("a", scale_x=mpp * 1e-6, scale_y=mpp * 1e-6)
        return path
