"""Several magnifications asked at once: one list, in the order of the percentiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pathsearch.config import TileSpec
from pathsearch.errors import QueryError
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.nouns import Footprint, Match, PatchKey, Query, Vector
from pathsearch.search import Searcher, rebuild_index
from pathsearch.search.questions import query_from_json
from pathsearch.search.together import merged
from pathsearch.testing.plain_encoder import PlainEncoder

DIM = 16
FINE, COARSE = TileSpec(mpp=0.5), TileSpec(mpp=2.0)


def unit(n, seed, towards=0.0):
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    rows[:, 0] += towards  # coarse patches are all rather alike
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def library(tmp_path):
    plain = PlainEncoder(dim=DIM)
    record = EncoderRecord(plain.name, DIM, 224, plain.mpp_range, plain.fingerprint)
    made = Library.create(tmp_path / "l.pathsearch", specs=[FINE, COARSE], encoder=record)
    with made:
        with made.writer() as writer:
            writer.ensure_root("r", tmp_path)
            for n in range(3):
                slide = SlideRecord(
                    f"s{n}", "r", f"s{n}", width=90_000, height=90_000, mpp=0.25, fingerprint=str(n)
                )
                for spec, rows, towards in ((FINE, 200, 0.0), (COARSE, 40, 6.0)):
                    foot = round(spec.size_px * spec.mpp / 0.25)
                    segment = writer.open_segment(slide, spec, foot)
                    xy = np.stack([np.arange(rows) % 20, np.arange(rows) // 20], 1) * foot
                    segment.append(xy, unit(rows, n, towards), np.ones(rows, np.float32))
                    segment.commit(slide)
            for spec in made.specs:
                rebuild_index(made, writer, spec)
        yield made


def searcher(library):
    return Searcher(library, PlainEncoder(dim=DIM))


def question(**words):
    """The best of two examples, one near a fine patch and one near a coarse one."""
    near = (unit(200, 1)[3], unit(40, 2, 6.0)[5])
    like = tuple(Vector(tuple(row.tolist())) for row in near)
    return Query(like, spec="all", combine="max", **words)


def test_all_specs_answer_in_the_order_of_their_percentiles(library):
    found = searcher(library)
    answer = found.search(question(k=30))
    assert [m.rank for m in answer.matches] == list(range(1, 31))
    own = {name: found.search(replace(question(k=30), spec=name)).matches for name in library.specs}
    for name, matches in own.items():  # each spec's list keeps its order
        kept = [m.key for m in answer.matches if m.key.spec == name]
        assert kept == [m.key for m in matches[: len(kept)]]
    shares = [m.percentile for m in answer.matches]
    assert None not in shares
    assert {m.key.spec for m in answer.matches} == set(library.specs)
    # cosines alone would have put nothing but coarse patches first
    by_score = sorted((m for ms in own.values() for m in ms), key=lambda m: -m.score)[:30]
    assert [m.key for m in answer.matches] != [m.key for m in by_score]
    assert answer.searched == 3 * 240


def test_the_answer_can_be_asked_again(library):
    found = searcher(library)
    answer = found.search(question(k=12))
    again = found.search(query_from_json(answer.to_json()["query"]))
    assert [m.key for m in again.matches] == [m.key for m in answer.matches]


def test_a_spec_without_an_example_is_left_out_and_named(library):
    key = PatchKey("s0", FINE.name, 0, 0)
    answer = searcher(library).search(Query(accepted=(key,), spec="all", k=5))
    assert {m.key.spec for m in answer.matches} == {FINE.name}
    assert any(COARSE.name in note and "left out" in note for note in answer.notes)


def test_filters_and_caps_hold_in_the_merged_list(library):
    answer = searcher(library).search(question(k=8, where="slide_id = s1"))
    assert {m.key.slide_id for m in answer.matches} == {"s1"}


def test_what_no_spec_can_answer_is_refused(library):
    with pytest.raises(QueryError, match="column"):
        searcher(library).search(question(where="organ = lung"))
    with pytest.raises(QueryError, match="all"):
        searcher(library).search(Query(question().like))


def match(spec, rank, percentile):
    key = PatchKey("s", spec, rank, 0)
    return Match(rank, key, Footprint(0, 0, 1, 1), 0.25, 0.5, percentile)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([90, 50], [80, 60], "abba"),
        ([90, 95], [92], "baa"),  # a list is never reordered
        ([None, None], [1], "baa"),
        ([50], [50], "ab"),
        ([], [3], "b"),
    ],
)
def test_merging(first, second, wanted):
    lists = [
        [match(name, n + 1, p) for n, p in enumerate(ps)]
        for name, ps in (("a", first), ("b", second))
    ]
    found = merged(lists, 10)
    assert "".join(m.key.spec for m in found) == wanted
    assert [m.rank for m in found] == list(range(1, len(wanted) + 1))
    assert merged(lists, 1) == found[:1]
