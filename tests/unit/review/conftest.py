"""A library to review, and folders of the user's own that are not the user's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import review_cases as cases

from pathsearch.review import Reviews
from pathsearch.search import Searcher
from pathsearch.testing.plain_encoder import PlainEncoder


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("PATHSEARCH_USER_DATA_DIR", str(tmp_path / "own"))


@pytest.fixture
def library(tmp_path):
    with cases.make(tmp_path / "l.pathsearch") as made:
        yield made


@pytest.fixture
def searcher(library):
    return Searcher(library, PlainEncoder(dim=cases.DIM))


@pytest.fixture
def reviews(library):
    with Reviews(library, reviewer="Ada") as kept:
        yield kept


@pytest.fixture
def answer(searcher):
    return searcher.search(cases.vector_query(k=8))
