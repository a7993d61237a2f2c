"""Back after a while: new slides, and the old question asked again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import review_cases as cases

from pathsearch.errors import ReviewError
from pathsearch.nouns import Point, Query
from pathsearch.review import Collections, Reviews, find_new, new_slide_count, replay
from pathsearch.search import Searcher
from pathsearch.testing.plain_encoder import PlainEncoder


def grow(library, name="c1", seed=50):
    with library.writer() as writer:
        cases.put(library, writer, name, "C", seed)


def test_the_same_library_gives_the_same_answer(reviews, searcher, answer):
    reviews.record(answer)
    again = replay(reviews, searcher)
    assert again.same
    assert again.reasons == ()
    assert again.recorded is None


def test_a_grown_library_says_what_came_in_and_what_it_displaced(reviews, searcher, answer):
    reviews.record(answer)
    with searcher.library.writer() as writer:
        cases.put(searcher.library, writer, "c1", "C", 99)  # its first patch is the query itself
    again = replay(reviews, searcher)
    assert not again.same
    assert again.reasons == ("Came in, or indexed anew, since: 1 slide (c1).",)
    assert again.came[0][0].key.slide_id == "c1"
    assert again.came[0][1] == "its slide came in since"
    assert again.gone[-1][1] == "closer matches came in before it"
    assert again.moved[0][0].rank == 1
    assert again.moved[0][1].rank > 1


def test_a_slide_that_is_gone_is_named(reviews, searcher, answer):
    reviews.record(answer)
    name = answer.matches[0].key.slide_id
    with searcher.library.writer() as writer:
        writer.remove_slides([name])
    again = replay(reviews, searcher)
    gone = [why for m, why in again.gone if m.key.slide_id == name]
    assert set(gone) == {"its slide is not in the library any more"}
    assert f"with matches then: 1 slide ({name})" in again.reasons[0]
    assert {why for _, why in again.came} == {"a match before it is gone"}


def test_another_encoder_is_named_and_vectors_are_refused(reviews, answer, tmp_path, monkeypatch):
    vectors = reviews.record(answer).review
    asked = Query((Point("a1", 500.0, 500.0),), spec=cases.SPEC.name, k=8)
    marked = reviews.record(replace(answer, query=asked)).review
    other = PlainEncoder(dim=cases.DIM, seed=1)
    with cases.make(tmp_path / "other.pathsearch", encoder=other) as library:
        asker = Searcher(library, other)
        with pytest.raises(ReviewError, match="vectors cannot be compared"):
            replay(reviews, asker, vectors)
        # The slides' files are not there: their stored patches stand in
        again = replay(reviews, asker, marked)
    assert "The encoder is another" in again.reasons[0]
    assert answer.encoder in again.reasons[0]
    assert "another encoder" in again.gone[0][1]


def test_new_shows_only_slides_that_came_since_and_remembers(reviews, searcher, answer, library):
    review = reviews.record(answer).review
    reviews.judge(review, answer.matches[0].key, "accept")
    assert new_slide_count(reviews, library, review) == 0
    assert find_new(reviews, searcher, review).answer is None
    grow(library, "c1", 50)
    grow(library, "c2", 51)
    assert new_slide_count(reviews, library, review) == 2
    peeked = find_new(reviews, searcher, review, k=5, record=False)
    assert new_slide_count(reviews, library, review) == 2
    found = find_new(reviews, searcher, review, k=5)
    assert found.slides == ("c1", "c2")
    assert found.answer.matches == peeked.answer.matches
    assert len(found.answer.matches) == 5
    assert {m.key.slide_id for m in found.answer.matches} <= {"c1", "c2"}
    assert found.answer.query.accepted == (answer.matches[0].key,)
    # what is refined is asked of the new slides as of all: the same scores
    every = searcher.search(replace(reviews.get(review).refined(), k=500))
    scores = {m.key: m.score for m in every.matches}
    np.testing.assert_allclose(
        [scores[m.key] for m in found.answer.matches],
        [m.score for m in found.answer.matches], atol=1e-5,
    )  # fmt: skip
    assert new_slide_count(reviews, library, review) == 0
    grow(library, "c3", 52)
    assert find_new(reviews, searcher, review).slides == ("c3",)
    assert [r.kind for r in reviews.get(review).rounds] == ["ask", "new", "new"]
    assert reviews.get(review).question.kind == "ask"


def test_a_slide_that_comes_in_between_search_and_record_is_still_new(reviews, answer, library):
    grow(library)
    review = reviews.record(answer).review
    assert new_slide_count(reviews, library, review) == 1


def test_a_replay_may_be_kept(reviews, searcher, answer):
    review = reviews.record(answer).review
    assert replay(reviews, searcher, review, record=True).recorded.kind == "replay"
    assert replay(reviews, searcher, review, number=2).same
    with pytest.raises(ReviewError, match="rounds 1 to 2"):
        replay(reviews, searcher, review, number=7)


def test_collections_keep_order_captions_and_everyones_places(library, answer):
    first, second, third = answer.matches[:3]
    with Collections(library, reviewer="Ada") as sets:
        sets.add("Mitoses", [first, second], label="mitosis")
        sets.add("Mitoses", third, caption="look at the rim")
        sets.add("Mitoses", first)
        held = sets.get("Mitoses")
        assert [p.slide_id for p in held.places] == [m.key.slide_id for m in answer.matches[:3]]
        assert [p.label for p in held.places] == ["mitosis", "mitosis", ""]
        sets.edit("Mitoses", "3", position=1)
        held = sets.edit("Mitoses", "3", caption="two")
        assert [p.caption for p in held.places] == ["look at the rim", "", "two"]
        held = sets.remove("Mitoses", "2")
        assert [p.footprint for p in held.places] == [third.footprint, second.footprint]
        sets.rename("Mitoses", "Figures")
        assert [c.name for c in sets.list()] == ["Figures"]
        with pytest.raises(ReviewError, match="Figures"):
            sets.get("Mitoses")
        with pytest.raises(ReviewError, match="places 1 to 2"):
            sets.edit("Figures", "9", caption="")
        with Collections(library, reviewer="Bo") as theirs:
            assert theirs.get("Figures") == sets.get("Figures")
        sets.delete("Figures")
        assert sets.list() == []
        with pytest.raises(ReviewError, match="1 to 200"):
            sets.add("  ", first)


def test_slides_are_ranked_by_how_much_of_them_looks_like_it(library, searcher):
    query = cases.vector_query()
    vector = cases.unit(1, 99)[0]
    found = searcher.by_slide(query, 0.2)
    rows = {}
    for segment in library.segments():
        arrays = library.read_segment(segment)
        scores = (arrays.vectors.astype(np.float32) / arrays.norms[:, None]) @ vector
        rows[segment.slide_id] = scores
    assert [s.slide_id for s in found] == sorted(
        rows, key=lambda i: (-(rows[i] >= 0.2).mean(), -rows[i][rows[i] >= 0.2].mean())
    )
    for share in found:
        scores = rows[share.slide_id]
        assert (share.patches, share.hits) == (40, int((scores >= 0.2).sum()))
        assert share.best == pytest.approx(scores.max(), abs=1e-5)
        assert share.area_mm2 == pytest.approx(share.hits * (448 * 0.25 / 1000) ** 2)
    assert [s.slide_id for s in searcher.by_slide(replace(query, where="organ = skin"), 0.2)] == [
        s.slide_id for s in found if s.slide_id > "b"
    ]
    nothing = searcher.by_slide(query, 2.0)
    assert all(s.hits == 0 and s.strength == s.best for s in nothing)


def test_controls_are_other_patches_that_could_have_been_found(searcher):
    query = cases.vector_query(where="organ = skin")
    controls = searcher.random_matches(query, 30, seed=5)
    assert len({m.key for m in controls}) == 30
    assert {m.key.slide_id for m in controls} == {"b1", "n1"}
    assert controls == searcher.random_matches(query, 30, seed=5)
    keys = [m.key for m in controls]
    scores = searcher.scores_of(query, [*keys, replace(keys[0], x=7)])
    assert scores == pytest.approx({m.key: m.score for m in controls})
    assert len(searcher.random_matches(query, 10_000)) == 80


def test_reviews_may_be_read_with_no_reviews_there(library, searcher):
    with Reviews(library) as none:
        assert none.list() == []
        with pytest.raises(ReviewError, match="no reviews yet"):
            none.get()
    assert not (library.path / "reviews").exists()
