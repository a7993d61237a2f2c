"""Damaged files: random bytes overwritten in made-up slides."""

from __future__ import annotations

import logging
import random
from typing import Any

import numpy as np
import pytest
from made_slides import Writer, picture

from pathsearch.config import SlideSettings
from pathsearch.errors import SlideError
from pathsearch.slides import open_slide, stream_patches

GRID = np.array([(x, y) for y in range(0, 288, 96) for x in range(0, 288, 96)], np.int64)


def damaged(data: bytes, seed: int) -> bytes:
    """Bytes overwritten in the tables (even seeds) or anywhere."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        out[rng.randrange(600 if seed % 2 == 0 else len(out))] = rng.randrange(256)
    return bytes(out)


@pytest.mark.parametrize("reader", ["auto", "tiff"])
@pytest.mark.parametrize(
    "options",
    [{"compression": "jpeg"}, {"compression": "deflate"}, {"compression": "jpeg2000"}, {}],
    ids=["jpeg", "deflate", "jpeg2000", "plain"],
)
def test_damage_ends_in_an_error_or_in_bad_patches(
    write_tiff: Writer,
    reader: str,
    options: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    path = write_tiff(picture(288, 288), levels=2, **options)
    data = path.read_bytes()
    settings = SlideSettings(reader=reader, max_pixels=10**8)  # type: ignore[arg-type]
    ends = {"read": 0, "refused": 0, "bad": 0}
    for seed in range(40):
        path.write_bytes(damaged(data, seed))
        try:
            with open_slide(path, mpp=0.5, settings=settings) as slide:
                batches = list(stream_patches(slide, GRID, 96, 0.5))
                slide.read(0, 0, 40, 40, 2.0)
        except SlideError:
            ends["refused"] += 1
            continue
        ends["read"] += 1
        for batch in batches:
            ends["bad"] += int((~batch.ok).sum())
            assert (batch.pixels[~batch.ok] == 255).all()
            # The picture has no black anywhere: a readable patch must not have gone black.
            black = (batch.pixels[batch.ok].max(-1) == 0).mean((1, 2))
            assert (black < 0.5).all()
    assert ends["read"] > 5
    assert ends["refused"] + ends["bad"] > 5
