"""Shared fixtures. Real slides are used where PATHSEARCH_DATA names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real slides and patches; the test is skipped without it."""
    value = os.environ.get("PATHSEARCH_DATA", "")
    if not value or not Path(value).is_dir():
        pytest.skip("PATHSEARCH_DATA does not name a folder of real slides")
    return Path(value).resolve()
