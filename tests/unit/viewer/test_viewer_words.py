"""What the viewer says, without Qt."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_viewer_arrange import match

from napari_pathsearch.gallery.captions import CardWords, Names, percentile_words, plain_note
from napari_pathsearch.index_run import Order, plan_in_words
from napari_pathsearch.words import magnification, message_of
from pathsearch.errors import SlideError, SlideNotFoundError

PLAN = {
    "found": 5, "to_read": 3, "unchanged": 0, "patches": 2119, "counted_on": 3, "bytes": 2.3e6,
    "free_bytes": 7e10, "seconds": 0, "patches_per_second": 0,
    "failed": [
        {"slide_id": "a.svs", "code": "mpp-missing", "message": "give it with --mpp"},
        {"slide_id": "b.svs", "code": "slide-unreadable", "message": "No reader opens it."},
    ],
}  # fmt: skip


def test_a_card_says_values_and_names_only_those_that_do_not_speak():
    words = CardWords(columns=("diagnosis", "year", "grade"))
    lines = words.lines(match(1, "a.svs", "C1", 97.4, diagnosis="adenoma", year=2019))
    assert lines == ["1  ·  0.990  ·  > 97%", "a.svs", "C1", "adenoma", "year: 2019", "grade: –"]
    assert len(lines) == words.count
    assert CardWords(columns=("year",), blinded=True).lines(match(1)) == []


def test_a_card_of_a_later_round_says_where_it_was():
    here = match(1, "a.svs", "", 50.0)
    words = CardWords(earlier={here.key: 9})
    assert words.lines(here) == ["1 (was 9)  ·  0.990", "> 50%", "a.svs", "no case"]
    assert CardWords(earlier={}).lines(here)[0].startswith("1 (new)")
    assert len(words.lines(here)) == words.count


@pytest.mark.parametrize(("percentile", "said"), [(99.9, "99%"), (100.0, "99%"), (4.6, "5%")])
def test_nothing_is_closer_than_everything(percentile, said):
    assert percentile_words(percentile) == f"closer than {said} of what searches here usually find"


def test_notes_lose_their_arithmetic_and_nothing_else():
    told = "Refined by 6 accepted and 3 rejected matches, their means (Rocchio): turned by 7°."
    assert plain_note(told) == "Refined by 6 accepted and 3 rejected matches."
    other = "a.svs is not at hand, so its place was taken from the library."
    assert plain_note(other) == other


def test_hidden_names_are_replaced_the_longest_first():
    names = Names(hidden=(("case-12", "Case 2"), ("case-1", "Case 1")))
    assert names.text("case-12, case-1") == "Case 2, Case 1"


def test_columns_that_say_who_it_is_are_hidden_with_the_names():
    words = CardWords(Names(hidden=(("C1", "Case 1"),)), columns=("patient", "diagnosis"))
    lines = words.lines(match(1, "a", "C1", None, patient="Doe", diagnosis="adenoma in C1"))
    assert lines[-2:] == ["patient: hidden", "adenoma in Case 1"]
    assert CardWords(columns=("patient",)).lines(match(1, patient="Doe"))[-1] == "Doe"


def test_a_plan_says_what_cannot_be_read_and_what_to_do():
    said = plan_in_words(PLAN)
    assert "5 slides found: 3 to index, 0 in the library already, 2 unreadable." in said
    assert "✕ No resolution in the file: a.svs. Give it above." in said
    assert "✕ b.svs: No reader opens it." in said
    assert "--mpp" not in said


def test_an_order_is_the_commands_arguments():
    order = Order((Path("in"),), Path("l.pathsearch"), 0.5, None, 0.25)
    assert order.words() == [
        "index", "in", "--library", "l.pathsearch", "--spec-mpp", "0.5", "--mpp", "0.25",
    ]  # fmt: skip


def test_magnification_comes_first_and_errors_are_one_line():
    assert magnification(0.5) == "about 20x, 0.5 µm/px"
    assert magnification(14.2) == "about 0.7x, 14.2 µm/px"
    message = message_of(SlideNotFoundError("gone", slide_id="a", path="/x/a.svs"))
    assert "Locate slides" in message.line
    long = message_of(SlideError("/a/b/c.svs: no slide.", path="/a/b/c.svs"))
    assert long.line == "c.svs: no slide."
    assert "/a/b/c.svs" in long.details
    odd = message_of(ValueError("two\nlines"))
    assert odd.line == "Something unexpected happened (ValueError: two lines)."
    assert "ValueError" in odd.details
