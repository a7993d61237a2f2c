"""What every slide reader must do, as tests to inherit."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.config import SlideSettings
from pathsearch.errors import (
    MppInsaneError,
    ResolutionTooCoarseError,
    SlideError,
    SlideTooLargeError,
    SlideUnreadableError,
)
from pathsearch.nouns import Slide
from pathsearch.slides import OpenRequest, Reader, stream_patches

Pixels = npt.NDArray[np.uint8]


class ReaderSuite(ABC):
    """Tests of a reader; pytest collects them from a subclass.

    ::

        class TestMyReader(ReaderSuite):
            def reader(self):
                return MyReader()

            def written(self, folder, pixels, mpp):
                ...  # write `pixels` (400 x 300) without loss, return the path

    A format that loses detail sets `tolerance`; one that cannot state a resolution sets
    `states_mpp` to False.
    """

    #: Mean absolute difference, in levels of 255, that the format's compression may cause.
    tolerance: float = 0.0
    #: Whether the file says how many µm a pixel is.
    states_mpp: bool = True

    @abstractmethod
    def reader(self) -> Reader:
        """The reader under test."""

    @abstractmethod
    def written(self, folder: Path, pixels: Pixels, mpp: float) -> Path:
        """A slide of these pixels, uint8 (300, 400, 3), in the reader's format."""

    MPP = 0.5

    def pixels(self) -> Pixels:
        """A picture with detail and without symmetry, so that no flip or shift goes unseen."""
        y, x = np.mgrid[:300, :400].astype(np.float64)
        waves = [np.sin(x / 7) + np.cos(y / 11), np.sin((x + 2 * y) / 17), x / 200 - y / 150]
        noise = np.random.default_rng(0).normal(0, 0.15, (300, 400, 3))
        return np.clip(150 + 40 * (np.stack(waves, -1) + noise), 0, 255).astype(np.uint8)

    def opened(self, folder: Path, **request: object) -> Slide:
        """The slide of `pixels`, open."""
        path = self.written(folder, self.pixels(), self.MPP)
        asked = {"mpp": None if self.states_mpp else self.MPP, **request}
        return self.reader().open(path, OpenRequest(**asked))  # type: ignore[arg-type]

    def alike(self, read: Pixels, expected: npt.ArrayLike, extra: float = 0.0) -> None:
        """Assert that two arrays agree within the tolerance."""
        wanted = np.asarray(expected, np.float64)
        assert read.shape == wanted.shape
        assert np.abs(read - wanted).mean() <= self.tolerance + extra

    def test_it_knows_its_format_and_no_other(self, tmp_path: Path) -> None:
        """`can_open` and `open` on its own format and on what is none."""
        reader = self.reader()
        path = self.written(tmp_path, self.pixels(), self.MPP)
        assert reader.can_open(path)
        other = tmp_path / f"text{path.suffix}"
        other.write_bytes(b"this is no slide" * 100)
        if reader.can_open(other):
            error = _raises(
                SlideUnreadableError, lambda: reader.open(other, OpenRequest(mpp=self.MPP))
            )
            assert str(other) in str(error)
            assert "\n" not in str(error)

    def test_facts(self, tmp_path: Path) -> None:
        """Size, mpp, bounds, levels, reader and fingerprint."""
        with self.opened(tmp_path) as slide:
            assert isinstance(slide, Slide)
            assert slide.size == (400, 300)
            assert abs(slide.mpp - self.MPP) < 1e-3 * self.MPP
            x, y, w, h = slide.bounds
            assert (x >= 0, y >= 0, x + w <= 400, y + h <= 300) == (True,) * 4
            assert slide.levels[0].downsample == 1.0
            downsamples = [level.downsample for level in slide.levels]
            assert downsamples == sorted(downsamples)
            assert slide.info.reader == self.reader().name
            fingerprint = slide.fingerprint
        with self.reader().open(Path(slide.path), OpenRequest(mpp=0.25)) as again:
            assert again.fingerprint == fingerprint != ""

    def test_native_pixels(self, tmp_path: Path) -> None:
        """Regions at the finest level, the slide's corners among them."""
        pixels = self.pixels()
        with self.opened(tmp_path) as slide:
            for x, y, w, h in [(0, 0, 400, 300), (37, 91, 64, 50), (390, 290, 10, 10)]:
                read = slide.read(x, y, w, h, slide.mpp)
                assert read.dtype == np.uint8
                self.alike(read, pixels[y : y + h, x : x + w])

    def test_outside_is_background(self, tmp_path: Path) -> None:
        """Beyond every edge it is light, never black."""
        pixels = self.pixels()
        with self.opened(tmp_path) as slide:
            read = slide.read(-20, -10, 440, 320, slide.mpp)
            self.alike(read[10:310, 20:420], pixels, extra=0.5)
            outside = np.ones(read.shape[:2], np.bool_)
            outside[10:310, 20:420] = False
            assert read[outside].min() > 200
            assert slide.read(10_000, 10_000, 8, 8, slide.mpp * 2).min() > 200

    def test_shrinking_averages_and_does_not_shift(self, tmp_path: Path) -> None:
        """Half and a quarter of the resolution are area averages at the same place."""
        pixels = self.pixels()
        with self.opened(tmp_path) as slide:
            for factor in (2, 4):
                w, h = 240 // factor, 160 // factor
                read = slide.read(80, 40, w, h, slide.mpp * factor)
                part = pixels[40:200, 80:320].reshape(h, factor, w, factor, 3)
                self.alike(read, part.mean((1, 3)), extra=2.0)

    def test_resolutions_are_refused_as_agreed(self, tmp_path: Path) -> None:
        """Too fine, absurd, and an override."""
        with self.opened(tmp_path) as slide:
            _raises(ResolutionTooCoarseError, lambda: slide.read(0, 0, 8, 8, slide.mpp / 2))
        with self.opened(tmp_path, mpp=0.25) as slide:
            assert slide.mpp == 0.25
        _raises(MppInsaneError, lambda: self.opened(tmp_path, mpp=50.0))
        small = SlideSettings(max_pixels=400 * 300 - 1)
        _raises(SlideTooLargeError, lambda: self.opened(tmp_path, settings=small))

    def test_streams_equal_single_reads(self, tmp_path: Path) -> None:
        """Batches hold what `read` gives, in order."""
        xy = np.array([(x, y) for y in range(-16, 300, 48) for x in range(-16, 400, 48)], np.int64)
        with self.opened(tmp_path) as slide:
            for mpp in (slide.mpp, slide.mpp * 1.7):
                first = 0
                for batch in stream_patches(slide, xy, 32, mpp, batch_size=10, threads=2):
                    assert batch.first == first
                    assert batch.ok.all()
                    for patch, (x, y) in zip(batch.pixels, xy[first:], strict=False):
                        np.testing.assert_array_equal(patch, slide.read(x, y, 32, 32, mpp))
                    first += len(batch.ok)
                assert first == len(xy)

    def test_threads_may_read_at_once(self, tmp_path: Path) -> None:
        """Four threads over one slide see the same pixels as one."""
        with self.opened(tmp_path) as slide:
            places = [(x, y) for x in range(0, 360, 40) for y in range(0, 260, 40)]
            expected = {place: slide.read(*place, 40, 40, slide.mpp) for place in places}
            wrong: list[tuple[int, int]] = []

            def work() -> None:
                for place in places:
                    read = slide.read(*place, 40, 40, slide.mpp)
                    if not np.array_equal(read, expected[place]):
                        wrong.append(place)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not wrong

    def test_closing(self, tmp_path: Path) -> None:
        """A closed slide refuses to read; closing twice is harmless."""
        slide = self.opened(tmp_path)
        slide.close()
        slide.close()
        _raises(ValueError, lambda: slide.read(0, 0, 8, 8, self.MPP))

    def test_a_truncated_file_is_an_error_of_that_slide(self, tmp_path: Path) -> None:
        """Half of the bytes: a SlideError at the latest when it is read."""
        path = self.written(tmp_path, self.pixels(), self.MPP)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        try:
            slide = self.reader().open(path, OpenRequest(mpp=self.MPP))
        except SlideError:
            return
        with slide:
            xy = np.array([(x, y) for y in range(0, 300, 50) for x in range(0, 400, 50)], np.int64)
            ok = [batch.ok for batch in stream_patches(slide, xy, 50, self.MPP)]
            assert not np.concatenate(ok).all()


def _raises(kind: type[Exception], call: Callable[[], object]) -> Exception:
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
