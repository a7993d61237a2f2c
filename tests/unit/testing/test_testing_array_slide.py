"""The slide that is an array: the oracle of tests must itself be right."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.errors import ReadFailedError, ResolutionTooCoarseError
from pathsearch.nouns import Slide
from pathsearch.testing import ArraySlide


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def test_it_is_a_slide_and_says_what_it_is(pixels):
    slide = ArraySlide(pixels, 0.5, bounds=(3, 4, 50, 30))
    assert isinstance(slide, Slide)
    assert slide.size == (60, 40)
    assert slide.bounds == (3, 4, 50, 30)
    assert slide.fingerprint == ArraySlide(pixels.copy(), 0.5).fingerprint
    assert slide.fingerprint != ArraySlide(pixels, 0.25).fingerprint


def test_reads_by_hand(pixels):
    slide = ArraySlide(pixels, 0.5, background=(10, 20, 30))
    np.testing.assert_array_equal(slide.read(7, 5, 4, 3, 0.5), pixels[5:8, 7:11])
    np.testing.assert_array_equal(slide.read(7, 5, 4, 3, 0.505), pixels[5:8, 7:11])
    half = pixels[10:20, 20:40].reshape(5, 2, 10, 2, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(slide.read(20, 10, 10, 5, 1.0), np.rint(half).astype(np.uint8))
    # Half a pixel to the right: the mean of two neighbours.
    between = (pixels[0, 0].astype(float) + pixels[0, 1]) / 2
    assert np.abs(slide.read(0.5, 0, 1, 1, 0.5)[0, 0] - between).max() <= 0.5
    outside = slide.read(-2, 0, 2, 1, 0.5)
    np.testing.assert_array_equal(outside, np.broadcast_to([10, 20, 30], (1, 2, 3)))


def test_what_cannot_be_read(pixels):
    slide = ArraySlide(pixels, 0.5, broken=((10, 10, 5, 5),))
    slide.read(15, 10, 5, 5, 0.5)
    with pytest.raises(ReadFailedError):
        slide.read(14, 10, 5, 5, 0.5)
    with pytest.raises(ResolutionTooCoarseError):
        slide.read(0, 0, 4, 4, 0.3)
    slide.read(0, 0, 4, 4, 0.5 / 1.5)
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(0, 0, 4, 4, 0.5)
    with pytest.raises(ValueError, match="uint8"):
        ArraySlide(np.zeros((4, 4)))
