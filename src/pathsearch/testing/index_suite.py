"""What every index must do, as tests to inherit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from pathsearch.nouns import Index

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

DIM = 24


class IndexSuite(ABC):
    """Tests of an index; pytest collects them from a subclass.

    ::

        class TestMyIndex(IndexSuite):
            def built(self, vectors):
                return MyIndex(vectors)

    An approximate index sets `recall`. Whatever it returns must carry its exact score.
    """

    #: Least share of the truly nearest that must be found.
    recall: float = 1.0
    #: How far a score may be from the exact cosine (float16 storage by default).
    tolerance: float = 2e-3
    #: Fewest vectors that it can be built over.
    fewest: int = 0

    @abstractmethod
    def built(self, vectors: Float) -> Index:
        """The index under test over unit vectors, float32 (n, dim); ordinals are rows."""

    def vectors(self, n: int, seed: int = 0) -> Float:
        """Unit vectors in clusters, as embeddings of tissue are."""
        rng = np.random.default_rng(seed)
        centres = rng.normal(size=(12, DIM))
        rows = centres[rng.integers(12, size=n)] + 0.4 * rng.normal(size=(n, DIM))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    def check(
        self, vectors: Float, queries: Float, k: int, allowed: Ints | None, index: Index
    ) -> None:
        """Compare an answer with a plain scan of all vectors."""
        scores, ordinals = index.search(queries, k, allowed)
        assert scores.shape == ordinals.shape == (len(queries), k)
        assert scores.dtype == np.float32
        assert ordinals.dtype == np.int64
        mask = np.zeros(len(vectors), np.bool_)
        for start, stop in [(0, len(vectors))] if allowed is None else allowed.tolist():
            mask[start:stop] = True
        count = min(k, int(mask.sum()))
        assert (ordinals[:, count:] == -1).all(), "missing matches are ordinal -1"
        assert np.isneginf(scores[:, count:]).all(), "missing matches score -inf"
        found = ordinals[:, :count]
        assert (found >= 0).all(), "as many matches as are allowed"
        assert mask[found].all(), "only allowed rows"
        assert all(len(set(row)) == count for row in found.tolist()), "no row twice"
        assert (np.diff(scores[:, :count], axis=1) <= 0).all(), "best first"
        exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
        own = np.take_along_axis(exact, found, axis=1)
        assert np.abs(own - scores[:, :count]).max(initial=0) <= self.tolerance, "exact scores"
        if count and len(queries):
            # By score and not by ordinal: equal vectors may come in any order.
            least = -np.sort(-np.where(mask, exact, -np.inf), axis=1)[:, count - 1 : count]
            share = float((own >= least - 2 * self.tolerance).mean())
            assert share >= self.recall, f"finds {share:.3f} of the nearest"

    def test_size(self) -> None:
        """It covers what it was built over."""
        assert self.built(self.vectors(300)).size == 300

    def test_answers_equal_a_plain_scan(self) -> None:
        """Several sizes and numbers of matches."""
        for n in (50, 3000):
            vectors = self.vectors(n)
            index = self.built(vectors)
            for k in (1, 10, 40):
                self.check(vectors, self.vectors(25, seed=1), k, None, index)

    def test_each_vector_finds_itself(self) -> None:
        """The nearest of a stored vector is itself."""
        vectors = self.vectors(500)
        scores, _ = self.built(vectors).search(vectors[::7], 1)
        assert np.abs(scores - 1).max() <= self.tolerance

    def test_only_allowed_rows_come(self) -> None:
        """Few and many ranges, long and short, at both ends."""
        vectors = self.vectors(2500)
        index = self.built(vectors)
        queries = self.vectors(8, seed=2)
        rng = np.random.default_rng(3)
        cases = [
            [[0, 1]],
            [[2499, 2500]],
            [[0, 2500]],
            [[0, 10], [2490, 2500]],
            [[100, 2400]],
            [[start, start + 2] for start in range(0, 2500, 5)],
        ]
        for _ in range(4):
            edges = np.sort(rng.choice(2501, 2 * int(rng.integers(1, 30)), replace=False))
            cases.append(edges.reshape(-1, 2).tolist())
        for ranges in cases:
            self.check(vectors, queries, 12, np.array(ranges, np.int64), index)

    def test_nothing_allowed(self) -> None:
        """No range, no match, no error."""
        vectors = self.vectors(200)
        nothing = np.zeros((0, 2), np.int64)
        self.check(vectors, self.vectors(3, seed=1), 5, nothing, self.built(vectors))

    def test_more_wanted_than_there_are(self) -> None:
        """Everything comes, then padding."""
        vectors = self.vectors(30)
        index = self.built(vectors)
        self.check(vectors, self.vectors(4, seed=1), 100, None, index)
        self.check(vectors, self.vectors(4, seed=1), 100, np.array([[3, 9]], np.int64), index)

    def test_equal_vectors_all_come(self) -> None:
        """Copies are different rows."""
        vectors = self.vectors(400)
        vectors[[3, 77, 250, 399]] = vectors[3]
        _, ordinals = self.built(vectors).search(vectors[3:4], 4)
        assert set(ordinals[0].tolist()) == {3, 77, 250, 399}

    def test_many_questions_equal_one_at_a_time(self) -> None:
        """A batch is only faster."""
        vectors = self.vectors(1200)
        index = self.built(vectors)
        queries = self.vectors(9, seed=4)
        scores, _ = index.search(queries, 6)
        for row, query in enumerate(queries):
            alone, _ = index.search(query[None], 6)
            assert np.abs(alone[0] - scores[row]).max() <= 1e-5

    def test_no_question(self) -> None:
        """No query gives no row."""
        scores, ordinals = self.built(self.vectors(50)).search(np.zeros((0, DIM), np.float32), 3)
        assert scores.shape == ordinals.shape == (0, 3)

    def test_few_vectors(self) -> None:
        """As few as it can be built over, and a few more."""
        for n in range(self.fewest, self.fewest + 4):
            vectors = self.vectors(n)
            self.check(vectors, self.vectors(2, seed=1), 3, None, self.built(vectors))

    def test_threads_may_search_at_once(self) -> None:
        """Four threads see the same answers as one."""
        vectors = self.vectors(1500)
        index = self.built(vectors)
        queries = [self.vectors(3, seed=s) for s in range(12)]
        expected = [index.search(q, 5)[1] for q in queries]
        with ThreadPoolExecutor(4) as pool:
            for want, got in zip(
                expected, pool.map(lambda q: index.search(q, 5)[1], queries), strict=True
            ):
                np.testing.assert_array_equal(want, got)
