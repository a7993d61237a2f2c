"""Ask a library: `Searcher(library).search(query)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderMismatchError, QueryError
from pathsearch.index import ranges
from pathsearch.index.ranges import Ranges
from pathsearch.nouns import Encoder, Footprint, Match, PatchKey, Query
from pathsearch.search.answer import Answer, Recall
from pathsearch.search.cover import overlapping
from pathsearch.search.examples import EncodedExample, ExampleEncoder, OwnSpot
from pathsearch.search.pool import Pool
from pathsearch.search.questions import checked

if TYPE_CHECKING:
    from pathsearch.library import Library, SlideRecord


class Searcher:
    """Answers questions about one library.

    Opened indexes are kept between questions; what other processes commit is noticed.

    Parameters
    ----------
    library : Library
    encoder : Encoder, optional
        Loaded from the library when a question first needs one.
    device : str
        Where it is then loaded; see `pathsearch.encoders.load_encoder`.
    """

    def __init__(
        self, library: Library, encoder: Encoder | None = None, *, device: str = "auto"
    ) -> None:
        self.library = library
        self._encoder = encoder
        self._device = device
        self._pools: dict[str, Pool] = {}
        self._generation: int | None = None
        if encoder is not None:
            self._check(encoder)

    @property
    def encoder(self) -> Encoder:
        """The library's encoder.

        Raises
        ------
        EncoderMismatchError
            What loads is not what made the library's vectors.
        """
        if self._encoder is None:
            from pathsearch.encoders import load_encoder

            encoder = load_encoder(self.library.encoder_source(), device=self._device)
            self._check(encoder)
            self._encoder = encoder
        return self._encoder

    def _check(self, encoder: Encoder) -> None:
        theirs, ours = self.library.encoder, encoder
        if ours.fingerprint != theirs.fingerprint:
            raise EncoderMismatchError(
                f"{self.library.path} was made with {theirs.name} "
                f"({theirs.fingerprint[:12]}), this is {ours.name} ({ours.fingerprint[:12]}): "
                "their vectors cannot be compared. Use the library's own encoder.",
                expected=theirs.fingerprint,
                got=ours.fingerprint,
            )

    def pool(self, spec: str) -> Pool:
        """The searchable patches of a spec, as the library is now."""
        generation = self.library.generation()
        if generation != self._generation:
            self._pools.clear()
            self._generation = generation
        if spec not in self._pools:
            self._pools[spec] = Pool(self.library, spec)
        return self._pools[spec]

    def search(self, query: Query) -> Answer:
        """The library's patches that look most like the query.

        Parameters
        ----------
        query : Query

        Returns
        -------
        Answer
            Fewer than ``query.k`` matches only where fewer are allowed.

        Raises
        ------
        QueryError
            The query does not fit the library.
        SlideNotFoundError, SlideError
            The slide of an example cannot be found or read.
        """
        query = replace(checked(query), spec=self._spec_name(query.spec))
        pool = self.pool(query.spec)
        examples = ExampleEncoder(self.library, self.encoder, self.library.specs[query.spec], pool)
        encoded = [examples.encode(example) for example in query.like]
        slides = {record.slide_id: record for record in self.library.slides()}
        allowed, notes = self._allowed(pool, query, encoded, slides)
        scores, ordinals = _capped_search(pool, query, mean_vector(encoded), allowed, slides)
        return Answer(
            matches=tuple(_matches(pool, query, scores, ordinals, slides)),
            query=query,
            recall=_recall(pool, query),
            notes=(*pool.notes, *(n for e in encoded for n in e.notes), *notes),
            library=str(self.library.path),
            encoder=self.library.encoder.name,
            searched=ranges.count(allowed),
        )

    def _spec_name(self, wanted: str) -> str:
        names = list(self.library.specs)
        if wanted in names:
            return wanted
        if not wanted and len(names) == 1:
            return names[0]
        complaint = f"no spec '{wanted}'" if wanted else "several magnifications: name one"
        raise QueryError(f"{self.library.path}: {complaint} (--spec {' | '.join(names)}).")

    def _allowed(
        self,
        pool: Pool,
        query: Query,
        encoded: Sequence[EncodedExample],
        slides: dict[str, SlideRecord],
    ) -> tuple[Ranges, list[str]]:
        """Which ordinals may be returned, and what to say about it."""
        blocked = [pool.removed]
        notes: list[str] = []
        for own in (e.own for e in encoded if e.own is not None):
            if query.exclude == "overlap":
                blocked.extend(_own_spot(pool, own, slide_id) for slide_id in own.slides)
                continue
            ids = set(own.slides)
            if query.exclude == "case":
                cases = {slides[i].case_id for i in ids if i in slides} - {""}
                ids |= {i for i, record in slides.items() if record.case_id in cases}
                if not cases:
                    notes.append(
                        "The query's slide has no case id: only the slide itself is left out."
                    )
            blocked.append(pool.of_slides(ids))
        closed = ranges.union(np.concatenate(blocked))
        return ranges.complement(closed, pool.size), notes


def mean_vector(encoded: Sequence[EncodedExample]) -> npt.NDArray[np.float32]:
    """One unit vector for all examples: each example's weighted mean counts the same."""
    means = []
    for example in encoded:
        mean = np.average(example.vectors, axis=0, weights=example.weights)
        means.append(mean / max(float(np.linalg.norm(mean)), 1e-12))
    whole = np.mean(means, axis=0)
    return np.asarray(whole / max(float(np.linalg.norm(whole)), 1e-12), np.float32)


