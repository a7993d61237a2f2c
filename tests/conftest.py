"""Shared fixtures. Real slides are used where PATHSEARCH_DATA names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is loaded: threads that spin while they wait slow every other test down
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real slides and patches; the test is skipped without it."""
    value = os.environ.get("PATHSEARCH_DATA", "")
    if not value or not Path(value).is_dir():
        pytest.skip("PATHSEARCH_DATA does not name a folder of real slides")
    return Path(value).resolve()
