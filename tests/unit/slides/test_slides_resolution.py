"""The resolution rule against cases worked out by hand."""

from __future__ import annotations

import pytest

from pathsearch.errors import ResolutionTooCoarseError
from pathsearch.nouns import Level
from pathsearch.slides import choose_resolution

# 0.25 µm/px with levels at 1, 4.016 and 16.06: 0.25, 1.004 and 4.015 µm/px.
LEVELS = (Level(40000, 30000, 1.0), Level(9960, 7470, 4.016), Level(2490, 1867, 16.06))


@pytest.mark.parametrize(
    ("mpp", "level", "factor", "scale"),
    [
        (0.25, 0, 1, 1.0),  # the level itself
        (0.2475, 0, 1, 1.0),  # a level 1% coarser than wanted still serves
        (0.255, 0, 1, 1.0),  # 2% finer: no resampling
        (0.26, 0, 1, 1.04),
        (0.5, 0, 2, 1.0),  # no level of its own: averaged by 2
        (0.75, 0, 1, 3.0),  # averaged by 2, 1.5 would remain: too coarse squares
        (0.9, 0, 1, 3.6),  # 1.004 is more than 1.02 times 0.9
        (1.0, 1, 1, 1.0),  # 1.004 is not
        (2.008, 1, 2, 1.0),
        (3.0, 1, 1, 3.0 / 1.004),
        (4.016 * 0.95, 1, 1, 0.95 * 4),
        (4.0, 2, 1, 1.0),
        (64.0, 2, 4, 64 / (4.015 * 4)),
        (66.0, 2, 8, 66 / (4.015 * 8)),
    ],
)
def test_the_coarsest_level_that_is_fine_enough(
    mpp: float, level: int, factor: int, scale: float
) -> None:
    how = choose_resolution(LEVELS, mpp, 0.25)
    assert (how.level, how.factor, how.enlarged) == (level, factor, False)
    assert how.scale == pytest.approx(scale)
    assert how.pixel == pytest.approx(LEVELS[level].downsample * factor)


@pytest.mark.parametrize(("slide_mpp", "scale"), [(0.55, 0.5 / 0.55), (0.75, 0.5 / 0.75)])
def test_a_little_enlarging_is_recorded(slide_mpp: float, scale: float) -> None:
    how = choose_resolution(LEVELS, 0.5, slide_mpp)
    assert how.enlarged
    assert (how.level, how.factor) == (0, 1)
    assert how.scale == pytest.approx(scale)


def test_more_enlarging_is_refused_and_says_what_to_ask_for() -> None:
    with pytest.raises(ResolutionTooCoarseError, match=r"0\.76.*0\.507 µm/px or coarser") as info:
        choose_resolution(LEVELS, 0.5, 0.76, path="a.svs")
    assert info.value.slide_mpp == pytest.approx(0.76)


def test_factors_that_a_tile_does_not_allow_are_not_used() -> None:
    how = choose_resolution(LEVELS, 2.0, 0.25, factors=())
    assert (how.level, how.factor) == (1, 1)
    assert how.scale == pytest.approx(2.0 / 1.004)


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan")])
def test_a_resolution_that_is_none_is_refused(mpp: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        choose_resolution(LEVELS, mpp, 0.25)
