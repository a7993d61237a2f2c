"""The gallery's order and words, without Qt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_pathsearch import remembered
from napari_pathsearch.ask.settings import AskSettings, quoted
from napari_pathsearch.gallery.arrange import Heading, Order, arrange, rows
from pathsearch.errors import QueryError
from pathsearch.nouns import Footprint, Match, PatchKey, Point


def match(rank, slide="a", case="", percentile=None, **metadata):
    key = PatchKey(slide, "s", 10 * rank, 0)
    box = Footprint(10 * rank, 0, 10, 10)
    return Match(rank, key, box, 0.5, 1 - rank / 100, percentile, case, metadata)


FOUND = [
    match(1, "b", "C2", 40.0, year=2020),
    match(2, "a", "C1", 90.0, year=9),
    match(3, "b", "C2", None),
    match(4, "c", "", 90.0, year="late"),
]


def ranks(found):
    return [m.rank for m in found]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("rank", [1, 2, 3, 4]),
        ("percentile", [2, 4, 1, 3]),
        ("slide", [2, 1, 3, 4]),
        ("case", [2, 1, 3, 4]),
        ("column:year", [2, 1, 4, 3]),
        ("column:none such", [1, 2, 3, 4]),
    ],
)
def test_matches_are_sorted_and_equal_ones_stay_in_rank_order(sort, expected):
    assert ranks(arrange(reversed(FOUND), Order(sort))) == expected


def test_groups_follow_their_best_match_and_a_slide_without_case_stands_alone():
    laid = rows(FOUND, Order(group="case"))
    assert [r.rank if isinstance(r, Match) else r for r in laid] == [
        Heading("C2", 2), 1, 3, Heading("C1", 1), 2, Heading("c", 1), 4,
    ]  # fmt: skip


def test_verdicts_group_in_the_order_of_use():
    said = {FOUND[0].key: "reject", FOUND[2].key: "accept"}
    laid = rows(FOUND, Order(group="verdict"), lambda key: said.get(key, ""))
    headings = [r.text for r in laid if isinstance(r, Heading)]
    assert headings == ["Accepted", "Not judged", "Rejected"]


def test_a_form_becomes_a_query():
    like = (Point("s.tiff", 1, 2),)
    form = AskSettings(place="slide", k=7, per_slide=3, exclude="case")
    query = form.query(like, slide_id='odd "name"', specs=["0.5um", "1um"])
    assert query.where == "slide_id = 'odd \"name\"'"
    assert (query.spec, query.k, query.per_slide, query.per_case) == ("0.5um", 7, 3, None)
    assert replace(form, spec="all", place="all").query(like, specs=["0.5um"]).spec == "all"


@pytest.mark.parametrize(
    ("form", "like", "said"),
    [
        (AskSettings(), (), "Nothing is marked yet"),
        (AskSettings(place="slide"), (Point("s", 1, 2),), "needs an open slide"),
    ],
)
def test_what_cannot_be_asked_says_what_to_do(form, like, said):
    with pytest.raises(QueryError, match=said):
        form.query(like)


def test_a_name_with_both_quotes_is_refused():
    with pytest.raises(QueryError, match="both kinds of quotes"):
        quoted("a\"b'c")


def test_what_is_remembered_holds_no_names_and_nonsense_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
    kept = AskSettings(place="filter", filter="patient = Doe", k=12, diversity=0.5)
    remembered.remember("ask", kept.to_json())
    assert "Doe" not in remembered.settings_file().read_text()
    back = AskSettings.from_json(remembered.recall("ask", {}))
    assert back == replace(kept, place="all", filter="")
    odd = {"k": True, "spacing": 2, "exclude": "all", "per_slide": -1, "spec": 3, "new": 1}
    assert AskSettings.from_json(odd) == AskSettings(spacing=2.0)
    remembered.settings_file().write_text("{broken")
    assert remembered.recall("ask", {"a": 1}) == {"a": 1}
    remembered.remember("side", 200)
    assert remembered.recall("side", 1) == 200
    assert remembered.recall("side", "text") == "text"


def test_pictures_are_cut_with_white_outside():
    from napari_pathsearch.gallery.pictures import _cut

    pixels = np.zeros((4, 4, 3), np.uint8)
    cut = _cut(pixels, (-1, 2), (3, 6))
    assert cut.shape == (3, 3, 3)
    assert cut[:, :, 0].tolist() == [[255, 255, 255], [0, 255, 255], [0, 255, 255]]
