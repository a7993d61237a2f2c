"""Do verdicts help? Precision before and after rounds of simulated ones, on labelled sets.

    python -m benchmarks.refinement [--data DIR] [--encoder E] [--keep DIR]

Every patch (at most `--queries` a set, drawn evenly over the classes) asks for its own label.
Its group is left out. Half of the other groups are shown to a simulated user, ten matches a
round, who accepts those of the asked label and rejects the rest; the other half is never shown,
and P@10 is measured there: before, after one and after three rounds. Where a label has fewer
than ten patches in that half, P@R with as many as there are. "next" is what the user sees: the
share of right ones among the ten that come next, refined and, for comparison, not refined.
The interval is 95% of 1,000 resamplings of the queries' groups of the gain after three rounds.
"""

from __future__ import annotations

import argparse
import os
import zlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.search.direction import refine

SHOWN = 10
ROUNDS = 3
SETS = (
    ("colorectal", "patches/colorectal/labels.csv", "patches/colorectal/labels.csv"),
    ("lung", "patches/lung/labels.csv", "patches/lung/labels.csv"),
    ("near duplicates", "patches/lung/labels.csv", "patches/lung/near_duplicates.csv"),
    ("one patient", "slides/regions.csv", "slides/regions.csv"),
)

Vectors = npt.NDArray[np.float32]
Words = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Labelled:
    """A labelled set: vectors (n, dim), labels and groups (n,)."""

    vectors: Vectors
    labels: Words
    groups: Words


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--encoder", default="")
    parser.add_argument("--keep", type=Path, help="folder for vectors, to run again quickly")
    parser.add_argument("--queries", type=int, default=400)
    words = parser.parse_args()
    there = [s for s in SETS if words.data and Path(words.data, s[1]).is_file()]
    if not there:
        print("No labelled patches: set PATHSEARCH_DATA or give --data.")
        return
    print(f"{'':<17}{'queries':>8}{'before':>8}{'1 round':>9}{'3 rounds':>10}{'gain':>7}"
          f"{'interval':>15}{'next, plain':>13}{'refined':>9}")  # fmt: skip
    for name, pictures, labels in there:
        labelled = _load(Path(words.data), pictures, labels, words.encoder, words.keep)
        _print(name, measure(labelled, words.queries))


def _load(data: Path, pictures: str, labels: str, encoder: str, keep: Path | None) -> Labelled:
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.evaluate.measuring import describe
    from pathsearch.evaluate.sets import picture_source, region_source
    from pathsearch.evaluate.tables import read_labels, read_regions

    loaded = load_encoder(encoder or DEFAULT)
    places = pictures.endswith("regions.csv")
    mark = f"labelled-{pictures.split('/')[-2]}-{loaded.fingerprint[:12]}.npy"
    kept = keep / mark if keep else None
    if kept is not None and kept.exists():
        vectors = np.load(kept, allow_pickle=False)
    else:
        table = data / pictures
        source: Any = region_source(table, loaded, mpp=0.5) if places else picture_source(table)
        vectors = describe(source, {"it": loaded.encode})["it"]
        if kept is not None:
            np.save(kept, vectors)
    table_of: Any = read_regions if places else read_labels
    judged = table_of(data / labels)
    return Labelled(vectors, np.asarray(judged.labels), np.asarray(judged.groups))


@dataclass(frozen=True)
class Outcome:
    """What came out of the simulated verdicts.

    Attributes
    ----------
    unseen : float array, shape (q, 4)
        P@10 on what was never shown, before and after each round.
    following : float array, shape (q, 2)
        Share of right ones among the ten that come next, plain and refined.
    groups : list of str
        Of the queries.
    """

    unseen: npt.NDArray[np.float64]
    following: npt.NDArray[np.float64]
    groups: list[str]


