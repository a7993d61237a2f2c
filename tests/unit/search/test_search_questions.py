"""Words and JSON to questions, and back."""

from __future__ import annotations

import json

import pytest

from pathsearch.errors import PathsearchError, QueryError
from pathsearch.nouns import Picture, Point, Query, Region, Vector
from pathsearch.search.questions import checked, parse_example, query_from_json, query_to_json


@pytest.mark.parametrize(
    ("word", "example"),
    [
        ("a.svs#1,2,30,40", Region.rectangle("a.svs", 1, 2, 30, 40)),
        ("a.svs#10,20", Point("a.svs", 10, 20)),
        ("case #3/a.svs#10.5,20", Point("case #3/a.svs", 10.5, 20)),
        ("pic@home.png@0.5", Picture("pic@home.png", 0.5)),
        ("C:\\slides\\a.svs#5,6", Point("C:\\slides\\a.svs", 5, 6)),
    ],
)
def test_words(word, example):
    assert parse_example(word) == example


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("a.svs", "not an example"),
        ("a.svs#", "expected x,y"),
        ("a.svs#1", "expected x,y"),
        ("a.svs#1,2,3", "expected x,y"),
        ("a.svs#1,b", "'b' is not a number"),
        ("a.svs#nan,2", "'nan' is not a number"),
        ("a.svs#1,2,0,5", "above 0"),
        ("a.svs#1,2,-4,5", "above 0"),
        ("#1,2", "no slide"),
        ("p.png@0", "not a resolution"),
        ("p.png@x", "not a resolution"),
        ("p.png@inf", "not a resolution"),
        ("a.svs#missing.geojson", "missing.geojson"),
    ],
)
def test_wrong_words_are_named(word, says):
    with pytest.raises(PathsearchError, match=says) as caught:
        parse_example(word)
    assert "\n" not in str(caught.value)


def test_a_geojson_region_keeps_its_hole(tmp_path):
    outer = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]
    hole = [[40, 40], [60, 40], [60, 60], [40, 60], [40, 40]]
    path = tmp_path / "r.geojson"
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [outer, hole]}))
    region = parse_example(f"a.svs#{path}")
    assert isinstance(region, Region)
    assert len(region.polygons) == 1
    assert len(region.polygons[0]) == 2


def test_a_query_survives_json():
    query = Query(
        (
            Region.rectangle("a", 1, 2, 3, 4),
            Point("b", 5, 6),
            Picture("p.png", 0.25),
            Vector((0.5, 0.25)),
        ),
        exclude="case",
        k=7,
        per_slide=2,
    )
    back = query_from_json(json.loads(json.dumps(query_to_json(query))))
    assert back.exclude == "case"
    assert (back.k, back.per_slide, back.per_case) == (7, 2, None)
    assert back.like[1:] == query.like[1:]
    region = back.like[0]
    assert isinstance(region, Region)
    corners = set(region.polygons[0][0])
    assert corners == {(1, 2), (4, 2), (4, 6), (1, 6)}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({}, "'like'"),
        ({"like": []}, "'like'"),
        ({"like": "a#1,2"}, "'like'"),
        ({"like": ["a#1,2"], "kk": 3}, "unknown key 'kk'"),
        ({"like": ["a#1,2"], "k": 0}, "k must be"),
        ({"like": ["a#1,2"], "k": True}, "k must be"),
        ({"like": ["a#1,2"], "exclude": "none"}, "exclude must be"),
        ({"like": ["a#1,2"], "per_case": -1}, "per_case"),
        ({"like": [{"slide": "a"}]}, "needs 'geometry'"),
        ({"like": [{"point": [1, 2]}]}, "not complete"),
        (
            {"like": [{"slide": "a", "geometry": {"type": "Point", "coordinates": [1, 2]}}]},
            "no Poly",
        ),
        ([1], "expected an object"),
    ],
)
def test_wrong_json_is_named(raw, says):
    with pytest.raises(QueryError, match=says):
        query_from_json(raw)


def test_checked_returns_the_query():
    query = Query((Point("a", 1, 2),))
    assert checked(query) is query
