"""What each part of the encoder brought: the plain autoencoder first.

    python -m benchmarks.ablation [--data DIR] [--steps 200] [--out DIR] [--only NAME ...]

Every row is a network of the small size, trained with the same seed on the same unlabelled
patches for the same number of steps (few: what parts bring is compared, not what training can
reach), and judged as `benchmarks.retrieval` judges. A training that is in DIR already is not
repeated, so the table can be interrupted and gone on with.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Threads that wait by spinning take the processor away from the others; before torch comes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from benchmarks.retrieval import COLUMNS, described, figures_of, print_table

from pathsearch.config import AugmentSettings, LossSettings, TrainSettings
from pathsearch.encoders import load_encoder
from pathsearch.encoders.conv_encoder import ConvEncoder
from pathsearch.training.run import train

#: Views that differ in place, scale and angle only.
_UNDISTORTED = AugmentSettings(
    stain=0, hue=0, saturation=0, brightness=0, contrast=0, gray=0, blur=0, jpeg=0, noise=0
)
#: What is trained: name -> (views, weights of the losses, projection).
TRAININGS: dict[str, tuple[AugmentSettings, dict[str, Any], float]] = {
    "plain": (_UNDISTORTED, {"reconstruction": 1.0, "invariance": 0.0, "distillation": 0.0}, 0.0),
    "denoising": (
        AugmentSettings(),
        {"reconstruction": 1.0, "invariance": 0.0, "distillation": 0.0},
        0.0,
    ),
    "contrastive": (AugmentSettings(), {"distillation": 0.0}, 0.0),
    "vicreg": (AugmentSettings(), {"distillation": 0.0, "invariance_kind": "vicreg"}, 0.0),
    "dino": (
        AugmentSettings(),
        {"distillation": 0.0, "invariance_kind": "self-distillation"},
        0.0,
    ),
    "teacher": (AugmentSettings(), {}, 0.0),
    "invariant": (AugmentSettings(), {}, 0.3),
    "no-decoder": (AugmentSettings(), {"reconstruction": 0.0}, 0.3),
    "only-teacher": (AugmentSettings(), {"reconstruction": 0.0, "invariance": 0.0}, 0.3),
}
#: The rows: what they say, which training, and whether only the last stage's means are read.
ROWS: tuple[tuple[str, str, bool], ...] = (
    ("plain autoencoder, means of the last stage", "plain", True),
    (".. means and spread of 3 stages, half-whitened", "plain", False),
    (".. rebuilds the clean from a distorted picture", "denoising", False),
    (".. and contrastive loss", "contrastive", False),
    (".. and VICReg instead of it", "vicreg", False),
    (".. and self-distillation instead of it", "dino", False),
    (".. contrastive, and a teacher", "teacher", False),
    (".. and projection that ignores stain (ships)", "invariant", False),
    ("ships, without reconstruction", "no-decoder", False),
    ("teacher alone", "only-teacher", False),
)


def main() -> None:
    """Train what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("ablation-out"))
    parser.add_argument("--only", action="append", default=[], choices=list(TRAININGS))
    arguments = parser.parse_args()
    data = Path(arguments.data)
    if not arguments.data or not (data / "unlabelled").is_dir():
        print("No unlabelled patches: set PATHSEARCH_DATA or give --data.")
        return
    chosen = arguments.only or list(TRAININGS)
    for name in chosen:
        _train(name, data, arguments.out / name, arguments.steps)
    describers: dict[str, Any] = {}
    for title, name, last in ROWS:
        if name in chosen:
            encoder = load_encoder(str(arguments.out / name))
            assert isinstance(encoder, ConvEncoder)
            describers[title] = _last_stage(encoder) if last else encoder.encode
    there = [c for c in COLUMNS if (data / c.pictures).is_file()]
    tables = dict.fromkeys(c.pictures for c in there)
    vectors = {table: described(data / table, describers) for table in tables}
    print(f"{arguments.steps} steps of 64 patches each, the same for every row")
    print_table(there, {title: figures_of(data, there, vectors, title) for title in describers})


def _train(name: str, data: Path, out: Path, steps: int) -> None:
    """One training, unless it is there."""
    if (out / "config.json").is_file():
        return
    augment, losses, noise = TRAININGS[name]
    teachers = sorted(data.glob("weights/*mobilenet*.tflite"))
    settings = TrainSettings(
        name=name,
        augment=augment,
        loss=LossSettings(**losses),
        whitening_noise=noise,
        teacher=str(teachers[0]) if teachers else None,
        teacher_crops=2,
        pool_patches=2048,
        picture_scales=[1.0, 0.5],
        slide_mpp=0.5,
        batch_size=64,
        max_steps=steps,
        validate_steps=steps,
        whitening_patches=1536,
    )
    slides = ["CMU-1-Small-Region.svs", "tcga-cr-7395-01a-01-ts1.svs"]
    sources = [*sorted((data / "unlabelled").iterdir()), *(data / "slides" / s for s in slides)]
    resume = (out / "training" / "last.ckpt").is_file()
    result = train([s for s in sources if s.exists()], out, settings, resume=resume)
    print(f"{name}: {result.steps} steps in {result.seconds:.0f} s", file=sys.stderr, flush=True)


def _last_stage(encoder: ConvEncoder) -> Callable[[Any], Any]:
    """The means of the last stage, made unit length: what a plain autoencoder would give."""
    width = encoder.config.architecture.channels[-1]

    def describe(pixels: Any) -> Any:
        means = encoder.features(pixels)[:, -2 * width : -width]
        return (means / np.linalg.norm(means, axis=1, keepdims=True).clip(1e-12)).astype(np.float32)

    return describe


if __name__ == "__main__":
    main()
