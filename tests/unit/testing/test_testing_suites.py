"""The suites for indexes and encoders: ours pass, and broken ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.config import EncoderArchitecture
from pathsearch.encoders import load_encoder
from pathsearch.encoders.random_weights import random_encoder
from pathsearch.index import ExactIndex, IvfIndex
from pathsearch.testing import EncoderSuite, IndexSuite, PlainEncoder, draw_slide


def stored(vectors):
    half = vectors.astype(np.float16)
    return half, np.linalg.norm(half.astype(np.float32), axis=1)


class TestExactIndex(IndexSuite):
    def built(self, vectors):
        return ExactIndex(*stored(vectors))


class TestIvfIndex(IndexSuite):
    recall = 0.95
    fewest = 1

    def built(self, vectors):
        return IvfIndex.build(*stored(vectors), nprobe=16)


class TestPlainEncoder(EncoderSuite):
    tolerance = 1e-5  # one product of matrices over the whole batch

    def encoder(self):
        return PlainEncoder()


class TestConvEncoder(EncoderSuite):
    tells_apart = 0.6  # random weights

    def encoder(self):
        drawing = draw_slide((512, 64), layout=[["stroma", "fat", "lymphocytes", "mucus"]])
        patches = np.stack([drawing.pixels(64 * i, 0, 64, 64) for i in range(8)])
        shape = EncoderArchitecture(channels=(8, 12), depths=(0, 1), pooled_stages=(0, 1))
        return random_encoder(patches, shape, seed=3, dim=8)

    def loaded(self, folder):
        return load_encoder(folder, device="cpu", precision="float32")


class OffByOne(ExactIndex):
    def search(self, queries, k, allowed=None):
        scores, ordinals = super().search(queries, k, allowed)
        return scores, np.where(ordinals >= 0, (ordinals + 1) % max(self.size, 1), -1)


class Unfiltered(ExactIndex):
    def search(self, queries, k, allowed=None):
        return super().search(queries, k, None)


class Quantised(ExactIndex):
    def search(self, queries, k, allowed=None):
        scores, ordinals = super().search(queries, k, allowed)
        return np.round(scores, 1), ordinals


class Unpadded(ExactIndex):
    def search(self, queries, k, allowed=None):
        return super().search(queries, min(k, self.size), allowed)


def failures(suite, *args):
    """Which tests of a suite fail."""
    failed = []
    for name in sorted(n for n in dir(suite) if n.startswith("test_")):
        try:
            getattr(suite, name)(*(args if "saved" in name else ()))
        except (AssertionError, ValueError, IndexError):
            failed.append(name)
    return failed


@pytest.mark.parametrize(
    ("kind", "caught_by"),
    [
        (OffByOne, "test_answers_equal_a_plain_scan"),
        (Unfiltered, "test_only_allowed_rows_come"),
        (Quantised, "test_answers_equal_a_plain_scan"),
        (Unpadded, "test_more_wanted_than_there_are"),
    ],
)
def test_broken_indexes_are_caught(kind, caught_by):
    class Suite(IndexSuite):
        def built(self, vectors):
            return kind(*stored(vectors))

    assert caught_by in failures(Suite())


class NotUnit(PlainEncoder):
    def encode(self, pixels):
        return 2 * super().encode(pixels)


class Sociable(PlainEncoder):
    """A patch's vector depends on its batch, as with batch normalisation left on."""

    def encode(self, pixels):
        vectors = super().encode(pixels)
        vectors = vectors - 0.5 * vectors.sum(axis=0, keepdims=True) / max(len(vectors), 1)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


class Blind(PlainEncoder):
    def encode(self, pixels):
        vectors = np.random.default_rng(len(pixels)).normal(size=(len(pixels), self.dim))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "caught_by"),
    [
        (NotUnit, "test_vectors_are_unit_vectors"),
        (Sociable, "test_a_patch_does_not_depend_on_its_company"),
        (Blind, "test_it_tells_tissues_apart"),
    ],
)
def test_broken_encoders_are_caught(kind, caught_by, tmp_path):
    class Suite(EncoderSuite):
        tolerance = 1e-5

        def encoder(self):
            return kind()

    assert caught_by in failures(Suite(), tmp_path)


def test_an_encoder_that_saves_must_load_the_same(tmp_path):
    class Saves(PlainEncoder):
        def save(self, folder):
            pass

    class Suite(EncoderSuite):
        def encoder(self):
            return Saves()

        def loaded(self, folder):
            return PlainEncoder(seed=1)

    with pytest.raises(AssertionError):
        Suite().test_saved_and_loaded_it_is_the_same(tmp_path)