def measure(labelled: Labelled, queries: int) -> Outcome:
    """Simulate the verdicts of many questions."""
    unseen, following, groups = [], [], []
    for number in _drawn(labelled, queries):
        outcome = _ask(labelled, number)
        if outcome is not None:
            unseen.append(outcome[0])
            following.append(outcome[1])
            groups.append(str(labelled.groups[number]))
    return Outcome(np.array(unseen), np.array(following), groups)


def _drawn(labelled: Labelled, queries: int) -> list[int]:
    """Queries, as many of each class as there are of the others."""
    rng = np.random.default_rng(0)
    of_label: dict[str, list[int]] = defaultdict(list)
    for number in rng.permutation(len(labelled.labels)).tolist():
        of_label[str(labelled.labels[number])].append(number)
    each = max(1, queries // len(of_label))
    return [number for label in sorted(of_label) for number in of_label[label][:each]]


def _half(group: str) -> int:
    return zlib.crc32(group.encode()) & 1


def _ask(labelled: Labelled, number: int) -> tuple[list[float], list[float]] | None:
    other = labelled.groups != labelled.groups[number]
    half = np.array([_half(g) for g in labelled.groups.tolist()])
    right = labelled.labels == labelled.labels[number]
    # Verdicts are given in the half of the query's own group or not: by its number
    shown = np.flatnonzero(other & (half == number % 2))
    unseen = np.flatnonzero(other & (half != number % 2))
    depth = min(SHOWN, int(right[unseen].sum()))
    if not depth or len(shown) < SHOWN * (ROUNDS + 1):
        return None
    start = labelled.vectors[number]
    vectors, left, direction = labelled.vectors, shown, start
    accepted: list[int] = []
    rejected: list[int] = []
    figures = [_precision(vectors, direction, unseen, right, depth)]
    for _ in range(ROUNDS):
        top = left[np.argsort(-(vectors[left] @ direction), kind="stable")[:SHOWN]]
        accepted += top[right[top]].tolist()
        rejected += top[~right[top]].tolist()
        left = np.setdiff1d(left, top)
        direction = refine(start, vectors[accepted], vectors[rejected]).vectors[0]
        figures.append(_precision(vectors, direction, unseen, right, depth))
    plain = shown[np.argsort(-(vectors[shown] @ start), kind="stable")][SHOWN * ROUNDS :]
    after = [
        float(right[plain[:SHOWN]].mean()),
        _precision(vectors, direction, left, right, SHOWN),
    ]
    return figures, after


def _precision(
    vectors: Vectors,
    direction: Vectors,
    among: npt.NDArray[np.int64],
    right: npt.NDArray[np.bool_],
    depth: int,
) -> float:
    top = among[np.argsort(-(vectors[among] @ direction), kind="stable")[:depth]]
    return float(right[top].mean())


def _print(name: str, outcome: Outcome) -> None:
    means = 100 * outcome.unseen.mean(axis=0)
    low, high = _interval(outcome)
    after = 100 * outcome.following.mean(axis=0)
    print(
        f"{name:<17}{len(outcome.groups):>8}{means[0]:>8.1f}{means[1]:>9.1f}{means[3]:>10.1f}"
        f"{means[3] - means[0]:>7.1f}{f'{low:+.1f} .. {high:+.1f}':>15}"
        f"{after[0]:>13.1f}{after[1]:>9.1f}",
        flush=True,
    )


def _interval(outcome: Outcome) -> tuple[float, float]:
    """95% interval of the gain after all rounds; groups are resampled, not queries."""
    of_group: dict[str, list[float]] = defaultdict(list)
    gains = 100 * (outcome.unseen[:, -1] - outcome.unseen[:, 0])
    for group, gain in zip(outcome.groups, gains.tolist(), strict=True):
        of_group[group].append(gain)
    held = [np.array(values) for values in of_group.values()]
    rng = np.random.default_rng(0)
    drawn = [
        np.concatenate([held[n] for n in rng.integers(len(held), size=len(held))]).mean()
        for _ in range(1000)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
