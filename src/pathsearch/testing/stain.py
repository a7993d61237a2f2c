"""How a laboratory and a scanner make stain concentrations into colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from pathsearch.testing.canvas import UNIT

Vector3 = tuple[float, float, float]
Kind = Literal["he", "ihc", "fluorescence"]

#: Optical density per unit of stain for R, G, B, near the values of Ruifrok and Johnston
#: (2001), eosin moved to the salmon of today's slides.
HAEMATOXYLIN: Vector3 = (0.62, 0.68, 0.34)
EOSIN: Vector3 = (0.09, 0.52, 0.27)
DAB: Vector3 = (0.27, 0.57, 0.78)

#: What a made-up antibody binds to: brown in the kind ``ihc``.
POSITIVE = frozenset({"tumour", "glands"})


@dataclass(frozen=True, slots=True)
class Stain:
    """One laboratory's stain under one scanner.

    Attributes
    ----------
    kind : {'he', 'ihc', 'fluorescence'}
        Haematoxylin with eosin, or with a brown antibody stain; or blue light of nuclei and
        faint red of the rest, on black.
    haematoxylin, eosin : tuple of float
        Optical density per unit of concentration for R, G, B (Beer and Lambert's law).
    gains : tuple of float
        Strength of haematoxylin and of eosin.
    glass : tuple of float
        Colour of the empty slide, RGB, 0..255.
    gamma : float
        The scanner's tone curve.
    """

    kind: Kind = "he"
    haematoxylin: Vector3 = HAEMATOXYLIN
    eosin: Vector3 = EOSIN
    gains: tuple[float, float] = (1.0, 1.0)
    glass: Vector3 = (244.0, 243.0, 245.0)
    gamma: float = 1.0

    @classmethod
    def varied(cls, seed: int, amount: float = 1.0, kind: Kind = "he") -> Stain:
        """Another laboratory: the same stains, somewhat different in hue and strength.

        Parameters
        ----------
        seed : int
            One seed, one laboratory.
        amount : float
            0 is no difference, 1 about the usual one between laboratories.
        kind : {'he', 'ihc', 'fluorescence'}
        """
        rng = np.random.default_rng([seed, 0x57A1])

        def near(vector: Vector3, spread: float, least: float, most: float) -> Vector3:
            r, g, b = np.clip(np.array(vector) + amount * rng.normal(0, spread, 3), least, most)
            return float(r), float(g), float(b)

        return cls(
            kind=kind,
            haematoxylin=near(HAEMATOXYLIN, 0.035, 0.02, 2),
            eosin=near(EOSIN, 0.035, 0.02, 2),
            gains=(
                float(np.clip(1 + amount * rng.normal(0, 0.12), 0.6, 1.5)),
                float(np.clip(1 + amount * rng.normal(0, 0.15), 0.5, 1.6)),
            ),
            glass=near((243.0, 243.0, 243.0), 3.0, 225, 252),
            gamma=float(np.clip(1 + amount * rng.normal(0, 0.04), 0.85, 1.15)),
        )

    def table(self, tissue: str) -> npt.NDArray[np.uint32]:
        """Colour of every pair of concentrations in a tissue.

        Returns
        -------
        uint32 array, shape (65536,)
            Red in the lowest byte, then green, blue. The index is
            ``haematoxylin * 256 + eosin``, as `pathsearch.testing.tissues.texture` has it.
        """
        return _table(self, tissue in POSITIVE)


@lru_cache(maxsize=64)
def _table(stain: Stain, positive: bool) -> npt.NDArray[np.uint32]:
    steps = np.arange(256, dtype=np.float32) / np.float32(UNIT)
    h = np.repeat(steps, 256)[:, None] * stain.gains[0]
    e = np.tile(steps, 256)[:, None] * stain.gains[1]
    if stain.kind == "fluorescence":
        light = h * np.array([16.0, 40.0, 190.0]) + e * np.array([70.0, 14.0, 10.0])
        colour = np.array([4.0, 4.0, 6.0]) + light
    else:
        if stain.kind == "ihc":
            bound = 1.5 if positive else 0.12
            # The counterstain is weak, and nothing is pink.
            od = 0.55 * h * np.array(stain.haematoxylin) + bound * e * np.array(DAB)
        else:
            od = h * np.array(stain.haematoxylin) + e * np.array(stain.eosin)
        colour = np.array(stain.glass) * 10.0 ** (-od * stain.gamma)
    rgb = np.clip(colour + 0.5, 0, 255).astype(np.uint32)
    packed: npt.NDArray[np.uint32] = (
        rgb[:, 0] | (rgb[:, 1] << np.uint32(8)) | (rgb[:, 2] << np.uint32(16))
    )
    return packed
