"""Ask a library: `Searcher(library).search(query)`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.errors import EncoderMismatchError, QueryError, SegmentGoneError
from pathsearch.index import ranges
from pathsearch.index.ranges import Ranges
from pathsearch.nouns import Encoder, Footprint, Match, PatchKey, Query
from pathsearch.search.allowed import allowed_ordinals, ordinals_of
from pathsearch.search.answer import Answer, Recall
from pathsearch.search.areas import RegionPatches, matching_areas
from pathsearch.search.bias import Tally, departures, tally
from pathsearch.search.direction import away_from, mean_of, refine, unit
from pathsearch.search.examples import EncodedExample, ExampleEncoder, OwnSpot
from pathsearch.search.maps import SimilarityMap, similarity_map
from pathsearch.search.pool import Pool
from pathsearch.search.questions import checked
from pathsearch.search.ranking import ranked
from pathsearch.search.slide_shares import (
    SlideShare,
    drawn,
    matches_at,
    score_all,
    scores_of,
    share_of_slides,
)
from pathsearch.search.slide_table import SlideTable
from pathsearch.search.together import ALL, search_together
from pathsearch.search.upkeep import Upkeep

if TYPE_CHECKING:
    from pathsearch.library import Library, SlideRecord

#: How often a library that is written to all the time is read again.
_TRIES = 5


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
    upkeep : bool
        Build damaged or outdated indexes again in a thread of its own while questions are
        answered; for programs that stay open.
    """

    def __init__(
        self,
        library: Library,
        encoder: Encoder | None = None,
        *,
        device: str = "auto",
        upkeep: bool = False,
    ) -> None:
        self.library = library
        self._encoder = encoder
        self._device = device
        self._pools: dict[str, Pool] = {}
        self._before: dict[str, Pool] = {}
        self._table: SlideTable | None = None
        self._generation: int | None = None
        self.upkeep = Upkeep(library.path) if upkeep else None
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
        self._notice_changes()
        return self._pool(spec)

    def _pool(self, spec: str) -> Pool:
        if spec not in self._pools:
            before = self._before.pop(spec, None)
            try:
                self._pools[spec] = Pool(self.library, spec, before)
            except SegmentGoneError:  # compacted between two reads: what is there now is whole
                self._notice_changes()
                self._pools[spec] = Pool(self.library, spec, before)
            if self.upkeep is not None:
                self.upkeep.look_after(self._pools[spec])
        return self._pools[spec]

    def has_damaged_index(self, spec: str) -> bool:
        """Whether a spec that was asked could not use its index; see `Upkeep`."""
        return spec in self._pools and self._pools[spec].damaged

    @property
    def table(self) -> SlideTable:
        """The library's slides, as they are now; listing ten thousand takes a while."""
        self._notice_changes()
        return self._slide_table()

    def _slide_table(self) -> SlideTable:
        if self._table is None:
            self._table = SlideTable({record.slide_id: record for record in self.library.slides()})
        return self._table

    def _notice_changes(self) -> None:
        generation = self.library.generation()
        if generation != self._generation:
            self._before.update(self._pools)
            self._pools.clear()
            self._table = None
            self._generation = generation

    def search(self, query: Query, *, within: Collection[str] | None = None) -> Answer:
        """The library's patches that look most like the query.

        Parameters
        ----------
        query : Query
            Its `spec` may be ``all``: then every magnification is asked, and the answers are
            merged by percentile.
        within : collection of str, optional
            Ids of the only slides to ask; without, all.

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
        if query.spec == ALL and ALL not in self.library.specs:
            return search_together(self, checked(query), within)
        query = replace(checked(query), spec=self._spec_name(query.spec))
        pool, table = self._now(query.spec)
        question = self._question(pool, query, table)
        allowed, notes = allowed_ordinals(
            pool, query, question.owns, question.against, table, within
        )
        if query.combine == "set":
            matches = _areas(pool, query, question, allowed, table)
        else:
            scores, ordinals = ranked(pool, query, question.vectors, allowed, table)
            matches = _matches(pool, query, scores, ordinals, table.slides)
        return Answer(
            matches=tuple(matches),
            query=query,
            recall=_recall(pool, query, allowed),
            notes=(*pool.notes, *question.notes, *notes),
            library=str(self.library.path),
            encoder=self.library.encoder.name,
            searched=ranges.count(allowed),
            departures=departures(matches, table, pool.patches_of_slides(allowed, table.number)),
            segments=pool.segment_ranges,
        )

    def map(self, query: Query, slide_id: str) -> SimilarityMap:
        """How similar every patch of a slide is to a query.

        Parameters
        ----------
        query : Query
            Its exclusions and filters do not apply.
        slide_id : str
            A slide of the library.

        Raises
        ------
        QueryError
            The slide has no patches at the query's magnification.
        """
        query = replace(checked(query), spec=self._spec_name(query.spec))
        pool = self.pool(query.spec)
        return similarity_map(pool, slide_id, self._question(pool, query, self.table).vectors)

    def by_slide(self, query: Query, threshold: float) -> list[SlideShare]:
        """Which slides hold this: how much of each looks like a query, the fullest first.

        Parameters
        ----------
        query : Query
            Its filter says which slides; its exclusions do not apply, a slide that it was
            drawn in is marked.
        threshold : float
            Cosine from which a patch counts.
        """
        query = replace(checked(query), spec=self._spec_name(query.spec))
        pool, table = self._now(query.spec)
        question = self._question(pool, query, table)
        out = set(table.left_out(query.where))
        slides = {i: record for i, record in table.slides.items() if i not in out}
        own = frozenset(i for spot in question.owns for i in spot.slides)
        return share_of_slides(pool, score_all(pool, question.vectors), threshold, slides, own)

    def scores_of(self, query: Query, keys: Sequence[PatchKey]) -> dict[PatchKey, float]:
        """Cosines of stored patches with a query; patches that are gone are left out."""
        query = replace(checked(query), spec=self._spec_name(query.spec))
        pool = self.pool(query.spec)
        return scores_of(pool, self._question(pool, query, self.table).vectors, keys)

    def random_matches(self, query: Query, number: int, *, seed: int = 0) -> tuple[Match, ...]:
        """Random patches that the query could have returned, with their true scores.

        They are the controls of blinded judging.
        """
        query = replace(checked(query), spec=self._spec_name(query.spec))
        pool, table = self._now(query.spec)
        question = self._question(pool, query, table)
        allowed, _ = allowed_ordinals(pool, query, question.owns, question.against, table)
        return matches_at(pool, drawn(allowed, number, seed), question.vectors, table.slides)

    def tally(self, answer: Answer, column: str) -> tuple[Tally, ...]:
        """How the cases among an answer's matches divide over a column's values.

        Raises
        ------
        QueryError
            No slide has that column.
        """
        table = self.table
        if column not in table.column_names:
            known = ", ".join(table.column_names)
            raise QueryError(f"'{column}' is no column here ({known}).")
        return tally(answer.matches, table, column)

    def _now(self, spec: str) -> tuple[Pool, SlideTable]:
        """Patches and slides of one and the same state of the library."""
        self._notice_changes()
        for _ in range(_TRIES):
            known = spec in self._pools and self._table is not None
            pool, table = self._pool(spec), self._slide_table()
            if known or self.library.generation() == self._generation:
                break
            self._notice_changes()  # written to while it was read: once more
        return pool, table

    def _question(self, pool: Pool, query: Query, table: SlideTable) -> _Question:
        examples = ExampleEncoder(
            self.library,
            self.encoder if self._encoder is not None or self.library.encoder.bound else None,
            self.library.specs[query.spec],
            pool,
            slides=table.slides,
            turned=query.rotations,
        )
        like = [examples.encode(example) for example in query.like]
        unlike = [examples.encode(example) for example in query.unlike]
        accepted, rejected = (_stored(pool, keys) for keys in (query.accepted, query.rejected))
        if query.combine == "mean":
            start = mean_of(like) if like else unit(accepted.mean(axis=0))
            direction = refine(start, accepted, rejected)
            vectors, said = direction.vectors, direction.said
        else:
            vectors, said = np.concatenate([*(e.vectors for e in like), accepted]), ()
            if len(rejected):
                vectors = away_from(vectors, unit(rejected.mean(axis=0)))
        if unlike:
            vectors = away_from(vectors, mean_of(unlike))
        notes = [note for e in (*like, *unlike) for note in e.notes]
        owns = tuple(e.own for e in like if e.own is not None)
        against = tuple(e.own for e in unlike if e.own is not None)
        return _Question(vectors, owns, against, (*notes, *said), tuple(like))

    def _spec_name(self, wanted: str) -> str:
        names = list(self.library.specs)
        if wanted in names:
            return wanted
        if not wanted and len(names) == 1:
            return names[0]
        complaint = f"no spec '{wanted}'" if wanted else "several magnifications: name one"
        words = " | ".join([*names, ALL])
        raise QueryError(f"{self.library.path}: {complaint} (--spec {words}).")


@dataclass(frozen=True)
class _Question:
    """A query as vectors, and where it comes from."""

    vectors: npt.NDArray[np.float32]
    owns: tuple[OwnSpot, ...]
    against: tuple[OwnSpot, ...]
    notes: tuple[str, ...]
    like: tuple[EncodedExample, ...]


def _stored(pool: Pool, keys: Sequence[PatchKey]) -> npt.NDArray[np.float32]:
    """Stored vectors of judged patches, (n, dim); those that are gone are passed over."""
    if not keys:
        return np.empty((0, pool.tail.exact.vectors.shape[1]), np.float32)
    held = ordinals_of(pool, keys)
    ordinals = np.concatenate([np.empty(0, np.int64), *(np.arange(a, b) for a, b in held)])
    return pool.vectors(ordinals)


def _areas(
    pool: Pool,
    query: Query,
    question: _Question,
    allowed: Ranges,
    table: SlideTable,
) -> list[Match]:
    """Matches that are areas of the region's size."""
    slides = table.slides
    if len(question.like) != 1 or question.like[0].offsets is None:
        raise QueryError("combine 'set' compares areas: give exactly one region.")
    example = question.like[0]
    assert example.offsets is not None
    region = RegionPatches(question.vectors[: len(example.offsets)], example.offsets, example.size)
    found = matching_areas(pool, region, query, allowed, table)
    return [
        Match(
            rank=number + 1,
            key=PatchKey(area.slide_id, query.spec, area.x, area.y),
            footprint=Footprint(area.x, area.y, area.width, area.height),
            mpp=slides[area.slide_id].mpp or 0.0,
            score=area.score,
            percentile=None,
            case_id=slides[area.slide_id].case_id,
            metadata=dict(slides[area.slide_id].metadata),
        )
        for number, area in enumerate(found)
    ]


def _matches(
    pool: Pool,
    query: Query,
    scores: npt.NDArray[np.float32],
    ordinals: npt.NDArray[np.int64],
    slides: Mapping[str, SlideRecord],
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


def _recall(pool: Pool, query: Query, allowed: Ranges) -> Recall:
    if query.exact or pool.opened is None or pool.answers_exactly(allowed):
        return Recall(1.0, 0, exact=True, at50=1.0)
    manifest = pool.opened.manifest
    asked = manifest.recall_queries
    return Recall(manifest.recall_at10, asked, exact=False, at50=manifest.recall_at50)
