"""Indexes against a plain numpy oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pathsearch.errors import IndexFileError
from pathsearch.index import ExactIndex, IvfIndex, files, ranges


def unit(n: int, dim: int, seed: int = 0, clusters: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, dim))
    rows = centres[rng.integers(clusters, size=n)] + 0.5 * rng.normal(size=(n, dim))
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def oracle(vectors, queries, k, mask):
    half = vectors.astype(np.float16).astype(np.float32)
    scores = queries @ (half / np.linalg.norm(half, axis=1, keepdims=True)).T
    scores = np.where(mask, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    return best, np.where(np.isfinite(best), order, -1)


def stored(vectors):
    half = vectors.astype(np.float16)
    return half, np.linalg.norm(half.astype(np.float32), axis=1).astype(np.float32)


@given(
    n=st.integers(1, 400),
    k=st.integers(1, 30),
    seed=st.integers(0, 5),
    picks=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_exact_equals_the_oracle_for_any_allowed_ranges(n, k, seed, picks):
    vectors = unit(n, 16, seed)
    queries = unit(3, 16, seed + 100)
    allowed = ranges.clip(
        ranges.union(np.array([[a, a + w] for a, w in picks]).reshape(-1, 2)), 0, n
    )
    mask = ranges.to_mask(allowed, n)
    index = ExactIndex(*stored(vectors))
    scores, ordinals = index.search(queries, k, allowed)
    want_scores, _ = oracle(vectors, queries, k, mask)
    assert scores.shape == (3, k)
    assert ordinals.shape == (3, k)
    found = min(k, int(mask.sum()))
    np.testing.assert_allclose(scores[:, :found], want_scores[:, :found], atol=2e-6)
    assert (ordinals[:, found:] == -1).all()
    assert np.isneginf(scores[:, found:]).all()
    assert all(mask[o] for o in ordinals[:, :found].ravel())
    for row in range(3):
        assert len(set(ordinals[row, :found])) == found


def test_exact_crosses_blocks_and_breaks_ties_by_ordinal(monkeypatch):
    monkeypatch.setattr("pathsearch.index.exact.BLOCK", 64)
    vectors = unit(1000, 8)
    vectors[[5, 300, 700, 701]] = vectors[5]
    index = ExactIndex(*stored(vectors))
    scores, ordinals = index.search(vectors[5:6], 3)
    assert ordinals[0].tolist() == [5, 300, 700]
    assert scores[0, 0] == pytest.approx(1.0, abs=1e-3)


def test_ranges_hold_what_a_mask_holds():
    rng = np.random.default_rng(1)
    for _ in range(200):
        # Runs of random lengths: few long ranges as well as many short ones
        mask = np.repeat(rng.random(200) < rng.random(), rng.integers(1, 40, 200))[:200]
        held = ranges.from_ordinals(np.flatnonzero(mask))
        assert (ranges.to_mask(held, 200) == mask).all()
        assert ranges.count(held) == mask.sum()
        bits = np.unpackbits(ranges.to_bits(held, 200), bitorder="little")[:200]
        assert (bits.astype(bool) == mask).all()
        sums = np.concatenate([[0], np.cumsum(mask)])
        assert (ranges.count_below(held, np.arange(201)) == sums).all()
        rest = ranges.complement(held, 200)
        assert (ranges.to_mask(rest, 200) == ~mask).all()
        pieces = [np.arange(200)[b] for b in ranges.blocks(held, 32)]
        got = np.sort(np.concatenate(pieces)) if pieces else np.empty(0)
        assert (got == np.flatnonzero(mask)).all()


@pytest.fixture(scope="module")
def ivf():
    vectors = unit(30_000, 32, seed=3, clusters=200)
    index = IvfIndex.build(*stored(vectors), seed=1)
    return vectors, index


def without_themselves(vectors, own):
    """The exact ten nearest of some rows, and what each may find: all but itself."""
    allowed = [ranges.complement(ranges.from_ordinals(np.array([o])), len(vectors)) for o in own]
    masks = np.ones((len(own), len(vectors)), bool)
    masks[np.arange(len(own)), own] = False
    return oracle(vectors, vectors[own], 10, masks)[1], allowed


def test_ivf_reaches_the_recall_it_reports(ivf):
    vectors, index = ivf
    own = np.arange(0, 30_000, 301)
    reported = index.tune(vectors[own], *without_themselves(vectors, own), target=0.98)
    queries = unit(100, 32, seed=3, clusters=200)[::1]
    _, found = index.search(queries, 10)
    _, truth = oracle(vectors, queries, 10, np.ones(len(vectors), bool))
    recall = np.mean([len(np.intersect1d(f, t)) / 10 for f, t in zip(found, truth, strict=True)])
    assert reported >= 0.98
    assert recall >= 0.93


def test_ivf_scores_are_exact_and_sorted(ivf):
    vectors, index = ivf
    queries = unit(20, 32, seed=8, clusters=200)
    scores, ordinals = index.search(queries, 15)
    half, norms = stored(vectors)
    for row in range(20):
        want = half[ordinals[row]].astype(np.float32) @ queries[row] / norms[ordinals[row]]
        np.testing.assert_allclose(scores[row], want, atol=2e-6)
        assert (np.diff(scores[row]) <= 0).all()


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.2, 0.9])
def test_ivf_gives_k_of_the_allowed_whenever_k_exist(ivf, share):
    vectors, index = ivf
    index.nprobe = 1
    rng = np.random.default_rng(0)
    allowed = ranges.from_ordinals(np.flatnonzero(rng.random(len(vectors)) < share))
    queries = unit(5, 32, seed=9, clusters=200)
    k = min(50, ranges.count(allowed))
    scores, ordinals = index.search(queries, k, allowed)
    mask = ranges.to_mask(allowed, len(vectors))
    assert (ordinals >= 0).all()
    assert mask[ordinals].all()
    want_scores, _ = oracle(vectors, queries, k, mask)
    if share < 0.05:  # few allowed rows are scanned, so the answer is exact
        np.testing.assert_allclose(scores, want_scores, atol=2e-6)


@pytest.mark.parametrize("share", [0.08, 0.3, 0.7])
def test_a_filter_does_not_cost_recall(ivf, share):
    vectors, index = ivf
    own = np.arange(0, 30_000, 301)
    index.tune(vectors[own], *without_themselves(vectors, own), target=0.98)
    rng = np.random.default_rng(1)
    allowed = ranges.from_ordinals(np.flatnonzero(rng.random(len(vectors)) < share))
    queries = unit(60, 32, seed=3, clusters=200)
    _, found = index.search(queries, 10, allowed)
    _, truth = oracle(vectors, queries, 10, ranges.to_mask(allowed, len(vectors)))
    recall = np.mean([len(np.intersect1d(f, t)) / 10 for f, t in zip(found, truth, strict=True)])
    assert recall >= 0.93


def test_ivf_falls_back_to_a_scan_when_its_lists_hold_too_few(ivf):
    vectors, index = ivf
    index.nprobe = 1
    k = 5000  # more than any one list holds
    _, ordinals = index.search(vectors[:1], k)
    assert len(set(ordinals[0].tolist())) == k


def write_folder(folder, vectors, kind="ivf"):
    half, norms = stored(vectors)
    coords = np.arange(2 * len(vectors)).reshape(-1, 2)
    cut = len(vectors) // 3
    writer = files.VectorFiles(folder, vectors.shape[1])
    writer.write(
        [
            (4, half[:cut], norms[:cut], coords[:cut]),
            (9, half[cut:], norms[cut:], coords[cut:]),
        ]
    )
    exact = files.map_vectors(folder, len(vectors), vectors.shape[1])
    if kind == "ivf":
        IvfIndex.build(exact.vectors, exact.norms).save(folder / "lists.faiss")
    manifest = files.IndexManifest(kind, "s", "fp", len(vectors), vectors.shape[1], nprobe=4)
    files.finish(folder, manifest)


def test_a_folder_comes_back_as_it_was_written(tmp_path):
    vectors = unit(5000, 16)
    write_folder(tmp_path, vectors)
    opened = files.open_folder(tmp_path)
    assert opened.segments.tolist() == [[4, 0, 1666], [9, 1666, 5000]]
    assert opened.coords[4999].tolist() == [9998, 9999]
    scores, ordinals = opened.index.search(vectors[40:41], 1)
    assert ordinals[0, 0] == 40
    assert scores[0, 0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["lists.faiss", "vectors.f16", "manifest.json", "segments.npy"])
@pytest.mark.parametrize("harm", ["gone", "short", "empty"])
def test_a_damaged_folder_is_refused_by_name(tmp_path, name, harm):
    write_folder(tmp_path, unit(3000, 16))
    path = tmp_path / name
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if harm == "short" else b"")
    with pytest.raises(IndexFileError, match=name.split(".")[0]):
        files.open_folder(tmp_path)


def test_one_flipped_bit_in_the_lists_is_found(tmp_path):
    write_folder(tmp_path, unit(3000, 16))
    path = tmp_path / "lists.faiss"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IndexFileError, match="not the file"):
        files.open_folder(tmp_path)


def test_an_empty_folder_answers_with_nothing(tmp_path):
    files.VectorFiles(tmp_path, 8).write([])
    files.finish(tmp_path, files.IndexManifest("exact", "s", "fp", 0, 8))
    opened = files.open_folder(tmp_path)
    scores, ordinals = opened.index.search(np.ones((1, 8), np.float32), 3)
    assert ordinals.tolist() == [[-1, -1, -1]]
    assert np.isneginf(scores).all()
