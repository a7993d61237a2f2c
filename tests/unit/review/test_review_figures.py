"""Figures of verdicts against values worked out elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import review_cases as cases

from pathsearch.errors import ReviewError
from pathsearch.metrics import wilson
from pathsearch.review import Reviews
from pathsearch.review.across import told_figures
from pathsearch.review.figures import agreement, precision, threshold


def test_wilson_is_wilsons():
    # Newcombe 1998, table I: 81 of 263 and 15 of 148
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20)[0] == 0
    assert wilson(0, 0) == (0.0, 1.0)


def test_precision_counts_the_first_k_and_sets_the_controls_against_it(reviews, answer, searcher):
    controls = searcher.random_matches(answer.query, 4, seed=2)
    one = reviews.record(answer, controls=controls)
    keys = [m.key for m in answer.matches]
    reviews.judge(one.review, keys[:3], "accept", blinded=True)
    reviews.judge(one.review, keys[3], "reject")
    reviews.judge(one.review, keys[4], "unsure")
    reviews.judge(one.review, controls[0].key, "accept", blinded=True)
    reviews.judge(one.review, [c.key for c in controls[1:]], "reject", blinded=True)
    held = reviews.get()
    all_ = precision(held, one)
    assert (all_.k, all_.judged.hits, all_.judged.n) == (8, 3, 5)
    assert (all_.unsure, all_.unjudged, all_.blinded) == (1, 3, 3)
    assert (all_.controls.hits, all_.controls.n) == (1, 4)
    value, low, high = all_.over_controls
    assert value == pytest.approx(3 / 5 - 1 / 4)
    assert -1 <= low < value < high <= 1
    first = precision(held, one, 3)
    assert (first.judged.value, first.over_controls[0]) == (1.0, 0.75)
    bare = precision(held, replace(one, matches=one.matches[:8]))
    assert bare.over_controls is None
    assert bare.controls.value is None


def test_newcombes_difference_is_the_published_one():
    from pathsearch.review.figures import Rate, _difference

    # Newcombe 1998, Statistics in Medicine 17:873, table II: 56/70 - 48/80, method 10
    value, low, high = _difference(Rate(56, 70), Rate(48, 80))
    assert (value, low, high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_kappa_is_cohens(reviews, answer, library):
    from pathsearch.review import Reviews

    review = reviews.record(answer).review
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: kappa 0.4
    pairs = [("accept", "accept")] * 20 + [("accept", "reject")] * 5
    pairs += [("reject", "accept")] * 10 + [("reject", "reject")] * 15
    with Reviews(library, reviewer="Bo") as other:
        for number, (first, second) in enumerate(pairs):
            reviews.judge(review, cases.key(number), first)
            other.judge(review, cases.key(number), second)
    held = reviews.get()
    found = agreement(held, "Ada", "Bo")
    assert (found.n, found.same) == (50, 35)
    assert found.kappa == pytest.approx(0.4)
    assert found.interval[0] < 0.4 < found.interval[1]
    assert found.table["accept", "reject"] == 5
    with pytest.raises(ReviewError, match="verdicts here are of Ada, Bo"):
        agreement(held, "Ada", "Cy")


def test_each_reviewers_precision_is_told(reviews, answer, library):
    keys = [m.key for m in answer.matches]
    review = reviews.record(answer).review
    reviews.judge(review, keys[:4], "accept")
    with Reviews(library, reviewer="Bo") as other:
        other.judge(review, keys[:4], "reject")
    held = reviews.get(review)
    told = dict(told_figures(held))
    assert told["Round 1, all matches (8)"].startswith("0 of 4")
    assert told["Round 1, all matches, as Ada judged"].startswith("4 of 4")
    assert told["Round 1, all matches, as Bo judged"].startswith("0 of 4")
    assert dict(told_figures(held, "Ada"))["Round 1, all matches (8)"].startswith("4 of 4")


def test_full_agreement_by_chance_alone_has_no_kappa(reviews, answer, library):
    from pathsearch.review import Reviews

    review = reviews.record(answer).review
    with Reviews(library, reviewer="Bo") as other:
        for who in (reviews, other):
            who.judge(review, cases.key(0), "accept")
    assert agreement(reviews.get(), "Ada", "Bo").kappa is None


def test_the_threshold_parts_accepted_from_rejected():
    keys = [cases.key(n) for n in range(8)]
    scores = dict(zip(keys, (0.9, 0.8, 0.7, 0.4, 0.6, 0.3, 0.2, 0.1), strict=True))
    found = threshold(scores, keys[:4], keys[4:])
    assert found.value == pytest.approx(0.65)
    assert (found.sensitivity, found.specificity) == (0.75, 1.0)
    assert (found.accepted, found.rejected) == (4, 4)
    assert threshold(scores, keys[:2], keys[4:]) is None
    assert threshold({}, keys[:4], keys[4:]) is None
