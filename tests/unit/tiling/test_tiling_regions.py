"""Regions that a user drew: what QuPath writes, and what it does to the grid."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from pathsearch.config import TileSpec
from pathsearch.errors import UsageError
from pathsearch.testing.memory import ArraySlide
from pathsearch.tiling import Regions, load_regions, tile
from pathsearch.tiling.regions import regions_from

SQUARE = [[[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]]
FRAME = [*SQUARE, [[25, 25], [75, 25], [75, 75], [25, 75], [25, 25]]]


def feature(kind, coordinates, **properties):
    return {
        "type": "Feature",
        "id": "5a7c",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", **properties},
    }


@pytest.mark.parametrize(
    ("raw", "area"),
    [
        ({"type": "FeatureCollection", "features": [feature("Polygon", SQUARE)]}, 10_000),
        (feature("Polygon", SQUARE, name="tumour"), 10_000),
        ({"type": "Polygon", "coordinates": SQUARE}, 10_000),
        ([feature("Polygon", SQUARE)], 10_000),  # older QuPath: a bare list
        (feature("Polygon", FRAME), 7_500),
        (feature("MultiPolygon", [SQUARE, [[[200, 0], [210, 0], [210, 10]]]]), 10_050),
        # Overlaps count once.
        ([feature("Polygon", SQUARE), feature("Polygon", FRAME)], 10_000),
        # Points and lines have no area.
        ([feature("Point", [3, 4]), feature("Polygon", SQUARE)], 10_000),
        ([feature("LineString", [[0, 0], [9, 9]]), feature("Polygon", SQUARE)], 10_000),
        # A third coordinate, and an outline that is not closed.
        (feature("Polygon", [[[0, 0, 1], [10, 0, 1], [10, 10, 1], [0, 10, 1]]]), 100),
        # An outline that crosses itself: both halves count.
        (feature("Polygon", [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]), 50),
        (
            {
                "type": "GeometryCollection",
                "geometries": [{"type": "Polygon", "coordinates": SQUARE}],
            },
            1e4,
        ),
    ],
)
def test_what_qupath_writes(tmp_path, raw, area):
    path = tmp_path / "regions.geojson"
    path.write_text(json.dumps(raw), encoding="utf-8")
    assert shapely.area(load_regions(path).geometry) == pytest.approx(area)


def test_a_byte_order_mark_is_no_harm(tmp_path):
    path = tmp_path / "r.geojson"
    path.write_text(json.dumps(feature("Polygon", SQUARE)), encoding="utf-8-sig")
    assert load_regions(path).share_of((0, 0, 200, 100)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not GeoJSON"),
        ("<xml/>", "is not GeoJSON"),
        ("[]", "no Polygon"),
        ("42", "no Polygon"),
        (json.dumps(feature("Point", [1, 2])), "no Polygon"),
        (json.dumps(feature("Polygon", [[[0, 0], [1, 1]]])), "fewer than three"),
        (json.dumps(feature("Polygon", [["a", "b", "c"]])), "not lists of x, y"),
        (json.dumps(feature("Polygon", [[[0, 0], [1], [2, 2]]])), "not lists of x, y"),
        (json.dumps(feature("Polygon", None)), "not lists of x, y"),
        (json.dumps(feature("Polygon", [[[0, 0], [5, 5], [10, 10], [0, 0]]])), "no area"),
        (json.dumps({"type": "Polygon"}), "not lists of x, y"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, NaN], [2, 2]]]}', "finite"),
        ("[" * 2000 + "]" * 2000, "GeoJSON|nested|no Polygon|not lists"),
    ],
)
def test_what_is_no_region_is_said_in_one_line(tmp_path, text, says):
    path = tmp_path / "r.geojson"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says) as caught:
        load_regions(path)
    assert "\n" not in str(caught.value)
    assert "r.geojson" in str(caught.value)


def test_a_missing_file_and_bytes_that_are_no_text(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_regions(tmp_path / "none.geojson")
    path = tmp_path / "b.geojson"
    path.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not GeoJSON"):
        load_regions(path)


def star():
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.where(np.arange(40) % 2, 90.0, 220.0)
    outer = np.stack([250 + radius * np.cos(turn), 240 + radius * np.sin(turn)], axis=1)
    hole = [[230, 220], [280, 225], [260, 270]]
    return regions_from({"type": "Polygon", "coordinates": [outer.tolist(), hole]})


def test_shares_equal_one_square_at_a_time():
    regions = star()
    xs, ys = np.arange(0, 500, 37), np.arange(-20, 480, 41)
    got = regions.shares(xs, ys, 30)
    for i, y in enumerate(ys):
        for j, x in enumerate(xs):
            box = shapely.box(x, y, x + 30, y + 30)
            slow = shapely.area(shapely.intersection(regions.geometry, box)) / 900
            assert got[i, j] == pytest.approx(slow, abs=1e-9)
    assert got.max() == 1.0
    assert got.min() == 0.0


def test_coverage_is_the_share_of_each_pixel():
    regions = star()
    cover = regions.coverage((10.0, 6.0), 8.0, (60, 62))
    exact = regions.shares(
        (10 + 8 * np.arange(62)).astype(np.int64), (6 + 8 * np.arange(60)).astype(np.int64), 8
    )
    assert cover.shape == (60, 62)
    assert abs(float(cover.sum()) - exact.sum()) < 0.01 * exact.sum()
    assert np.abs(cover - exact).mean() < 0.01
    # A hole of one polygon does not cut into another.
    both = Regions(
        shapely.union_all(
            [shapely.box(0, 0, 64, 64) - shapely.box(8, 8, 56, 56), shapely.box(16, 16, 32, 32)]
        )
    ).coverage((0, 0), 8.0, (8, 8))
    assert both[0].min() == 1.0
    assert both[2:4, 2:4].min() > 0.7
    assert both[5:7, 5:7].max() < 0.1


def slide_with_tissue():
    """2240 x 1120 of glass; the left half is tissue."""
    rng = np.random.default_rng(1)
    pixels = np.full((1120, 2240, 3), 243, np.uint8)
    grain = rng.integers(-40, 40, (70, 70, 1)).repeat(16, 0).repeat(16, 1)
    pixels[:, :1120] = np.clip(np.array([205, 130, 175]) + grain, 0, 255)
    return ArraySlide(pixels, 0.5)


def test_regions_replace_the_mask():
    # On bare glass: what the user drew is taken, whatever the pixels show.
    regions = regions_from(
        {"type": "Polygon", "coordinates": [[[1568, 224], [2016, 224], [2016, 448], [1568, 448]]]}
    )
    tiling = tile(slide_with_tissue(), TileSpec(), regions=regions)
    assert tiling.xy.tolist() == [[1568, 224], [1792, 224]]
    np.testing.assert_allclose(tiling.tissue, 1.0)
    assert tiling.tissue_share == pytest.approx(448 * 224 / (2240 * 1120))


def test_regions_restrict_the_mask():
    box = [[[672, 224], [1568, 224], [1568, 448], [672, 448]]]
    regions = regions_from({"type": "Polygon", "coordinates": box})
    tiling = tile(
        slide_with_tissue(), TileSpec(min_tissue=0.6), regions=regions, regions_mode="restrict"
    )
    assert tiling.xy.tolist() == [[672, 224], [896, 224]]


def test_regions_outside_of_the_slide_give_nothing():
    box = [[[9000, 9000], [9500, 9000], [9500, 9500]]]
    regions = regions_from({"type": "Polygon", "coordinates": box})
    for mode in ("replace", "restrict"):
        tiling = tile(slide_with_tissue(), TileSpec(), regions=regions, regions_mode=mode)
        assert len(tiling) == 0
        assert tiling.tissue_share == 0.0
