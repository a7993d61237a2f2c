"""Questions to matches: `Searcher(library).search(query)`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.search.answer import Answer, Recall
    from pathsearch.search.build import rebuild_index
    from pathsearch.search.questions import parse_example
    from pathsearch.search.searcher import Searcher

__all__ = ["Answer", "Recall", "Searcher", "parse_example", "rebuild_index"]

_HOMES = {
    "Answer": "answer",
    "Recall": "answer",
    "Searcher": "searcher",
    "parse_example": "questions",
    "rebuild_index": "build",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pathsearch.search.{_HOMES[name]}"), name)
    raise AttributeError(name)
