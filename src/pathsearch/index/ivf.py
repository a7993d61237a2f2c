"""FAISS inverted lists over shortened vectors, re-ranked from the exact ones.

Plain quantised scores lose up to half the recall on clustered vectors, so candidates are
always scored again from the stored float16 vectors, and no quantised score is ever shown.

Two ways to shorten them: `SQ8`, a byte a dimension, and `RaBitQ`, a bit a dimension, for
libraries whose bytes do not fit into memory; the latter needs more candidates (on 200,000
vectors of tissue, 400 gave what 20 of SQ8 gave).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pathsearch.errors import IndexFileError
from pathsearch.index import ranges
from pathsearch.index.exact import ExactIndex
from pathsearch.index.ranges import Ranges
from pathsearch.nouns import Array

#: Below this many allowed rows all of them are compared: as fast, and nothing is missed.
SCAN_BELOW = 2_000
#: So are those of a filter that leaves less than this share,
SCAN_SHARE = 0.05
#: as long as so many bytes of vectors are read for it at most.
SCAN_BYTES = 2**28
#: Candidates re-ranked: so many per wanted match, and so many more.
_CANDIDATES = {"SQ8": (4, 16), "RaBitQ": (30, 100)}
_TRAIN_ROWS_PER_LIST = 64
#: Numbers of lists that `tune` tries: finer than powers of two, since time goes with them.
_PROBES = tuple(sorted({2**n for n in range(17)} | {3 * 2**n for n in range(16)}))

Codes = Literal["SQ8", "RaBitQ"]


class IvfIndex:
    """Approximate search with exact scores.

    Parameters
    ----------
    vectors, norms
        As for `ExactIndex`: what the candidates are scored from.
    lists : faiss.IndexIVF
        The inverted lists; ids are ordinals.
    nprobe : int
        How many lists a query visits.
    codes : {'SQ8', 'RaBitQ'}
        How the lists shorten vectors.
    """

    def __init__(
        self,
        vectors: Array,
        norms: npt.NDArray[np.float32] | None,
        lists: Any,
        nprobe: int,
        codes: Codes = "SQ8",
    ) -> None:
        self.exact = ExactIndex(vectors, norms)
        self.codes = codes
        self.lists = lists
        self.nprobe = nprobe

    @property
    def size(self) -> int:
        """Number of vectors covered."""
        return self.exact.size

    @classmethod
    def build(
        cls,
        vectors: Array,
        norms: npt.NDArray[np.float32] | None = None,
        *,
        seed: int = 0,
        nprobe: int = 8,
        codes: Codes = "SQ8",
    ) -> IvfIndex:
        """Cluster the vectors and fill the lists.

        Parameters
        ----------
        vectors : float16 or float32 array, shape (n, dim)
        norms : float32 array, shape (n,), optional
        seed : int
            Of the rows drawn for the clustering.
        nprobe : int
            To start with; `tune` sets it from measured recall.
        codes : {'SQ8', 'RaBitQ'}
        """
        import faiss

        n, dim = vectors.shape
        nlist = int(np.clip(round(4 * math.sqrt(n)), 1, 65536))
        nlist = max(1, min(nlist, n // 40))
        lists: Any = faiss.index_factory(dim, f"IVF{nlist},{codes}", faiss.METRIC_INNER_PRODUCT)
        lists.cp.seed = seed + 1
        # FAISS warns below 39 rows a list and samples above 256 itself
        lists.cp.min_points_per_centroid = 1
        rng = np.random.default_rng(seed)
        wanted = min(n, max(nlist * _TRAIN_ROWS_PER_LIST, 1))
        sample = np.sort(rng.choice(n, wanted, replace=False)) if wanted < n else np.arange(n)
        lists.train(np.asarray(vectors[sample], np.float32))
        for at in range(0, n, 65536):
            stop = min(at + 65536, n)
            lists.add(np.asarray(vectors[at:stop], np.float32))
        return cls(vectors, norms, lists, nprobe, codes)

    def tune(
        self,
        queries: npt.NDArray[np.float32],
        truth: npt.NDArray[np.int64],
        allowed: Sequence[Ranges] | None = None,
        *,
        k: int = 10,
        target: float = 0.995,
    ) -> float:
        """Set `nprobe` to the least whose recall reaches `target`.

        Parameters
        ----------
        queries : float32 array, shape (q, dim)
        truth : int64 array, shape (q, >=k)
            The exact nearest of each, best first; -1 where there are fewer.
        allowed : sequence of ranges, optional
            What each query may find.
        k : int
            Recall is the share of the exact `k` nearest that were found.
        target : float

        Returns
        -------
        float
            The measured recall at the `nprobe` that was set.
        """
        for probes in _PROBES:
            self.nprobe = min(probes, self.lists.nlist)
            recall = self.recall(queries, truth, allowed, k=k)
            if recall >= target or self.nprobe == self.lists.nlist:
                break
        return recall

    def recall(
        self,
        queries: npt.NDArray[np.float32],
        truth: npt.NDArray[np.int64],
        allowed: Sequence[Ranges] | None = None,
        *,
        k: int,
    ) -> float:
        """Share of the exact `k` nearest that are found; parameters as for `tune`."""
        shares = []
        for row, query in enumerate(queries):
            wanted = truth[row, :k]
            wanted = wanted[wanted >= 0]
            found = self.search(query[None, :], k, None if allowed is None else allowed[row])[1]
            shares.append(len(np.intersect1d(found[0], wanted)) / max(len(wanted), 1))
        return float(np.mean(shares)) if shares else 1.0

    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        allowed: Ranges | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The `k` nearest of each query; see `pathsearch.nouns.Index.search`.

        Always returns `k` rows where `k` are allowed: if the visited lists hold too few,
        the allowed rows are scanned.
        """
        queries = np.ascontiguousarray(np.atleast_2d(queries), np.float32)
        rows = self.size if allowed is None else ranges.count(allowed)
        if rows == self.size:
            allowed = None
        per_match, more = _CANDIDATES[self.codes]
        wanted = min(per_match * k + more, rows)
        if self.scans(rows) or rows <= wanted:
            return self.exact.search(queries, k, allowed)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        ordinals = np.full((len(queries), k), -1, np.int64)
        for row, candidate in enumerate(self._candidates(queries, wanted, allowed)):
            found = candidate[candidate >= 0]
            if len(found) < min(k, rows):
                got = self.exact.search(queries[row : row + 1], k, allowed)
                scores[row], ordinals[row] = got[0][0], got[1][0]
                continue
            exact, order = self.exact.ranked(queries[row], found, k)
            scores[row, : len(order)], ordinals[row, : len(order)] = exact, order
        return scores, ordinals

    def scans(self, rows: int) -> bool:
        """Whether a search among so many allowed rows compares with each of them."""
        row_bytes = int(self.exact.vectors[:1].nbytes) or 1
        within = min(int(SCAN_SHARE * self.size), SCAN_BYTES // row_bytes)
        return rows <= max(SCAN_BELOW, within)

    def _candidates(
        self, queries: npt.NDArray[np.float32], wanted: int, allowed: Ranges | None
    ) -> npt.NDArray[np.int64]:
        import faiss

        parameters: Any = faiss.SearchParametersIVF()
        parameters.nprobe = self.nprobe
        if allowed is not None:
            # The fewer rows are allowed, the farther the nearest of them lie: as many allowed
            # rows are visited as the tuned number of lists holds without a filter.
            share = ranges.count(allowed) / self.size
            # Less than a list more is not worth one: most questions exclude a slide or a case
            visited = math.ceil(self.nprobe / share - 0.5)
            parameters.nprobe = min(self.lists.nlist, max(self.nprobe, visited))
            # A bitmap costs 1.5 ms where an OR of 100 ranges cost 110 (measured)
            bits = ranges.to_bits(allowed, self.size)
            selector = faiss.IDSelectorBitmap(self.size, faiss.swig_ptr(bits))
            parameters.sel = selector
        found: npt.NDArray[np.int64] = self.lists.search(queries, wanted, params=parameters)[1]
        return found

    def save(self, path: Path) -> None:
        """Write the lists to a file."""
        import faiss

        faiss.write_index(self.lists, str(path))

    @classmethod
    def load(
        cls, path: Path, vectors: Array, norms: npt.NDArray[np.float32] | None, nprobe: int
    ) -> IvfIndex:
        """Open lists that `save` wrote. The caller has checked the file's sha256.

        Raises
        ------
        IndexFileError
            The file is not an index over these vectors.
        """
        import faiss

        n, dim = vectors.shape
        faiss.set_deserialization_vector_byte_limit(max(4 * n * dim + 2**26, 2**28))
        try:
            lists = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1][:200]
            raise IndexFileError(f"{path.name} cannot be read: {reason}", path=str(path)) from None
        if lists.ntotal != n or lists.d != dim:
            raise IndexFileError(
                f"{path.name} holds {lists.ntotal} x {lists.d}, expected {n} x {dim}.",
                path=str(path),
            )
        codes: Codes = "RaBitQ" if isinstance(lists, faiss.IndexIVFRaBitQ) else "SQ8"
        return cls(vectors, norms, lists, nprobe, codes)
