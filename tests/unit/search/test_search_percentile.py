"""Percentiles against a plain count."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.index import ExactIndex
from pathsearch.search.neighbours import MODES, Neighbours, Rows
from pathsearch.search.percentile import RANKS, Background


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    n = 120
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    half = vectors.astype(np.float16)
    norms = np.linalg.norm(half.astype(np.float32), axis=1).astype(np.float32)
    slides = np.repeat(np.arange(6), 20)
    cases = slides // 2
    coords = np.stack([np.arange(n) % 20 * 50, np.zeros(n)], axis=1).astype(np.int32)
    rows = Rows(slides, cases, coords, np.full(n, 100))
    return ExactIndex(half, norms), rows


def plain(exact, rows, mode, rank, score):
    """The definition, one patch after the other."""
    vectors = np.asarray(exact.vectors, np.float32) / exact.norms[:, None]
    scores = vectors @ vectors.T
    lower = []
    for row in range(len(vectors)):
        if mode == "overlap":
            near = (rows.slides == rows.slides[row]) & (
                np.abs(rows.coords - rows.coords[row]).max(axis=1) < 150  # the guard's half
            )
        else:
            own = rows.slides if mode == "slide" else rows.cases
            near = own == own[row]
        left = np.sort(scores[row][~near])[::-1]
        if rank <= len(left):
            lower.append(left[rank - 1] < score)
    return 100 * np.mean(lower)


@pytest.mark.parametrize("mode", ["overlap", "slide", "case"])
def test_every_rank_that_is_kept_equals_the_definition(world, mode):
    exact, rows = world
    background = Background.measure(exact, rows)
    rng = np.random.default_rng(2)
    scores = np.sort(rng.uniform(-0.2, 0.95, 60).astype(np.float32))[::-1]
    got = background.percentiles(scores, mode)
    for rank in (r for r in RANKS if r <= 60):
        want = plain(exact, rows, mode, rank, scores[rank - 1])
        assert got[rank - 1] == pytest.approx(want, abs=1.0), rank


def test_ranks_between_are_interpolated_and_beyond_are_unknown(world):
    exact, rows = world
    background = Background.measure(exact, rows)
    got = background.percentiles(np.full(110, 0.1, np.float32), "slide")
    assert got[21] == pytest.approx(got[19] + (got[24] - got[19]) * 2 / 5, abs=1e-6)
    assert got[101] is None  # only 100 patches of other slides exist


def test_it_survives_the_disk_and_damage_is_not_an_answer(world, tmp_path):
    exact, rows = world
    background = Background.measure(exact, rows)
    background.save(tmp_path)
    again = Background.load(tmp_path)
    scores = np.linspace(0.9, 0.1, 30).astype(np.float32)
    assert again.percentiles(scores, "case") == background.percentiles(scores, "case")
    (tmp_path / "background.npz").write_bytes(b"PK\x03\x04 no")
    assert Background.load(tmp_path) is None
    assert Background.load(tmp_path / "nowhere") is None


@pytest.mark.parametrize("block", [7, 64, 4096])
@pytest.mark.parametrize("depth", [3, 60, 500])
def test_one_pass_finds_what_a_search_for_each_question_finds(world, monkeypatch, block, depth):
    exact, rows = world
    monkeypatch.setattr("pathsearch.search.neighbours._BLOCK", block)
    monkeypatch.setattr("pathsearch.search.neighbours._TOGETHER", 50)
    found = Neighbours.measure(exact, rows, queries=80, depth=depth)
    for mode in MODES:
        for line, row in enumerate(found.asked):
            scores = exact.scores(found.vectors[line], np.arange(exact.size))
            scores[rows.excluded(int(row), mode)] = -np.inf
            best = np.argsort(-scores, kind="stable")[: min(depth, exact.size)]
            there = np.isfinite(scores[best])
            np.testing.assert_array_equal(found.ordinals[mode][line], np.where(there, best, -1))
            np.testing.assert_allclose(found.scores[mode][line], scores[best], atol=2e-6)
