"""Small encoders with random weights, on made-up patches."""

from __future__ import annotations

import os

import pytest
from encoder_cases import TINY, made_up

from pathsearch.encoders.random_weights import random_encoder

# OpenMP threads that wait by spinning slow small networks down tenfold on a busy machine;
# read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def patches():
    return made_up(50)


@pytest.fixture(scope="session")
def tiny(patches):
    return random_encoder(patches, TINY, seed=3, dim=16)
