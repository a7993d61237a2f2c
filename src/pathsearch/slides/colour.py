"""Stored colours to sRGB, through the slide's ICC profile (lcms, as Pillow has it)."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np

from pathsearch.slides.pyramid import ColorTransform
from pathsearch.slides.resample import Pixels

log = logging.getLogger(__name__)


def srgb_transform(profile: bytes | None, path: str) -> ColorTransform | None:
    """A function from stored RGB to sRGB.

    Parameters
    ----------
    profile : bytes, optional
        The slide's ICC profile.
    path : str
        For the log.

    Returns
    -------
    callable or None
        uint8 (h, w, 3) to the same, with the rendering intent that the profile names.
        None where there is no usable profile: the pixels are taken for sRGB, and the log
        says so.
    """
    if not profile:
        log.warning("%s: has no ICC profile; its colours are taken for sRGB.", path)
        return None
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        intent = ImageCms.getDefaultIntent(source)
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), "RGB", "RGB", ImageCms.Intent(intent)
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.warning("%s: its ICC profile is not usable (%s); taken for sRGB.", path, error)
        return None
    return _Transform(transform)


class _Transform:
    def __init__(self, transform: Any) -> None:
        self._transform = transform

    def __call__(self, pixels: Pixels) -> Pixels:
        from PIL import Image, ImageCms

        image = Image.fromarray(np.ascontiguousarray(pixels))
        ImageCms.applyTransform(image, self._transform, inPlace=True)
        return np.array(image)
