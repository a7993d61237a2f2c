"""How well an encoder finds tissue of the same kind, on labelled patches.

`evaluate` takes a table of pictures, `evaluate_regions` a table of places on slides, and
`evaluate_library` uses the vectors that a library holds. Each answers with what
``pathsearch evaluate --json`` prints; the ``measure_...`` functions below them give the
`Evaluation` behind it, which a page can be written from.
"""

from __future__ import annotations

from pathsearch.evaluate.measuring import Evaluation, Options
from pathsearch.evaluate.sets import (
    evaluate,
    evaluate_library,
    evaluate_regions,
    measure_labels,
    measure_library,
    measure_regions,
)
from pathsearch.evaluate.tables import table_kind

__all__ = [
    "Evaluation",
    "Options",
    "evaluate",
    "evaluate_library",
    "evaluate_regions",
    "measure_labels",
    "measure_library",
    "measure_regions",
    "table_kind",
]
