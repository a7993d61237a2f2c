"""Training of an encoder from slides and pictures, without labels.

All Lightning code is here; what comes out is a folder that
`pathsearch.encoders.load_encoder` reads, without Lightning.
"""

from __future__ import annotations

from pathsearch.training.run import TrainResult, train

__all__ = ["TrainResult", "train"]
