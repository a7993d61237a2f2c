"""A library of vectors whose encoder is not at hand."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.config import TileSpec

if TYPE_CHECKING:
    from pathsearch.library import EncoderRecord, Library


def unbound_record(name: str, dim: int, spec: TileSpec) -> EncoderRecord:
    """An encoder of which only its name and its vectors are known.

    Its fingerprint is the sha256 of name and length, so that features of one encoder can be
    added to later, and none of another name or length.
    """
    from pathsearch.library import EncoderRecord

    fingerprint = hashlib.sha256(f"unbound\n{name}\n{dim}".encode()).hexdigest()
    return EncoderRecord(
        name=name,
        dim=dim,
        input_px=spec.size_px,
        mpp_range=(spec.mpp, spec.mpp),
        fingerprint=fingerprint,
        storage="unbound",
    )


def create_unbound(path: Path, spec: TileSpec, record: EncoderRecord) -> Library:
    """A new library without an encoder."""
    from pathsearch.library import Library

    return Library.create(path, specs=[spec], encoder=record)
