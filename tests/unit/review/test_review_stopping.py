"""When to stop judging: the running line, against counts by hand."""

from __future__ import annotations

from pathsearch.review import running, running_of


def test_nothing_judged_says_nothing():
    assert str(running([])) == ""


def test_the_last_twenty_are_set_against_the_twenty_before():
    # 45 judged: 5 + 20 before them + the last 20; a case that was found before is not new
    first = [("accept", "A")] * 5
    middle = [("accept", "B")] * 12 + [("reject", "C")] * 8
    last = [("accept", "A"), ("accept", "D")] + [("reject", "E")] * 15 + [("unsure", "F")] * 3
    found = running([*first, *middle, *last])
    assert (found.last, found.accepted) == (20, 2)
    assert (found.before, found.accepted_before) == (20, 12)
    assert (found.cases, found.new_cases) == (3, 1)
    assert str(found) == (
        "2 of the last 20 judged were accepted (12 of the 20 before); "
        "3 cases found so far, 1 of them among these"
    )


def test_a_review_counts_each_match_once_by_its_last_verdict_and_no_control(
    reviews, answer, searcher
):
    controls = searcher.random_matches(answer.query, 3, seed=2)
    one = reviews.record(answer, controls=controls)
    keys = [m.key for m in answer.matches]
    reviews.judge(one.review, keys[:3], "accept")
    reviews.judge(one.review, keys[0], "reject")
    reviews.judge(one.review, [c.key for c in controls], "accept")
    reviews.judge(one.review, keys[3], "accept")
    reviews.undo(one.review)
    found = running_of(reviews.get(one.review))
    assert (found.last, found.accepted, found.before) == (3, 2, 0)
    cases = {m.case_id or m.key.slide_id for m in answer.matches[1:3]}
    assert (found.cases, found.new_cases) == (len(cases), len(cases))
