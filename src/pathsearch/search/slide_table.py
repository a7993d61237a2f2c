"""The library's slides as columns: for filters, tallies and the bias line.

Made once a generation of the library, so that a search over ten thousand slides does not go
through them one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.search.where import parse_where

if TYPE_CHECKING:
    from pathsearch.library import SlideRecord

#: Columns of the catalog itself; the manifest's come beside them.
CATALOG_COLUMNS = ("slide_id", "case_id", "vendor", "scanner", "objective", "mpp")
_FILTERS_KEPT = 32


class SlideTable:
    """All slides of a library.

    Parameters
    ----------
    slides : mapping of slide id to SlideRecord
    """

    def __init__(self, slides: Mapping[str, SlideRecord]) -> None:
        self.slides = slides
        self.number = {slide_id: n for n, slide_id in enumerate(slides)}
        self._filters: dict[str, tuple[str, ...]] = {}

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Each slide's columns; those that it lacks are absent."""
        return {slide_id: _row(record) for slide_id, record in self.slides.items()}

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """The catalog's columns and every column that any slide has."""
        own = {name for row in self.rows.values() for name in row} - set(CATALOG_COLUMNS)
        return (*CATALOG_COLUMNS, *sorted(own))

    @cached_property
    def codes(self) -> dict[str, tuple[npt.NDArray[np.int64], list[str]]]:
        """Of each column: the number of each slide's value, and the values; '' where absent."""
        found = {}
        for name in self.column_names:
            texts = [str(row.get(name, "")) for row in self.rows.values()]
            values, numbers = np.unique(np.asarray([*texts, ""]), return_inverse=True)
            found[name] = numbers[:-1].astype(np.int64), values.tolist()
        return found

    def cases(self, slide_id: str) -> str:
        """The case of a slide; a slide without one stands for itself.

        NUL cannot occur in a case id, so nothing clashes.
        """
        return self.slides[slide_id].case_id or "\0" + slide_id

    def left_out(self, where: str) -> tuple[str, ...]:
        """Ids of the slides for which a filter does not hold.

        Raises
        ------
        QueryError
            The filter does not parse.
        """
        if not where.strip():
            return ()
        if where not in self._filters:
            test = parse_where(where, self.column_names)
            while len(self._filters) >= _FILTERS_KEPT:
                self._filters.pop(next(iter(self._filters)))
            self._filters[where] = tuple(i for i, row in self.rows.items() if not test(row))
        return self._filters[where]


def _row(record: SlideRecord) -> dict[str, Any]:
    own = {name: getattr(record, name) for name in CATALOG_COLUMNS}
    return {**record.metadata, **{k: v for k, v in own.items() if v not in (None, "")}}
