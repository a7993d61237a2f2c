"""Pixels to unit vectors.

`load_encoder` is the one way in. What it can load:

- ``builtin:NAME``: shipped with the package (``builtin_names()``),
- a folder with ``config.json`` and ``weights.safetensors``, as training writes it,
- a file with a suffix, or ``KIND:ARGUMENT``, of an entry point in the group
  ``pathsearch.encoders``.
"""

from __future__ import annotations

from pathsearch.encoders.loading import (
    DEFAULT,
    EncoderLoader,
    Precision,
    builtin_names,
    load_encoder,
)

__all__ = ["DEFAULT", "EncoderLoader", "Precision", "builtin_names", "load_encoder"]
