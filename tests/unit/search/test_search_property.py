"""Every combination of exclusion, filter, cap and spacing against a plain numpy oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_cases import DIM, FOOT, SPEC, Rows, allowed_rows, clustered, keys, make, oracle, put

from pathsearch.nouns import PatchKey, Query, Region, Vector
from pathsearch.search import Searcher, rebuild_index
from pathsearch.search.direction import unit
from pathsearch.testing.plain_encoder import PlainEncoder

FILTERS = {
    "": lambda r: True,
    "organ = lung": lambda r: r.metadata["organ"] == "lung",
    "scanner != X and age < 50": lambda r: r.scanner != "X" and r.metadata["age"] < 50,
    "slide_id in (s001, s002)": lambda r: r.slide_id in ("s001", "s002"),
    "slide_id = none": lambda r: False,
}

queries = st.builds(
    Query,
    like=st.just(()),
    exclude=st.sampled_from(["overlap", "slide", "case"]),
    guard=st.sampled_from([0.0, 0.5, 2.0]),
    where=st.sampled_from(sorted(FILTERS)),
    k=st.sampled_from([1, 2, 7, 25, 400]),
    per_slide=st.sampled_from([None, 1, 3]),
    per_case=st.sampled_from([None, 1, 4]),
    spacing=st.sampled_from([0.0, 1.5, 4.0]),
)


def changed(path, slides, per_slide, kind):
    """A library whose index lacks a slide, holds a removed one, or is not there at all."""
    library = make(path, slides, per_slide)
    with library.writer() as writer:
        if kind != "none":
            rebuild_index(library, writer, SPEC.name, kind=kind)
        put(library, writer, slides, per_slide)
        writer.remove_slides(["s003"])
    return library


@pytest.fixture(scope="module", params=["none", "exact"])
def exact_world(request, tmp_path_factory):
    library = changed(tmp_path_factory.mktemp("exact") / "l.pathsearch", 9, 45, request.param)
    with library:
        yield Searcher(library, PlainEncoder(dim=DIM)), Rows.of(library)


def asked(rows, query, seed, from_slide):
    """The query with an example, its vector, its slide and its places there."""
    if not from_slide:
        vector = clustered(1, seed)[0]
        return replace(query, like=(Vector(tuple(vector.tolist())),)), vector, None, ()
    rng = np.random.default_rng(seed)
    at = int(rng.integers(len(rows.slides)))
    slide_id, (x, y) = rows.slides[at], rows.xy[at].tolist()
    spot = Region.rectangle(slide_id, x, y, FOOT, FOOT)
    return replace(query, like=(spot,)), unit(rows.vectors[at]), slide_id, ((x, y),)


@given(query=queries, seed=st.integers(0, 10**6), from_slide=st.booleans(), shown=st.booleans())
@settings(max_examples=120, deadline=None, derandomize=True)
def test_an_exact_search_equals_the_oracle(exact_world, query, seed, from_slide, shown):
    searcher, rows = exact_world
    query, vector, own, places = asked(rows, query, seed, from_slide)
    if shown:  # what a first round found is not served again
        first = searcher.search(replace(query, k=10))
        query = replace(query, shown=tuple(PatchKey(i, SPEC.name, x, y) for i, x, y in keys(first)))
    keep = allowed_rows(rows, query, own, places, FILTERS[query.where])
    wanted = oracle(rows, query, vector, keep)
    answer = searcher.search(query)
    assert keys(answer) == [row[:3] for row in wanted]
    np.testing.assert_allclose(
        [m.score for m in answer.matches], [row[3] for row in wanted], atol=2e-6
    )
    assert answer.searched == keep.sum()
    assert answer.recall.exact


@pytest.fixture(scope="module", params=["ivf", "ivf-rabitq"])
def approximate_world(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("approximate")
    library = changed(folder / "l.pathsearch", 24, 500, request.param)
    with library:
        yield Searcher(library, PlainEncoder(dim=DIM)), Rows.of(library)


@given(query=queries, seed=st.integers(0, 10**6), from_slide=st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_approximate_search_never_gives_fewer_than_exist(
    approximate_world, query, seed, from_slide
):
    searcher, rows = approximate_world
    query, vector, own, places = asked(rows, query, seed, from_slide)
    keep = allowed_rows(rows, query, own, places, FILTERS[query.where])
    wanted = oracle(rows, query, vector, keep)
    answer = searcher.search(query)
    got = keys(answer)
    assert len(got) == len(set(got)) == len(wanted)
    place = {(i, x, y): n for n, (i, (x, y)) in enumerate(zip(rows.slides, rows.xy.tolist()))}  # noqa: B905
    assert all(keep[place[key]] for key in got)
    scores = rows.scores(vector)
    np.testing.assert_allclose(
        [m.score for m in answer.matches], [scores[place[key]] for key in got], atol=2e-6
    )
    if answer.recall.exact:
        assert got == [row[:3] for row in wanted]


@pytest.mark.parametrize("where", ["", "organ != liver", "scanner = X"])
@pytest.mark.parametrize("exclude", ["overlap", "slide", "case"])
def test_recall_stays_in_the_interval_that_was_promised(
    approximate_world, monkeypatch, where, exclude
):
    monkeypatch.setattr("pathsearch.index.ivf.SCAN_BELOW", 50)  # ask the lists, not all rows
    searcher, rows = approximate_world
    shares = []
    for seed in range(40):
        query = Query(exclude=exclude, where=where, k=10)
        query, _, _, _ = asked(rows, query, seed, True)
        got = searcher.search(query)
        assert not got.recall.exact
        truth = keys(searcher.search(replace(query, exact=True)))
        shares.append(len(set(keys(got)) & set(truth)) / len(truth))
        low, high = got.recall.interval
    assert low <= got.recall.at10 <= high
    assert low > 0.9
    assert np.mean(shares) >= low


@pytest.mark.parametrize("k", [1, 5, 50])
def test_a_filter_of_a_ten_thousandth_gives_k_and_equals_exact(tmp_path, monkeypatch, k):
    # 20 of 24,500 patches pass; the lists alone would find few of them
    library = make(tmp_path / "l.pathsearch", 49, 500, twins=False)
    with library:
        with library.writer() as writer:
            rebuild_index(library, writer, SPEC.name, kind="ivf")
        searcher = Searcher(library, PlainEncoder(dim=DIM))
        pool = searcher.pool(SPEC.name)
        assert pool.opened.manifest.kind == "ivf"
        rows = Rows.of(library)
        rng = np.random.default_rng(k)
        for seed in range(10):
            kept = np.sort(rng.choice(len(rows.slides), 20, replace=False))
            vector = clustered(1, seed)[0]
            allowed = np.stack([kept, kept + 1], axis=1)
            got = pool.search(vector, k, allowed, exact=False)
            want = pool.search(vector, k, allowed, exact=True)
            assert len(got[1]) == min(k, 20)
            np.testing.assert_array_equal(got[1], want[1])
            np.testing.assert_array_equal(got[0], want[0])


def test_equal_scores_come_by_key_however_the_library_grew(tmp_path):
    """Two libraries of the same slides, written in opposite orders, give one list."""
    answers = []
    for name, order in (("a", range(6)), ("b", reversed(range(6)))):
        library = make(tmp_path / f"{name}.pathsearch", 0, 40)
        with library:
            with library.writer() as writer:
                for number in order:
                    put(library, writer, number, 40)
            searcher = Searcher(library, PlainEncoder(dim=DIM))
            query = Query((Vector(tuple(clustered(1, 7)[0].tolist())),), k=9)
            answers.append(keys(searcher.search(query)))
            assert keys(searcher.search(query)) == answers[-1]
            scores = [m.score for m in searcher.search(query).matches]
            assert len(set(scores)) < len(scores)  # there are ties, and one at the cut
    assert answers[0] == answers[1]
    assert answers[0] == sorted(answers[0])[: len(answers[0])]
