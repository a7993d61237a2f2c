"""Which levels napari is given for a slide: the stored ones, and made-up ones between and below.

napari reads a level whole for what is in view, and the coarsest one completely: neighbours are
at most about a factor of two apart, and the last has at most `COARSEST_PX` a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.nouns import Slide

#: Longest side of the coarsest level, pixels.
COARSEST_PX = 2000
#: Stored levels further apart than this get made-up ones between them.
WIDEST_STEP = 2.9


@dataclass(frozen=True, slots=True)
class ShownLevel:
    """One level as it is shown.

    Attributes
    ----------
    width, height : int
        Pixels of this level.
    downsample : float
        Level-0 pixels per pixel.
    stored : bool
        Whether the file has it; else it is averaged from a finer one when it is read.
    """

    width: int
    height: int
    downsample: float
    stored: bool


def shown_levels(slide: Slide) -> tuple[ShownLevel, ...]:
    """The levels of a slide for display, finest first."""
    shown: list[ShownLevel] = []
    for level in slide.levels:
        if shown:
            shown += _between(slide.size, shown[-1], level.downsample)
            if level.width >= shown[-1].width or level.height >= shown[-1].height:
                continue  # napari wants each level smaller than the one before
        shown.append(ShownLevel(level.width, level.height, level.downsample, stored=True))
    while max(shown[-1].width, shown[-1].height) > COARSEST_PX:
        shown.append(_made(slide.size, shown[-1].downsample * 2))
    return tuple(shown)


def _between(size: tuple[int, int], finer: ShownLevel, coarser: float) -> list[ShownLevel]:
    made = []
    downsample = finer.downsample
    while coarser / downsample > WIDEST_STEP:
        downsample *= 2
        made.append(_made(size, downsample))
    return made


def _made(size: tuple[int, int], downsample: float) -> ShownLevel:
    width, height = (max(1, round(side / downsample)) for side in size)
    return ShownLevel(width, height, downsample, stored=False)
