"""Answers against a plain numpy oracle, on a library of made-up vectors."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from pathsearch.config import TileSpec
from pathsearch.errors import EncoderMismatchError, QueryError, SlideNotFoundError
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.nouns import Point, Query, Region, Vector
from pathsearch.search import Searcher, rebuild_index
from pathsearch.search.build import uncovered_share
from pathsearch.testing.plain_encoder import PlainEncoder

DIM = 32
SPEC = TileSpec()
FOOT = 448


def record_of(encoder):
    return EncoderRecord(
        encoder.name, encoder.dim, encoder.input_px, encoder.mpp_range, encoder.fingerprint
    )


def slide(name, case="", content=None):
    return SlideRecord(
        slide_id=name,
        root="r",
        path=name,
        case_id=case,
        width=20 * FOOT,
        height=20 * FOOT,
        mpp=0.25,
        fingerprint=content or f"content of {name}",
        file_size=1,
        metadata={"organ": name[:1]},
    )


def unit(n, seed):
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def put(library, writer, record, seed, n=60):
    coords = np.stack([np.arange(n) % 10 * FOOT, np.arange(n) // 10 * FOOT], axis=1)
    segment = writer.open_segment(record, SPEC, FOOT)
    segment.append(coords, unit(n, seed), np.ones(n, np.float32))
    return segment.commit(record)


SLIDES = [("a1", "A"), ("a2", "A"), ("b1", "B"), ("n1", ""), ("n2", "")]


@pytest.fixture
def library(tmp_path):
    made = Library.create(
        tmp_path / "l.pathsearch",
        specs=[SPEC],
        encoder=record_of(PlainEncoder(dim=DIM)),
        encoder_files=None,
    )
    with made:
        with made.writer() as writer:
            writer.ensure_root("r", tmp_path / "slides")
            for seed, (name, case) in enumerate(SLIDES):
                put(made, writer, slide(name, case), seed)
        yield made


def rows_of(library):
    """Every live row, as (slide, case, x, y, vector)."""
    rows = []
    cases = {s.slide_id: s.case_id for s in library.slides()}
    for segment in library.segments():
        arrays = library.read_segment(segment)
        vectors = arrays.vectors.astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for (x, y), vector in zip(arrays.coords.tolist(), vectors, strict=True):
            rows.append((segment.slide_id, cases[segment.slide_id], x, y, vector))
    return rows


def oracle(library, vector, k, forbidden, per_slide=None, per_case=None):
    scored = [(float(row[4] @ vector), row) for row in rows_of(library) if not forbidden(row)]
    scored.sort(key=lambda item: -item[0])
    slides, cases, kept = Counter(), Counter(), []
    for score, row in scored:
        case = row[1] or ("none", row[0])
        if per_slide and slides[row[0]] >= per_slide:
            continue
        if per_case and cases[case] >= per_case:
            continue
        slides[row[0]] += 1
        cases[case] += 1
        kept.append((score, row[:4]))
    return kept[:k]


def same(answer, wanted):
    got = [(m.key.slide_id, m.case_id, m.key.x, m.key.y) for m in answer.matches]
    assert got == [row for _, row in wanted]
    np.testing.assert_allclose(
        [m.score for m in answer.matches], [score for score, _ in wanted], atol=3e-6
    )
    assert [m.rank for m in answer.matches] == list(range(1, len(wanted) + 1))


def vector_query(seed, **words):
    vector = unit(1, seed)[0]
    return vector, Query((Vector(tuple(vector.tolist())),), **words)


def bring(library, indexed):
    """Index all slides, none, or all but one that came later."""
    with library.writer() as writer:
        if indexed == "half":
            rebuild_index(library, writer, SPEC.name)
        put(library, writer, slide("late", "B"), seed=77)
        if indexed == "all":
            rebuild_index(library, writer, SPEC.name)


@pytest.fixture
def searcher(library):
    return Searcher(library, PlainEncoder(dim=DIM))


@pytest.mark.parametrize("indexed", ["none", "all", "half"])
@pytest.mark.parametrize(("per_slide", "per_case"), [(None, None), (2, None), (None, 3), (3, 4)])
def test_answers_equal_the_oracle(library, searcher, indexed, per_slide, per_case):
    bring(library, indexed)
    vector, query = vector_query(99, k=25, per_slide=per_slide, per_case=per_case)
    same(searcher.search(query), oracle(library, vector, 25, lambda _: False, per_slide, per_case))


def patches_mean(library, name, places):
    rows = {(r[0], r[2], r[3]): r[4] for r in rows_of(library)}
    mean = np.mean([rows[name, x, y] for x, y in places], axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("indexed", ["none", "all", "half"])
@pytest.mark.parametrize("exclude", ["overlap", "slide", "case"])
@pytest.mark.parametrize(("name", "guard"), [("a1", 0.0), ("n1", 0.5), ("a1", 1.2)])
def test_the_own_spot_slide_and_case_are_left_out(library, searcher, indexed, exclude, name, guard):
    bring(library, indexed)
    # Two by two patches of the grid; the slide's file is not there, its stored patches are
    spot = Region.rectangle(name, 2 * FOOT, FOOT, 2 * FOOT, 2 * FOOT)
    places = list(itertools.product((2 * FOOT, 3 * FOOT), (FOOT, 2 * FOOT)))
    vector = patches_mean(library, name, places)
    case = dict(SLIDES)[name]

    def forbidden(row):
        if exclude == "overlap":
            far = [max(abs(row[2] - x), abs(row[3] - y)) >= (1 + guard) * FOOT for x, y in places]
            return row[0] == name and not all(far)
        if exclude == "slide" or not case:
            return row[0] == name
        return row[1] == case

    answer = searcher.search(Query((spot,), exclude=exclude, k=500, guard=guard))
    same(answer, oracle(library, vector, 500, forbidden))
    assert answer.searched == len(answer.matches)
    assert any("stored patches" in note for note in answer.notes)
    assert any("no case id" in n for n in answer.notes) == (exclude == "case" and not case)


def test_a_point_excludes_all_patches_that_its_patch_touches(library, searcher):
    centre = Point("a1", 3.5 * FOOT, 2.5 * FOOT + 10)  # 10 px down: two patches are touched
    answer = searcher.search(Query((centre,), k=500, guard=0.0))
    missing = {(r[0], r[2], r[3]) for r in rows_of(library)} - {
        (m.key.slide_id, m.key.x, m.key.y) for m in answer.matches
    }
    assert missing == {("a1", 3 * FOOT, 2 * FOOT), ("a1", 3 * FOOT, 3 * FOOT)}


def test_a_copy_of_the_slide_counts_as_the_own_slide(library, searcher, tmp_path):
    with library.writer() as writer:
        put(library, writer, slide("copy-of-a1", "Z", content="content of a1"), seed=0)
    spot = Region.rectangle("a1", 0, 0, FOOT, FOOT)
    found = searcher.search(Query((spot,), k=500, guard=0.0))
    keys = {(m.key.slide_id, m.key.x, m.key.y) for m in found.matches}
    assert ("a1", 0, 0) not in keys
    assert ("copy-of-a1", 0, 0) not in keys
    assert ("copy-of-a1", FOOT, 0) in keys
    guarded = {(m.key.slide_id, m.key.x) for m in searcher.search(Query((spot,), k=500)).matches}
    assert {("copy-of-a1", 0), ("copy-of-a1", FOOT)} <= guarded  # of other rows
    keys = {m.key for m in searcher.search(Query((spot,), k=500)).matches}
    assert not {(k.slide_id, k.x, k.y) for k in keys} & {("copy-of-a1", FOOT, 0), ("a1", 0, FOOT)}
    found = searcher.search(Query((spot,), exclude="slide", k=500))
    assert {"a1", "copy-of-a1"}.isdisjoint(m.key.slide_id for m in found.matches)


def test_a_removed_slide_is_gone_at_once_and_a_new_one_is_there(library, searcher):
    bring(library, "all")
    vector, query = vector_query(5, k=1000)
    assert len(searcher.search(query).matches) == 360
    with library.writer() as writer:
        writer.remove_slides(["a2"])
        put(library, writer, slide("newest"), seed=123)
    answer = searcher.search(query)
    same(answer, oracle(library, vector, 1000, lambda _: False))
    ids = {m.key.slide_id for m in answer.matches}
    assert "a2" not in ids
    assert "newest" in ids
    assert uncovered_share(library, SPEC.name) == pytest.approx(120 / 420)


def test_a_damaged_index_is_named_and_not_needed(library, searcher):
    bring(library, "all")
    state = library.index_state(SPEC.name)
    path = library.path / "index" / state.folder / "vectors.f16"
    path.write_bytes(path.read_bytes()[:-2])
    vector, query = vector_query(5, k=10)
    answer = searcher.search(query)
    same(answer, oracle(library, vector, 10, lambda _: False))
    assert "vectors.f16" in answer.notes[0]
    assert "reindex" in answer.notes[0]


def test_percentiles_come_with_an_index_and_bad_matches_are_called_so(library, searcher):
    _, query = vector_query(3, k=5)
    assert [m.percentile for m in searcher.search(query).matches] == [None] * 5
    bring(library, "all")
    matches = searcher.search(query).matches
    assert all(0 <= m.percentile <= 100 for m in matches)
    rows = [r for r in rows_of(library) if r[0] == "a1"]
    away = -np.mean([r[4] for r in rows_of(library)], axis=0)
    far = searcher.search(Query((Vector(tuple((away + 1e-3 * rows[0][4]).tolist())),), k=3))
    assert far.nothing_alike == (far.matches[0].percentile < 5)


def test_another_encoder_is_refused_by_both_names(library):
    with pytest.raises(EncoderMismatchError, match=r"plain-0 .* plain-1"):
        Searcher(library, PlainEncoder(seed=1, dim=DIM))


@pytest.mark.parametrize(
    ("query", "error", "says"),
    [
        (Query((Vector((1.0, 2.0)),)), QueryError, "32 finite numbers"),
        (Query((Vector((0.0,) * 32),)), QueryError, "not all 0"),
        (Query((Point("a1", 1, 1),), spec="x"), QueryError, "no spec 'x'"),
        (Query((Point("a11", 1, 1),)), SlideNotFoundError, "a1"),
        (Query((Point("a1", 19.5 * FOOT, 19.5 * FOOT),)), QueryError, "none lies where"),
        (Query((Point("a1", 1, 1),), k=0), QueryError, "k must be"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(searcher, query, error, says):
    with pytest.raises(error, match=says) as caught:
        searcher.search(query)
    assert "\n" not in str(caught.value)


def test_an_answer_is_json_by_the_contract(library, searcher):
    bring(library, "all")
    _, query = vector_query(3, k=2)
    raw = searcher.search(query).to_json()
    assert set(raw) >= {"library", "encoder", "query", "recall", "matches"}
    assert raw["recall"] == {
        "at10": 1.0, "at50": 1.0, "interval": [1.0, 1.0], "measured_on": 0, "exact": True
    }  # fmt: skip
    assert set(raw["matches"][0]) == {
        "rank", "slide_id", "case_id", "spec", "x", "y", "width", "height", "mpp", "score",
        "percentile", "metadata",
    }  # fmt: skip
