"""A purge reaches reviews and collections; a backup holds them; damage is found."""

from __future__ import annotations

from dataclasses import replace

import review_cases as cases

from pathsearch.library import Library
from pathsearch.maintenance import back_up, purge
from pathsearch.nouns import Point, Query
from pathsearch.review import Collections, Reviews
from pathsearch.review.upkeep import check_reviews

WORD = b"private-slide"


def holding(folder, word=WORD):
    return [p.name for p in folder.rglob("*.db") if word in p.read_bytes()]


def test_a_purge_takes_the_slide_out_of_everything_that_was_kept(library, searcher, tmp_path):
    with library.writer() as writer:
        cases.put(library, writer, "private-slide", "case-4711", 9)
    answer = searcher.search(cases.vector_query(k=200))
    asked = Query(
        (*answer.query.like, Point("private-slide", 5, 5), Point("/x/private-slide", 1, 1)),
        spec=cases.SPEC.name,
        where="slide_id != private-slide",
    )
    with Reviews(library, reviewer="Ada") as reviews, Collections(library) as sets:
        own = replace(answer, query=asked, notes=("private-slide has changed", "fine"))
        kept = reviews.record(own, title="of private-slide")
        theirs = [m for m in answer.matches if m.key.slide_id == "private-slide"]
        other = next(m for m in answer.matches if m.key.slide_id == "a1")
        reviews.judge(kept.review, theirs[0].key, "accept")
        reviews.judge(kept.review, other.key, "accept", note="unlike private-slide")
        reviews.log_export("csv", "/out/private-slide.csv")
        sets.add("for case-4711", [theirs[0], other], caption="from case-4711")
        assert len(kept.matches) == 200
    assert holding(library.path)
    with Library.open(library.path, read_only=True) as closed, Reviews(closed) as mine:
        mine.judge(kept.review, theirs[1].key, "reject")
    assert holding(tmp_path / "own")
    receipt = purge(library, case_ids=["case-4711"])
    assert receipt.review_rows > len(theirs)
    for word in (WORD, b"case-4711"):
        assert holding(library.path, word) == []
        assert holding(tmp_path / "own", word) == []
    with Reviews(library) as reviews, Collections(library) as sets:
        held = reviews.get(kept.review)
        assert list(held.current()) == [other.key]
        assert held.current()[other.key].note == "(erased)"
        assert len(held.rounds[0].matches) == 200 - len(theirs)
        assert held.rounds[0].erased
        assert held.rounds[0].query.like == answer.query.like
        assert held.rounds[0].notes == ("(erased)", "fine")
        assert [(p.slide_id, p.caption) for c in sets.list() for p in c.places] == [
            ("a1", "(erased)")
        ]
    assert searcher.search(held.refined()).matches


def test_a_question_whose_only_example_is_purged_says_so(library, searcher, reviews, answer):
    asked = replace(answer, query=Query((Point("a1", 5, 5),), spec=cases.SPEC.name))
    review = reviews.record(asked).review
    reviews.close()
    purge(library, slide_ids=["a1"], rebuild=False)
    one = reviews.get(review).rounds[0]
    assert one.erased
    assert one.query.like == ()


def test_a_backup_holds_the_reviews(library, reviews, answer, tmp_path):
    review = reviews.record(answer).review
    reviews.judge(review, answer.matches[0].key, "accept")
    copy = back_up(library, tmp_path / "copy.pathsearch")
    reviews.judge(review, answer.matches[1].key, "accept")
    with Library.open(copy) as copied, Reviews(copied) as theirs:
        assert list(theirs.get(review).current()) == [answer.matches[0].key]


def test_a_damaged_file_is_found(library, reviews, answer):
    reviews.record(answer)
    assert check_reviews(library) == []
    (library.path / "reviews" / "x.db").write_bytes(b"no database" * 500)
    assert [line for line in check_reviews(library) if "x.db" in line]
