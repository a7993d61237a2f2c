"""Labelled pictures and slides that a plain encoder tells apart, written to disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from pathsearch.testing.plain_encoder import PlainEncoder


class Small(PlainEncoder):
    """For patches of 64 px, which keeps the floor of random weights quick."""

    def __init__(self, seed: int = 0, input_px: int = 64) -> None:
        super().__init__(seed)
        self.input_px = input_px


CLASSES = ("dots", "lines", "plain")


def patch(label: str, rng: np.random.Generator, size: int = 64) -> np.ndarray:
    """A patch of a class; the same colours in each, so that only structure differs."""
    y, x = np.mgrid[:size, :size]
    phase = rng.uniform(0, 6, 2)
    wave = {
        "dots": np.sin(x / 2 + phase[0]) * np.sin(y / 2 + phase[1]) * 24,
        "lines": np.sin(x / 6 + phase[0]) * 50,
        "plain": np.zeros((size, size)),
    }[label]
    out = np.array([200.0, 160, 190]) + wave[..., None] + rng.normal(0, 3, (size, size, 3))
    return np.clip(out, 0, 255).astype(np.uint8)


def write_pictures(folder: Path, *, each: int = 6, groups: int = 3, delimiter: str = ",") -> Path:
    """Pictures of three classes and their table; `each` a class, spread over `groups`."""
    rng = np.random.default_rng(0)
    rows = []
    for label in CLASSES:
        for number in range(each):
            name = f"images/{label}_{number}.png"
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(patch(label, rng)).save(path)
            rows.append((name, label, f"case{number % groups}"))
    return write_table(folder / "labels.csv", ("path", "label", "group"), rows, delimiter)


def write_table(path: Path, head, rows, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(head)
        writer.writerows(rows)
    return path


def write_slide(path: Path, *, size: int = 512, cell: int = 128, mpp: float = 0.5) -> list:
    """A small tiled TIFF of cells of the three classes; returns (x, y, label) of centres."""
    import tifffile

    rng = np.random.default_rng(len(path.name) + ord(path.stem[-1]))
    pixels = np.empty((size, size, 3), np.uint8)
    places = []
    for row in range(size // cell):
        for column in range(size // cell):
            label = CLASSES[(row + column) % 3]
            x, y = column * cell, row * cell
            pixels[y : y + cell, x : x + cell] = patch(label, rng, cell)
            places.append((x + cell // 2, y + cell // 2, label))
    per_cm = 1e4 / mpp
    tifffile.imwrite(
        path, pixels, tile=(128, 128), photometric="rgb", compression="deflate",
        resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return places