def _own_spot(pool: Pool, own: OwnSpot, slide_id: str) -> Ranges:
    """The ordinals of a slide's patches that lie on the query's own spot."""
    held = pool.of_slides([slide_id])
    if not len(held):
        return ranges.EMPTY
    ordinals = np.concatenate([np.arange(a, b) for a, b in held.tolist()])
    footprint = pool.segment_of(ordinals[:1])[0].footprint
    hit = overlapping(own.geometry, pool.coords(ordinals), footprint)
    return ranges.from_ordinals(ordinals[hit])


def _capped_search(
    pool: Pool,
    query: Query,
    vector: npt.NDArray[np.float32],
    allowed: Ranges,
    slides: dict[str, SlideRecord],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The best rows, at most so many of a slide or case: ask for more until there are k."""
    capped = query.per_slide is not None or query.per_case is not None
    available = ranges.count(allowed)
    wanted = min(query.k * (4 if capped else 1), available)
    while True:
        scores, ordinals = pool.search(vector, wanted, allowed, exact=query.exact)
        if not capped:
            return scores, ordinals
        keep = _within_caps(pool, query, ordinals, slides)
        if len(keep) >= query.k or wanted >= available:
            return scores[keep], ordinals[keep]
        wanted = min(wanted * 4, available)


def _within_caps(
    pool: Pool,
    query: Query,
    ordinals: npt.NDArray[np.int64],
    slides: dict[str, SlideRecord],
) -> list[int]:
    keep: list[int] = []
    per_slide: Counter[str] = Counter()
    per_case: Counter[str] = Counter()
    for position, segment in enumerate(pool.segment_of(ordinals)):
        slide_id = segment.slide_id
        # A slide without a case stands for itself; NUL cannot occur in a case id
        case = slides[slide_id].case_id or "\0" + slide_id
        if query.per_slide is not None and per_slide[slide_id] >= query.per_slide:
            continue
        if query.per_case is not None and per_case[case] >= query.per_case:
            continue
        per_slide[slide_id] += 1
        per_case[case] += 1
        keep.append(position)
        if len(keep) == query.k:
            break
    return keep


def _matches(
    pool: Pool,
    query: Query,
    scores: npt.NDArray[np.float32],
    ordinals: npt.NDArray[np.int64],
    slides: dict[str, SlideRecord],
) -> list[Match]:
    percentiles: list[float | None] = [None] * len(scores)
    if pool.background is not None:
        percentiles = pool.background.percentiles(scores, query.exclude)
    rows = zip(pool.coords(ordinals).tolist(), pool.segment_of(ordinals), strict=True)
    matches = []
    for position, ((x, y), segment) in enumerate(rows):
        record = slides[segment.slide_id]
        matches.append(
            Match(
                rank=position + 1,
                key=PatchKey(segment.slide_id, query.spec, x, y),
                footprint=Footprint(x, y, segment.footprint, segment.footprint),
                mpp=segment.mpp,
                score=float(scores[position]),
                percentile=percentiles[position],
                case_id=record.case_id,
                metadata=dict(record.metadata),
            )
        )
    return matches


def _recall(pool: Pool, query: Query) -> Recall:
    if query.exact or pool.exact_only or pool.opened is None:
        return Recall(1.0, 0, exact=True)
    manifest = pool.opened.manifest
    return Recall(manifest.recall_at10, manifest.recall_queries, exact=False)
