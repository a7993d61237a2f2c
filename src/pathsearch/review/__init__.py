"""What is kept of a search: questions, matches, verdicts, collections, and what they say.

`Reviews(library)` keeps and reads the record; `Collections(library)` the named sets of places.
Both append and never change a row; every reviewer and machine writes a file of its own, and
reading merges them all (``docs/library-format.md``).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathsearch.review.collections import Collections
    from pathsearch.review.figures import Agreement, Precision, agreement, precision
    from pathsearch.review.records import (
        Collection,
        Decision,
        Export,
        Kind,
        Place,
        Review,
        Round,
        Shown,
        Summary,
        Verdict,
    )
    from pathsearch.review.repeat import Found, Replay, find_new, new_slide_count, replay
    from pathsearch.review.reviewer import reviewer_name, set_reviewer_name
    from pathsearch.review.reviews import Reviews
    from pathsearch.review.stopping import Running, running, running_of

_HOMES = {
    "Agreement": "figures",
    "Collection": "records",
    "Collections": "collections",
    "Decision": "records",
    "Export": "records",
    "Found": "repeat",
    "Kind": "records",
    "Place": "records",
    "Precision": "figures",
    "Replay": "repeat",
    "Review": "records",
    "Reviews": "reviews",
    "Round": "records",
    "Running": "stopping",
    "Shown": "records",
    "Summary": "records",
    "Verdict": "records",
    "agreement": "figures",
    "find_new": "repeat",
    "new_slide_count": "repeat",
    "precision": "figures",
    "replay": "repeat",
    "reviewer_name": "reviewer",
    "running": "stopping",
    "running_of": "stopping",
    "set_reviewer_name": "reviewer",
}

__all__ = [
    "Agreement",
    "Collection",
    "Collections",
    "Decision",
    "Export",
    "Found",
    "Kind",
    "Place",
    "Precision",
    "Replay",
    "Review",
    "Reviews",
    "Round",
    "Running",
    "Shown",
    "Summary",
    "Verdict",
    "agreement",
    "find_new",
    "new_slide_count",
    "precision",
    "replay",
    "reviewer_name",
    "running",
    "running_of",
    "set_reviewer_name",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
