"""The numbers of the progress display, on a clock of our own."""

from __future__ import annotations

import pytest

from pathsearch.indexing.pace import Pace, in_words


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_the_rate_counts_all_slides_and_all_magnifications():
    clock = Clock()
    pace = Pace({"a": 10, "b": 10}, clock)
    clock.now += 10
    pace.patches("a", 50, 100)
    pace.patches("b", 30, 40)
    pace.patches("a", 100, 100)
    pace.patches("a", 20, 60)  # the next magnification of the same slide
    assert pace.rate == pytest.approx((100 + 30 + 20) / 10)


def test_time_left_goes_by_bytes():
    clock = Clock()
    pace = Pace({"small": 100, "large": 900}, clock)
    assert pace.seconds_left is None
    clock.now += 10
    assert pace.seconds_left is None  # nothing is done yet
    pace.patches("small", 1, 1)
    pace.ended("small")
    assert pace.seconds_left == pytest.approx(90)
    pace.patches("large", 50, 100)
    assert pace.seconds_left == pytest.approx(10 * 450 / 550)


def test_nothing_to_do_takes_no_time():
    clock = Clock()
    pace = Pace({}, clock)
    clock.now += 10
    assert pace.seconds_left is None
    pace.ended("unknown")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (40, "40 s"),
        (600, "10 min"),
        (12_000, "3 h 20 min"),
        (7200, "2 h"),
        (187_200, "2 days 4 h"),
        (172_800, "2 days"),
    ],
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words
