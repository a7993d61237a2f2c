"""Tissue masks against the truth on made-up slides: ours, and Otsu on saturation.

    python -m benchmarks.tissue [--size 6144] [--seeds 3] [--pictures DIR]

Otsu's threshold on the saturation of a thumbnail (median filter, closing) is what the
usual pipelines of this field take (CLAM, and the simplest setting of most others). Both see
the same overview at 8 µm per pixel. Slides are drawn, with artefacts whose place is known:
figures on real slides will be lower, and the order of the methods is what counts.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.slides import open_slide
from pathsearch.testing import Stain, make_slide
from pathsearch.tiling import overview, tissue_mask
from pathsearch.tiling.mask import otsu

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A kind of made-up slide."""

    name: str
    kind: str = "he"
    options: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("H&E, all tissues"),
    Case("fat and stroma", options={"layout": ("fat", "stroma")}),
    Case("fat only", options={"layout": ("fat",)}),
    Case("mucus and glands", options={"layout": ("mucus", "glands")}),
    Case("three pieces", options={"pieces": 3}),
    Case("four pen marks", options={"artefacts": ("pen",) * 4}),
    Case("coverslip edge, bubbles", options={"artefacts": ("edge", "bubble", "bubble")}),
    Case("dirt", options={"artefacts": ("dirt",) * 6}),
    Case("film of eosin", options={"artefacts": ("smear", "smear")}),
    Case("black borders", options={"artefacts": ("black", "black")}),
    Case("area out of focus", options={"artefacts": ("blur",)}),
    Case(
        "all artefacts", options={"artefacts": ("pen", "edge", "bubble", "dirt", "smear", "black")}
    ),
    Case("IHC", kind="ihc"),
    Case("fluorescence", kind="fluorescence"),
    Case(
        "fluorescence, no fat",
        kind="fluorescence",
        options={"layout": ("stroma", "tumour", "glands")},
    ),
)


def otsu_on_saturation(pixels: npt.NDArray[np.uint8], mpp: float) -> Mask:
    """The usual way: saturation, median filter, Otsu, closing."""
    from scipy import ndimage

    high, low = pixels.max(axis=2).astype(np.float32), pixels.min(axis=2).astype(np.float32)
    saturation = np.where(high > 0, 255 * (high - low) / np.maximum(high, 1), 0)
    smooth = ndimage.median_filter(saturation, 3)
    mask = smooth > otsu(smooth.ravel())
    closed: Mask = ndimage.binary_closing(mask, iterations=max(1, round(32 / mpp)))
    return closed


def overlap(found: Mask, truth: Mask) -> float:
    """Intersection over union; 1 where both are empty."""
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def run(case: Case, seed: int, side: int, folder: Path) -> dict[str, Any]:
    """One slide: IoU of both methods, and the times."""
    made = make_slide(
        folder / "slide.tiff",
        size=(side, side),
        seed=seed,
        stain=Stain.varied(seed, 0.6, kind=case.kind),
        **case.options,
    )
    with open_slide(made.path) as slide:
        start = time.perf_counter()
        seen = overview(slide, 8.0)
        read = time.perf_counter() - start
    start = time.perf_counter()
    ours = tissue_mask(seen.pixels, seen.mpp)
    spent = time.perf_counter() - start
    truth = made.tissue_truth(seen.mpp)
    return {
        "ours": overlap(ours, truth),
        "otsu": overlap(otsu_on_saturation(seen.pixels, seen.mpp), truth),
        "read": read,
        "mask": spent,
        "pixels": seen.pixels,
        "mask_ours": ours,
        "truth": truth,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=6144, help="side of the slides, pixels")
    parser.add_argument("--seeds", type=int, default=3, help="slides of each kind")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the masks")
    words = parser.parse_args()
    print(f"IoU with the truth: {words.seeds} slides of {words.size} px a case, 8 µm per pixel")
    heads = ("ours", "worst", "Otsu", "worst", "read s", "mask s")
    print(f"{'case':<26}" + "".join(f"{head:>8}" for head in heads))
    every: list[tuple[float, float]] = []
    with TemporaryDirectory() as folder:
        for case in CASES:
            rows = [run(case, seed, words.size, Path(folder)) for seed in range(words.seeds)]
            ours, peers = ([r[k] for r in rows] for k in ("ours", "otsu"))
            every.append((float(np.mean(ours)), float(np.mean(peers))))
            print(
                f"{case.name:<26} {np.mean(ours):7.3f} {min(ours):7.3f} {np.mean(peers):7.3f} "
                f"{min(peers):7.3f} {np.mean([r['read'] for r in rows]):7.3f} "
                f"{np.mean([r['mask'] for r in rows]):7.3f}",
                flush=True,
            )
            if words.pictures:
                _save(words.pictures, case.name, rows)
    mean = np.mean(every, axis=0)
    print(f"{'mean of the cases':<26} {mean[0]:7.3f} {'':>7} {mean[1]:7.3f}")


def _save(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """The overviews with our outline (green) and the truth's (orange)."""
    from PIL import Image
    from scipy import ndimage

    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for row in rows:
        picture = row["pixels"].copy()
        for mask, colour in ((row["truth"], (230, 159, 0)), (row["mask_ours"], (0, 158, 115))):
            picture[mask ^ ndimage.binary_erosion(mask, border_value=1)] = colour
        drawn.append(picture)
    file = folder / f"{''.join(c if c.isalnum() else '-' for c in name)}.png"
    Image.fromarray(np.concatenate(drawn, axis=1)).save(file)


if __name__ == "__main__":
    main()
