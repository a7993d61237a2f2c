"""Regions to patches, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.errors import QueryError
from pathsearch.nouns import Region
from pathsearch.search.cover import cover_region, overlapping, patch_at, region_geometry


def rectangle(x, y, w, h):
    return region_geometry(Region.rectangle("s", x, y, w, h))


def test_a_rectangle_of_two_by_three_patches():
    cover = cover_region(rectangle(100, 200, 200, 300), 100)
    assert cover.xy.tolist() == [
        [100, 200], [200, 200], [100, 300], [200, 300], [100, 400], [200, 400],
    ]  # fmt: skip
    assert cover.weights.tolist() == [1.0] * 6
    assert cover.total == 6


def test_the_grid_is_centred_on_a_region_that_is_no_multiple():
    cover = cover_region(rectangle(0, 0, 230, 100), 100)
    # 2.3 patches wide: two of them, 15 px free on either side
    assert cover.xy.tolist() == [[15, 0], [115, 0]]


def test_a_small_region_gives_one_patch_centred_on_it():
    cover = cover_region(rectangle(1000, 500, 10, 20), 100)
    assert cover.xy.tolist() == [[955, 460]]
    assert cover.total == 1


def test_a_thin_ring_gives_a_patch_on_it_and_not_in_its_middle():
    ring = Region(
        "s",
        (
            (
                ((0, 0), (1000, 0), (1000, 1000), (0, 1000)),
                ((10, 10), (990, 10), (990, 990), (10, 990)),
            ),
        ),
    )
    cover = cover_region(region_geometry(ring), 100)
    assert cover.total == 1
    centre = cover.xy[0] + 50
    assert min(centre.min(), 1000 - centre.max()) <= 10


def test_a_triangle_keeps_the_patches_that_are_half_inside():
    triangle = Region("s", ((((0, 0), (400, 0), (0, 400)),),))
    cover = cover_region(region_geometry(triangle), 100)
    # On the diagonal exactly half of a patch is inside
    want = [[x, y] for y in range(0, 400, 100) for x in range(0, 400 - y, 100)]
    assert cover.xy.tolist() == want
    assert cover.weights.min() == pytest.approx(0.5)


def test_a_large_region_is_sampled_evenly_and_says_so():
    cover = cover_region(rectangle(0, 0, 10_000, 10_000), 100, max_patches=50)
    assert cover.total == 10_000
    assert len(cover.xy) == 50
    assert cover.xy[0].tolist() == [0, 0]
    assert cover.xy[-1].tolist() == [9900, 9900]
    assert len(np.unique(cover.xy, axis=0)) == 50


def test_no_area_and_absurd_sizes_are_refused():
    with pytest.raises(QueryError, match="no area"):
        region_geometry(Region("s", ((((0, 0), (5, 5), (10, 10)),),)))
    with pytest.raises(QueryError, match="three corners"):
        region_geometry(Region("s", ((((0, 0), (5, 5)),),)))
    with pytest.raises(QueryError, match="larger than any slide"):
        cover_region(rectangle(0, 0, 1e9, 1e9), 100)


def test_overlap_counts_shared_area_and_not_a_touching_border():
    xy = np.array([[0, 0], [100, 0], [199, 0], [200, 0], [0, 100]])
    hit = overlapping(rectangle(100, 0, 100, 100), xy, 100)
    assert hit.tolist() == [False, True, True, False, False]
    assert patch_at(50, 60, 100).tolist() == [[0, 10]]
