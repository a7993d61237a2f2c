"""The library, made once, and folders of the user's own that are not the user's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import export_cases as cases


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    with cases.make_library(tmp_path_factory.mktemp("exports")) as made:
        yield made


@pytest.fixture(scope="session")
def searched(library):
    return cases.search(library)


@pytest.fixture
def searcher(searched):
    return searched[0]


@pytest.fixture
def answer(searched):
    return searched[1]


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("PATHSEARCH_USER_DATA_DIR", str(tmp_path / "own"))
