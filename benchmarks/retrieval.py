"""Does like find like: encoders beside the floors that they must beat.

    python -m benchmarks.retrieval [--data DIR] [--encoder E ...] [--robustness] [--json F]

DIR (by default the folder that PATHSEARCH_DATA names) holds `patches/colorectal`,
`patches/lung`, `slides/regions.csv` and `weights/*.tflite`. The built-in encoders and
MobileNet are always measured; `--encoder` adds others (a folder, or NAME=FOLDER). Without
labelled patches it says so and ends.

Class-balanced P@5 in percent, the query's own group left out. "near" is acc@1 where the label
is the source tile: are near-duplicates found first? "patient" is P@5 on spots of three slides
of one patient, labelled by gene expression, and stays outside the mean.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Threads that wait by spinning take the processor away from the others; before torch comes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from pathsearch.encoders import builtin_names, load_encoder
from pathsearch.encoders.conv_encoder import untrained
from pathsearch.encoders.files import EncoderConfig
from pathsearch.errors import PathsearchError
from pathsearch.evaluate import judging, robustness
from pathsearch.evaluate.floors import colour_histogram, mean_colour
from pathsearch.evaluate.measuring import describe, whitened
from pathsearch.evaluate.sets import picture_source, region_source
from pathsearch.evaluate.tables import read_labels
from pathsearch.metrics import summary
from pathsearch.nouns import Encoder

RANDOM = "random weights"
EUCLIDEAN = "mean colour"


@dataclass(frozen=True)
class Column:
    """One figure of one labelled set.

    Attributes
    ----------
    name : str
    pictures : str
        The table whose pictures are described; of two columns with the same, once.
    labels : str
        The table with the labels, row by row of the same pictures.
    figure : str
    in_mean : bool
    """

    name: str
    pictures: str
    labels: str
    figure: str = "p5"
    in_mean: bool = True


COLUMNS = (
    Column("colorectal", "patches/colorectal/labels.csv", "patches/colorectal/labels.csv"),
    Column("lung", "patches/lung/labels.csv", "patches/lung/labels.csv"),
    Column("lung tiles", "patches/lung/labels.csv", "patches/lung/near_duplicates.csv"),
    Column(
        "near", "patches/lung/labels.csv", "patches/lung/near_duplicates.csv", "acc1", in_mean=False
    ),
    Column("patient", "slides/regions.csv", "slides/regions.csv", in_mean=False),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--encoder", action="append", default=[], metavar="[NAME=]E")
    parser.add_argument("--robustness", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    data = Path(arguments.data)
    there = [c for c in COLUMNS if arguments.data and (data / c.pictures).is_file()]
    if not there:
        print("No labelled patches: set PATHSEARCH_DATA or give --data.")
        return
    encoders = _encoders(data, arguments.encoder)
    vectors: dict[str, dict[str, np.ndarray]] = {}
    for table in dict.fromkeys(c.pictures for c in there):
        encode = {name: encoder.encode for name, encoder in encoders.items()}
        vectors[table] = described(data / table, encode)
    rows = {name: figures_of(data, there, vectors, name) for name in next(iter(vectors.values()))}
    if arguments.robustness:
        _add_robustness(data / there[0].pictures, encoders, vectors[there[0].pictures], rows)
    print_table(there, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _encoders(data: Path, given: list[str]) -> dict[str, Encoder]:
    specs = {f"builtin:{name}": f"builtin:{name}" for name in builtin_names()}
    for path in sorted(data.glob("weights/*mobilenet*.tflite")):
        specs["MobileNet v1, ImageNet"] = str(path)
    for word in given:
        name, equals, spec = word.partition("=")
        specs[name if equals else Path(word).name] = spec if equals else word
    out: dict[str, Encoder] = {}
    for name, spec in specs.items():
        try:
            out[name] = load_encoder(spec)
        except PathsearchError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return out


def described(table: Path, describers: dict[str, Any]) -> dict[str, np.ndarray]:
    """Every descriptor of every patch of a table, the floors too; each patch is read once."""
    random = untrained(EncoderConfig())
    describers = {
        RANDOM: random.features,
        EUCLIDEAN: mean_colour,
        "colour histogram": colour_histogram,
        **describers,
    }
    start = time.perf_counter()
    source = (
        region_source(table, random, mpp=0.5)
        if table.name == "regions.csv"
        else picture_source(table)
    )
    out = describe(source, describers)
    out[RANDOM] = whitened(out[RANDOM], random.dim)
    seconds = time.perf_counter() - start
    print(f"{table}: {len(source.labels)} patches in {seconds:.0f} s", file=sys.stderr)
    return out


def figures_of(
    data: Path, columns: list[Column], vectors: dict[str, dict[str, np.ndarray]], name: str
) -> dict[str, Any]:
    """The row of one descriptor; `vectors`: table -> descriptor -> vectors."""
    row: dict[str, Any] = {}
    for column in columns:
        if column.labels.endswith("regions.csv"):
            from pathsearch.evaluate.tables import read_regions

            table: Any = read_regions(data / column.labels)
        else:
            table = read_labels(data / column.labels)
        metric = "euclidean" if name == EUCLIDEAN else "cosine"
        judged = judging.judge(vectors[column.pictures][name], table.labels, table.groups, metric)
        row[column.name] = 100 * summary(judged.figures, table.labels)[column.figure]
        if column.in_mean:
            low, high = judging.intervals(judged, table.labels, table.groups)[column.figure]
            row[f"{column.name} interval"] = [100 * low, 100 * high]
    counted = [row[c.name] for c in columns if c.in_mean]
    row["mean"] = float(np.mean(counted)) if counted else None
    return row


def _add_robustness(
    table: Path,
    encoders: dict[str, Encoder],
    vectors: dict[str, np.ndarray],
    rows: dict[str, dict[str, Any]],
) -> None:
    source = picture_source(table)
    for name, encoder in encoders.items():
        judged = judging.judge(vectors[name], source.labels, source.groups)
        arguments = (source, encoder, vectors[name], judged.order)
        stain = robustness.stain_robustness(*arguments)
        rows[name]["turned"] = 100 * robustness.rotation_stability(*arguments)["overlap"]
        rows[name]["re-stained"] = 100 * stain["overlap"]
        rows[name]["itself"] = 100 * stain["itself"]


def print_table(columns: list[Column], rows: dict[str, dict[str, Any]]) -> None:
    """One line a descriptor."""
    names = [c.name for c in columns if c.in_mean] + ["mean"]
    names += [c.name for c in columns if not c.in_mean]
    names += [n for n in ("turned", "re-stained", "itself") if any(n in r for r in rows.values())]
    width = max(len(name) for name in rows) + 2
    print(" " * width + "".join(f"{name:>12}" for name in names))
    for label, row in rows.items():
        cells = ("" if row.get(name) is None else f"{row[name]:.1f}" for name in names)
        print(f"{label:<{width}}" + "".join(f"{cell:>12}" for cell in cells))
    widest = [c.name for c in columns if c.in_mean]
    print(
        "P@5, classes weigh the same, own group left out; near: acc@1 on near-duplicates; patient: "
        f"within one patient, outside the mean (of {', '.join(widest)})."
    )
    if "turned" in names:
        print(
            "turned, re-stained: share of the ten nearest that stay; itself: re-stained patches "
            f"that find themselves first. On {columns[0].name}."
        )


if __name__ == "__main__":
    main()
