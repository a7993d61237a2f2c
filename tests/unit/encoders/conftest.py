"""Small encoders with random weights, on made-up patches."""

from __future__ import annotations

import pytest
from encoder_cases import TINY, made_up

from pathsearch.encoders.random_weights import random_encoder


@pytest.fixture(scope="session")
def patches():
    return made_up(50)


@pytest.fixture(scope="session")
def tiny(patches):
    return random_encoder(patches, TINY, seed=3, dim=16)
