"""Comparing rows where they lie, and the running best, against their slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathsearch.index import ExactIndex, half_scan, ranges
from pathsearch.index.top import TopK


def stored(n, dim, seed, *, loose=False):
    """float16 rows with copies among them, and their norms; loose: far from unit length."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(max(n // 2, 1), dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if loose:
        rows *= rng.uniform(0.5, 2.0, size=(len(rows), 1)).astype(np.float32)
    half = rows[rng.integers(len(rows), size=n)].astype(np.float16)
    return half, np.linalg.norm(half.astype(np.float32), axis=1).astype(np.float32)


def test_this_faiss_can_look_at_rows_of_ours():
    assert half_scan.available()


@given(
    n=st.integers(1, 3000),
    k=st.integers(1, 80),
    seed=st.integers(0, 50),
    loose=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 1500)), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_rows_compared_in_place_give_what_converted_blocks_give(n, k, seed, loose, cuts):
    half, norms = stored(n, 16, seed, loose=loose)
    index = ExactIndex(half, norms)
    query = np.random.default_rng(seed + 1).normal(size=(1, 16)).astype(np.float32)
    query /= np.linalg.norm(query)
    allowed = ranges.clip(ranges.union(np.array(cuts).reshape(-1, 2)), 0, n) if cuts else None
    allowed = ranges.everything(n) if allowed is None else allowed
    fast = index.search(query, k, allowed)
    slow = index.by_blocks(query, k, allowed)
    np.testing.assert_allclose(fast[0], slow[0], atol=1e-6)
    assert (np.diff(fast[0][np.isfinite(fast[0])]) <= 0).all()
    settled = fast[0][0] > fast[0][0][np.isfinite(fast[0][0])].min(initial=1) + 1e-6
    np.testing.assert_array_equal(fast[1][0][settled], slow[1][0][settled])


def test_without_that_faiss_the_answer_is_the_same(monkeypatch):
    half, norms = stored(5000, 24, 3)
    query = half[7:8].astype(np.float32) / norms[7]
    with_it = ExactIndex(half, norms).search(query, 40)
    monkeypatch.setattr(half_scan, "available", lambda: False)
    without = ExactIndex(half, norms).search(query, 40)
    np.testing.assert_array_equal(with_it[1], without[1])
    np.testing.assert_array_equal(with_it[0], without[0])


def test_more_equal_rows_than_candidates_end_in_the_slow_scan(monkeypatch):
    monkeypatch.setattr("pathsearch.index.exact._MOST_CANDIDATES", 500)
    half = np.tile(stored(1, 8, 0)[0], (3000, 1))
    norms = np.linalg.norm(half.astype(np.float32), axis=1).astype(np.float32)
    query = half[:1].astype(np.float32) / norms[0]
    assert ExactIndex(half, norms).search(query, 5)[1].tolist() == [[0, 1, 2, 3, 4]]


def test_rows_that_do_not_lie_in_one_piece_are_not_looked_at():
    half, _ = stored(100, 8, 0)
    assert half_scan.usable(half)
    assert not half_scan.usable(half[:, ::2])
    assert not half_scan.usable(half.astype(np.float32))


@pytest.mark.parametrize("k", [0, 1, 5, 400])
def test_the_running_best_is_the_best_of_all(k):
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 30, size=(4, 1000)).astype(np.float32) / 30  # full of ties
    scores[2] = -np.inf
    scores[3, 5:] = -np.inf
    best = TopK(4, k)
    at = 0
    while at < 1000:
        stop = at + int(rng.integers(1, 200))
        best.offer(scores[:, at:stop], np.arange(1000)[at:stop])
        at = stop
    got_scores, got_ordinals = best.result()
    for row in range(4):
        order = np.argsort(-scores[row], kind="stable")[:k]
        there = np.isfinite(scores[row][order])
        np.testing.assert_array_equal(got_ordinals[row], np.where(there, order, -1))
        np.testing.assert_array_equal(got_scores[row], np.where(there, scores[row][order], -np.inf))
