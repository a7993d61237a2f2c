"""Settings of these tests."""

from __future__ import annotations

import os

# OpenMP threads that wait by spinning slow small networks down tenfold on a busy machine;
# read when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
